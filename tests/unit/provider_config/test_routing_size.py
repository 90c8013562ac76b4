"""The bound on a scope holds for what is sent of routes, preferences and profiles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from libs.core.provider_types import Capabilities
from libs.core.resource_names import Owner, ProfileName, ProviderName, RouteName
from services.provider_config.api.convert_routing import (
    policy_message,
    preferences_message,
    profile_message,
    route_message,
)
from services.provider_config.domain.policy import PlatformFallback, RoutingPolicy
from services.provider_config.domain.preference import Choice, Preferences, PreferenceSettings, TaskChoice
from services.provider_config.domain.profile import Profile, ProfileSettings
from services.provider_config.domain.route import (
    CacheMode,
    CachePolicy,
    ComplexityTier,
    Experiment,
    ExperimentArm,
    Route,
    RouteSettings,
    RouteTarget,
    RoutingStrategy,
)
from services.provider_config.domain.routing_size import preferences_bytes, profile_bytes, route_bytes
from services.provider_config.domain.scope_size import MAX_SCOPE_BYTES

_LATE = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_GRPC_LIMIT_BYTES = 4 * 1024 * 1024
_long = "x" * 63
_USER = Owner(_long, _long)
_texts = st.text(st.characters(codec="utf-8"), max_size=300)
_lengths = st.integers(0, 6)
_ABLE = Capabilities(
    streaming=True, tools=True, json_schema=True, images=True, audio=True, documents=True, reasoning=True,
    embeddings=True,
)  # fmt: skip


def _targets(count: int, plans: Sequence[str]) -> tuple[RouteTarget, ...]:
    target = RouteTarget(
        provider=ProviderName(Owner(_long), _long), model=_long, weight=1_000_000, plans=tuple(plans), requires=_ABLE
    )
    return (target,) * count


def _route(text: str, count: int, plans: Sequence[str], labels: dict[str, str]) -> Route:
    targets = _targets(count, plans)
    settings = RouteSettings(
        display_name=text,
        description=text,
        strategy=RoutingStrategy.COMPLEXITY,
        targets=targets,
        fallbacks=targets,
        fallback_route=RouteName(_long, _long),
        tiers=(ComplexityTier(tier_id=_long, most_score=100, targets=targets),) * count,
        experiment=Experiment(
            experiment_id=_long,
            arms=tuple(ExperimentArm(arm_id=_long, share_percent=100, target=each) for each in targets),
        ),
        cache=CachePolicy(mode=CacheMode.EXACT, time_to_live=timedelta(days=29, microseconds=999_999)),
        labels=labels,
    )
    return Route(
        name=RouteName(_long, _long),
        uid="0" * 36,
        version=2**62,
        settings=settings,
        created_by=str(_USER),
        create_time=_LATE,
        update_time=_LATE,
    )


def _size(snapshot: pb.Snapshot) -> int:
    """What is in a snapshot takes, tags and lengths included."""
    return int(snapshot.ByteSize())


@given(
    _texts,
    _lengths,
    st.lists(_texts, max_size=4),
    st.dictionaries(_texts, _texts, max_size=5),
)
def test_a_route_takes_no_more_than_is_counted(text: str, count: int, plans: list[str], labels: dict[str, str]) -> None:
    route = _route(text, count, plans, labels)
    assert _size(pb.Snapshot(routes=[route_message(route)] * 2)) <= 2 * route_bytes(route)


def test_the_largest_route_takes_no_more_than_is_counted() -> None:
    route = _route("ü" * 2000, 32, ["ü" * 64] * 32, {f"l{number}": "ü" * 256 for number in range(64)})
    assert _size(pb.Snapshot(routes=[route_message(route)])) <= route_bytes(route)


def _choices(count: int) -> tuple[Choice, tuple[TaskChoice, ...]]:
    choice = Choice(provider=ProviderName(_USER, _long), model=_long)
    return choice, (TaskChoice(task=_long, choice=choice),) * count


@given(_lengths)
def test_preferences_take_no_more_than_is_counted(count: int) -> None:
    preferred, tasks = _choices(count)
    preferences = Preferences(
        user=_USER,
        uid="0" * 36,
        version=2**62,
        settings=PreferenceSettings(preferred=preferred, tasks=tasks),
        active_profile=ProfileName(_long, _long, _long),
        update_time=_LATE,
    )
    message = preferences_message(preferences)
    assert _size(pb.Snapshot(preferences=[message] * 2)) <= 2 * preferences_bytes(preferences)


@given(_texts, _lengths)
def test_a_profile_takes_no_more_than_is_counted(text: str, count: int) -> None:
    preferred, tasks = _choices(count)
    profile = Profile(
        name=ProfileName(_long, _long, _long),
        uid="0" * 36,
        version=2**62,
        settings=ProfileSettings(
            display_name=text,
            description=text,
            providers=(preferred.provider,) * count,
            preferred=preferred,
            tasks=tasks,
        ),
        active=True,
        create_time=_LATE,
        update_time=_LATE,
    )
    assert _size(pb.Snapshot(profiles=[profile_message(profile)] * 2)) <= 2 * profile_bytes(profile)


def test_the_policy_has_its_place_in_the_frame() -> None:
    policy = RoutingPolicy(
        tenant=Owner(_long), uid="0" * 36, version=2**62, platform_fallback=PlatformFallback.LAST, update_time=_LATE
    )
    frame = pb.Snapshot(scope=str(Owner(_long)), revision=2**62, policy=policy_message(policy))
    assert MAX_SCOPE_BYTES + _size(frame) < _GRPC_LIMIT_BYTES
