"""Which published keys are used, and how sources follow their changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from libs.core.errors import Unavailable
from libs.identity.jwks import MAX_JWKS_BYTES, parse_jwks
from libs.identity.jwks_file import JwksFile
from libs.identity.jwks_url import JwksUrl


def document(*keys: object) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def test_each_key_has_the_algorithm_of_its_type(issuer: Any) -> None:
    keys = parse_jwks(document(*issuer.jwks["keys"]))
    assert {key.kid: key.algorithm for key in keys.keys} == {"ed": "EdDSA", "ec": "ES256", "rsa": "RS256"}
    assert keys.find("nope") is None
    assert keys.find(None) is None


def test_unusable_keys_are_left_out(issuer: Any) -> None:
    good = issuer.jwks["keys"][0]
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    others = [
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "alg", "alg": "HS256"},
        {**good, "kid": "ops", "key_ops": ["sign"]},
        {**good, "kid": 7},
        {**good, "kid": "broken", "x": "AAAA"},
        {**good, "kid": "list", "kty": ["OKP"]},
        {**OKPAlgorithm.to_jwk(issuer.private["ed"], as_dict=True), "kid": "private"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric2", "alg": "EdDSA"},
        {**weak, "kid": "weak"},
        {**issuer.jwks["keys"][1], "crv": "P-384", "kid": "curve"},
        "text",
    ]
    assert [key.kid for key in parse_jwks(document(*others, good)).keys] == ["ed"]


def test_of_two_keys_with_one_name_the_first_counts(issuer: Any) -> None:
    first, second, _ = issuer.jwks["keys"]
    found = parse_jwks(document(first, {**second, "kid": first["kid"]})).find(first["kid"])
    assert found is not None
    assert found.algorithm == "EdDSA"


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"keys": {}}', b'{"keys": []}', b"[" * 100_000, b'{"keys": [' + b"1," * 101 + b"1]}", b"\xff",
     b" " * (MAX_JWKS_BYTES + 1)],
)  # fmt: skip
def test_what_is_no_key_set_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="key set"):
        parse_jwks(text)


async def test_a_file_is_read_again_when_it_changed(issuer: Any, clock: Any, tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    ed, ec, _ = issuer.jwks["keys"]
    path.write_bytes(document(ed))
    source = JwksFile(path, clock=clock)
    first = source.generation()
    assert source.find("ed") is not None
    path.write_bytes(document(ed, ec))
    assert source.generation() == first, "looks at the file at most once a second"
    assert source.find("ec") is None
    clock.time += 1
    await source.refresh()
    assert source.find("ec") is not None
    assert source.generation() == first + 1
    clock.time += 1
    assert source.generation() == first + 1, "an unchanged file is not read again"


async def test_a_broken_file_leaves_the_keys_in_place(issuer: Any, clock: Any, tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(document(issuer.jwks["keys"][0]))
    source = JwksFile(path, clock=clock)
    first = source.generation()
    for break_it in (lambda: path.write_bytes(b'{"keys"'), path.unlink):
        break_it()
        clock.time += 1
        assert source.generation() == first
        assert source.find("ed") is not None
        with pytest.raises(Unavailable):
            await source.refresh()
    path.write_bytes(document(issuer.jwks["keys"][1]))
    clock.time += 1
    await source.refresh()
    assert source.find("ed") is None
    assert source.find("ec") is not None


async def test_a_file_that_is_not_there_yet_is_waited_for(issuer: Any, clock: Any, tmp_path: Path) -> None:
    source = JwksFile(tmp_path / "jwks.json", clock=clock)
    with pytest.raises(Unavailable):
        await source.refresh()
    (tmp_path / "jwks.json").write_bytes(document(issuer.jwks["keys"][0]))
    clock.time += 1
    await source.refresh()
    assert source.find("ed") is not None


class IssuerSite:
    """A JWKS endpoint that answers what it is told and counts."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.requests = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.reached.set()
        await self.gate.wait()
        headers = {"location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(body=self.body, status=self.status, headers=headers)


@pytest.fixture
async def site() -> AsyncIterator[IssuerSite]:
    site = IssuerSite()
    app = web.Application()
    app.router.add_get("/jwks.json", site.handle)
    app.router.add_get("/elsewhere", site.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    port = runner.addresses[0][1]
    site.url = f"http://127.0.0.1:{port}/jwks.json"
    yield site
    site.gate.set()
    await runner.cleanup()


async def test_concurrent_lookups_share_one_fetch(issuer: Any, clock: Any, site: IssuerSite) -> None:
    site.body = document(*issuer.jwks["keys"])
    source = JwksUrl(site.url, clock=clock)
    await asyncio.gather(*(source.refresh() for _ in range(20)))
    assert site.requests == 1
    assert source.find("rsa") is not None


async def test_unknown_keys_cause_at_most_one_fetch_per_interval(issuer: Any, clock: Any, site: IssuerSite) -> None:
    site.body = document(*issuer.jwks["keys"])
    source = JwksUrl(site.url, clock=clock, min_interval_s=10)
    for _ in range(5):
        await source.refresh()
    assert site.requests == 1
    clock.time += 10
    await source.refresh()
    assert site.requests == 2


@pytest.mark.parametrize(("status", "body"), [(500, b""), (302, b""), (200, b"<html>"), (200, b" " * 300_000)])
async def test_a_failing_issuer_leaves_the_keys_in_place(
    issuer: Any, clock: Any, site: IssuerSite, status: int, body: bytes
) -> None:
    site.body = document(*issuer.jwks["keys"])
    source = JwksUrl(site.url, clock=clock)
    await source.refresh()
    generation = source.generation()
    good = site.body
    site.status, site.body = status, body
    clock.time += 60
    with pytest.raises(Unavailable):
        await source.refresh()
    assert source.find("ed") is not None
    assert source.generation() == generation
    site.status, site.body = 200, good
    clock.time += 60
    await source.refresh()
    assert source.generation() == generation, "the same keys are no change"


async def test_old_keys_are_renewed_in_the_background(issuer: Any, clock: Any, site: IssuerSite) -> None:
    ed, ec, _ = issuer.jwks["keys"]
    site.body = document(ed)
    source = JwksUrl(site.url, clock=clock, refresh_interval_s=300)
    await source.refresh()
    site.body = document(ec)
    clock.time += 300
    generation = source.generation()
    await source.refresh()
    assert site.requests == 2
    assert source.generation() == generation + 1
    assert source.find("ed") is None


async def test_a_caller_that_goes_away_does_not_end_the_fetch(issuer: Any, clock: Any, site: IssuerSite) -> None:
    site.body = document(*issuer.jwks["keys"])
    site.gate.clear()
    source = JwksUrl(site.url, clock=clock)
    gone = asyncio.ensure_future(source.refresh())
    stays = asyncio.ensure_future(source.refresh())
    await site.reached.wait()
    gone.cancel()
    site.gate.set()
    await stays
    assert source.find("ed") is not None
    await asyncio.gather(gone, return_exceptions=True)
    assert gone.cancelled()
    assert site.requests == 1


async def test_an_unreachable_issuer_is_unavailable_and_closing_is_quick(clock: Any, site: IssuerSite) -> None:
    source = JwksUrl("http://127.0.0.1:1/jwks.json", clock=clock, timeout_s=2)
    with pytest.raises(Unavailable):
        await source.refresh()
    site.gate.clear()
    hanging = JwksUrl(site.url, clock=clock)
    hanging.generation()
    await asyncio.sleep(0)
    await hanging.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.test/jwks.json",
        "https://user:pass@issuer.test/jwks",
        "ftp://issuer.test/",
        "",
        "file:///etc/passwd",
    ],
)
def test_only_https_addresses_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="JWKS URL"):
        JwksUrl(url)
