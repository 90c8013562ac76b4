"""Calls of gatehouse.keyvault.v1.KeyService. Names are resource names: `tenants/acme/keys/openai`."""

from __future__ import annotations

from collections.abc import Mapping

from gatehouse.keyvault.v1.key_pb2 import Key
from gatehouse.keyvault.v1.key_service_pb2 import (
    CreateKeyRequest,
    CreateKeyResponse,
    DeleteKeyRequest,
    DeleteKeyResponse,
    GetKeyRequest,
    GetKeyResponse,
    ListKeysRequest,
    ListKeysResponse,
    RotateKeyRequest,
    RotateKeyResponse,
)
from gatehouse.operations.operation import Listing, Operation, Page, nothing, operation, split_name

_SERVICE = "/gatehouse.keyvault.v1.KeyService"


def create(
    name: str,
    *,
    provider_type: str,
    origin: str,
    api_key: str | bytes,
    display_name: str = "",
    labels: Mapping[str, str] | None = None,
    request_id: str = "",
) -> Operation[Key]:
    """Seal a new key. It is only ever sent to `origin` (`https://api.openai.com`) and can never be read back."""
    parent, key_id = split_name(name, "keys")
    request = CreateKeyRequest(
        parent=parent,
        key_id=key_id,
        key=Key(provider_type=provider_type, origin=origin, display_name=display_name, labels=labels),
        api_key=_material(api_key),
        request_id=request_id,
    )
    return operation("key_vault", f"{_SERVICE}/CreateKey", request, CreateKeyResponse, lambda response: response.key)


def get(name: str) -> Operation[Key]:
    """A key's metadata."""
    return operation(
        "key_vault", f"{_SERVICE}/GetKey", GetKeyRequest(name=name), GetKeyResponse, lambda response: response.key
    )


def list_(parent: str, *, page_size: int = 0) -> Listing[Key]:
    """The keys of an owner (`platform`, `tenants/acme`, `tenants/acme/users/ann`), by name."""
    return Listing(
        operation(
            "key_vault",
            f"{_SERVICE}/ListKeys",
            ListKeysRequest(parent=parent, page_size=page_size),
            ListKeysResponse,
            lambda response: Page(items=response.keys, next_page_token=response.next_page_token),
        )
    )


def rotate(name: str, api_key: str | bytes, *, etag: str = "", request_id: str = "") -> Operation[Key]:
    """Replace the material: every call that starts afterwards uses the new one."""
    request = RotateKeyRequest(name=name, api_key=_material(api_key), etag=etag, request_id=request_id)
    return operation("key_vault", f"{_SERVICE}/RotateKey", request, RotateKeyResponse, lambda response: response.key)


def delete(name: str, *, etag: str = "") -> Operation[None]:
    """Delete the key and its material for ever."""
    return operation(
        "key_vault", f"{_SERVICE}/DeleteKey", DeleteKeyRequest(name=name, etag=etag), DeleteKeyResponse, nothing
    )


def _material(api_key: str | bytes) -> bytes:
    return api_key.encode() if isinstance(api_key, str) else api_key
