"""Calls of gatehouse.keyvault.v1.KeyService. Names are resource names: `tenants/acme/keys/openai`.

A change with an `etag` changes only what the caller has seen. One with a `request_id` (a UUID) is safe to send again:
the server answers as the first time, for 24 hours, and changes nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, TypedDict, Unpack

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from gatehouse.keyvault.v1.key_pb2 import Key, KeyCondition, KeyNotification, KeyState, VaultSecret
from gatehouse.keyvault.v1.key_service_pb2 import (
    CreateKeyRequest,
    CreateKeyResponse,
    DeleteKeyRequest,
    DeleteKeyResponse,
    DestroyKeyVersionRequest,
    DestroyKeyVersionResponse,
    DisableKeyRequest,
    DisableKeyResponse,
    EnableKeyRequest,
    EnableKeyResponse,
    GetKeyRequest,
    GetKeyResponse,
    ListKeyNotificationsRequest,
    ListKeyNotificationsResponse,
    ListKeysRequest,
    ListKeysResponse,
    RollbackKeyRequest,
    RollbackKeyResponse,
    RotateKeyRequest,
    RotateKeyResponse,
    UpdateKeyRequest,
    UpdateKeyResponse,
)
from gatehouse.operations.operation import Listing, Operation, Page, nothing, operation, split_name, whole

_SERVICE = "/gatehouse.keyvault.v1.KeyService"

State = Literal["active", "disabled"]
Condition = Literal["working", "rejected", "exhausted"]
VaultSecretReference = str | tuple[str, int]
"""A secret of the operator's Vault: its id, which stands for its newest version at the time of each call, or `(id,
version)`."""


class KeyFields(TypedDict, total=False):
    """What can be changed without entering the key again. `labels` are replaced as a whole."""

    display_name: str
    labels: Mapping[str, str]


def create(
    name: str,
    *,
    provider_type: str,
    origin: str,
    api_key: str | bytes = b"",
    vault_secret: VaultSecretReference | None = None,
    display_name: str = "",
    labels: Mapping[str, str] | None = None,
    request_id: str = "",
    validate_only: bool = False,
) -> Operation[CreateKeyResponse]:
    """Seal a new key, or take up a secret of the operator's Vault in its place.

    It is only ever sent to `origin` (`https://api.openai.com`) and can never be read back. The answer also says where
    else in the tenant the same key is stored. `validate_only` checks everything and changes nothing.
    """
    parent, key_id = split_name(name, "keys")
    request = CreateKeyRequest(
        parent=parent,
        key_id=key_id,
        key=Key(provider_type=provider_type, origin=origin, display_name=display_name, labels=labels),
        api_key=_material(api_key),
        vault_secret=_vault_secret(vault_secret),
        request_id=request_id,
        validate_only=validate_only,
    )
    return operation("key_vault", f"{_SERVICE}/CreateKey", request, CreateKeyResponse, whole)


def get(name: str) -> Operation[Key]:
    """A key's metadata: its state, its versions, and how its provider takes it."""
    return operation(
        "key_vault", f"{_SERVICE}/GetKey", GetKeyRequest(name=name), GetKeyResponse, lambda response: response.key
    )


def list_(
    parent: str,
    *,
    provider_type: str = "",
    state: State | None = None,
    condition: Condition | None = None,
    include_users: bool = False,
    page_size: int = 0,
) -> Listing[Key]:
    """The keys of an owner (`platform`, `tenants/acme`, `tenants/acme/users/ann`), by name.

    What is given narrows them down; `include_users` adds those of a tenant's users.
    """
    request = ListKeysRequest(
        parent=parent,
        page_size=page_size,
        provider_type=provider_type,
        state=KeyState.Value(f"KEY_STATE_{(state or 'unspecified').upper()}"),
        condition=KeyCondition.Value(f"KEY_CONDITION_{(condition or 'unspecified').upper()}"),
        include_users=include_users,
    )
    return Listing(
        operation(
            "key_vault",
            f"{_SERVICE}/ListKeys",
            request,
            ListKeysResponse,
            lambda response: Page(items=response.keys, next_page_token=response.next_page_token),
        )
    )


def update(name: str, *, etag: str = "", request_id: str = "", **fields: Unpack[KeyFields]) -> Operation[Key]:
    """Change exactly the fields given. The material stays as it is."""
    request = UpdateKeyRequest(
        key=Key(name=name, etag=etag, **fields), update_mask=FieldMask(paths=sorted(fields)), request_id=request_id
    )
    return operation("key_vault", f"{_SERVICE}/UpdateKey", request, UpdateKeyResponse, lambda response: response.key)


def rotate(
    name: str,
    api_key: str | bytes = b"",
    *,
    vault_secret: VaultSecretReference | None = None,
    overlap: float | timedelta | None = None,
    etag: str = "",
    request_id: str = "",
    validate_only: bool = False,
) -> Operation[RotateKeyResponse]:
    """Replace the material: every call that starts afterwards uses the new one.

    For `overlap` (seconds, or a timedelta; at most 30 days) the old one stays usable for calls whose provider refuses
    the new one; without it, at once no longer, as is right for a key that leaked. `validate_only` checks everything,
    changes nothing and answers what would be.
    """
    request = RotateKeyRequest(
        name=name,
        api_key=_material(api_key),
        vault_secret=_vault_secret(vault_secret),
        overlap=_duration(overlap),
        etag=etag,
        request_id=request_id,
        validate_only=validate_only,
    )
    return operation("key_vault", f"{_SERVICE}/RotateKey", request, RotateKeyResponse, whole)


def rollback(name: str, version: int, *, etag: str = "", request_id: str = "") -> Operation[Key]:
    """Put an earlier version back in use; the one that was in use retires at once."""
    request = RollbackKeyRequest(name=name, version=version, etag=etag, request_id=request_id)
    return operation(
        "key_vault", f"{_SERVICE}/RollbackKey", request, RollbackKeyResponse, lambda response: response.key
    )


def disable(name: str, *, etag: str = "", request_id: str = "") -> Operation[Key]:
    """Take the key out of use: no call that starts afterwards can use it. Nothing is lost."""
    request = DisableKeyRequest(name=name, etag=etag, request_id=request_id)
    return operation("key_vault", f"{_SERVICE}/DisableKey", request, DisableKeyResponse, lambda response: response.key)


def enable(name: str, *, etag: str = "", request_id: str = "") -> Operation[Key]:
    """Put a disabled key back in use."""
    request = EnableKeyRequest(name=name, etag=etag, request_id=request_id)
    return operation("key_vault", f"{_SERVICE}/EnableKey", request, EnableKeyResponse, lambda response: response.key)


def destroy_version(name: str, version: int, *, etag: str = "", request_id: str = "") -> Operation[Key]:
    """Erase the material of a version that is not in use, for ever."""
    request = DestroyKeyVersionRequest(name=name, version=version, etag=etag, request_id=request_id)
    return operation(
        "key_vault",
        f"{_SERVICE}/DestroyKeyVersion",
        request,
        DestroyKeyVersionResponse,
        lambda response: response.key,
    )


def delete(name: str, *, etag: str = "", request_id: str = "") -> Operation[None]:
    """Delete the key and the material of all its versions for ever."""
    request = DeleteKeyRequest(name=name, etag=etag, request_id=request_id)
    return operation("key_vault", f"{_SERVICE}/DeleteKey", request, DeleteKeyResponse, nothing)


def notifications(parent: str, *, page_size: int = 0) -> Listing[KeyNotification]:
    """What the owner of keys should know (a tenant: its users' keys as well), newest first, of the last 90 days."""
    return Listing(
        operation(
            "key_vault",
            f"{_SERVICE}/ListKeyNotifications",
            ListKeyNotificationsRequest(parent=parent, page_size=page_size),
            ListKeyNotificationsResponse,
            lambda response: Page(items=response.notifications, next_page_token=response.next_page_token),
        )
    )


def _material(api_key: str | bytes) -> bytes:
    return api_key.encode() if isinstance(api_key, str) else api_key


def _vault_secret(reference: VaultSecretReference | None) -> VaultSecret | None:
    match reference:
        case None:
            return None
        case str():
            return VaultSecret(id=reference)
        case (secret_id, version):
            return VaultSecret(id=secret_id, version=version)


def _duration(overlap: float | timedelta | None) -> Duration | None:
    if overlap is None:
        return None
    duration = Duration()
    duration.FromTimedelta(overlap if isinstance(overlap, timedelta) else timedelta(seconds=overlap))
    return duration
