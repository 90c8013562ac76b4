"""Keys that are exchanged for access tokens: once for all calls, anew in time, and never at the key's cost."""

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import jwt
import orjson
import pytest

from libs.sandbox import Sandbox
from libs.sandbox.dialects.google_tokens import google_service_account
from services.router.domain.errors import Reason
from services.router.domain.generation import Generation
from services.router.domain.ports import Dispatch
from services.router.domain.probe import Endpoint
from services.router.providers.formats.gemini_content import service_account
from services.router.providers.http import access_tokens
from services.router.providers.http.access_tokens import AccessTokens
from services.router.providers.http.model_lists import HttpModelLists
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.registry import DIALECTS
from tests.integration.router_providers.wire import (
    CANARY,
    Exchange,
    WireServer,
    dispatch,
    event,
    failure,
    open_session,
    serving,
    streamed,
    streaming,
    whole,
)

ACCOUNT = google_service_account()
ANSWER: dict[str, object] = {"candidates": [{"content": {"parts": [{"text": "Hi."}]}, "finishReason": "STOP"}]}
TOKEN_PATH = "/google/token"
TOKEN = "ya29.token"


class Issuer:
    """Gives tokens, numbered from 1, and serves answers to whoever comes with one."""

    def __init__(self, expires_in: object = 3599) -> None:
        self.expires_in = expires_in
        self.given = 0
        self.response: bytes | None = None
        self.provider_status = 200
        self.ended: set[str] = set()
        self.answer: dict[str, object] = ANSWER
        self.pause_s = 0.0

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.path != TOKEN_PATH:
            ended = exchange.headers.get("authorization", "").removeprefix("Bearer ") in self.ended
            status = 401 if ended else self.provider_status
            if "alt=sse" in exchange.path and status == 200:
                await streaming(event(self.answer))(exchange)
            else:
                await exchange.send(whole(self.answer, status=status))
            return
        self.given += 1
        await asyncio.sleep(self.pause_s)
        token = {"access_token": f"{TOKEN}{self.given}", "expires_in": self.expires_in, "token_type": "Bearer"}
        await exchange.send(self.response or whole(token))


@asynccontextmanager
async def asking(issuer: Issuer) -> AsyncIterator[tuple[HttpProviderSession, WireServer]]:
    async with serving(issuer) as server, open_session(issuers={"google": f"{server.url}/google"}) as session:
        yield session, server


def call(server: WireServer, key: str = ACCOUNT, **fields: Any) -> Dispatch[Generation]:
    return dispatch(server.base_url, dialect="gemini", key=key, **fields)


def bearers(server: WireServer) -> list[str]:
    return [each.headers.get("authorization", "") for each in server.exchanges if each.path != TOKEN_PATH]


async def test_one_exchange_serves_all_calls_that_wait_for_it() -> None:
    issuer = Issuer()
    issuer.pause_s = 0.05
    async with asking(issuer) as (session, server):
        await asyncio.gather(*(session.generate(call(server)) for _ in range(20)))
        await session.generate(call(server))
    assert issuer.given == 1
    assert bearers(server) == [f"Bearer {TOKEN}1"] * 21


async def test_the_assertion_is_for_google_whatever_the_key_says() -> None:
    account = {**orjson.loads(ACCOUNT), "token_uri": "https://attacker.example/token"}
    async with asking(Issuer()) as (session, server):
        await session.generate(call(server, key=orjson.dumps(account).decode()))
    asked = server.exchanges[0]
    form = {name: value for name, (value,) in parse_qs(asked.body.decode()).items()}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(form["assertion"], options={"verify_signature": False})
    assert claims["aud"] == "https://oauth2.googleapis.com/token"
    assert claims["iss"] == account["client_email"]
    assert claims["exp"] - claims["iat"] == 3600
    assert jwt.get_unverified_header(form["assertion"])["kid"] == account["private_key_id"]
    assert "cookie" not in asked.headers


async def test_each_key_has_a_token_of_its_own() -> None:
    other = orjson.dumps({**orjson.loads(ACCOUNT), "project_id": "another"}).decode()
    async with asking(Issuer()) as (session, server):
        for key in (ACCOUNT, other, ACCOUNT, other):
            await session.generate(call(server, key=key))
    assert bearers(server) == [f"Bearer {TOKEN}{number}" for number in (1, 2, 1, 2)]


async def test_an_api_key_is_sent_as_it_is() -> None:
    issuer = Issuer()
    async with asking(issuer) as (session, server):
        await session.generate(call(server, key=CANARY))
    assert issuer.given == 0
    assert server.exchanges[0].headers["x-goog-api-key"] == CANARY


def _clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the tokens alone; the event loop has its own."""
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    monkeypatch.setattr(access_tokens, "time", clock)
    return now


async def test_a_token_near_its_end_is_replaced_while_it_still_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    now = _clock(monkeypatch)
    issuer = Issuer()
    async with asking(issuer) as (session, server):
        await session.generate(call(server))
        now[0] += 3599 - 299
        await session.generate(call(server))
        while len(server.exchanges) < 4:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        await session.generate(call(server))
        now[0] += 3590
        await session.generate(call(server))
    assert bearers(server) == [f"Bearer {TOKEN}{number}" for number in (1, 1, 2, 3)]


async def test_a_replacement_that_fails_leaves_the_token_that_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    now = _clock(monkeypatch)
    issuer = Issuer()
    async with asking(issuer) as (session, server):
        await session.generate(call(server))
        issuer.response = whole({"error": "internal_failure"}, status=500)
        now[0] += 3400
        for _ in range(3):
            await session.generate(call(server))
            await asyncio.sleep(0.05)
    assert issuer.given == 2
    assert bearers(server) == [f"Bearer {TOKEN}1"] * 4


@pytest.mark.parametrize("expires_in", ["3599", None, 3599.5, "soon"])
async def test_lifetimes_in_any_spelling_are_kept(expires_in: object) -> None:
    issuer = Issuer(expires_in)
    async with asking(issuer) as (session, server):
        await session.generate(call(server))
        await session.generate(call(server))
    assert issuer.given == 1


@pytest.mark.parametrize("expires_in", [0, -5, "0"])
async def test_a_token_that_has_ended_serves_the_call_it_was_got_for(expires_in: object) -> None:
    issuer = Issuer(expires_in)
    async with asking(issuer) as (session, server):
        await session.generate(call(server))
        await session.generate(call(server))
    assert issuer.given == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_token_that_ended_early_is_got_anew_and_the_key_is_not_blamed(stream: bool) -> None:
    issuer = Issuer()
    async with asking(issuer) as (session, server):
        await session.generate(call(server))
        issuer.ended.add(f"{TOKEN}1")
        await (streamed(session, call(server)) if stream else session.generate(call(server)))
        await session.generate(call(server))
    assert bearers(server) == [f"Bearer {TOKEN}{number}" for number in (1, 1, 2, 2)]


async def test_a_key_whose_every_token_is_refused_is_refused() -> None:
    issuer = Issuer()
    issuer.provider_status = 401
    async with asking(issuer) as (session, server):
        first = await failure(session, call(server), stream=False)
        # A new token says all there is to say.
        assert bearers(server) == [f"Bearer {TOKEN}1"]
        issuer.provider_status = 200
        await session.generate(call(server))
        issuer.provider_status = 401
        later = await failure(session, call(server), stream=True)
    assert first.reason is later.reason is Reason.PROVIDER_KEY_REJECTED
    assert bearers(server)[1:] == [f"Bearer {TOKEN}{number}" for number in (2, 2, 3)]


async def test_a_key_that_is_sent_itself_and_refused_is_sent_once() -> None:
    issuer = Issuer()
    issuer.provider_status = 401
    async with asking(issuer) as (session, server):
        refused = await failure(session, call(server, key=CANARY), stream=False)
    assert refused.reason is Reason.PROVIDER_KEY_REJECTED
    assert len(server.exchanges) == 1


async def test_a_list_of_models_is_read_with_a_new_token_when_the_old_one_ended_early() -> None:
    issuer = Issuer()
    async with asking(issuer) as (session, server):
        tokens = session._tokens
        lists = HttpModelLists(session._http, DIALECTS, connect_s=1, tokens=tokens)
        endpoint = Endpoint(type="gemini", base_url=server.base_url, origin=server.url, options={})
        key = call(server).key
        issuer.answer = {"models": [{"name": "models/one"}]}
        await lists.read(endpoint, key, timeout_s=5)
        issuer.ended.add(f"{TOKEN}1")
        assert await lists.read(endpoint, key, timeout_s=5) == {"one"}
    assert bearers(server) == [f"Bearer {TOKEN}{number}" for number in (1, 1, 2)]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (whole({"error": "invalid_grant"}, status=400), Reason.PROVIDER_KEY_REJECTED),
        (whole({"error": "invalid_client"}, status=401), Reason.PROVIDER_KEY_REJECTED),
        (whole({"error": "temporarily_unavailable"}, status=400), Reason.PROVIDER_OVERLOADED),
        (whole({"error": "slow_down"}, status=429, retry_after="7"), Reason.PROVIDER_RATE_LIMITED),
        (whole(b"<html>", status=500), Reason.PROVIDER_ERROR),
        (whole(b"<html>", status=503), Reason.PROVIDER_OVERLOADED),
        (whole(b"", status=302, location="https://elsewhere.example"), Reason.PROVIDER_BAD_RESPONSE),
        (whole(b"<html>"), Reason.PROVIDER_BAD_RESPONSE),
        (whole([]), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"access_token": "two words"}), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"access_token": ""}), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"access_token": 7}), Reason.PROVIDER_BAD_RESPONSE),
        (whole({"access_token": "x" * 100_000}), Reason.PROVIDER_BAD_RESPONSE),
        (b"SSH-2.0-OpenSSH\r\n", Reason.PROVIDER_BAD_RESPONSE),
    ],
)
async def test_what_the_issuer_says_instead_is_classed(response: bytes, reason: Reason) -> None:
    issuer = Issuer()
    issuer.response = response
    async with asking(issuer) as (session, server):
        refused = await failure(session, call(server), stream=False)
    assert (refused.reason, refused.sent) == (reason, False)
    assert bearers(server) == []
    if reason is Reason.PROVIDER_RATE_LIMITED:
        assert refused.retry_after_s == 7


async def test_an_issuer_that_is_not_there_is_unreachable() -> None:
    async with serving(Issuer()) as server, open_session(issuers={"google": "http://127.0.0.1:9"}) as session:
        refused = await failure(session, call(server), stream=False)
    assert (refused.reason, refused.reached_provider) == (Reason.PROVIDER_UNREACHABLE, False)


async def test_an_issuer_inside_the_network_is_not_called() -> None:
    async with serving(Issuer()) as server, open_session(issuers={"google": "http://10.0.0.1/google"}) as session:
        refused = await failure(session, call(server), stream=False)
    assert refused.reason is Reason.PROVIDER_ADDRESS_REFUSED


async def test_the_wait_for_a_token_ends_with_the_wait_for_the_first_event() -> None:
    issuer = Issuer()
    issuer.pause_s = 1
    async with (
        serving(issuer) as server,
        open_session(first_event_s=0.1, issuers={"google": f"{server.url}/google"}) as session,
    ):
        refused = await failure(session, call(server), stream=True)
        assert (refused.reason, refused.timer, refused.sent) == (Reason.PROVIDER_TIMEOUT, "first_event", False)
        # The exchange goes on for whoever comes next.
        await asyncio.sleep(1)
        await session.generate(call(server))
    assert issuer.given == 1


async def test_a_caller_that_goes_away_takes_the_token_from_nobody() -> None:
    issuer = Issuer()
    issuer.pause_s = 0.1
    async with asking(issuer) as (session, server):
        impatient = asyncio.ensure_future(session.generate(call(server)))
        patient = asyncio.ensure_future(session.generate(call(server)))
        await asyncio.sleep(0.05)
        impatient.cancel()
        await patient
        assert impatient.cancelled() or isinstance(impatient.exception(), asyncio.CancelledError)
    assert issuer.given == 1


@pytest.mark.parametrize(
    "key",
    [
        "{",
        "{}",
        '{"client_email":"a@b","private_key":"no key"}',
        '{"client_email":"a@b","private_key":7}',
        '{"client_email":7,"private_key":"-----BEGIN PRIVATE KEY-----\\n-----END PRIVATE KEY-----\\n"}',
    ],
)
async def test_what_is_no_service_account_is_refused_before_anyone_is_asked(key: str) -> None:
    issuer = Issuer()
    async with asking(issuer) as (session, server):
        refused = await failure(session, call(server, key=key), stream=False)
    assert refused.reason is Reason.PROVIDER_KEY_REJECTED
    assert server.exchanges == []


async def test_an_api_key_is_no_service_account() -> None:
    async with asking(Issuer()) as (session, server):
        refused = await failure(session, call(server, CANARY, options={"auth": "service_account"}), stream=False)
    assert refused.reason is Reason.PROVIDER_KEY_REJECTED
    assert server.exchanges == []


async def test_few_tokens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "_MOST_TOKENS", 2)
    keys = [orjson.dumps({**orjson.loads(ACCOUNT), "project_id": name}).decode() for name in "abc"]
    issuer = Issuer()
    async with asking(issuer) as (session, server):
        for key in (*keys, keys[2], keys[0]):
            await session.generate(call(server, key=key))
    assert issuer.given == 4


async def test_neither_key_nor_token_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issuer = Issuer()
    shown: list[str] = []
    async with asking(issuer) as (session, server):
        await session.generate(call(server))
        issuer.provider_status = 401
        shown.append(await _shown(session, server))
        issuer.response = whole({"error": "invalid_grant"}, status=400)
        shown.append(await _shown(session, server))
        shown.append(repr(session._tokens.__dict__))
    private_key = orjson.loads(ACCOUNT)["private_key"].split("\n")[3]
    for text in (*shown, caplog.text):
        assert private_key not in text
        assert TOKEN not in text


async def _shown(session: HttpProviderSession, server: WireServer) -> str:
    error = await failure(session, call(server), stream=False)
    trace = error.__traceback__
    # Frames up to the session are the test's own and hold the key by nature.
    while trace is not None and "/services/" not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    told = traceback.TracebackException.from_exception(error.with_traceback(trace), capture_locals=True)
    return "\n".join([str(vars(error)), *told.format()])


@pytest.mark.parametrize("options", [{}, {"auth": "service_account"}])
async def test_lists_of_models_are_read_with_a_token_too(options: dict[str, object]) -> None:
    async with Sandbox(keep_requests=True) as sandbox, open_session() as session:
        tokens = AccessTokens(session._http, {"google": f"{sandbox.url}/google"})
        lists = HttpModelLists(session._http, DIALECTS, connect_s=1, tokens=tokens)
        endpoint = Endpoint(type="gemini", base_url=f"{sandbox.url}/gemini/v1beta", origin=sandbox.url, options=options)
        key = call(WireServer(url=sandbox.url)).key
        assert "sandbox-small" in await lists.read(endpoint, key, timeout_s=5)
        await tokens.aclose()
    # Vertex AI has its list elsewhere than its models.
    path = "/v1beta1/publishers/google/models" if options else "/gemini/v1beta/models"
    assert [request.path for request in sandbox.requests] == [TOKEN_PATH, path]


async def test_the_sandbox_s_issuer_verifies_who_asks() -> None:
    async with Sandbox() as sandbox, open_session(issuers={"google": f"{sandbox.url}/google"}) as session:
        base_url = f"{sandbox.url}/gemini/v1/projects/p/locations/l/publishers/google"
        good = dispatch(base_url, dialect="gemini", key=ACCOUNT)
        assert (await session.generate(good)).text
        account = orjson.loads(ACCOUNT)
        for change in ({"client_email": "other@example.com"}, {"private_key_id": "other"}):
            bad = dispatch(base_url, dialect="gemini", key=orjson.dumps({**account, **change}).decode())
            assert (await failure(session, bad, stream=False)).reason is Reason.PROVIDER_KEY_REJECTED
        # The path is that of Vertex AI, which takes no keys.
        assert (await failure(session, dispatch(base_url, dialect="gemini"), stream=False)).status == 401


async def test_signing_keeps_no_other_call_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(key: str, now: float) -> dict[str, str]:
        release.wait(10)
        return {"assertion": "x"}

    monkeypatch.setattr(service_account, "_form", slow)
    async with asking(Issuer()) as (session, server):
        waiting = asyncio.ensure_future(session.generate(call(server)))
        await session.generate(call(server, key=CANARY))
        assert not waiting.done()
        release.set()
        await waiting
