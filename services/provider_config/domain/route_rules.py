"""What must hold among the fields of a route, whatever else exists.

What holds for one field by itself is checked where requests are read.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.validation import FieldChecks
from services.provider_config.domain.route import (
    ComplexityTier,
    Experiment,
    RouteSettings,
    RouteTarget,
    RoutingStrategy,
)

MAX_SCORE = 100
MIN_TIERS = 2
MAX_TIERS = 8
ALL_USERS_PERCENT = 100


def check_route(check: FieldChecks, settings: RouteSettings) -> None:
    """`check` learns of every field of `route` that does not go with the others."""
    if settings.strategy is None:
        check.fail("route.strategy", f"must be one of {', '.join(RoutingStrategy)}")
    elif settings.strategy is RoutingStrategy.COMPLEXITY:
        _check_tiers(check, settings.tiers)
    else:
        check.that(not settings.tiers, "route.tiers", f"must be empty: they are for {RoutingStrategy.COMPLEXITY} only")
        check.that(bool(settings.targets), "route.targets", "must not be empty")
    _check_distinct(check, "route.targets", settings.targets)
    _check_distinct(check, "route.fallbacks", settings.fallbacks)
    if settings.strategy is RoutingStrategy.WEIGHTED and settings.targets:
        some_weight = any(target.weight != 0 for target in settings.targets)
        check.that(some_weight, "route.targets", "must not all have the weight 0")
    if settings.experiment is not None:
        _check_arms(check, settings.experiment)


def _check_tiers(check: FieldChecks, tiers: Sequence[ComplexityTier]) -> None:
    check.count("route.tiers", tiers, least=MIN_TIERS, most=MAX_TIERS)
    before: int | None = None
    seen: set[str] = set()
    for index, tier in enumerate(tiers):
        field = f"route.tiers[{index}]"
        check.that(tier.tier_id not in seen, f"{field}.tier_id", "must differ from those of the other tiers")
        seen.add(tier.tier_id)
        rises = before is None or tier.most_score > before
        check.that(rises, f"{field}.most_score", "must be above that of the tier before")
        before = tier.most_score
        _check_distinct(check, f"{field}.targets", tier.targets)
    if tiers:
        last = f"route.tiers[{len(tiers) - 1}].most_score"
        check.that(
            tiers[-1].most_score == MAX_SCORE, last, f"must be {MAX_SCORE}: the last tier takes all that is left"
        )


def _check_distinct(check: FieldChecks, field: str, targets: Sequence[RouteTarget]) -> None:
    seen: set[object] = set()
    for index, target in enumerate(targets):
        check.that(target.serves not in seen, f"{field}[{index}]", "must not name the same provider and model again")
        seen.add(target.serves)


def _check_arms(check: FieldChecks, experiment: Experiment) -> None:
    seen: set[str] = set()
    for index, arm in enumerate(experiment.arms):
        field = f"route.experiment.arms[{index}].arm_id"
        check.that(arm.arm_id not in seen, field, "must differ from those of the other arms")
        seen.add(arm.arm_id)
    shares = sum(arm.share_percent for arm in experiment.arms)
    check.that(
        shares <= ALL_USERS_PERCENT,
        "route.experiment.arms",
        f"must have shares of at most {ALL_USERS_PERCENT} % together, have {shares} %",
    )
