"""How the arms of an experiment do: which attempts count, and what their sums say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from libs.core.money import NanoUsd, TokenCounts
from services.usage_accounting.domain import confidence
from services.usage_accounting.domain.attempt import MICROSECONDS, Dimensions, Outcome
from services.usage_accounting.domain.confidence import Estimate, Moments
from services.usage_accounting.domain.usage_event import Settlement

_COUNTED = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INTERRUPTED})


class ArmAttempt(NamedTuple):
    """An attempt that counts for an arm, as it was settled. `cost` is None when no price is known."""

    tenant: str
    experiment: str
    arm: str
    start_us: int
    has_succeeded: bool
    duration_us: int
    first_content_us: int | None
    cost: NanoUsd | None
    tokens: TokenCounts


def arm_attempt(settlement: Settlement, dimensions: Dimensions, cost: NanoUsd | None) -> ArmAttempt | None:
    """What `settlement` counts for an arm; None outside of experiments and when it says nothing about the arm.

    It counts the same whether the reservation had lapsed before or not. What a caller broke off tells nothing of the
    arm: how long it would have taken, and whether it would have failed, nobody knows.
    """
    if not dimensions.experiment or settlement.outcome not in _COUNTED:
        return None
    return ArmAttempt(
        settlement.key.tenant,
        dimensions.experiment,
        dimensions.arm,
        settlement.start_us,
        settlement.outcome is Outcome.SUCCEEDED,
        settlement.duration_us,
        settlement.first_content_us,
        cost,
        settlement.tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentQuery:
    """Which attempts, by when they began. None: from the beginning, until now; both are widened to whole hours."""

    tenant: str
    experiment: str
    start_us: int | None = None
    end_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSums:
    """The sums of an arm's attempts: durations of those that succeeded, costs of those whose price is known."""

    arm: str
    calls: int
    succeeded: int
    durations_us: Moments
    first_contents_us: Moments
    costs_nano_usd: Moments
    tokens: TokenCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmStats:
    """What the sums of an arm say. The means are None without any observation."""

    arm: str
    calls: int
    succeeded: int
    success_rate: Estimate
    duration_s: Estimate | None
    first_content_s: Estimate | None
    cost_nano_usd: Estimate | None
    total_cost_nano_usd: int
    unpriced_calls: int
    tokens: TokenCounts

    @classmethod
    def of(cls, sums: ArmSums) -> ArmStats:
        """The statistics of an arm that had calls."""
        return cls(
            arm=sums.arm,
            calls=sums.calls,
            succeeded=sums.succeeded,
            success_rate=confidence.share(sums.succeeded, sums.calls),
            duration_s=confidence.mean(sums.durations_us, per_unit=MICROSECONDS),
            first_content_s=confidence.mean(sums.first_contents_us, per_unit=MICROSECONDS),
            cost_nano_usd=confidence.mean(sums.costs_nano_usd),
            total_cost_nano_usd=sums.costs_nano_usd.total,
            unpriced_calls=sums.calls - sums.costs_nano_usd.size,
            tokens=sums.tokens,
        )
