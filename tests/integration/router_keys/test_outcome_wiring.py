"""The composed router tells key_vault of its keys while it serves, and of the rest when it stops."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import add_KeyAccessServiceServicer_to_server

from libs.rpc.service import Service
from libs.telemetry.telemetry import configure
from services.router import app
from services.router.clients.key_outcomes import KeyOutcomeReporter
from services.router.settings import Settings
from tests.identities import Identities
from tests.integration.router_keys.key_vault_double import KeyVaultDouble

KEY = "tenants/acme/keys/one"
NOBODY = "localhost:1"

Start = Callable[[float], Awaitable[tuple[Service, KeyOutcomeReporter]]]


@pytest.fixture
def vault() -> KeyVaultDouble:
    return KeyVaultDouble()


@pytest.fixture
async def start(vault: KeyVaultDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Composes a router beside `vault`; it reports at the interval given, in seconds."""
    identities = Identities(tmp_path / "state", ("key-vault", "router"))
    made: list[KeyOutcomeReporter] = []

    class Seen(KeyOutcomeReporter):
        def __init__(self, channel: grpc.aio.Channel, *, timeout_s: float, interval_s: float) -> None:
            super().__init__(channel, timeout_s=timeout_s, interval_s=interval_s)
            made.append(self)

    monkeypatch.setattr(app, "KeyOutcomeReporter", Seen)
    telemetry = configure("router", stream=io.BytesIO())
    server = grpc.aio.server()
    add_KeyAccessServiceServicer_to_server(vault, server)
    pair = (
        identities.layout.certificate_key("key-vault").read_bytes(),
        identities.layout.certificate("key-vault").read_bytes(),
    )
    port = server.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials([pair], identities.layout.ca_certificate.read_bytes(), require_client_auth=True),
    )
    await server.start()

    async with AsyncExitStack() as exits:
        exits.callback(telemetry.restore_logs)
        exits.push_async_callback(server.stop, None)

        async def compose(interval_s: float) -> tuple[Service, KeyOutcomeReporter]:
            values: dict[str, object] = {
                **identities.settings("router"),
                "key_vault_target": f"localhost:{port}",
                "provider_config_target": NOBODY,
                "usage_accounting_target": NOBODY,
                "spool_dir": tmp_path / "spool",
                "key_outcome_interval_s": interval_s,
            }
            settings = Settings(**values)  # type: ignore[arg-type]
            service = Service("router", settings, domain=app.DOMAIN, telemetry=telemetry, longest_s={})
            await exits.enter_async_context(service)
            await app.compose(settings, service)
            return service, made[-1]

        yield compose


async def test_a_serving_router_reports_at_its_interval(vault: KeyVaultDouble, start: Start) -> None:
    _, reporter = await start(0.01)
    reporter.used(KEY, 1, 1.0)
    async with asyncio.timeout(10):
        while not vault.reports:
            await asyncio.sleep(0.005)
    assert [(each.name, each.version) for each in vault.reported()] == [(KEY, 1)]


async def test_a_stopping_router_reports_once_more(vault: KeyVaultDouble, start: Start) -> None:
    service, reporter = await start(3600.0)
    reporter.rejected(KEY, 2, 1.0, 2.0)
    await service.__aexit__()
    assert [(each.name, each.version) for each in vault.reported()] == [(KEY, 2)]
