"""Migrated databases, and the whole service on two ports with certificates and tokens."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from google.rpc import status_pb2

from deploy.local.certificates import ensure_certificates
from deploy.local.issuer import ensure_issuer
from deploy.local.layout import StateLayout
from libs.core.clock import SystemClock
from libs.core.endpoints import Address
from libs.core.errors import GatehouseError, Internal
from libs.rpc import name_lookup
from libs.rpc.channels import open_channel
from libs.rpc.service import Service
from libs.rpc.status import DETAILS_KEY, from_item_status
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from libs.telemetry.telemetry import Telemetry, silent
from services.provider_config import app
from services.provider_config.domain.ports import ConfigStore
from services.provider_config.settings import Settings
from services.provider_config.storage.store import MIGRATIONS, SqlConfigStore
from services.router import app as router_app
from services.router.settings import Settings as RouterSettings
from tests.integration.provider_config.fake_key_vault import FakeKeyVault
from tests.unit.provider_config.memory_store import SEAL, MemoryStore


@pytest.fixture
def config_url(database_url: str) -> str:
    """A migrated database; SQLite and PostgreSQL."""
    upgrade(database_url, MIGRATIONS)
    return database_url


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ConfigStore]:
    """In memory, on SQLite and on PostgreSQL."""
    if request.param == "memory":
        yield MemoryStore()
        return
    url: str = request.getfixturevalue(f"{request.param}_url")
    upgrade(url, MIGRATIONS)
    async with Database.open(url, name="config") as database:
        yield SqlConfigStore(database, SEAL, changed=lambda: None)


@pytest.fixture
async def replicas(config_url: str) -> AsyncIterator[tuple[ConfigStore, ConfigStore]]:
    """Two processes on one database."""
    async with Database.open(config_url, name="one") as one, Database.open(config_url, name="two") as two:
        yield SqlConfigStore(one, SEAL, changed=lambda: None), SqlConfigStore(two, SEAL, changed=lambda: None)


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names resolve to, by the test's own words; everything else is somewhere on the internet."""
    known: dict[str, str] = {}

    def resolve(host: str, _port: int) -> list[Address]:
        return [ipaddress.ip_address(known.get(host, "8.8.8.8"))]

    monkeypatch.setattr(name_lookup, "_addresses", resolve)
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One running process of the service, as far as a client can tell."""

    settings: Settings
    public: grpc.aio.Channel
    internal: grpc.aio.Channel


class Stack:
    """Starts replicas of the service on one database."""

    def __init__(self, directory: Path, url: str, stack: AsyncExitStack) -> None:
        self.layout = StateLayout.at(directory)
        self.layout.make()
        ensure_certificates(self.layout, ("provider-config", "router", "key-vault"), SystemClock())
        self._issuer = ensure_issuer(self.layout)
        self._url = url
        self.seal_key = directory / "audit-seal.key"
        self.seal_key.write_text("0123456789abcdef" * 2)
        self._stack = stack
        self.key_vault = FakeKeyVault()
        self._key_vault_target = ""

    async def start(self, **changes: Any) -> Replica:
        values: dict[str, Any] = {
            "key_vault_target": await self.serve_key_vault(),
            # Nobody is there unless a test says so.
            "router_target": f"localhost:{_free_port()}",
            "public_address": f"127.0.0.1:{_free_port()}",
            "internal_address": f"127.0.0.1:{_free_port()}",
            **self._files("provider-config"),
            "jwt_issuer": self._issuer.issuer,
            "jwt_audience": self._issuer.audience,
            "jwt_jwks": str(self.layout.jwks),
            "database_url": self._url,
            "audit_seal_key_file": self.seal_key,
            "shutdown_grace_s": 0.5,
        }
        settings = Settings(**(values | changes))
        service = Service(app.NAME, settings, domain=app.DOMAIN, telemetry=silent(), longest_s=app.LONGEST_S)
        await self._stack.enter_async_context(service)
        await app.compose(settings, service)
        await service.start()
        self._stack.push_async_callback(service.stop)
        router = settings.model_copy(update=self._files("router"))
        authorities = grpc.ssl_channel_credentials(settings.tls_ca_file.read_bytes())
        return Replica(
            settings=settings,
            public=await self._stack.enter_async_context(grpc.aio.secure_channel(settings.public_address, authorities)),
            internal=await self._stack.enter_async_context(open_channel(settings.internal_address, router)),
        )

    async def serve_key_vault(self) -> str:
        """The `host:port` of the key_vault beside all replicas."""
        if not self._key_vault_target:
            serving = self.key_vault.serving(**self._files("key-vault"))
            self._key_vault_target = await self._stack.enter_async_context(serving)
        return self._key_vault_target

    async def start_router(self, directory: Path, telemetry: Telemetry) -> str:
        """Start a router, which may call providers on this machine; its `host:port` for other services."""
        values: dict[str, Any] = {
            "public_address": f"127.0.0.1:{_free_port()}",
            "internal_address": f"127.0.0.1:{_free_port()}",
            **self._files("router"),
            "jwt_issuer": self._issuer.issuer,
            "jwt_audience": self._issuer.audience,
            "jwt_jwks": str(self.layout.jwks),
            "key_vault_target": await self.serve_key_vault(),
            "provider_config_target": f"localhost:{_free_port()}",
            "usage_accounting_target": f"localhost:{_free_port()}",
            "spool_dir": directory,
            "allow_loopback_endpoints": True,
            "key_outcome_interval_s": 0.05,
            "shutdown_grace_s": 0.5,
        }
        settings = RouterSettings(**values)
        service = Service("router", settings, domain=router_app.DOMAIN, telemetry=telemetry, longest_s={})
        await self._stack.enter_async_context(service)
        await router_app.compose(settings, service)
        await service.start()
        self._stack.push_async_callback(service.stop)
        return settings.internal_address.replace("127.0.0.1", "localhost")

    def token(
        self, tenant: str | None, user: str, *roles: str, more: Mapping[str, object] | None = None
    ) -> tuple[tuple[str, str], ...]:
        """The metadata of a call by this user; `more`: what else the token claims."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self._issuer.issuer,
            "aud": self._issuer.audience,
            "sub": user,
            "roles": list(roles),
            "plan": "free",
            "iat": now,
            "exp": now + 300,
            "jti": f"{user}-{now}",
            **(more or {}),
        }
        if tenant is not None:
            claims["tenant"] = tenant
        key = self._issuer.key_file.read_bytes()
        encoded = jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": self._issuer.kid})
        return (("authorization", f"Bearer {encoded}"),)

    def _files(self, service: str) -> dict[str, Path]:
        return {
            "tls_cert_file": self.layout.certificate(service),
            "tls_key_file": self.layout.certificate_key(service),
            "tls_ca_file": self.layout.ca_certificate,
        }


def error_of(error: grpc.aio.AioRpcError) -> GatehouseError:
    """What the service said, as its caller reads it."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            return from_item_status(status_pb2.Status.FromString(value))
    return Internal("NO_DETAILS", str(error.code()))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def stack_on(tmp_path: Path) -> AsyncIterator[Callable[[str], Stack]]:
    """Makes a stack on the database at a URL."""
    async with AsyncExitStack() as exits:
        yield lambda url: Stack(tmp_path / "state", url, exits)


@pytest.fixture
def stack(stack_on: Callable[[str], Stack], sqlite_url: str) -> Stack:
    """A stack on SQLite."""
    return stack_on(sqlite_url)
