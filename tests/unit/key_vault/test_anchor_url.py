"""Anchors posted to a URL: taken only when the answer says so, and the URL is never repeated."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from libs.core.audit_anchors import encode_anchor
from services.key_vault.anchors import anchor_url
from services.key_vault.anchors.anchor_url import AnchorUrl
from services.key_vault.anchors.no_anchors import NoAnchors
from tests.unit.key_vault.test_anchor_file import ANCHOR

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Collector:
    """A real server: remembers what it was sent and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answer: Handler = self.take
        self.port = 0

    def url(self, path: str = "/anchors?token=canary") -> str:
        return f"http://user:canary@127.0.0.1:{self.port}{path}"

    async def take(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.read())
        return await self.answer(request)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", collector.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.port = runner.addresses[0][1]
    yield collector
    await runner.cleanup()


async def test_anchors_are_posted_as_lines_of_json(collector: Collector) -> None:
    other = replace(ANCHOR, sequence=2)
    await AnchorUrl(collector.url()).append([ANCHOR, other])
    assert collector.bodies == [encode_anchor(ANCHOR) + encode_anchor(other)]
    assert collector.headers[0]["Content-Type"] == "application/x-ndjson"
    assert collector.headers[0]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_success_is_one(collector: Collector, status: int) -> None:
    async def succeed(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    collector.answer = succeed
    await AnchorUrl(collector.url()).append([ANCHOR])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(collector: Collector, status: int) -> None:
    async def redirect(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    collector.answer = redirect
    with pytest.raises(OSError, match=f"^the URL for audit anchors answered {status}$"):
        await AnchorUrl(collector.url()).append([ANCHOR])
    assert collector.paths == ["/anchors"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_refusal_is_told_without_the_url_and_without_what_it_said(collector: Collector, status: int) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="the canary token is wrong")

    collector.answer = refuse
    with pytest.raises(OSError, match=f"^the URL for audit anchors answered {status}$") as caught:
        await AnchorUrl(collector.url()).append([ANCHOR])
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_a_connection_that_is_cut_is_told(collector: Collector) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    collector.answer = cut
    with pytest.raises(OSError, match="could not be reached") as caught:
        await AnchorUrl(collector.url()).append([ANCHOR])
    assert "canary" not in repr(caught.value)


async def test_a_server_that_does_not_answer_is_given_up(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        while not request.transport.is_closing():
            await asyncio.sleep(0.01)
        return web.Response()

    monkeypatch.setattr(anchor_url, "_TIMEOUT_S", 0.05)
    collector.answer = never
    with pytest.raises(OSError, match=r"could not be reached \(.*Timeout.*\)"):
        await AnchorUrl(collector.url()).append([ANCHOR])


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/canary", "http://canary:canary@[::1/", "http:///canary"])
async def test_an_address_where_nobody_is_is_told_without_it(url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"^the URL for audit anchors could not be reached \(\w+\)$") as caught:
            await AnchorUrl(url.replace("{port}", str(taken.getsockname()[1]))).append([ANCHOR])
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


async def test_a_proxy_in_the_environment_gets_nothing(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    await AnchorUrl(collector.url()).append([ANCHOR])
    assert len(collector.bodies) == 1


async def test_nothing_is_read_back(collector: Collector) -> None:
    assert await AnchorUrl(collector.url()).read("platform") == []
    assert collector.paths == []


async def test_without_a_place_for_anchors_nothing_is_kept_in_silence() -> None:
    assert await NoAnchors().read("platform") == []
    with pytest.raises(OSError, match="no place for audit anchors is set"):
        await NoAnchors().append([ANCHOR])
