"""Migrated databases, stores on them, and the whole service on two ports with certificates and tokens."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest

from deploy.local.certificates import ensure_certificates
from deploy.local.issuer import ensure_issuer
from deploy.local.layout import StateLayout
from libs.core.clock import SystemClock
from libs.rpc.channels import open_channel
from libs.rpc.service import Service
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from libs.telemetry.telemetry import silent
from services.usage_accounting import app
from services.usage_accounting.settings import Settings
from services.usage_accounting.storage import store as store_module
from tests.integration.usage_accounting.ledger_world import Time, World


@pytest.fixture
def usage_url(database_url: str) -> str:
    """A migrated database; SQLite and PostgreSQL."""
    upgrade(database_url, app.MIGRATIONS)
    return database_url


@pytest.fixture
async def usage_database(usage_url: str) -> AsyncIterator[Database]:
    async with Database.open(usage_url, name="usage") as opened:
        yield opened


@pytest.fixture
def stopped_time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Time that stands still until it is moved, on both databases."""
    return Time(lambda now_us: monkeypatch.setattr(store_module, "_POSTGRES_NOW", f"SELECT {now_us}::bigint"))


@pytest.fixture
def world(usage_database: Database, stopped_time: Time) -> World:
    """A store on an empty database."""
    return World(usage_database, stopped_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The service, as its callers see it."""

    settings: Settings
    public: grpc.aio.Channel
    router: grpc.aio.Channel
    """The internal port, as the router."""
    stranger: grpc.aio.Channel
    """The internal port, as another service."""
    token: Callable[..., tuple[tuple[str, str], ...]]
    """Metadata of a call: `token(tenant, user, *roles)`."""


@pytest.fixture
async def running(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Running]:
    layout = StateLayout.at(tmp_path / "state")
    layout.make()
    ensure_certificates(layout, ("usage-accounting", "router", "key-vault"), SystemClock())
    issuer = ensure_issuer(layout)

    def files(service: str) -> dict[str, Path]:
        return {
            "tls_cert_file": layout.certificate(service),
            "tls_key_file": layout.certificate_key(service),
            "tls_ca_file": layout.ca_certificate,
        }

    values: dict[str, Any] = {
        "public_address": f"127.0.0.1:{_free_port()}",
        "internal_address": f"127.0.0.1:{_free_port()}",
        **files("usage-accounting"),
        "jwt_issuer": issuer.issuer,
        "jwt_audience": issuer.audience,
        "jwt_jwks": str(layout.jwks),
        "database_url": sqlite_url,
        "shutdown_grace_s": 0.5,
        "lapse_check_interval_s": 0.05,
    }
    settings = Settings(**values)

    def token(tenant: str | None, user: str, *roles: str) -> tuple[tuple[str, str], ...]:
        now = int(time.time())
        claims = {
            "iss": issuer.issuer,
            "aud": issuer.audience,
            "sub": user,
            "roles": list(roles),
            "plan": "free",
            "iat": now,
            "exp": now + 300,
            "jti": f"{user}-{now}",
        } | ({} if tenant is None else {"tenant": tenant})
        encoded = jwt.encode(claims, issuer.key_file.read_bytes(), algorithm="EdDSA", headers={"kid": issuer.kid})
        return (("authorization", f"Bearer {encoded}"),)

    async with AsyncExitStack() as exits:
        service = Service(app.NAME, settings, domain=app.DOMAIN, telemetry=silent(), longest_s={})
        await exits.enter_async_context(service)
        await app.compose(settings, service)
        await service.start()
        exits.push_async_callback(service.stop)
        authorities = grpc.ssl_channel_credentials(settings.tls_ca_file.read_bytes())
        channels = [
            await exits.enter_async_context(open_channel(settings.internal_address, settings.model_copy(update=each)))
            for each in (files("router"), files("key-vault"))
        ]
        yield Running(
            settings=settings,
            public=await exits.enter_async_context(grpc.aio.secure_channel(settings.public_address, authorities)),
            router=channels[0],
            stranger=channels[1],
            token=token,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
