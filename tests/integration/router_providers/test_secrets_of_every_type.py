"""Whatever a provider's type does with keys: no error, traceback or log shows one, nor a token that was got for it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from libs.sandbox import Rule, Sandbox
from libs.sandbox.dialects.google_tokens import google_service_account
from services.router.domain.errors import ProviderError, to_gatehouse_error
from services.router.domain.generation import Generation, Message, Role, Text
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import (
    CANARY,
    STREAM_HEAD,
    Answer,
    Exchange,
    dispatch,
    failure,
    head,
    open_session,
    piece,
    serving,
    streamed,
    whole,
)

ENTRA = {"tenant_id": "t", "client_id": "c", "client_secret": "sk-sandbox-canary-entra-secret"}
TOKEN = "sk-sandbox-canary-ya29-token"


def _openai(text: str) -> dict[str, Any]:
    return {"error": {"message": text, "type": "invalid_request_error", "code": text, "param": text}}


def _responses(text: str) -> dict[str, Any]:
    return {"type": "error", "code": text, "message": text, "param": text, "error": {"code": text, "message": text}}


def _anthropic(text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": text}, "request_id": text}


def _gemini(text: str) -> dict[str, Any]:
    return {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": text, "details": [{"reason": text}]}}


ERRORS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "openai": _openai,
    "openai-responses": _responses,
    "openai_compatible": _openai,
    "azure_openai": _openai,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": lambda text: {"error": text},
}


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[request.param]


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session(first_event_s=2) as running:
        yield running


def shown(error: ProviderError) -> str:
    """All that anyone can be shown of an error; the test's own frames, which hold the key by nature, are left out."""
    trace = error.__traceback__
    while trace is not None and "/services/" not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    told = to_gatehouse_error(error, provider="p", model="m")
    lines = traceback.TracebackException.from_exception(error.with_traceback(trace), capture_locals=True).format()
    return "\n".join([str(error), repr(error), str(vars(error)), repr(told), str(vars(told)), *lines])


def call_of(variant: Variant, base_url: str, key: str = CANARY, **options: object) -> Dispatch[Generation]:
    return dispatch(base_url, dialect=variant.type, key=key, options={**variant.options, **options})


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 413, 429, 500, 503])
async def test_a_provider_that_quotes_the_key_tells_nobody(
    session: HttpProviderSession, caplog: pytest.LogCaptureFixture, variant: Variant, status: int, stream: bool
) -> None:
    async with Sandbox() as sandbox:
        sandbox.rules.replace([Rule(action={"status": status, "echo_key": True})])
        error = await failure(session, call_of(variant, sandbox.url + variant.path), stream=stream)
    assert CANARY not in shown(error) + caplog.text


@dataclass(frozen=True)
class Quoting:
    """Quotes the key that came, in whatever header, inside an answer that began well."""

    variant: Variant
    stream: bool

    async def __call__(self, exchange: Exchange) -> None:
        headers = exchange.headers
        key = headers.get("x-api-key") or headers.get("x-goog-api-key") or headers.get("api-key") or ""
        key = key or headers["authorization"].removeprefix("Bearer ")
        body = orjson.dumps(ERRORS[self.variant.name](f"The key {key} must not be used with this temperature"))
        if not self.stream:
            await exchange.send(whole(body))
        elif self.variant.name == "ollama":
            await exchange.send(head(200, "application/x-ndjson", transfer_encoding="chunked"), piece(body + b"\n"))
        else:
            name = b"event: error\n" if self.variant.name in {"anthropic", "openai-responses"} else b""
            await exchange.send(STREAM_HEAD, piece(name + b"data: " + body + b"\n\n"))
        exchange.cut()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_turns_into_an_error_with_the_key_tells_nobody(
    session: HttpProviderSession, caplog: pytest.LogCaptureFixture, variant: Variant, stream: bool
) -> None:
    async with serving(Quoting(variant, stream)) as server:
        error = await failure(session, call_of(variant, server.base_url), stream=stream)
    (exchange,) = server.exchanges
    assert CANARY in str(exchange.headers)
    assert CANARY not in exchange.path
    assert CANARY not in shown(error) + caplog.text


@pytest.mark.parametrize("stream", [True, False])
async def test_a_good_call_logs_nothing_of_anybody(
    session: HttpProviderSession, caplog: pytest.LogCaptureFixture, variant: Variant, stream: bool
) -> None:
    said = Generation(messages=(Message(Role.USER, (Text("the prompt's canary"),)),), end_user="the user's canary")
    async with Sandbox() as sandbox:
        call = call_of(variant, sandbox.url + variant.path)
        call = dispatch(sandbox.url + variant.path, said, dialect=variant.type, options=variant.options)
        await (streamed(session, call) if stream else session.generate(call))
        assert CANARY not in repr(call) + str(call)
    assert "canary" not in caplog.text


def issuing(token: Mapping[str, object], status: int, provider: Answer) -> Answer:
    """An issuer of tokens that quotes what it is sent, and the provider beside it."""

    async def answer(exchange: Exchange) -> None:
        if "/token" not in exchange.path:
            await provider(exchange)
            return
        await exchange.send(whole({**token, "error_description": exchange.body.decode()}, status))

    return answer


async def quoting_bearer(exchange: Exchange) -> None:
    await exchange.send(whole(_gemini(exchange.headers["authorization"]), 400))


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ({"access_token": TOKEN, "expires_in": 3600}, 200),
        ({"access_token": f"{TOKEN} and more"}, 200),
        ({"error": f"invalid {TOKEN}"}, 400),
        ({"error": TOKEN}, 500),
        ({"error": "invalid_client"}, 401),
    ],
)
@pytest.mark.parametrize("kind", ["google", "entra"])
@pytest.mark.parametrize("stream", [True, False])
async def test_neither_the_issuer_s_nor_the_provider_s_words_show_a_secret(
    caplog: pytest.LogCaptureFixture, token: Mapping[str, object], status: int, kind: str, stream: bool
) -> None:
    service_account = google_service_account()
    async with serving(issuing(token, status, quoting_bearer)) as server:
        issuers = {"google": server.url, "entra": server.url}
        async with open_session(issuers=issuers) as session:
            if kind == "google":
                call = call_of(VARIANTS["gemini"], server.base_url, service_account)
            else:
                key = orjson.dumps(ENTRA).decode()
                call = call_of(VARIANTS["azure_openai"], server.base_url, key, auth="entra")
            error = await failure(session, call, stream=stream)
            told = shown(error) + repr(session._tokens.__dict__)
        asked = server.exchanges[0]
    assert "/token" in asked.path
    secrets = [TOKEN, str(ENTRA["client_secret"]), *asked.body.decode().split("assertion=")[1:]]
    secrets += [line for line in orjson.loads(service_account)["private_key"].split("\n")[1:-2] if line]
    assert [secret for secret in secrets if secret in told + caplog.text] == []


@pytest.mark.parametrize("key", ["sk-canary-4f7b21c8\n", "sk-canary-4f7b21c8-ü", "sk canary", '{"canary": 1}'])
async def test_a_key_that_no_header_can_carry_is_not_shown(
    session: HttpProviderSession, caplog: pytest.LogCaptureFixture, variant: Variant, key: str
) -> None:
    error = await failure(session, call_of(variant, "http://127.0.0.1:1", key), stream=False)
    assert "canary" not in shown(error) + caplog.text
