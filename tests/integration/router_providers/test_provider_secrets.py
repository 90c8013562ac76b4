"""A key leaves in its header; nothing that comes back, and nothing that goes wrong, shows it to anyone."""

import logging
import traceback
from collections.abc import AsyncIterator

import pytest

from libs.sandbox import Rule, Sandbox
from services.router.domain.errors import ProviderError, to_gatehouse_error
from services.router.providers.http.session import HttpProviderSession
from tests.integration.router_providers.wire import (
    STREAM_HEAD,
    Exchange,
    answering,
    dispatch,
    event,
    failure,
    open_session,
    piece,
    serving,
    streamed,
    whole,
)

# In the shape of well-known keys, and in one that no pattern knows.
KEYS = ["sk-sandbox-canary-4f7b21c8", "sk-sandbox-hunter/2", "sk-sandbox-correct-horse-battery-staple"]


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def shown(error: ProviderError) -> str:
    """All that anyone can be shown of an error: texts, fields, the traceback with its local variables."""
    told = to_gatehouse_error(error, provider="p", model="m")
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = [str(error), repr(error), str(vars(error)), repr(told), str(vars(told)), *trace.format()]
    return "\n".join(parts)


async def shown_by(session: HttpProviderSession, base_url: str, key: str, *, stream: bool) -> str:
    """Like `shown`, with local variables that the test itself must not have: its key."""
    call = dispatch(base_url, key=key)
    error = await failure(session, call, stream=stream)
    # Frames from here up to the session are the test's own and hold the key by nature.
    trace = error.__traceback__
    while trace is not None and "/services/" not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return shown(error.with_traceback(trace))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 413, 422, 429, 500, 503])
async def test_a_provider_that_quotes_the_key_tells_nobody(
    session: HttpProviderSession, caplog: pytest.LogCaptureFixture, status: int, stream: bool, key: str
) -> None:
    async with Sandbox() as sandbox:
        sandbox.rules.replace([Rule(action={"status": status, "echo_key": True})])
        text = await shown_by(session, f"{sandbox.url}/v1", key, stream=stream)
    assert key not in text
    assert key not in caplog.text


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("filling", [0, 280, 290, 299])
async def test_not_even_a_part_of_the_key_is_left_where_texts_are_cut(
    session: HttpProviderSession, key: str, filling: int
) -> None:
    message = f"{'. ' * (filling // 2)}{key} is not your model"
    async with serving(answering(whole({"error": {"message": message}}, 400))) as server:
        error = await failure(session, dispatch(server.base_url, key=key), stream=False)
    assert "sk-" not in error.message
    assert key[-6:] not in error.message


async def test_an_escaped_slash_hides_no_key(session: HttpProviderSession) -> None:
    key = "sk-sandbox-hunter/2"
    body = rb'{"error":{"message":"sk-sandbox-hunter\/2 may not use this temperature"}}'
    async with serving(answering(whole(body, 400))) as server:
        error = await failure(session, dispatch(server.base_url, key=key), stream=False)
    assert error.message == "[masked] may not use this temperature"


async def garbage(exchange: Exchange) -> None:
    await exchange.send(STREAM_HEAD + piece(event({"error": {"message": exchange.headers["authorization"]}})))
    exchange.cut()


async def cut(exchange: Exchange) -> None:
    exchange.cut()


async def no_http(exchange: Exchange) -> None:
    await exchange.send(exchange.headers["authorization"].encode() + b"\r\n\r\n")
    exchange.cut()


async def silent(exchange: Exchange) -> None:
    await exchange.client_gone()


@pytest.mark.parametrize("answer", [garbage, cut, no_http, silent])
@pytest.mark.parametrize("stream", [True, False])
async def test_no_fault_on_the_wire_shows_the_key(
    caplog: pytest.LogCaptureFixture, answer: object, stream: bool
) -> None:
    key = KEYS[0]
    async with open_session(first_event_s=0.1) as session, serving(answer) as server:  # type: ignore[arg-type]
        text = await shown_by(session, server.base_url, key, stream=stream)
    assert key not in text
    assert key not in caplog.text


@pytest.mark.parametrize("key", ["sk-canary-4f7b21c8\n", "sk-canary-4f7b21c8-ü"])
async def test_a_key_that_cannot_be_sent_is_not_shown(
    session: HttpProviderSession, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    text = await shown_by(session, "http://127.0.0.1:1/v1", key, stream=False)
    assert "canary" not in text + caplog.text


async def test_a_good_call_logs_no_key(session: HttpProviderSession, caplog: pytest.LogCaptureFixture) -> None:
    async with Sandbox() as sandbox:
        call = dispatch(f"{sandbox.url}/v1", key=KEYS[0])
        await session.generate(call)
        await streamed(session, call)
        assert KEYS[0] not in repr(call) + str(call)
    assert KEYS[0] not in caplog.text
