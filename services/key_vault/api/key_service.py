"""gatehouse.keyvault.v1.KeyService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.keyvault.v1.key_service_pb2_grpc import KeyServiceServicer

from libs.core.audit_authors import Occasion
from libs.core.clock import Clock
from libs.core.page_tokens import decode_page_token, encode_page_token, page_size
from libs.core.resource_names import KeyName, Owner
from libs.rpc.authors import current_author
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.key_vault.api import convert, read_keys
from services.key_vault.api.cursors import key_cursor, key_place, notification_cursor, notification_place
from services.key_vault.domain.commands import Command, CreateKey, RotateKey
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.destroy_key_version import destroy_key_version
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.key import Key, KeyState
from services.key_vault.domain.look_up import get_key, list_keys
from services.key_vault.domain.ports import KeyAnswer, KeyStore
from services.key_vault.domain.rollback_key import rollback_key
from services.key_vault.domain.set_key_state import set_key_state
from services.key_vault.domain.update_key import update_key

_log = get_logger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]


class KeyServicer(KeyServiceServicer):
    """Manages keys; the interceptors have established the caller and its right to the owner named."""

    def __init__(
        self,
        *,
        store: KeyStore,
        create: Callable[[CreateKey], Awaitable[KeyAnswer]],
        rotate: Callable[[RotateKey], Awaitable[KeyAnswer]],
        digests: Digests,
        clock: Clock,
        occasion: Callable[[], Occasion],
    ) -> None:
        self._store = store
        self._create = create
        self._rotate = rotate
        self._digests = digests
        self._clock = clock
        self._occasion = occasion

    async def CreateKey(self, request: pb.CreateKeyRequest, context: _Context) -> pb.CreateKeyResponse:
        """See the proto."""
        command = read_keys.create_key(request, current_author(), self._digests)
        answer = await self._create(command)
        if not command.validate_only:
            _log_change(command)
        return pb.CreateKeyResponse(
            key=self._message(answer.key),
            duplicate_keys=map(str, answer.duplicates),
            hidden_duplicate_count=answer.hidden_duplicates,
        )

    async def GetKey(self, request: pb.GetKeyRequest, context: _Context) -> pb.GetKeyResponse:
        """See the proto."""
        name = KeyName.parse(request.name)
        key = await self._store.read(lambda transaction: get_key(transaction, name))
        return pb.GetKeyResponse(key=self._message(key))

    async def ListKeys(self, request: pb.ListKeysRequest, context: _Context) -> pb.ListKeysResponse:
        """See the proto."""
        owner = Owner.parse(request.parent)
        wanted = read_keys.key_filter(request, owner)
        size = page_size(request.page_size)
        arguments = read_keys.list_arguments(request)
        after = key_place(decode_page_token(request.page_token, arguments))
        keys = await self._store.read(lambda transaction: list_keys(transaction, owner, wanted, after=after, size=size))
        more = encode_page_token(key_cursor(keys[size - 1].name), arguments) if len(keys) > size else ""
        return pb.ListKeysResponse(keys=map(self._message, keys[:size]), next_page_token=more)

    async def UpdateKey(self, request: pb.UpdateKeyRequest, context: _Context) -> pb.UpdateKeyResponse:
        """See the proto."""
        command = read_keys.update_key(request, current_author(), self._digests)
        occasion = self._occasion()
        key = await self._store.write(lambda transaction: update_key(transaction, command, occasion))
        _log_change(command)
        return pb.UpdateKeyResponse(key=self._message(key))

    async def RotateKey(self, request: pb.RotateKeyRequest, context: _Context) -> pb.RotateKeyResponse:
        """See the proto."""
        command = read_keys.rotate_key(request, current_author(), self._digests)
        answer = await self._rotate(command)
        if not command.validate_only:
            _log_change(command)
        return pb.RotateKeyResponse(
            key=self._message(answer.key),
            duplicate_keys=map(str, answer.duplicates),
            hidden_duplicate_count=answer.hidden_duplicates,
        )

    async def RollbackKey(self, request: pb.RollbackKeyRequest, context: _Context) -> pb.RollbackKeyResponse:
        """See the proto."""
        command = read_keys.rollback_key(request, current_author(), self._digests)
        occasion = self._occasion()
        key = await self._store.write(lambda transaction: rollback_key(transaction, command, occasion))
        _log_change(command)
        return pb.RollbackKeyResponse(key=self._message(key))

    async def DisableKey(self, request: pb.DisableKeyRequest, context: _Context) -> pb.DisableKeyResponse:
        """See the proto."""
        return pb.DisableKeyResponse(key=await self._in_state(request, KeyState.DISABLED))

    async def EnableKey(self, request: pb.EnableKeyRequest, context: _Context) -> pb.EnableKeyResponse:
        """See the proto."""
        return pb.EnableKeyResponse(key=await self._in_state(request, KeyState.ACTIVE))

    async def DestroyKeyVersion(
        self, request: pb.DestroyKeyVersionRequest, context: _Context
    ) -> pb.DestroyKeyVersionResponse:
        """See the proto."""
        command = read_keys.destroy_key_version(request, current_author(), self._digests)
        occasion = self._occasion()
        key = await self._store.write(lambda transaction: destroy_key_version(transaction, command, occasion))
        _log_change(command)
        return pb.DestroyKeyVersionResponse(key=self._message(key))

    async def DeleteKey(self, request: pb.DeleteKeyRequest, context: _Context) -> pb.DeleteKeyResponse:
        """See the proto."""
        command = read_keys.delete_key(request, current_author(), self._digests)
        occasion = self._occasion()
        await self._store.write(lambda transaction: delete_key(transaction, command, occasion))
        _log_change(command)
        return pb.DeleteKeyResponse()

    async def ListKeyNotifications(
        self, request: pb.ListKeyNotificationsRequest, context: _Context
    ) -> pb.ListKeyNotificationsResponse:
        """See the proto."""
        owner = Owner.parse(request.parent)
        size = page_size(request.page_size)
        arguments = {"parent": request.parent}
        before = notification_place(decode_page_token(request.page_token, arguments))
        found = await self._store.read(
            lambda transaction: transaction.statuses.notifications(owner, before=before, limit=size + 1)
        )
        more = encode_page_token(notification_cursor(found[size - 1]), arguments) if len(found) > size else ""
        shown = map(convert.notification_message, found[:size])
        return pb.ListKeyNotificationsResponse(notifications=shown, next_page_token=more)

    async def _in_state(self, request: pb.DisableKeyRequest | pb.EnableKeyRequest, state: KeyState) -> key_pb2.Key:
        command = read_keys.set_key_state(request, state, current_author(), self._digests)
        occasion = self._occasion()
        key = await self._store.write(lambda transaction: set_key_state(transaction, command, occasion))
        _log_change(command)
        return self._message(key)

    def _message(self, key: Key) -> key_pb2.Key:
        return convert.key_message(key, self._clock.now())


def _log_change(command: Command) -> None:
    author = command.author
    _log.info(
        names.EVENT_KEY_CHANGED,
        resource=str(command.name),
        method=command.action,
        actor=author.actor,
        request_id=author.request_id,
    )
