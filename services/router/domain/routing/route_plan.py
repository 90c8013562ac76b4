"""What planning makes: targets in order, what was left out, and how both came about.

These classes are not frozen: a call makes dozens of them, and a frozen one takes a microsecond to make. Nobody changes
them all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from libs.core.errors import FailedPrecondition, PreconditionViolation
from services.router.domain.call_request import CallRequest
from services.router.domain.configuration import Model, Provider
from services.router.domain.embedding import Embedding
from services.router.domain.errors import Reason
from services.router.domain.health import HealthKey
from services.router.domain.routing.causes import Cause, Rule
from services.router.domain.routing.complexity import Complexity
from services.router.domain.tokens import DEFAULT_OUTPUT_LIMIT, RequestSize


class Obstacle(NamedTuple):
    """What stands in a target's way: `words` is put together with `values` only when somebody reads it.

    `mendable`: the target may be tried all the same when there is no other.
    """

    cause: Cause
    words: str
    values: tuple[object, ...] = ()
    mendable: bool = False

    @property
    def description(self) -> str:
        """For people."""
        return self.words.format(*self.values) if self.values else self.words


@dataclass(slots=True)
class Target:
    """A provider and model that can serve the call. `reason` says why it is here, for people.

    `health_key` is what its health is kept under.
    """

    provider: Provider
    model: Model
    rule: Rule
    reason: str
    health_key: HealthKey


@dataclass(slots=True)
class Rejected:
    """A candidate left out.

    `provider` is None when there is none of the name `provider_name`. `model` is the one it was looked at for, empty
    without one. `reason` is that of the rule that looked at it.
    """

    provider_name: str
    provider: Provider | None
    model: str
    rule: Rule
    reason: str
    obstacle: Obstacle

    @property
    def cause(self) -> Cause:
        """What stands in the way."""
        return self.obstacle.cause

    @property
    def description(self) -> str:
        """The same for people."""
        return self.obstacle.description

    @property
    def warning(self) -> str:
        """What the caller is told when it would have come first and another target takes its place."""
        return f"{self.provider_name} was passed over: {self.description}"

    @property
    def violation(self) -> PreconditionViolation:
        """The same in an error's details."""
        return PreconditionViolation(
            type=self.cause,
            subject=f"{self.provider_name}/models/{self.model}" if self.model else self.provider_name,
            description=self.description,
        )


@dataclass(slots=True, kw_only=True)
class RoutePlan:
    """Targets in the order they are tried, what was left out, and the revision both rest on.

    `route`, `experiment`, `arm` and `profile` are as in `RouteTrace`. `passed_over` are those of `rejected` that would
    have come first and whose place another rule's target took. `size` is what the request weighs. `resting`: the
    targets rest, and are tried because there is no other.
    """

    targets: tuple[Target, ...]
    rejected: tuple[Rejected, ...]
    revision: int
    size: RequestSize
    route: str = ""
    experiment: str = ""
    arm: str = ""
    profile: str = ""
    complexity: Complexity | None = None
    passed_over: tuple[Rejected, ...] = ()
    resting: bool = False

    def without(self, target: Target, obstacle: Obstacle) -> RoutePlan:
        """The plan after `target` turned out not to be usable."""
        rejected = Rejected(
            target.provider.name, target.provider, target.model.id, target.rule, target.reason, obstacle
        )
        return replace(
            self,
            targets=tuple(each for each in self.targets if each is not target),
            rejected=(*self.rejected, rejected),
        )

    def require_target(self) -> None:
        """Raises FailedPrecondition `NO_USABLE_TARGET` when there is none."""
        if not self.targets:
            raise self.no_usable_target()

    def no_usable_target(self) -> FailedPrecondition:
        """The error that names every rejected target."""
        reasons = "; ".join(f"{each.provider_name}: {each.description}" for each in self.rejected)
        return FailedPrecondition(
            Reason.NO_USABLE_TARGET,
            f"no provider can serve this call: {reasons}"
            if reasons
            else "no provider is configured for this tenant; create one with a key and a model",
            metadata={"rejected": str(len(self.rejected))},
            precondition_violations=tuple(each.violation for each in self.rejected),
        )


def input_limit(request: CallRequest, size: RequestSize, model: Model) -> int:
    """The most input tokens the call can take from a model; what is reserved.

    No model takes more than its context, whatever a document by URL may hold. For vectors it holds for each text.
    """
    most, context = size.most_input_tokens, model.context_tokens
    return min(most, context) if context and not isinstance(request, Embedding) else most


def output_limit(request: CallRequest, provider: Provider, model: Model) -> int:
    """The most output tokens the call can take from a model; what is reserved and sent. Vectors take none."""
    if isinstance(request, Embedding):
        return 0
    if request.max_output_tokens:
        return request.max_output_tokens
    limit, own = provider.default_max_output_tokens, model.max_output_tokens
    if limit:
        return min(limit, own) if own else limit
    return own or DEFAULT_OUTPUT_LIMIT
