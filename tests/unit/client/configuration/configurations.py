"""Random configurations as a Gatehouse could hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatehouse.configuration.document import Configuration
from gatehouse.durations import duration_message
from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice
from gatehouse.providerconfig.v1.preference_pb2 import Choice, Preferences, Profile, TaskChoice
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities, Provider, ProviderLimits, ProviderTimeouts
from gatehouse.providerconfig.v1.route_pb2 import (
    CachePolicy,
    ComplexityTier,
    Experiment,
    ExperimentArm,
    PlatformFallback,
    Route,
    RouteTarget,
    RoutingPolicy,
    RoutingStrategy,
)
from hypothesis import strategies as st

TENANT, USER = "tenants/acme", "tenants/acme/users/ann"

ids = st.sampled_from(["a", "b", "openai", "gpt-4.1", "no", "0x1", "1e3", "null", "a.models.b", "true"])
# What YAML reads as something else when it stands alone, and what it has to quote.
texts = st.text("aZ09é日😀 '\"\\:#-{}[]&*!|>%@~,.?\n\t", max_size=12) | st.sampled_from(
    ["no", "1e3", "0x1", "null", "<<"]
)
abilities = st.sets(st.sampled_from([field.name for field in Capabilities.DESCRIPTOR.fields])).map(
    lambda names: Capabilities(**dict.fromkeys(names, True))
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def durations(least_ms: int, most_ms: int) -> st.SearchStrategy[Any]:
    return st.integers(least_ms, most_ms).map(lambda ms: duration_message(ms * 1_000_000))


def built(message: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Messages with fields of these strategies; None leaves one unset."""
    return st.fixed_dictionaries(fields).map(
        lambda values: message(**{name: value for name, value in values.items() if value is not None})
    )


labels = st.dictionaries(st.sampled_from(["team", "a.b", "x_1"]), texts, max_size=2)
limits = built(
    ProviderLimits,
    requests_per_minute=st.integers(1, 10_000_000),
    tokens_per_minute=st.integers(0, 10_000_000_000),
    concurrent_requests=st.integers(0, 100_000),
)
timeouts = built(
    ProviderTimeouts,
    connect=durations(10, 86_400_000),
    first_event=maybe(durations(10, 86_400_000)),
    idle=maybe(durations(10, 86_400_000)),
)
options = st.dictionaries(
    st.sampled_from(["organization", "project", "nested"]),
    st.recursive(
        st.none() | st.booleans() | st.integers(-1000, 1000) | texts | st.just(1.5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
        max_leaves=4,
    ),
    min_size=1,
    max_size=2,
)
providers = built(
    Provider,
    type=st.sampled_from(["openai", "openai_compatible"]),
    display_name=texts,
    description=texts,
    base_url=st.sampled_from(["https://api.openai.com/v1", "http://localhost:8000"]),
    key=maybe(st.just("openai-prod")),
    default_model=maybe(ids),
    active=st.booleans(),
    priority=st.integers(0, 1000),
    weight=maybe(st.integers(0, 1_000_000)),
    limits=maybe(limits),
    timeouts=maybe(timeouts),
    max_retries=maybe(st.integers(0, 10)),
    default_temperature=maybe(st.floats(0, 2)),
    default_max_output_tokens=maybe(st.integers(1, 10_000_000)),
    options=maybe(options),
    labels=labels,
)
micro = st.integers(0, 1_000_000_000_000)
models = built(
    Model,
    display_name=texts,
    provider_model_id=st.just("meta-llama/Llama 3: 8B"),
    enabled=st.booleans(),
    context_tokens=st.integers(0, 100_000_000),
    max_output_tokens=st.integers(0, 10_000_000),
    capabilities=abilities,
    price=maybe(
        built(
            ModelPrice,
            input_micro_usd_per_million=micro.filter(bool),
            output_micro_usd_per_million=micro.filter(bool),
            cache_read_micro_usd_per_million=maybe(micro),
            cache_write_micro_usd_per_million=maybe(micro),
            reasoning_micro_usd_per_million=maybe(micro),
        )
    ),
)


@st.composite
def tenants(draw: st.DrawFn) -> Configuration:
    """A tenant's: routes name what there is, and lead nowhere in a circle."""
    found = Configuration(parent=TENANT, providers=draw(st.dictionaries(ids, providers, max_size=3)), routes={})
    places: list[tuple[str, str]] = [("platform/providers/openai", "gpt-4o"), ("platform/providers/b", "")]
    for name, provider in (found.providers or {}).items():
        provider.name = f"{TENANT}/providers/{name}"
        provider.key = provider.key and f"{TENANT}/keys/{provider.key}"
        found.models[name] = draw(st.dictionaries(ids, models, max_size=2))
        places.append((provider.name, ""))
        for model_id, model in found.models[name].items():
            model.name = f"{provider.name}/models/{model_id}"
            places.append((provider.name, model_id))
    _give_defaults(draw, list((found.providers or {}).values()))
    names = draw(st.lists(ids, unique=True, max_size=3))
    for number, name in enumerate(names):
        route = draw(routes(places))
        route.name = f"{TENANT}/routes/{name}"
        if number and draw(st.booleans()):
            route.fallback_route = f"{TENANT}/routes/{names[number - 1]}"
        (found.routes if found.routes is not None else {})[name] = route
    found.policy = RoutingPolicy(
        name=f"{TENANT}/policy",
        platform_fallback=draw(
            st.sampled_from([PlatformFallback.PLATFORM_FALLBACK_NEVER, PlatformFallback.PLATFORM_FALLBACK_LAST])
        ),
    )
    return found


def _give_defaults(draw: Any, among: list[Provider]) -> None:
    holders = st.none() | st.sampled_from(among) if among else st.none()
    if (holder := draw(holders)) is not None:
        holder.is_default = True
    for task in ("extraction", "validation"):
        if (holder := draw(holders)) is not None:
            holder.default_for_tasks.append(task)


def routes(places: list[tuple[str, str]]) -> st.SearchStrategy[Route]:
    unique = st.lists(st.sampled_from(places), min_size=1, max_size=3, unique=True)
    target = built(
        RouteTarget,
        weight=maybe(st.integers(0, 1_000_000)),
        plans=st.lists(st.sampled_from(["free", "pro"]), unique=True, max_size=2),
        requires=maybe(abilities.filter(lambda can: bool(can.ListFields()))),
    )

    def placed(chosen: list[tuple[str, str]], kinds: list[RouteTarget]) -> list[RouteTarget]:
        found = []
        for (provider, model), kind in zip(chosen, kinds, strict=False):
            one = RouteTarget(provider=provider, model=model)
            one.MergeFrom(kind)
            found.append(one)
        return found

    targets = st.tuples(unique, st.lists(target, min_size=3, max_size=3)).map(lambda pair: placed(*pair))
    experiment = targets.map(
        lambda arms: Experiment(
            experiment_id="cheaper",
            active=False,
            arms=[ExperimentArm(arm_id=f"arm-{n}", share_percent=20, target=arm) for n, arm in enumerate(arms)],
        )
    )
    tiers = st.tuples(targets, targets).map(
        lambda pair: [
            ComplexityTier(tier_id="simple", most_score=30, targets=pair[0]),
            ComplexityTier(tier_id="hard", most_score=100, targets=pair[1]),
        ]
    )
    return built(
        Route,
        display_name=texts,
        active=st.booleans(),
        strategy=st.sampled_from([value for value in RoutingStrategy.values() if value]),
        targets=targets,
        fallbacks=st.just([]) | targets,
        tiers=st.just([]) | tiers,
        experiment=maybe(experiment),
        cache=maybe(built(CachePolicy, mode=st.sampled_from([1, 2]), time_to_live=durations(1000, 86_400_000))),
        labels=labels,
    )


@st.composite
def users(draw: st.DrawFn) -> Configuration:
    """A user's: what it prefers may be its own, the tenant's or the platform's."""
    found = Configuration(parent=USER, providers=draw(st.dictionaries(ids, providers, max_size=2)))
    for name, provider in (found.providers or {}).items():
        provider.name = f"{USER}/providers/{name}"
        provider.key = provider.key and f"{USER}/keys/{provider.key}"
        found.models[name] = {}
    places = st.sampled_from(
        [f"{USER}/providers/mine", f"{TENANT}/providers/openai", "platform/providers/openai", "tenants/x/providers/y"]
    )
    choices = built(Choice, provider=places, model=maybe(ids))
    tasks = st.dictionaries(ids, choices, max_size=3)

    def as_tasks(by_task: Mapping[str, Choice]) -> list[TaskChoice]:
        return [TaskChoice(task=task, choice=choice) for task, choice in sorted(by_task.items())]

    found.preferences = draw(built(Preferences, preferred=maybe(choices), tasks=tasks.map(as_tasks)))
    found.preferences.name = f"{USER}/preferences"
    profiles = built(
        Profile,
        display_name=texts,
        providers=st.lists(places, unique=True, max_size=2),
        preferred=maybe(choices),
        tasks=tasks.map(as_tasks),
    )
    found.profiles = draw(st.dictionaries(ids, profiles, max_size=2))
    for name, profile in found.profiles.items():
        profile.name = f"{USER}/profiles/{name}"
    return found
