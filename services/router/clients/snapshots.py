"""Snapshots and what changes of them, from messages to the router's domain.

What thousands of tenants have in common is one object for all: texts, models, prices, limits. Equal models are
recognised by their bytes, so that most of them are not even decoded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from weakref import WeakValueDictionary

from gatehouse.providerconfig.v1 import model_pb2, provider_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from libs.core.money import PicoUsdPerToken, TokenPrices
from libs.core.resource_names import ModelName, Owner, ProviderName
from libs.core.validation import origin_of
from services.router.clients.routing_snapshots import policy_in, preferences_in, profile_in, route_in
from services.router.domain.configuration import (
    Capabilities,
    Model,
    Provider,
    ProviderLimits,
    ProviderTimeouts,
    Snapshot,
)

# Distinct values that are remembered to be shared; beyond it, sharing gets worse and nothing else.
_SHARED = 4096

text = sys.intern


class _Models(dict[str, Model]):
    """The models of a provider by id; providers with equal ones share it."""

    __slots__ = ("__weakref__",)


# Weak, so that what no tenant has any more goes. The key of `_sets` are the identities of the models, which live as
# long as the set that holds them.
_models: WeakValueDictionary[tuple[str, bytes], Model] = WeakValueDictionary()
_sets: WeakValueDictionary[tuple[int, ...], _Models] = WeakValueDictionary()


def snapshot_in(message: pb.Snapshot) -> Snapshot:
    """The whole content of a scope. Raises InvalidArgument for what is no resource name."""
    return Snapshot(
        scope=text(message.scope),
        revision=message.revision,
        providers=tuple(_provider(each.provider, each.models) for each in message.providers),
        routes={route.task: route for route in map(route_in, message.routes)},
        preferences={each.user: each for each in map(preferences_in, message.preferences)},
        profiles={each.name: each for each in map(profile_in, message.profiles)},
        policy=policy_in(message.policy),
    )


def changed(held: Snapshot, message: pb.SnapshotDelta) -> Snapshot:
    """What `held` becomes by `message`; `held` stays as it is. Raises InvalidArgument for what is no resource name."""
    deleted = frozenset(message.deleted)
    providers = {provider.name: provider for provider in held.providers}
    providers.update((each.provider.name, _provider(each.provider, each.models)) for each in message.providers)
    routes = {route.task: route for route in map(route_in, message.routes)}
    preferences = {each.user: each for each in map(preferences_in, message.preferences)}
    profiles = {each.name: each for each in map(profile_in, message.profiles)}
    return Snapshot(
        scope=held.scope,
        revision=message.revision,
        providers=tuple(provider for name, provider in providers.items() if name not in deleted),
        routes={task: each for task, each in {**held.routes, **routes}.items() if each.name not in deleted},
        preferences={
            user: each
            for user, each in {**held.preferences, **preferences}.items()
            if f"{held.scope}/users/{user}/preferences" not in deleted
        },
        profiles={name: each for name, each in {**held.profiles, **profiles}.items() if name not in deleted},
        policy=policy_in(message.policy) if message.HasField("policy") else held.policy,
    )


def _provider(message: provider_pb2.Provider, models: Iterable[model_pb2.Model]) -> Provider:
    name = ProviderName.parse(message.name)
    held = [_model(each) for each in models]
    key = tuple(map(id, held))
    shared = _sets.get(key)
    if shared is None:
        shared = _sets[key] = _Models((model.id, model) for model in held)
    return Provider(
        name=text(message.name),
        id=text(name.provider),
        owner=_owner(name.owner),
        type=text(message.type),
        base_url=text(message.base_url),
        origin=_origin(message.base_url),
        key=message.key,
        default_model=text(message.default_model),
        active=message.active,
        is_default=message.is_default,
        priority=message.priority,
        models=shared,
        display_name=text(message.display_name),
        weight=message.weight if message.HasField("weight") else None,
        default_for_tasks=tuple(map(text, message.default_for_tasks)),
        limits=_limits(message.limits) if message.HasField("limits") else None,
        timeouts=_timeouts(message.timeouts.SerializeToString(deterministic=True)),
        max_retries=message.max_retries if message.HasField("max_retries") else None,
        default_temperature=message.default_temperature if message.HasField("default_temperature") else None,
        default_max_output_tokens=message.default_max_output_tokens,
        options=_options(message.options.SerializeToString(deterministic=True)),
    )


@lru_cache(_SHARED)
def _owner(owner: Owner) -> Owner:
    return owner


@lru_cache(_SHARED)
def _origin(base_url: str) -> str:
    return text(origin_of(base_url) or "")


def _limits(message: provider_pb2.ProviderLimits) -> ProviderLimits:
    return ProviderLimits(
        requests_per_minute=message.requests_per_minute,
        tokens_per_minute=message.tokens_per_minute,
        concurrent_requests=message.concurrent_requests,
    )


@lru_cache(_SHARED)
def _timeouts(encoded: bytes) -> ProviderTimeouts:
    message = provider_pb2.ProviderTimeouts.FromString(encoded)

    def seconds(field: str) -> float | None:
        duration = getattr(message, field)
        return duration.ToTimedelta().total_seconds() if message.HasField(field) else None  # type: ignore[arg-type]

    return ProviderTimeouts(
        connect_s=seconds("connect"),
        first_event_s=seconds("first_event"),
        idle_s=seconds("idle"),
        total_s=seconds("total"),
    )


@lru_cache(_SHARED)
def _options(encoded: bytes) -> Mapping[str, object]:
    options: Mapping[str, object] = MessageToDict(Struct.FromString(encoded))
    return options


def _model(message: model_pb2.Model) -> Model:
    model_id = ModelName.parse(message.name).model
    # All that is left says nothing about whose model it is.
    message.ClearField("name")
    message.ClearField("uid")
    key = (model_id, message.SerializeToString(deterministic=True))
    model = _models.get(key)
    if model is None:
        model = _models[key] = _decoded(model_id, message)
    return model


def _decoded(model_id: str, message: model_pb2.Model) -> Model:
    can = message.capabilities
    own = message.HasField("price")
    return Model(
        id=text(model_id),
        provider_model_id=text(message.provider_model_id),
        display_name=text(message.display_name),
        enabled=message.enabled,
        context_tokens=message.context_tokens,
        max_output_tokens=message.max_output_tokens,
        capabilities=_capabilities(can.SerializeToString(deterministic=True)),
        price=_prices(message.price) if own else _catalogue_prices(message),
        price_is_catalogue=not own and message.HasField("catalogue_price"),
    )


@lru_cache(_SHARED)
def _capabilities(encoded: bytes) -> Capabilities:
    can = provider_pb2.Capabilities.FromString(encoded)
    return Capabilities(
        streaming=can.streaming,
        tools=can.tools,
        json_schema=can.json_schema,
        images=can.images,
        audio=can.audio,
        documents=can.documents,
        reasoning=can.reasoning,
        embeddings=can.embeddings,
        fixed_sampling=can.fixed_sampling,
    )


def _catalogue_prices(message: model_pb2.Model) -> TokenPrices | None:
    return _prices(message.catalogue_price) if message.HasField("catalogue_price") else None


def _prices(price: model_pb2.ModelPrice) -> TokenPrices:
    """Micro-USD per million tokens are pico-USD per token: the same numbers."""
    uncached, output = price.input_micro_usd_per_million, price.output_micro_usd_per_million

    def given(field: str, otherwise: int) -> PicoUsdPerToken:
        return PicoUsdPerToken(getattr(price, field) if price.HasField(field) else otherwise)  # type: ignore[arg-type]

    return TokenPrices(
        input=PicoUsdPerToken(uncached),
        cache_read=given("cache_read_micro_usd_per_million", uncached),
        cache_write=given("cache_write_micro_usd_per_million", uncached),
        output=PicoUsdPerToken(output),
        reasoning=given("reasoning_micro_usd_per_million", output),
    )
