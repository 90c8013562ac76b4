"""OpenAI's own client as the yardstick for Chat Completions: it sends what we send and reads what we read.

The one difference intended: a stream of ours always asks for its usage (`stream_options.include_usage`); the SDK
leaves that to its caller.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import orjson
import pytest
from openai import APIStatusError, AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from libs.core.money import TokenCounts
from libs.sandbox import Sandbox
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Answer, FinishReason, Generation, Image, Reasoning, Text, ToolCall
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import Call, said
from tests.contract.dialects.folding import folded
from tests.contract.sdks.chat_calls import CHAT_CALLS, END_USERS, OPENAI_CALLS
from tests.integration.router_providers.wire import (
    CANARY,
    DONE,
    FINISH,
    Exchange,
    dispatch,
    open_session,
    serving,
    streamed,
    streaming,
    whole,
)

LIMIT_FIELDS = {"openai": "max_completion_tokens", "openai_compatible": "max_tokens"}
OPTIONS: Mapping[str, Mapping[str, object]] = {"openai": {"api": "chat_completions"}, "openai_compatible": {}}
CALLS: Mapping[tuple[str, str], Call] = {
    **{(dialect, name): call for dialect in LIMIT_FIELDS for name, call in CHAT_CALLS.items()},
    **{("openai", name): call for name, call in OPENAI_CALLS.items()},
    ("openai", "an end user"): END_USERS["safety_identifier"],
    ("openai_compatible", "an end user"): END_USERS["user"],
}
# Servers in the own network get no URLs of callers: Gatehouse fetches what is there (tests of providers.http).
EACH = pytest.mark.parametrize(
    ("dialect", "name"),
    [
        (dialect, name)
        for dialect, name in CALLS
        if dialect == "openai"
        or not any(
            isinstance(part, Image) and part.url
            for message in CALLS[dialect, name].generation.messages
            for part in message.parts
        )
    ],
)


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


def sdk(base_url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=base_url, api_key=CANARY, max_retries=0)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AsyncOpenAI]:
    async with sdk(f"{sandbox.url}/v1") as running:
        yield running


def arguments(call: Call, dialect: str) -> dict[str, Any]:
    """What a caller gives the SDK for this call."""
    limit = {LIMIT_FIELDS[dialect]: call.output_limit} if call.output_limit is not None else {}
    return {**cast("dict[str, Any]", call.params), **limit}


def sent(base_url: str, generation: Generation, dialect: str, output_limit: int | None = None) -> Dispatch[Generation]:
    return dispatch(base_url, generation, dialect=dialect, output_limit=output_limit, options=OPTIONS[dialect])


async def echo(exchange: Exchange) -> None:
    if orjson.loads(exchange.body).get("stream"):
        await streaming(FINISH, DONE)(exchange)
    else:
        await exchange.send(whole({"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "stop"}]}))


@EACH
async def test_the_sdk_sends_the_same_body(session: HttpProviderSession, dialect: str, name: str) -> None:
    call = CALLS[dialect, name]
    async with serving(echo) as server:
        ours_sent = sent(server.base_url, call.generation, dialect, call.output_limit)
        await session.generate(ours_sent)
        await streamed(session, ours_sent)
        async with sdk(server.base_url) as client:
            await client.chat.completions.create(**arguments(call, dialect))
            usage: dict[str, Any] = {"stream_options": {"include_usage": True}}
            await client.chat.completions.create(**arguments(call, dialect), **usage, stream=True)
    ours, our_stream, theirs, their_stream = server.bodies()
    assert ours == theirs
    assert our_stream == their_stream
    assert ours == arguments(call, dialect)
    assert {key: value for key, value in our_stream.items() if key not in ours} == {"stream": True, **usage}
    for mine, other in zip(server.exchanges[:2], server.exchanges[2:], strict=True):
        assert (mine.method, mine.path) == (other.method, other.path)
        for header in ("authorization", "content-type"):
            assert mine.headers[header] == other.headers[header]


def read_by_sdk(completion: ChatCompletion) -> Answer:
    """The SDK's answer in our words, by the tables of the design."""
    (choice,) = completion.choices
    usage = completion.usage
    return Answer(
        parts=(
            *_thoughts((choice.message.model_extra or {}).get("reasoning_content")),
            *((Text(choice.message.content),) if choice.message.content else ()),
            *(
                ToolCall(id=call.id, name=call.function.name, arguments_json=call.function.arguments)
                for call in choice.message.tool_calls or ()
                if call.type == "function"
            ),
        ),
        finish_reason=_reason(choice.finish_reason),
        raw_finish_reason=choice.finish_reason,
        usage=None if usage is None else _counts(usage.model_dump()),
    )


def _thoughts(text: str | None) -> tuple[Reasoning, ...]:
    """What servers say that show thoughts; OpenAI's types have no field for it."""
    return (Reasoning(text),) if text else ()


def _reason(raw: str) -> FinishReason:
    return FinishReason(raw) if raw in {each.value for each in FinishReason} else FinishReason.UNKNOWN


def _counts(usage: dict[str, Any]) -> TokenCounts:
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    return TokenCounts(
        input_tokens=usage["prompt_tokens"] - cached,
        cache_read_tokens=cached,
        output_tokens=usage["completion_tokens"] - reasoning,
        reasoning_tokens=reasoning,
    )


def joined(chunks: list[ChatCompletionChunk]) -> Answer:
    """The SDK's chunks put together by hand."""
    thoughts = text = raw = ""
    calls: dict[int, list[str]] = {}
    usage = None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            thoughts += (choice.delta.model_extra or {}).get("reasoning_content", "")
            text += choice.delta.content or ""
            raw = choice.finish_reason or raw
            for call in choice.delta.tool_calls or ():
                assert call.function is not None
                begun = calls.setdefault(call.index, [call.id or "", call.function.name or "", ""])
                begun[2] += call.function.arguments or ""
    return Answer(
        parts=(
            *_thoughts(thoughts),
            *((Text(text),) if text else ()),
            *(ToolCall(id=call_id, name=name, arguments_json=pieces) for call_id, name, pieces in calls.values()),
        ),
        finish_reason=_reason(raw),
        raw_finish_reason=raw,
        usage=None if usage is None else _counts(usage.model_dump()),
    )


@EACH
async def test_the_sdk_reads_the_same_answer(
    session: HttpProviderSession, client: AsyncOpenAI, sandbox: Sandbox, dialect: str, name: str
) -> None:
    call = CALLS[dialect, name]
    ours = sent(f"{sandbox.url}/v1", call.generation, dialect, call.output_limit)
    theirs = await client.chat.completions.create(**arguments(call, dialect))
    assert await session.generate(ours) == read_by_sdk(theirs)
    chunks = await client.chat.completions.create(
        **arguments(call, dialect), stream=True, stream_options={"include_usage": True}
    )
    assert folded(await streamed(session, ours)) == joined([chunk async for chunk in chunks])


@pytest.mark.parametrize("dialect", LIMIT_FIELDS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
async def test_the_sdk_sees_the_same_failure(
    session: HttpProviderSession, client: AsyncOpenAI, sandbox: Sandbox, dialect: str, status: int
) -> None:
    text = f"Hi [[sandbox status={status} retry_after=2]]"
    with pytest.raises(APIStatusError) as theirs:
        await client.chat.completions.create(model="sandbox-small", messages=[{"role": "user", "content": text}])
    with pytest.raises(ProviderError) as ours:
        await session.generate(sent(f"{sandbox.url}/v1", Generation(messages=(said(text),)), dialect))
    assert ours.value.status == theirs.value.status_code
    assert ours.value.retry_after_s == float(theirs.value.response.headers["retry-after"])
    if ours.value.message:
        assert ours.value.message in theirs.value.message
