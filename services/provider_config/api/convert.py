"""Domain values as messages. Pure; the other direction is in `read_providers.py` and `read_models.py`."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from gatehouse.providerconfig.v1 import model_pb2, provider_pb2, snapshot_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.provider_config.domain.model import Model, ModelPrice
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.provider_types import Capabilities, ProviderType
from services.provider_config.domain.snapshot import Heartbeat, Snapshot


def provider_message(provider: Provider) -> provider_pb2.Provider:
    """The provider as callers see it."""
    settings = provider.settings
    return provider_pb2.Provider(
        name=str(provider.name),
        uid=provider.uid,
        etag=provider.etag,
        type=provider.type,
        display_name=settings.display_name,
        description=settings.description,
        base_url=settings.base_url,
        key=str(settings.key or ""),
        default_model=settings.default_model,
        active=settings.active,
        is_default=settings.is_default,
        priority=settings.priority,
        labels=settings.labels,
        created_by=provider.created_by,
        create_time=_timestamp(provider.create_time),
        update_time=_timestamp(provider.update_time),
    )


def provider_type_message(provider_type: ProviderType) -> provider_pb2.ProviderType:
    """The provider type as callers see it."""
    return provider_pb2.ProviderType(
        id=provider_type.id,
        display_name=provider_type.display_name,
        description=provider_type.description,
        default_base_url=provider_type.default_base_url,
        requires_key=provider_type.requires_key,
        capabilities=_capabilities(provider_type.capabilities),
    )


def model_message(model: Model) -> model_pb2.Model:
    """The model as callers see it."""
    settings = model.settings
    return model_pb2.Model(
        name=str(model.name),
        uid=model.uid,
        etag=model.etag,
        display_name=settings.display_name,
        provider_model_id=settings.provider_model_id,
        enabled=settings.enabled,
        context_tokens=settings.context_tokens,
        max_output_tokens=settings.max_output_tokens,
        capabilities=_capabilities(settings.capabilities or Capabilities()),
        price=_price(settings.price) if settings.price else None,
        create_time=_timestamp(model.create_time),
        update_time=_timestamp(model.update_time),
    )


def news_message(news: Snapshot | Heartbeat) -> snapshot_service_pb2.WatchSnapshotsResponse:
    """What a router is told."""
    match news:
        case Snapshot():
            return snapshot_service_pb2.WatchSnapshotsResponse(snapshot=_snapshot(news))
        case Heartbeat():
            return snapshot_service_pb2.WatchSnapshotsResponse(
                heartbeat=snapshot_service_pb2.Heartbeat(revision=news.revision)
            )
        case _:
            assert_never(news)


def _snapshot(snapshot: Snapshot) -> snapshot_service_pb2.Snapshot:
    return snapshot_service_pb2.Snapshot(
        scope=str(snapshot.scope),
        revision=snapshot.revision,
        providers=[
            snapshot_service_pb2.ProviderSnapshot(
                provider=provider_message(each.provider), models=map(model_message, each.models)
            )
            for each in snapshot.providers
        ],
    )


def _capabilities(capabilities: Capabilities) -> provider_pb2.Capabilities:
    return provider_pb2.Capabilities(
        streaming=capabilities.streaming,
        tools=capabilities.tools,
        json_schema=capabilities.json_schema,
        images=capabilities.images,
    )


def _price(price: ModelPrice) -> model_pb2.ModelPrice:
    return model_pb2.ModelPrice(
        input_micro_usd_per_million=price.input,
        output_micro_usd_per_million=price.output,
        cache_read_micro_usd_per_million=price.cache_read,
        cache_write_micro_usd_per_million=price.cache_write,
        reasoning_micro_usd_per_million=price.reasoning,
    )


def _timestamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message
