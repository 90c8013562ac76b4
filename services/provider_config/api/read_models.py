"""Requests about models as domain values; all wrong fields are reported at once."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import fields

from gatehouse.providerconfig.v1 import model_pb2, model_service_pb2

from libs.core.resource_names import ModelName, Owner, ProviderName
from libs.core.validation import FieldChecks
from services.provider_config.api.field_masks import fields_to_change
from services.provider_config.api.read_common import capabilities_in, check_texts
from services.provider_config.api.read_names import etag_in, name_in
from services.provider_config.api.request_ids import check_request_id
from services.provider_config.domain.changes import Act
from services.provider_config.domain.create_model import CreateModel
from services.provider_config.domain.delete_model import DeleteModel
from services.provider_config.domain.model import ModelPrice, ModelSettings
from services.provider_config.domain.update_model import UpdateModel

_MUTABLE = frozenset(each.name for each in fields(ModelSettings))
_MAX_PROVIDER_MODEL_ID = 256
_MAX_CONTEXT_TOKENS = 100_000_000
_MAX_OUTPUT_TOKENS = 10_000_000
_MAX_PRICE = 1_000_000_000_000


def create_command(request: model_service_pb2.CreateModelRequest, *, uid: str, act: Act) -> CreateModel:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        provider = name_in(check, ProviderName.parse, request.parent, field="parent")
        check.identifier("model_id", request.model_id)
        check_request_id(check, request.request_id)
        settings = _settings(check, request.model, _MUTABLE)
    return CreateModel(
        # Without a provider there was a violation, and with a violation this line is not reached.
        name=ModelName(provider or ProviderName(Owner(), ""), request.model_id),
        settings=settings,
        uid=uid,
        act=act,
        force=request.force,
        validate_only=request.validate_only,
    )


def update_command(request: model_service_pb2.UpdateModelRequest, *, act: Act) -> UpdateModel:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    model = request.model
    name = ModelName.parse(model.name, field="model.name")
    with FieldChecks() as check:
        changing = fields_to_change(check, request.update_mask, model, _MUTABLE)
        settings = _settings(check, model, changing)
        etag = etag_in(check, model.etag, field="model.etag")
    return UpdateModel(name=name, fields=changing, settings=settings, etag=etag, act=act, force=request.force)


def delete_command(request: model_service_pb2.DeleteModelRequest, *, act: Act) -> DeleteModel:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        name = name_in(check, ModelName.parse, request.name, field="name")
        etag = etag_in(check, request.etag, field="etag")
    # Without a name there was a violation, as above.
    name = name or ModelName(ProviderName(Owner(), ""), "")
    return DeleteModel(name=name, etag=etag, force=request.force, act=act)


def _settings(check: FieldChecks, model: model_pb2.Model, wanted: AbstractSet[str]) -> ModelSettings:
    """The settings in `model`; only those `wanted` are checked, the others are of no use."""
    check_texts(check, "model", model, wanted)
    if "provider_model_id" in wanted:
        check.text("model.provider_model_id", model.provider_model_id, most=_MAX_PROVIDER_MODEL_ID)
        # It is sent to the provider: what nobody can see in it is there by mistake, or to deceive.
        visible = model.provider_model_id.isprintable()
        check.that(visible, "model.provider_model_id", "must not contain line ends or invisible characters")
    if "context_tokens" in wanted:
        _check_number(check, "model.context_tokens", model.context_tokens, most=_MAX_CONTEXT_TOKENS)
    if "max_output_tokens" in wanted:
        _check_number(check, "model.max_output_tokens", model.max_output_tokens, most=_MAX_OUTPUT_TOKENS)
    if "price" in wanted:
        for descriptor, value in model.price.ListFields():
            _check_number(check, f"model.price.{descriptor.name}", value, most=_MAX_PRICE)
    return ModelSettings(
        display_name=model.display_name,
        provider_model_id=model.provider_model_id,
        enabled=model.enabled if model.HasField("enabled") else True,
        context_tokens=model.context_tokens if model.HasField("context_tokens") else None,
        max_output_tokens=model.max_output_tokens if model.HasField("max_output_tokens") else None,
        capabilities=capabilities_in(model.capabilities) if model.HasField("capabilities") else None,
        price=_price(model.price) if model.HasField("price") else None,
    )


def _check_number(check: FieldChecks, field: str, value: int, *, most: int) -> None:
    check.that(0 <= value <= most, field, f"must be 0 to {most:,}")


def _price(message: model_pb2.ModelPrice) -> ModelPrice:
    return ModelPrice(
        input=message.input_micro_usd_per_million,
        output=message.output_micro_usd_per_million,
        cache_read=(
            message.cache_read_micro_usd_per_million if message.HasField("cache_read_micro_usd_per_million") else None
        ),
        cache_write=(
            message.cache_write_micro_usd_per_million if message.HasField("cache_write_micro_usd_per_million") else None
        ),
        reasoning=(
            message.reasoning_micro_usd_per_million if message.HasField("reasoning_micro_usd_per_million") else None
        ),
    )
