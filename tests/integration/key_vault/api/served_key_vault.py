"""The whole service on two ports, with a real Vault, as its callers, operators and the router see it."""

from __future__ import annotations

import io
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.keyvault.v1.audit_service_pb2_grpc import AuditServiceStub
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import KeyAccessServiceStub
from gatehouse.keyvault.v1.key_maintenance_service_pb2_grpc import KeyMaintenanceServiceStub
from gatehouse.keyvault.v1.key_service_pb2_grpc import KeyServiceStub
from google.rpc import status_pb2

from libs.core.errors import GatehouseError
from libs.rpc.service import Service
from libs.rpc.status import DETAILS_KEY, from_item_status
from libs.telemetry.telemetry import configure
from services.key_vault import app
from services.key_vault.settings import Settings
from tests.identities import Identities
from tests.vault import ThrowAwayVault

CANARY = "sk-canary-" + secrets.token_hex(16)
OTHER_CANARY = "sk-canary-" + secrets.token_hex(16)
ORIGIN = "https://api.openai.com"
NAME = "tenants/acme/keys/openai"


class ServedKeyVault:
    """A served key_vault with its clients, its database and its log."""

    def __init__(self, identities: Identities, settings: Settings, log: io.BytesIO, stack: AsyncExitStack) -> None:
        self.identities = identities
        self.settings = settings
        self.log = log
        self._stack = stack
        self.admin = identities.bearer("tenant_admin", user="ann")
        self.operator = identities.bearer("super_admin", tenant=None, user="root")
        self.seen: list[str] = []

    async def connect(self) -> None:
        public = await self._channel(self.settings.public_address, self.identities.anonymous())
        internal = await self._channel(self.settings.internal_address, self.identities.peer("router"))
        self.keys: Any = KeyServiceStub(public)
        self.audit: Any = AuditServiceStub(public)
        self.maintenance: Any = KeyMaintenanceServiceStub(public)
        self.access: Any = KeyAccessServiceStub(internal)
        self.public_access: Any = KeyAccessServiceStub(public)

    async def _channel(self, address: str, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        target = address.replace("127.0.0.1", "localhost")
        return await self._stack.enter_async_context(grpc.aio.secure_channel(target, credentials))

    async def stranger(self, service: str) -> Any:
        """Another service's view of `AccessKeys`."""
        return KeyAccessServiceStub(await self._channel(self.settings.internal_address, self.identities.peer(service)))

    async def create(self, key_id: str = "openai", **changes: Any) -> key_pb2.Key:
        request = create_request(key_id=key_id, **changes)
        response: pb.CreateKeyResponse = await self.keys.CreateKey(request, metadata=self.admin)
        self.seen.append(str(response))
        return response.key

    async def get(self, name: str = NAME) -> key_pb2.Key:
        response: pb.GetKeyResponse = await self.keys.GetKey(pb.GetKeyRequest(name=name), metadata=self.operator)
        return response.key

    async def open(self, *items: access_pb.KeyAccess) -> list[str]:
        """The material or the reason of each item."""
        response = await self.access.AccessKeys(access_pb.AccessKeysRequest(items=items), timeout=10)
        return [
            result.material.api_key.decode() if result.HasField("material") else from_item_status(result.error).reason
            for result in response.results
        ]

    def item(
        self, name: str = NAME, *, tenant: str = "acme", user: str = "bob", origin: str = ORIGIN, version: int = 0
    ) -> access_pb.KeyAccess:
        return access_pb.KeyAccess(
            name=name,
            origin=origin,
            caller_token=self.identities.token("member", tenant=tenant, user=user).encode(),
            purpose=access_pb.KEY_PURPOSE_GENERATE,
            version=version,
        )

    @property
    def database(self) -> Path:
        return Path(self.settings.database_url.removeprefix("sqlite:///"))


@asynccontextmanager
async def served_key_vault(
    directory: Path, openbao: ThrowAwayVault, database_url: str, **changes: Any
) -> AsyncIterator[ServedKeyVault]:
    """Serve it; `changes` are settings."""
    identities = Identities(directory / "state", ("key-vault", "router", "usage-accounting", "provider-config"))
    fingerprint_key = directory / "fingerprint.key"
    if not fingerprint_key.exists():
        fingerprint_key.write_text(secrets.token_hex(32))
    ports = free_ports(2)
    values: dict[str, Any] = {
        **identities.settings("key-vault"),
        "public_address": f"127.0.0.1:{ports[0]}",
        "internal_address": f"127.0.0.1:{ports[1]}",
        "database_url": database_url,
        "fingerprint_key_file": fingerprint_key,
        "vault_addr": openbao.bao.address,
        "vault_ca_file": openbao.layout.ca_certificate,
        "vault_writer_role_id_file": openbao.writer_files[0],
        "vault_writer_secret_id_file": openbao.writer_files[1],
        "vault_reader_role_id_file": openbao.reader_files[0],
        "vault_reader_secret_id_file": openbao.reader_files[1],
        "audit_anchor_file": directory / "audit-anchors.jsonl",
        "import_environment": False,
        "shutdown_grace_s": 0.5,
    }
    settings = Settings(**(values | changes))
    log = io.BytesIO()
    telemetry = configure("key-vault", log_level="debug", stream=log)
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.restore_logs)
        service = Service(app.NAME, settings, domain=app.DOMAIN, telemetry=telemetry, longest_s={})
        await stack.enter_async_context(service)
        await app.compose(settings, service)
        await service.start()
        stack.push_async_callback(service.stop)
        served = ServedKeyVault(identities, settings, log, stack)
        await served.connect()
        yield served


def create_request(**changes: Any) -> pb.CreateKeyRequest:
    values: dict[str, Any] = {
        "parent": "tenants/acme",
        "key_id": "openai",
        "key": key_pb2.Key(provider_type="openai", origin=ORIGIN, display_name="Ours"),
        "api_key": CANARY.encode(),
    }
    return pb.CreateKeyRequest(**(values | changes))


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


async def error_of(call: Any) -> GatehouseError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert CANARY not in str(caught.value)
    for key, value in caught.value.trailing_metadata() or ():
        if key == DETAILS_KEY:
            return from_item_status(status_pb2.Status.FromString(value))
    raise AssertionError(caught.value)
