"""The list of models, and what rules make of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from libs.sandbox import Rule, Sandbox
from libs.sandbox.server import DEFAULT_MODELS

KEY = "sk-sandbox-canary-77aa"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def listed(http: aiohttp.ClientSession, sandbox: Sandbox, key: str | None = KEY) -> tuple[int, str, str]:
    """Status, content type and body."""
    headers = {"authorization": f"Bearer {key}"} if key is not None else {}
    async with http.get(f"{sandbox.url}/v1/models", headers=headers, allow_redirects=False) as response:
        return response.status, response.content_type, await response.text()


async def test_it_lists_the_models_and_writes_no_bill(http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    status, kind, body = await listed(http, sandbox)
    assert (status, kind) == (200, "application/json")
    assert all(f'"{name}"' in body for name in DEFAULT_MODELS)
    assert sandbox.bill.records() == []


@pytest.mark.parametrize("key", [None, "sk-other", ""])
async def test_it_wants_a_key(http: aiohttp.ClientSession, sandbox: Sandbox, key: str | None) -> None:
    assert (await listed(http, sandbox, key))[0] == 401


@pytest.mark.parametrize(
    ("action", "status", "kind", "part"),
    [
        ({"status": 403}, 403, "application/json", "permission_denied"),
        ({"status": 429, "code": "insufficient_quota"}, 429, "application/json", "insufficient_quota"),
        ({"status": 401, "echo_key": True}, 401, "application/json", KEY),
        ({"status": 302, "location": "http://x/"}, 302, "application/json", ""),
        ({"html": True}, 200, "text/html", "It works!"),
        ({"garbage": True, "first_ms": 1}, 200, "application/json", "list"),
    ],
)
async def test_a_rule_for_the_list_acts_on_it_alone(
    http: aiohttp.ClientSession, sandbox: Sandbox, action: dict[str, object], status: int, kind: str, part: str
) -> None:
    sandbox.rules.replace([Rule(listing=True, action=action)])
    got = await listed(http, sandbox)
    assert got[:2] == (status, kind)
    assert part in got[2]
    sandbox.rules.replace([Rule(action=action)])
    assert (await listed(http, sandbox))[0] == 200


@pytest.mark.parametrize("action", [{"silent": True}, {"reset": True}])
async def test_it_can_say_nothing(http: aiohttp.ClientSession, sandbox: Sandbox, action: dict[str, object]) -> None:
    sandbox.rules.replace([Rule(listing=True, action=action)])
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        async with asyncio.timeout(0.2):
            await listed(http, sandbox)
