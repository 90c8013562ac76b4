"""The session on the wire: what leaves it, what it keeps, how it ends."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from services.router.domain.errors import Reason
from services.router.domain.generation import TextDelta
from services.router.providers.http.session import HttpProviderSession
from tests.integration.router_providers.wire import (
    CANARY,
    DONE,
    END,
    FINISH,
    STREAM_HEAD,
    USAGE,
    Exchange,
    WireServer,
    answering,
    delta,
    dispatch,
    failure,
    open_session,
    piece,
    serving,
    streamed,
    streaming,
    whole,
)

HELLO_ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


async def settle(session: HttpProviderSession) -> None:
    """Let connections whose end is still under way come back."""
    while session._lingering:
        await asyncio.sleep(0)


async def test_complete_streams_and_answers_share_one_connection(session: HttpProviderSession) -> None:
    async def answer(exchange: Exchange) -> None:
        if b'"stream":true' in exchange.body:
            await streaming(delta("Hi"), FINISH, USAGE, DONE)(exchange)
        else:
            await exchange.send(whole(HELLO_ANSWER))

    async with serving(answer) as server:
        for _ in range(3):
            await streamed(session, dispatch(server.base_url))
            await settle(session)
            await session.generate(dispatch(server.base_url))
    assert (server.connections, len(server.exchanges)) == (1, 6)


async def test_a_connection_comes_back_when_the_body_ends_after_its_last_event(session: HttpProviderSession) -> None:
    release = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, piece(delta("Hi") + FINISH + DONE))
        await release.wait()
        await exchange.send(END)

    async with serving(answer) as server:
        await streamed(session, dispatch(server.base_url))
        release.set()
        await settle(session)
        await streamed(session, dispatch(server.base_url))
    assert server.connections == 1


async def test_a_refused_call_does_not_cost_the_connection(session: HttpProviderSession) -> None:
    async with serving(answering(whole({"error": {"message": "slow down"}}, status=429))) as server:
        for stream in (True, False, True):
            await failure(session, dispatch(server.base_url), stream=stream)
    assert server.connections == 1


@pytest.mark.parametrize("tail", [b"", DONE + b"data: more\n\n" * 1000], ids=["silence", "surplus"])
async def test_a_connection_with_an_unread_answer_is_not_used_again(session: HttpProviderSession, tail: bytes) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, piece(delta("Hi") + FINISH + tail))
        await exchange.client_gone()

    async with serving(answer) as server:
        for _ in range(2):
            stream = await session.stream(dispatch(server.base_url))
            await stream.read()
            stream.close()
            stream.close()
            async with asyncio.timeout(5):
                await settle(session)
    assert server.connections == 2


@pytest.mark.parametrize("stage", ["before the answer", "after its head", "in its middle", "whole"])
async def test_leaving_closes_the_connection_at_once(session: HttpProviderSession, stage: str) -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        if stage == "whole":
            await exchange.send(whole(HELLO_ANSWER)[:-5])
        elif stage != "before the answer":
            await exchange.send(STREAM_HEAD)
        if stage == "in its middle":
            await exchange.send(piece(delta("Hi")))
        arrived.set()
        await exchange.client_gone()
        gone.set()

    async with serving(answer) as server:
        call = dispatch(server.base_url)
        if stage in {"before the answer", "whole"}:
            task = asyncio.ensure_future(session.generate(call) if stage == "whole" else streamed(session, call))
            await arrived.wait()
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            stream = await session.stream(call)
            if stage == "in its middle":
                assert await stream.read() == [TextDelta("Hi")]
            stream.close()
        # The promise is 250 ms; the test is not a stop watch.
        async with asyncio.timeout(2):
            await gone.wait()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_dropped_call_is_sent_exactly_once(session: HttpProviderSession, stream: bool) -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.cut()

    async with serving(answer) as server:
        error = await failure(session, dispatch(server.base_url), stream=stream)
    assert (error.reason, len(server.exchanges)) == (Reason.PROVIDER_UNREACHABLE, 1)


async def test_a_call_dropped_on_a_used_connection_is_sent_exactly_once(session: HttpProviderSession) -> None:
    async def answer(exchange: Exchange) -> None:
        if len(server.exchanges) > 1:
            exchange.reset()
        else:
            await exchange.send(whole(HELLO_ANSWER))

    async with serving(answer) as server:
        await session.generate(dispatch(server.base_url))
        error = await failure(session, dispatch(server.base_url), stream=False)
    assert (error.reason, len(server.exchanges), server.connections) == (Reason.PROVIDER_UNREACHABLE, 2, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_redirect_is_not_followed_and_the_key_not_carried_there(
    session: HttpProviderSession, status: int, stream: bool
) -> None:
    async with (
        serving(answering(whole(HELLO_ANSWER))) as elsewhere,
        serving(answering(whole(b"", status, location=f"{elsewhere.url}/v1/chat/completions"))) as server,
    ):
        error = await failure(session, dispatch(server.base_url), stream=stream)
    assert (error.reason, error.status) == (Reason.PROVIDER_BAD_RESPONSE, status)
    assert (len(server.exchanges), elsewhere.connections) == (1, 0)


@pytest.mark.parametrize("dialect", ["openai", "openai_compatible"])
async def test_the_key_is_in_its_header_and_nowhere_else(session: HttpProviderSession, dialect: str) -> None:
    async with serving(answering(whole(HELLO_ANSWER))) as server:
        await session.generate(dispatch(server.base_url, dialect=dialect))
    (sent,) = server.exchanges
    assert sent.headers["authorization"] == f"Bearer {CANARY}"
    rest = {name: value for name, value in sent.headers.items() if name != "authorization"}
    assert CANARY not in f"{sent.method} {sent.path} {rest} {sent.body!r}"
    assert (sent.method, sent.path, rest["content-type"]) == ("POST", "/v1/chat/completions", "application/json")
    assert (rest["accept-encoding"], rest["x-gatehouse-attempt"]) == ("identity", "operation/1")


async def test_the_options_of_openai_are_headers(session: HttpProviderSession) -> None:
    options: dict[str, object] = {"organization": "org-1", "project": "proj-1"}
    async with serving(answering(whole(HELLO_ANSWER))) as server:
        await session.generate(dispatch(server.base_url, options=options))
        await failure(session, dispatch(server.base_url, options=options), stream=True)
        await session.generate(dispatch(server.base_url, options={"organization": "", "project": 7}))
        await session.generate(dispatch(server.base_url, dialect="openai_compatible", options=options))
    sent = [
        {name: value for name, value in each.headers.items() if name.startswith("openai-")} for each in server.exchanges
    ]
    assert sent == [{"openai-organization": "org-1", "openai-project": "proj-1"}] * 2 + [{}] * 2


@pytest.mark.parametrize("value", ["org\r\nx-evil: 1", "org\nx", "org\x00"])
async def test_an_option_that_cannot_stand_in_a_header_is_not_sent(session: HttpProviderSession, value: str) -> None:
    async with serving(answering(whole(HELLO_ANSWER))) as server:
        error = await failure(session, dispatch(server.base_url, options={"organization": value}), stream=False)
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE
    assert server.exchanges == []


@pytest.mark.parametrize(
    ("options", "limit_field", "asks_for_usage"),
    [
        ({}, "max_tokens", True),
        ({"output_limit_field": "max_completion_tokens"}, "max_completion_tokens", True),
        ({"stream_usage": False}, "max_tokens", False),
        ({"output_limit_field": 7, "stream_usage": "no"}, "max_tokens", True),
    ],
)
async def test_the_options_of_compatible_servers_are_obeyed(
    session: HttpProviderSession, options: dict[str, object], limit_field: str, asks_for_usage: bool
) -> None:
    async with serving(answering(whole(HELLO_ANSWER))) as server:
        call = dispatch(server.base_url, dialect="openai_compatible", output_limit=9, options=options)
        await failure(session, call, stream=True)
    body = orjson.loads(server.exchanges[0].body)
    assert {name: value for name, value in body.items() if name.startswith("max_")} == {limit_field: 9}
    assert ("stream_options" in body) is asks_for_usage


async def test_no_header_is_sent_for_a_provider_without_a_key(session: HttpProviderSession) -> None:
    async with serving(answering(whole(HELLO_ANSWER))) as server:
        await session.generate(dispatch(server.base_url, dialect="openai_compatible", key=None))
    assert "authorization" not in server.exchanges[0].headers


@pytest.mark.parametrize("key", ["", "sk-a\nb", "sk-a\r\nx-evil: 1", "sk a", "sk-ä", "sk-\x00"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_key_that_cannot_stand_in_a_header_is_not_sent(
    session: HttpProviderSession, key: str, stream: bool
) -> None:
    async with serving(answering(whole(HELLO_ANSWER))) as server:
        error = await failure(session, dispatch(server.base_url, key=key), stream=stream)
    assert (error.reason, server.connections) == (Reason.PROVIDER_KEY_REJECTED, 0)
    assert error.__context__ is None


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answering(whole(HELLO_ANSWER))) as server, serving(answering(whole(HELLO_ANSWER))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with open_session() as session:
            await session.generate(dispatch(server.base_url))
    assert (server.connections, proxy.connections) == (1, 0)


async def test_cookies_are_not_kept(session: HttpProviderSession) -> None:
    async with serving(answering(whole(HELLO_ANSWER, set_cookie="who=acme; Path=/"))) as server:
        # Cookie jars pass over hosts that are addresses.
        base_url = server.base_url.replace("127.0.0.1", "localhost")
        await session.generate(dispatch(base_url))
        await session.generate(dispatch(base_url))
    assert "cookie" not in server.exchanges[1].headers


async def test_nothing_is_sent_over_a_connection_to_another_provider(session: HttpProviderSession) -> None:
    async with (
        serving(answering(whole(HELLO_ANSWER))) as first,
        serving(answering(whole(HELLO_ANSWER))) as second,
    ):
        await asyncio.gather(
            *(session.generate(dispatch(server.base_url, key=f"sk-{index}")) for index, server in _pairs(first, second))
        )
    for server, key in ((first, "Bearer sk-0"), (second, "Bearer sk-1")):
        assert [each.headers["authorization"] for each in server.exchanges] == [key] * 20


def _pairs(*servers: WireServer) -> list[tuple[int, WireServer]]:
    return list(enumerate(servers)) * 20


async def test_nobody_listening_is_unreachable_and_nothing_was_sent(session: HttpProviderSession) -> None:
    async with serving(answering(b"")) as server:
        pass
    for stream in (True, False):
        error = await failure(session, dispatch(server.base_url), stream=stream)
        assert (error.reason, error.sent) == (Reason.PROVIDER_UNREACHABLE, False)


BAD_URLS = ["http://", "http://host.invalid:99999/v1", "nonsense", "http://[::g]/v1", "http://[", "ftp://x/v1"]


@pytest.mark.parametrize("base_url", BAD_URLS)
async def test_a_base_url_that_is_none_is_a_provider_error(session: HttpProviderSession, base_url: str) -> None:
    error = await failure(session, dispatch(base_url), stream=False)
    assert error.reason in {Reason.PROVIDER_BAD_RESPONSE, Reason.PROVIDER_UNREACHABLE}
    assert error.sent is False


async def test_closing_the_session_leaves_no_task_and_no_connection() -> None:
    gone = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, piece(delta("Hi") + FINISH + DONE))
        await exchange.client_gone()
        gone.set()

    async with serving(answer) as server:
        async with open_session() as session:
            await streamed(session, dispatch(server.base_url))
            assert len(session._lingering) == 1
        async with asyncio.timeout(2):
            await gone.wait()
        assert not session._lingering
