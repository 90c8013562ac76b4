"""How a call ended, well or in the middle of its answer."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.errors import Unavailable
from libs.core.money import NanoUsd, TokenCounts
from services.router.domain.attempt import AttemptTrace
from services.router.domain.errors import Reason
from services.router.domain.generation import FinishReason
from services.router.domain.routing.route_plan import RoutePlan, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended. `usage` is None when the provider did not say; `cost` when no price or usage is known.

    `plan` is how its targets were chosen, out of a configuration that was `configuration_age_s` old.
    """

    operation_id: str
    finish_reason: FinishReason
    raw_finish_reason: str
    usage: TokenCounts | None
    cost: NanoUsd | None
    served_by: Target
    attempts: tuple[AttemptTrace, ...]
    warnings: tuple[str, ...]
    total_s: float
    provider_s: float
    first_content_s: float | None
    plan: RoutePlan
    configuration_age_s: float


class StreamInterrupted(Unavailable):
    """The stream broke after content was delivered; carries what was used until then."""

    def __init__(self, *, operation_id: str, target: Target, usage: TokenCounts, estimated: bool) -> None:
        super().__init__(
            Reason.STREAM_INTERRUPTED,
            f"the answer of {target.provider.name} broke off; what came before it is all there is",
            metadata={"provider": target.provider.name, "model": target.model.id},
        )
        self.operation_id = operation_id
        self.target = target
        self.usage = usage
        self.estimated = estimated
