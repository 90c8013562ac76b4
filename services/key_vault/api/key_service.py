"""gatehouse.keyvault.v1.KeyService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.keyvault.v1.key_service_pb2_grpc import KeyServiceServicer

from libs.core.page_tokens import decode_page_token, encode_page_token, page_size
from libs.core.resource_names import KeyName, Owner
from libs.rpc.context import current
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.key_vault.api import convert
from services.key_vault.domain.commands import CreateKey, RotateKey
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.key import Key
from services.key_vault.domain.look_up import get_key, list_keys
from services.key_vault.domain.ports import KeyStore

_log = get_logger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]


class KeyServicer(KeyServiceServicer):
    """Manages keys; the interceptors have established the caller and its right to the owner named."""

    def __init__(
        self,
        *,
        store: KeyStore,
        create: Callable[[CreateKey], Awaitable[Key]],
        rotate: Callable[[RotateKey], Awaitable[Key]],
        digests: Digests,
    ) -> None:
        self._store = store
        self._create = create
        self._rotate = rotate
        self._digests = digests

    async def CreateKey(self, request: pb.CreateKeyRequest, context: _Context) -> pb.CreateKeyResponse:
        """See the proto."""
        command = convert.create_key(request, current().caller, self._digests)
        key = await self._create(command)
        if not command.validate_only:
            _log_change(key.name)
        return pb.CreateKeyResponse(key=convert.key_message(key))

    async def GetKey(self, request: pb.GetKeyRequest, context: _Context) -> pb.GetKeyResponse:
        """See the proto."""
        name = KeyName.parse(request.name)
        key = await self._store.read(lambda transaction: get_key(transaction, name))
        return pb.GetKeyResponse(key=convert.key_message(key))

    async def ListKeys(self, request: pb.ListKeysRequest, context: _Context) -> pb.ListKeysResponse:
        """See the proto."""
        owner = Owner.parse(request.parent)
        size = page_size(request.page_size)
        arguments = {"parent": request.parent}
        after = decode_page_token(request.page_token, arguments)
        keys = await self._store.read(lambda transaction: list_keys(transaction, owner, after=after, size=size))
        more = encode_page_token(keys[size - 1].name.key, arguments) if len(keys) > size else ""
        return pb.ListKeysResponse(keys=map(convert.key_message, keys[:size]), next_page_token=more)

    async def RotateKey(self, request: pb.RotateKeyRequest, context: _Context) -> pb.RotateKeyResponse:
        """See the proto."""
        key = await self._rotate(convert.rotate_key(request, current().caller, self._digests))
        _log_change(key.name)
        return pb.RotateKeyResponse(key=convert.key_message(key))

    async def DeleteKey(self, request: pb.DeleteKeyRequest, context: _Context) -> pb.DeleteKeyResponse:
        """See the proto."""
        command = convert.delete_key(request)
        await self._store.write(lambda transaction: delete_key(transaction, command))
        _log_change(command.name)
        return pb.DeleteKeyResponse()


def _log_change(name: KeyName) -> None:
    call = current()
    _log.info(
        names.EVENT_KEY_CHANGED,
        resource=str(name),
        method=call.method,
        tenant=call.caller.tenant,
        user=call.caller.user,
        request_id=call.request_id,
    )
