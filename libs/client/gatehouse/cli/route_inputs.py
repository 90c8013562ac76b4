"""How a route is written on a command line: targets, tiers, arms.

--target PROVIDER[/MODEL][:weight=3][,plans=pro+enterprise][,requires=tools+images]
--tier 'ID<=SCORE=TARGET'
--arm ID=TARGET@SHARE
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from gatehouse.references import ID, provider_name, target_parts

if TYPE_CHECKING:
    from gatehouse.operations.routes import Strategy
    from gatehouse.providerconfig.v1.route_pb2 import CachePolicy, ComplexityTier, ExperimentArm, RouteTarget

_TIER = re.compile(r"([^<=]+)<=(\d{1,3})=(.+)")
_ARM = re.compile(r"([^=]+)=(.+)@(\d{1,3})%?")
_SHAPE = "PROVIDER[/MODEL][:weight=3,plans=pro+enterprise,requires=tools]"
_MOST_CACHE_NS, _LEAST_CACHE_NS = 30 * 86_400 * 10**9, 10**9


def targets_of(texts: Sequence[str], parent: str, hint: str) -> list[RouteTarget]:
    """The targets as given. Raises BadParameter naming the option `hint`."""
    return [target_of(text, parent, hint) for text in texts]


def target_of(text: str, parent: str, hint: str) -> RouteTarget:
    """`openai/gpt-4o-mini:weight=3,plans=pro+enterprise`. Raises BadParameter."""
    from gatehouse.providerconfig.v1.route_pb2 import RouteTarget

    where, colon, options = text.partition(":")
    fields: dict[str, Any] = {}
    try:
        provider, model = target_parts(where)
        fields = {"provider": provider_name(provider, parent), "model": model}
        if model and not ID.fullmatch(model):
            raise ValueError("names no model: its id has only a-z, 0-9, '.', '_' and '-'")  # noqa: TRY301 - told as the others
        for option in options.split(",") if colon else ():
            name, _, value = option.partition("=")
            if name in fields:
                raise ValueError(f"says {name} twice")  # noqa: TRY301 - as above
            fields[name] = _option(name, value)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}. A target is {_SHAPE}", param_hint=hint) from None
    return RouteTarget(**fields)


def _option(name: str, value: str) -> Any:
    from gatehouse.providerconfig.v1.provider_pb2 import Capabilities

    match name:
        case "weight" if value.isascii() and value.isdigit() and len(value) < 8:  # noqa: PLR2004 - a million at most
            return int(value)
        case "weight":
            raise ValueError("has a weight that is no whole number from 0 to 1,000,000")
        case "plans" if all(value.split("+")):
            return value.split("+")
        case "plans":
            raise ValueError("names no plans: plans=pro+enterprise")
        case "requires":
            known = Capabilities.DESCRIPTOR.fields_by_name
            wanted = value.split("+")
            if set(wanted) - set(known):
                raise ValueError(f"requires what is none of {', '.join(known)}")
            return Capabilities(**dict.fromkeys(wanted, True))
        case _:
            raise ValueError(f"has an option {name!r}; there are weight, plans and requires")


def tiers_of(texts: Sequence[str], parent: str) -> list[ComplexityTier]:
    """`simple<=30=openai/gpt-4o-mini`; a tier that is given again gets one more target. Raises BadParameter."""
    from gatehouse.providerconfig.v1.route_pb2 import ComplexityTier

    tiers: dict[str, ComplexityTier] = {}
    for text in texts:
        match = _TIER.fullmatch(text)
        if not match:
            raise typer.BadParameter(
                f"{text!r} is not ID<=SCORE=TARGET, such as 'simple<=30=openai/gpt-4o-mini' (in quotes: shells take < "
                "for something else)",
                param_hint="--tier",
            )
        tier_id, score = match[1], int(match[2])
        tier = tiers.setdefault(tier_id, ComplexityTier(tier_id=tier_id, most_score=score))
        if tier.most_score != score:
            raise typer.BadParameter(f"{tier_id} takes scores up to {tier.most_score} or {score}?", param_hint="--tier")
        tier.targets.append(target_of(match[3], parent, "--tier"))
    return sorted(tiers.values(), key=lambda tier: tier.most_score)


def arms_of(texts: Sequence[str], parent: str) -> list[ExperimentArm]:
    """`control=openai/gpt-4o-mini@50`. Raises BadParameter."""
    from gatehouse.providerconfig.v1.route_pb2 import ExperimentArm

    arms = []
    for text in texts:
        match = _ARM.fullmatch(text)
        if not match:
            raise typer.BadParameter(
                f"{text!r} is not ARM=TARGET@PERCENT, such as control=openai/gpt-4o-mini@50", param_hint="--arm"
            )
        target = target_of(match[2], parent, "--arm")
        arms.append(ExperimentArm(arm_id=match[1], share_percent=int(match[3]), target=target))
    if sum(arm.share_percent for arm in arms) > 100:  # noqa: PLR2004 - percent
        raise typer.BadParameter("the shares of the arms are more than 100 % together", param_hint="--arm")
    return arms


def cache_of(text: str) -> CachePolicy:
    """`1h`, or `off`. Raises BadParameter."""
    from gatehouse.durations import duration_message, nanoseconds_of
    from gatehouse.providerconfig.v1.route_pb2 import CACHE_MODE_EXACT, CACHE_MODE_OFF, CachePolicy

    if text == "off":
        return CachePolicy(mode=CACHE_MODE_OFF)
    try:
        nanoseconds = nanoseconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}, or off", param_hint="--cache") from None
    if not _LEAST_CACHE_NS <= nanoseconds <= _MOST_CACHE_NS:
        raise typer.BadParameter("must be from 1s to 30d, or off", param_hint="--cache")
    return CachePolicy(mode=CACHE_MODE_EXACT, time_to_live=duration_message(nanoseconds))


def strategy_for(targets: Sequence[RouteTarget], tiers: Sequence[ComplexityTier]) -> Strategy:
    """The strategy that is meant where none is named: by tiers, by weights, else in the order given."""
    if tiers:
        return "complexity"
    return "weighted" if any(target.HasField("weight") for target in targets) else "priority"
