"""How routes are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gatehouse.cli.output import Column, as_document, enum_word, local_time, print_json, show_lines, show_table, words
from gatehouse.cli.session import Session
from gatehouse.references import short_provider

if TYPE_CHECKING:
    from gatehouse.providerconfig.v1.route_pb2 import ComplexityTier, ExperimentArm, Route, RouteTarget


def show_route(route: Route, session: Session) -> None:
    """A route with its targets, or its JSON."""
    if session.as_json:
        print_json(as_document(route))
        return
    parent = route.name.rpartition("/routes/")[0]
    show_lines(
        [
            ("name", route.name),
            ("strategy", strategy(route)),
            ("state", state(route)),
            ("display name", route.display_name),
            ("description", route.description),
            ("then by the route", route.fallback_route),
            ("experiment", _experiment(route)),
            ("answers are kept", _cache(route)),
            ("labels", words(route.labels.items())),
            ("created", " by ".join(filter(None, (local_time(route.create_time), route.created_by)))),
            ("changed", local_time(route.update_time)),
        ]
    )
    weighted = any(target.HasField("weight") for target in route.targets)
    if route.targets:
        show_table(
            enumerate(route.targets, start=1),
            _target_columns(parent, route, weighted=weighted),
            empty="",
            title="\ntargets",
        )
    if route.tiers:
        show_table(route.tiers, _tier_columns(parent), empty="", title="\ntiers")
    if route.fallbacks:
        show_table(
            enumerate(route.fallbacks, start=1),
            _target_columns(parent, route, weighted=False),
            empty="",
            title="\nfallbacks",
        )
    if route.experiment.arms:
        show_table(route.experiment.arms, _arm_columns(parent), empty="", title="\narms")


def strategy(route: Route) -> str:
    """`weighted`."""
    from gatehouse.providerconfig.v1.route_pb2 import RoutingStrategy

    return enum_word(RoutingStrategy, route.strategy)


def state(route: Route) -> str:
    """`active`; a server that does not say has no inactive ones."""
    return "inactive" if route.HasField("active") and not route.active else "active"


def target_text(target: RouteTarget, parent: str) -> str:
    """`openai/gpt-4o-mini`, as --target takes it."""
    return "/".join(filter(None, (short_provider(target.provider, parent), target.model)))


def targets_text(targets: Iterable[RouteTarget], parent: str) -> str:
    """All of them, with commas."""
    return ", ".join(target_text(target, parent) for target in targets)


def _share(target: RouteTarget, targets: Sequence[RouteTarget]) -> str:
    """The weight and the part of the calls it stands for, where every target says its own."""
    if not target.HasField("weight"):
        return "the provider's"
    total = sum(each.weight for each in targets)
    if not total or not all(each.HasField("weight") for each in targets):
        return str(target.weight)
    return f"{target.weight} ({target.weight / total:.0%})"


def _target_columns(parent: str, route: Route, *, weighted: bool) -> list[Column[tuple[int, RouteTarget]]]:
    from gatehouse.cli.provider_view import capabilities

    columns: list[Column[tuple[int, RouteTarget]]] = [
        Column("NO", lambda row: str(row[0]), right=True),
        Column("PROVIDER", lambda row: short_provider(row[1].provider, parent)),
        Column("MODEL", lambda row: row[1].model or "its default"),
    ]
    if weighted:
        columns.append(Column("WEIGHT", lambda row: _share(row[1], route.targets), right=True))
    if any(target.plans for target in (*route.targets, *route.fallbacks)):
        columns.append(Column("PLANS", lambda row: ", ".join(row[1].plans) or "all"))
    if any(target.HasField("requires") for target in (*route.targets, *route.fallbacks)):
        columns.append(Column("REQUIRES", lambda row: capabilities(row[1].requires)))
    return columns


def _tier_columns(parent: str) -> list[Column[ComplexityTier]]:
    return [
        Column("TIER", lambda tier: tier.tier_id),
        Column("SCORES UP TO", lambda tier: str(tier.most_score), right=True),
        Column("TARGETS", lambda tier: targets_text(tier.targets, parent)),
    ]


def _arm_columns(parent: str) -> list[Column[ExperimentArm]]:
    return [
        Column("ARM", lambda arm: arm.arm_id),
        Column("SHARE", lambda arm: f"{arm.share_percent} %", right=True),
        Column("TARGET", lambda arm: target_text(arm.target, parent)),
    ]


def _experiment(route: Route) -> str:
    if not route.HasField("experiment"):
        return ""
    paused = route.experiment.HasField("active") and not route.experiment.active
    return f"{route.experiment.experiment_id} ({'paused' if paused else 'running'})"


def _cache(route: Route) -> str:
    from gatehouse.durations import written
    from gatehouse.providerconfig.v1.route_pb2 import CACHE_MODE_EXACT

    if route.cache.mode != CACHE_MODE_EXACT:
        return ""
    return f"for {written(route.cache.time_to_live.ToNanoseconds())} (stored; nothing is kept yet)"
