"""Calls of gatehouse.providerconfig.v1.ProviderService. Names are resource names: `tenants/acme/providers/openai`.

A change answers with the whole response: its `revision` can be handed to the next call (`revision=`), which then waits
until the router knows of the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from google.protobuf.field_mask_pb2 import FieldMask

from gatehouse.operations.operation import Listing, Operation, Page, operation, split_name, whole
from gatehouse.providerconfig.v1.provider_pb2 import Provider, ProviderType
from gatehouse.providerconfig.v1.provider_service_pb2 import (
    CreateProviderRequest,
    CreateProviderResponse,
    DeleteProviderRequest,
    DeleteProviderResponse,
    GetProviderRequest,
    GetProviderResponse,
    ListProvidersRequest,
    ListProvidersResponse,
    ListProviderTypesRequest,
    ListProviderTypesResponse,
    UpdateProviderRequest,
    UpdateProviderResponse,
)

_SERVICE = "/gatehouse.providerconfig.v1.ProviderService"


class ProviderFields(TypedDict, total=False):
    """What can be set and changed; the fields of `Provider`, where their bounds and defaults are described."""

    display_name: str
    description: str
    base_url: str
    key: str
    default_model: str
    active: bool
    is_default: bool
    priority: int
    labels: Mapping[str, str]


def create(
    name: str,
    *,
    type: str,  # noqa: A002 - the field's name in the API
    request_id: str = "",
    **fields: Unpack[ProviderFields],
) -> Operation[CreateProviderResponse]:
    """Configure a provider of `type` (an id of `types()`)."""
    parent, provider_id = split_name(name, "providers")
    request = CreateProviderRequest(
        parent=parent, provider_id=provider_id, provider=Provider(type=type, **fields), request_id=request_id
    )
    return operation("provider_config", f"{_SERVICE}/CreateProvider", request, CreateProviderResponse, whole)


def get(name: str) -> Operation[Provider]:
    """A provider."""
    return operation(
        "provider_config",
        f"{_SERVICE}/GetProvider",
        GetProviderRequest(name=name),
        GetProviderResponse,
        lambda response: response.provider,
    )


def list_(parent: str, *, page_size: int = 0) -> Listing[Provider]:
    """The providers of an owner (`platform`, `tenants/acme`, `tenants/acme/users/ann`), by name."""
    return Listing(
        operation(
            "provider_config",
            f"{_SERVICE}/ListProviders",
            ListProvidersRequest(parent=parent, page_size=page_size),
            ListProvidersResponse,
            lambda response: Page(items=response.providers, next_page_token=response.next_page_token),
        )
    )


def update(name: str, *, etag: str = "", **fields: Unpack[ProviderFields]) -> Operation[UpdateProviderResponse]:
    """Change exactly the fields given. With an `etag`, only what has not changed since."""
    request = UpdateProviderRequest(
        provider=Provider(name=name, etag=etag, **fields), update_mask=FieldMask(paths=sorted(fields))
    )
    return operation("provider_config", f"{_SERVICE}/UpdateProvider", request, UpdateProviderResponse, whole)


def delete(name: str, *, etag: str = "") -> Operation[DeleteProviderResponse]:
    """Delete a provider with its models. Calls under way go on."""
    request = DeleteProviderRequest(name=name, etag=etag)
    return operation("provider_config", f"{_SERVICE}/DeleteProvider", request, DeleteProviderResponse, whole)


def types() -> Operation[Sequence[ProviderType]]:
    """The kinds of providers Gatehouse can talk to."""
    return operation(
        "provider_config",
        f"{_SERVICE}/ListProviderTypes",
        ListProviderTypesRequest(),
        ListProviderTypesResponse,
        lambda response: response.provider_types,
    )
