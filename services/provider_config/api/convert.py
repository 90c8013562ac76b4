"""Domain values as messages. Pure; the other direction is in `read_providers.py` and `read_models.py`."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime, timedelta

from gatehouse.providerconfig.v1 import model_pb2, provider_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.money import TokenPrices
from libs.core.provider_types import Capabilities, ProviderType
from services.provider_config.api.provider_options import options_message, schema_json
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.model import Model, ModelPrice
from services.provider_config.domain.provider import (
    Provider,
    ProviderLimits,
    ProviderSettings,
    ProviderTest,
    ProviderTimeouts,
)
from services.provider_config.domain.versions import Version

_CAPABILITIES = tuple(field.name for field in fields(Capabilities))


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
        weight=settings.weight,
        default_for_tasks=settings.default_for_tasks,
        limits=_limits(settings.limits),
        timeouts=_timeouts(settings.timeouts),
        max_retries=settings.max_retries,
        default_temperature=settings.default_temperature,
        default_max_output_tokens=settings.default_max_output_tokens,
        options=options_message(settings.options) if settings.options else None,
        labels=settings.labels,
        created_by=provider.created_by,
        create_time=timestamp_message(provider.create_time),
        update_time=timestamp_message(provider.update_time),
        last_test=provider_test_message(provider.last_test) if provider.last_test else None,
    )


def provider_version_message(provider: Provider, version: Version[ProviderSettings]) -> provider_pb2.ProviderVersion:
    """What `provider` was."""
    was = provider_message(provider.at(version))
    was.ClearField("etag")
    return provider_pb2.ProviderVersion(
        version=version.version,
        changed_by=version.changed_by,
        change_time=timestamp_message(version.change_time),
        provider=was,
    )


def provider_test_message(test: ProviderTest) -> provider_pb2.ProviderTest:
    """What a test of a provider found."""
    return provider_pb2.ProviderTest(
        time=timestamp_message(test.time),
        outcome=provider_pb2.ProviderTestOutcome.Value(f"PROVIDER_TEST_OUTCOME_{test.outcome}"),
        message=test.message,
        duration=_duration(test.duration),
        model_count=test.model_count,
    )


def provider_type_message(provider_type: ProviderType) -> provider_pb2.ProviderType:
    """The provider type as callers see it."""
    return provider_pb2.ProviderType(
        id=provider_type.id,
        display_name=provider_type.display_name,
        description=provider_type.description,
        default_base_url=provider_type.default_base_url,
        requires_key=provider_type.requires_key,
        capabilities=capabilities_message(provider_type.capabilities),
        options_schema_json=schema_json(provider_type),
    )


def priced_model_message(model: Model, catalogue: Catalogue) -> model_pb2.Model:
    """The model as callers see it."""
    message = model_message(model)
    known = catalogue.price(model.listed_as, model.settings.provider_model_id)
    if known is not None:
        message.catalogue_price.CopyFrom(_price(known))
    return message


def model_message(model: Model) -> model_pb2.Model:
    """The model without what the catalogue says of it."""
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
        capabilities=capabilities_message(settings.capabilities or Capabilities()),
        price=_price(settings.price) if settings.price else None,
        create_time=timestamp_message(model.create_time),
        update_time=timestamp_message(model.update_time),
    )


def capabilities_message(capabilities: Capabilities) -> provider_pb2.Capabilities:
    """What a model can do, or must."""
    # asdict copies each value deeply, which would be half of the work of a snapshot's message.
    return provider_pb2.Capabilities(**{name: getattr(capabilities, name) for name in _CAPABILITIES})


def _limits(limits: ProviderLimits) -> provider_pb2.ProviderLimits | None:
    return provider_pb2.ProviderLimits(**asdict(limits)) if limits != ProviderLimits() else None


def _timeouts(timeouts: ProviderTimeouts) -> provider_pb2.ProviderTimeouts | None:
    given = {name: _duration(value) for name, value in asdict(timeouts).items() if value is not None}
    return provider_pb2.ProviderTimeouts(**given) if given else None


def _price(price: ModelPrice | TokenPrices) -> model_pb2.ModelPrice:
    return model_pb2.ModelPrice(
        input_micro_usd_per_million=price.input,
        output_micro_usd_per_million=price.output,
        cache_read_micro_usd_per_million=price.cache_read,
        cache_write_micro_usd_per_million=price.cache_write,
        reasoning_micro_usd_per_million=price.reasoning,
    )


def _duration(value: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(value)
    return message


def timestamp_message(time: datetime) -> Timestamp:
    """A time in UTC."""
    message = Timestamp()
    message.FromDatetime(time)
    return message
