"""Calls of gatehouse.providerconfig.v1.ProviderService. Names are resource names: `tenants/acme/providers/openai`.

A change answers with the whole response: its `revision` can be handed to the next call (`revision=`), which then waits
until the router knows of the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from google.protobuf.field_mask_pb2 import FieldMask

from gatehouse.operations.operation import Listing, Operation, Page, operation, split_name, whole
from gatehouse.providerconfig.v1.provider_pb2 import (
    Provider,
    ProviderLimits,
    ProviderTest,
    ProviderTimeouts,
    ProviderType,
    ProviderVersion,
)
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
    ListProviderVersionsRequest,
    ListProviderVersionsResponse,
    RollbackProviderRequest,
    RollbackProviderResponse,
    TestProviderRequest,
    TestProviderResponse,
    UpdateProviderRequest,
    UpdateProviderResponse,
)

_SERVICE = "/gatehouse.providerconfig.v1.ProviderService"
# A provider may take up to a minute to answer a test.
_TEST_TIMEOUT_S = 90.0


class ProviderFields(TypedDict, total=False):
    """What can be set and changed; the fields of `Provider`, where their bounds and defaults are described.

    `options` is what only the provider's type knows, as a plain dict. In an update, a field given as None is unset.
    """

    display_name: str
    description: str
    base_url: str
    key: str
    default_model: str
    active: bool
    is_default: bool
    priority: int | None
    labels: Mapping[str, str]
    weight: int | None
    default_for_tasks: Sequence[str]
    limits: ProviderLimits | None
    timeouts: ProviderTimeouts | None
    max_retries: int | None
    default_temperature: float | None
    default_max_output_tokens: int | None
    options: Mapping[str, object] | None


def create(
    name: str,
    *,
    type: str,  # noqa: A002 - the field's name in the API
    request_id: str = "",
    validate_only: bool = False,
    **fields: Unpack[ProviderFields],
) -> Operation[CreateProviderResponse]:
    """Configure a provider of `type` (an id of `types()`). `validate_only` checks everything and changes nothing."""
    parent, provider_id = split_name(name, "providers")
    request = CreateProviderRequest(
        parent=parent,
        provider_id=provider_id,
        provider=Provider(type=type, **fields),  # type: ignore[arg-type]  # options: a Struct is made of a dict
        request_id=request_id,
        validate_only=validate_only,
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


def update(
    name: str, *, etag: str = "", remove_key: bool = False, **fields: Unpack[ProviderFields]
) -> Operation[UpdateProviderResponse]:
    """Change exactly the fields given. With an `etag`, only what has not changed since.

    An empty `key` keeps the present one; `remove_key` calls the provider without a key from now on.
    """
    request = UpdateProviderRequest(
        provider=Provider(name=name, etag=etag, **fields),  # type: ignore[arg-type]  # options: as in `create`
        update_mask=FieldMask(paths=sorted(fields)),
        remove_key=remove_key,
    )
    return operation("provider_config", f"{_SERVICE}/UpdateProvider", request, UpdateProviderResponse, whole)


def delete(name: str, *, etag: str = "", force: bool = False) -> Operation[DeleteProviderResponse]:
    """Delete a provider with its models. Calls under way go on.

    What routes, preferences or profiles name is deleted only with `force`; the answer then says which still do.
    """
    request = DeleteProviderRequest(name=name, etag=etag, force=force)
    return operation("provider_config", f"{_SERVICE}/DeleteProvider", request, DeleteProviderResponse, whole)


def try_out(name: str, *, model: str = "", timeout: float = _TEST_TIMEOUT_S) -> Operation[ProviderTest]:
    """Try a saved provider: does it answer, take its key, know `model` (as it calls it)? Nothing is charged.

    A provider that refuses is a result, not an error; the result is kept as the provider's `last_test`.
    """
    return _try_out(Provider(name=name), b"", model, timeout)


def try_out_unsaved(
    name: str,
    *,
    type: str,  # noqa: A002 - the field's name in the API
    api_key: str | bytes = b"",
    model: str = "",
    timeout: float = _TEST_TIMEOUT_S,
    **fields: Unpack[ProviderFields],
) -> Operation[ProviderTest]:
    """Try a provider before it is saved. `name` need not exist; `api_key` is used for this test and kept nowhere."""
    provider = Provider(name=name, type=type, **fields)  # type: ignore[arg-type]  # options: as in `create`
    return _try_out(provider, api_key.encode() if isinstance(api_key, str) else api_key, model, timeout)


def versions(name: str, *, page_size: int = 0) -> Listing[ProviderVersion]:
    """What a provider was, newest first; the first is the present one."""
    return Listing(
        operation(
            "provider_config",
            f"{_SERVICE}/ListProviderVersions",
            ListProviderVersionsRequest(name=name, page_size=page_size),
            ListProviderVersionsResponse,
            lambda response: Page(items=response.versions, next_page_token=response.next_page_token),
        )
    )


def rollback(name: str, version: int, *, etag: str = "") -> Operation[RollbackProviderResponse]:
    """Make a provider what it was at an earlier version, as a change like any other."""
    request = RollbackProviderRequest(name=name, version=version, etag=etag)
    return operation("provider_config", f"{_SERVICE}/RollbackProvider", request, RollbackProviderResponse, whole)


def types() -> Operation[Sequence[ProviderType]]:
    """The kinds of providers Gatehouse can talk to."""
    return operation(
        "provider_config",
        f"{_SERVICE}/ListProviderTypes",
        ListProviderTypesRequest(),
        ListProviderTypesResponse,
        lambda response: response.provider_types,
    )


def _try_out(provider: Provider, api_key: bytes, model: str, timeout: float) -> Operation[ProviderTest]:
    return operation(
        "provider_config",
        f"{_SERVICE}/TestProvider",
        TestProviderRequest(provider=provider, api_key=api_key, model=model),
        TestProviderResponse,
        lambda response: response.test,
        timeout=timeout,
    )
