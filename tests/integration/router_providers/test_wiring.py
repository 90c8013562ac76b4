"""What the composed router keeps apart on its way out."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import pytest

from libs.core.endpoints import Address
from libs.rpc import name_lookup
from libs.rpc.service import Service
from libs.telemetry.telemetry import configure
from services.router import app
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Image
from services.router.providers.http.session import HttpProviderSession
from services.router.settings import Settings
from tests.identities import Identities
from tests.integration.router_providers.test_media_by_url import showing
from tests.integration.router_providers.wire import HELLO, dispatch

NOBODY = "localhost:1"
MANY = 40


async def test_names_in_callers_urls_keep_no_provider_s_name_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[HttpProviderSession] = []
    looked_up = asyncio.Event()
    loop, go_on = asyncio.get_running_loop(), threading.Event()

    class Seen(HttpProviderSession):
        def __init__(self, *args: object, **fields: object) -> None:
            super().__init__(*args, **fields)  # type: ignore[arg-type]
            made.append(self)

    def addresses(host: str, _port: int) -> list[Address]:
        if host == "provider.example":
            loop.call_soon_threadsafe(looked_up.set)
        else:
            go_on.wait(20)
        return []

    monkeypatch.setattr(app, "HttpProviderSession", Seen)
    monkeypatch.setattr(name_lookup, "_addresses", addresses)
    telemetry = configure("router", stream=io.BytesIO())
    targets = dict.fromkeys(("key_vault_target", "provider_config_target", "usage_accounting_target"), NOBODY)
    values = {**Identities(tmp_path / "state", ("router",)).settings("router"), **targets, "spool_dir": tmp_path}
    settings = Settings(**values)  # type: ignore[arg-type]
    try:
        async with Service("router", settings, domain=app.DOMAIN, telemetry=telemetry, longest_s={}) as service:
            await app.compose(settings, service)
            (session,) = made
            images = (showing(Image(url=f"https://slow-{number}.example/")) for number in range(MANY))
            slow = [
                asyncio.create_task(session.generate(dispatch("https://caller.example", each, dialect="ollama")))
                for each in images
            ]
            await asyncio.sleep(0.1)
            with pytest.raises(ProviderError):
                await session.generate(dispatch("https://provider.example", HELLO, dialect="ollama"))
            assert looked_up.is_set()
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            go_on.set()
    finally:
        go_on.set()
        telemetry.restore_logs()
