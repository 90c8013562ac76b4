"""Calls of gatehouse.providerconfig.v1.ModelService.

Names are resource names: `tenants/acme/providers/openai/models/gpt-4o-mini`. Changes answer as those of providers.
"""

from __future__ import annotations

from typing import TypedDict, Unpack

from google.protobuf.field_mask_pb2 import FieldMask

from gatehouse.operations.operation import Listing, Operation, Page, operation, split_name, whole
from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice
from gatehouse.providerconfig.v1.model_service_pb2 import (
    CreateModelRequest,
    CreateModelResponse,
    DeleteModelRequest,
    DeleteModelResponse,
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
    SyncModelsRequest,
    SyncModelsResponse,
    UpdateModelRequest,
    UpdateModelResponse,
)
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities

_SERVICE = "/gatehouse.providerconfig.v1.ModelService"
# The provider's own list is read, which may take it a minute.
_SYNC_TIMEOUT_S = 90.0


class ModelFields(TypedDict, total=False):
    """What can be set and changed; the fields of `Model`, where their bounds and defaults are described.

    In an update, a field given as None is unset: the built-in catalogue's price holds again, for example.
    """

    display_name: str
    provider_model_id: str
    enabled: bool
    context_tokens: int | None
    max_output_tokens: int | None
    capabilities: Capabilities | None
    price: ModelPrice | None


def create(
    name: str,
    *,
    request_id: str = "",
    validate_only: bool = False,
    force: bool = False,
    **fields: Unpack[ModelFields],
) -> Operation[CreateModelResponse]:
    """Add a model to its provider.

    `validate_only` checks everything and changes nothing; `force` takes a price of more than 100 times the catalogue's.
    """
    parent, model_id = split_name(name, "models")
    request = CreateModelRequest(
        parent=parent,
        model_id=model_id,
        model=Model(**fields),
        request_id=request_id,
        validate_only=validate_only,
        force=force,
    )
    return operation("provider_config", f"{_SERVICE}/CreateModel", request, CreateModelResponse, whole)


def get(name: str) -> Operation[Model]:
    """A model."""
    return operation(
        "provider_config",
        f"{_SERVICE}/GetModel",
        GetModelRequest(name=name),
        GetModelResponse,
        lambda response: response.model,
    )


def list_(parent: str, *, page_size: int = 0) -> Listing[Model]:
    """The models of a provider (`tenants/acme/providers/openai`), by name."""
    return Listing(
        operation(
            "provider_config",
            f"{_SERVICE}/ListModels",
            ListModelsRequest(parent=parent, page_size=page_size),
            ListModelsResponse,
            lambda response: Page(items=response.models, next_page_token=response.next_page_token),
        )
    )


def update(
    name: str, *, etag: str = "", force: bool = False, **fields: Unpack[ModelFields]
) -> Operation[UpdateModelResponse]:
    """Change exactly the fields given. With an `etag`, only what has not changed since; `force` as in `create`."""
    request = UpdateModelRequest(
        model=Model(name=name, etag=etag, **fields), update_mask=FieldMask(paths=sorted(fields)), force=force
    )
    return operation("provider_config", f"{_SERVICE}/UpdateModel", request, UpdateModelResponse, whole)


def delete(name: str, *, etag: str = "", force: bool = False) -> Operation[DeleteModelResponse]:
    """Delete a model. Calls under way go on. What routes, preferences or profiles name needs `force`."""
    request = DeleteModelRequest(name=name, etag=etag, force=force)
    return operation("provider_config", f"{_SERVICE}/DeleteModel", request, DeleteModelResponse, whole)


def sync(
    parent: str, *, enable: bool = False, validate_only: bool = False, timeout: float = _SYNC_TIMEOUT_S
) -> Operation[SyncModelsResponse]:
    """Add the models of the provider's own list that are missing here; nothing that is here changes.

    They are added as disabled unless `enable`; `validate_only` reads the list and adds nothing.
    """
    request = SyncModelsRequest(parent=parent, enable=enable, validate_only=validate_only)
    return operation("provider_config", f"{_SERVICE}/SyncModels", request, SyncModelsResponse, whole, timeout=timeout)
