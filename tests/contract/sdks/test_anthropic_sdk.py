"""Anthropic's own client as the yardstick: it sends what our dialect sends and reads what it reads.

The differences intended: we send `x-api-key` and `anthropic-version: 2023-06-01`, which every Messages server knows and
which leaves the sampling parameters to the models that have them; the SDK sends a bearer token and the version after.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pydantic
import pytest
from anthropic import APIStatusError, AsyncAnthropic
from anthropic.types import Message as TheirMessage
from anthropic.types import Usage

from libs.core.money import TokenCounts
from libs.sandbox import Sandbox
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    AnswerPart,
    FinishReason,
    Generation,
    JsonSchemaFormat,
    Message,
    Reasoning,
    Role,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.providers.dialects.anthropic import ANTHROPIC
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.folding import folded
from tests.contract.sdks.anthropic_calls import ANY, CALLS, LIMIT, WEATHER, Call, hello, user
from tests.integration.router_providers.wire import (
    CANARY,
    Exchange,
    dispatch,
    event,
    open_session,
    serving,
    streamed,
    streaming,
    whole,
)

VERSION_2023 = {"anthropic-version": "2023-06-01"}
REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
    "pause_turn": FinishReason.PAUSED,
    "model_context_window_exceeded": FinishReason.CONTEXT_EXCEEDED,
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


def sdk(base_url: str) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=base_url, api_key=CANARY, max_retries=0)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AsyncAnthropic]:
    async with sdk(f"{sandbox.url}/anthropic") as running:
        yield running


def sent(base_url: str, call: Call | Generation, **fields: Any) -> Dispatch[Generation]:
    request = call if isinstance(call, Generation) else call.generation
    model = ANY if isinstance(call, Generation) else str(call.params["model"])
    return dispatch(base_url, request, dialect="anthropic", output_limit=LIMIT, **{"model": model, **fields})


def arguments(call: Call) -> dict[str, Any]:
    """What a caller gives the SDK for this call."""
    sampling = {"extra_body": call.sampling, "extra_headers": VERSION_2023} if call.sampling else {}
    return {**cast("dict[str, Any]", call.params), **sampling}


async def echo(exchange: Exchange) -> None:
    if exchange.method == "POST" and orjson.loads(exchange.body).get("stream"):
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": MESSAGE},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ]
        await streaming(*(b"event: %s\n" % each["type"].encode() + event(each) for each in events))(exchange)
    elif exchange.method == "POST":
        await exchange.send(whole({**MESSAGE, "stop_reason": "end_turn"}))
    else:
        await exchange.send(whole({"data": [], "has_more": False, "first_id": None, "last_id": None}))


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_sends_the_same_body(session: HttpProviderSession, name: str) -> None:
    call = CALLS[name]
    async with serving(echo) as server:
        ours_to_send = sent(server.url, call)
        await session.generate(ours_to_send)
        await streamed(session, ours_to_send)
        async with sdk(server.url) as client:
            await client.messages.create(**arguments(call))
            async with client.messages.stream(**arguments(call)) as stream:
                await stream.get_final_message()
    ours, our_stream, theirs, their_stream = server.bodies()
    assert ours == theirs
    assert our_stream == their_stream
    assert ours == {**call.params, **call.sampling}
    assert our_stream == {**ours, "stream": True}
    for mine, other in zip(server.exchanges[:2], server.exchanges[2:], strict=True):
        assert (mine.method, mine.path) == (other.method, other.path) == ("POST", "/v1/messages")
        assert mine.headers["content-type"] == other.headers["content-type"]
        assert (mine.headers["x-api-key"], other.headers["authorization"]) == (CANARY, f"Bearer {CANARY}")
        assert "authorization" not in mine.headers
        assert mine.headers["anthropic-version"] == "2023-06-01"
        if not call.sampling:
            assert other.headers["anthropic-version"] == "2026-10-21", "look into what a new version changes"


async def test_betas_are_named_as_by_the_sdk_and_models_are_listed_as_by_it(session: HttpProviderSession) -> None:
    async with serving(echo) as server:
        await session.generate(sent(server.url, hello(), options={"beta": "one-2026-01-01,two-2026-02-02"}))
        async with sdk(server.url) as client:
            betas = ["one-2026-01-01", "two-2026-02-02"]
            await client.beta.messages.create(
                model=ANY, max_tokens=LIMIT, messages=[{"role": "user", "content": "Hello"}], betas=betas
            )
            await client.models.list(limit=1000)
    ours, theirs, listing = server.exchanges
    assert ours.headers["anthropic-beta"] == theirs.headers["anthropic-beta"]
    assert orjson.loads(ours.body) == orjson.loads(theirs.body)
    assert listing.path == ANTHROPIC.models_path({})


class Trip(pydantic.BaseModel):
    """A journey."""

    city: str = pydantic.Field(min_length=2, description="Where to")
    days: int = pydantic.Field(ge=1, le=9)
    tags: list[str] = pydantic.Field(max_length=3)
    by: str | None = None


async def test_a_schema_is_sent_as_the_sdk_sends_a_type(session: HttpProviderSession) -> None:
    schema = orjson.dumps(Trip.model_json_schema()).decode()
    request = hello(response_format=JsonSchemaFormat(name="Trip", description="", schema_json=schema, strict=True))
    async with serving(echo) as server:
        await streamed(session, sent(server.url, request))
        async with sdk(server.url) as client:
            stream = client.messages.stream(
                model=ANY,
                max_tokens=LIMIT,
                messages=[{"role": "user", "content": "Hello"}],
                output_format=Trip,
            )
            async with stream as events:
                async for _ in events:
                    pass
    ours, theirs = server.bodies()
    assert ours == theirs


def read_by_sdk(message: TheirMessage) -> Answer:
    """The SDK's message in our words, by the tables of the design."""
    # The SDK's types say that it is always there; a sandbox that was told to give none leaves it out all the same.
    usage = cast("Usage | None", message.usage)
    parts: list[AnswerPart] = []
    for block in message.content:
        match block.type:
            case "text":
                parts.append(Text(block.text))
            case "thinking":
                parts.append(Reasoning(block.thinking, Signature(f"t{block.signature}\n{message.model}".encode())))
            case "redacted_thinking":
                parts.append(Reasoning("", Signature(f"r{block.data}\n{message.model}".encode())))
            case "tool_use":
                arguments_json = orjson.dumps(block.input).decode()
                parts.append(ToolCall(id=block.id, name=block.name, arguments_json=arguments_json))
            case other:
                raise AssertionError(other)
    raw = message.stop_reason or ""
    counts = None
    if usage is not None:
        assert usage.output_tokens_details is not None
        thought = usage.output_tokens_details.thinking_tokens
        counts = TokenCounts(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_input_tokens or 0,
            cache_write_tokens=usage.cache_creation_input_tokens or 0,
            output_tokens=usage.output_tokens - thought,
            reasoning_tokens=thought,
        )
    reason = REASONS.get(raw, FinishReason.UNKNOWN)
    return Answer(parts=tuple(parts), finish_reason=reason, raw_finish_reason=raw, usage=counts)


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_reads_the_same_answer(
    session: HttpProviderSession, client: AsyncAnthropic, sandbox: Sandbox, name: str
) -> None:
    call = CALLS[name]
    ours = sent(f"{sandbox.url}/anthropic", call)
    theirs = read_by_sdk(await client.messages.create(**arguments(call)))
    assert theirs == await session.generate(ours)
    async with client.messages.stream(**arguments(call)) as stream:
        message = await stream.get_final_message()
    assert read_by_sdk(message) == folded(await streamed(session, ours)) == theirs


@pytest.mark.parametrize(
    "words",
    [
        "tools=2 text_before_tools",
        "reasoning=5 show_reasoning",
        "reasoning=5 redacted",
        "reasoning=5 show_reasoning tools=1",
        "cached=7",
        "tokens=0",
        "finish=pause_turn",
        "finish=refusal",
        "finish=model_context_window_exceeded",
        "finish=something_new",
        "no_usage",
    ],
)
async def test_the_sdk_reads_the_same_of_every_kind_of_answer(
    session: HttpProviderSession, client: AsyncAnthropic, sandbox: Sandbox, words: str
) -> None:
    text = f"Hi [[sandbox {words}]]"
    asked: dict[str, Any] = {
        "model": ANY,
        "max_tokens": LIMIT,
        "messages": [{"role": "user", "content": text}],
        "tools": CALLS["results"].params["tools"],
    }
    request = Generation(messages=(user(text),), tools=(WEATHER,))
    ours = sent(f"{sandbox.url}/anthropic", request)
    theirs = read_by_sdk(await client.messages.create(**asked))
    assert theirs == await session.generate(ours)
    if words == "no_usage":
        # The SDK's helper cannot do without.
        return
    async with client.messages.stream(**asked) as stream:
        message = await stream.get_final_message()
    assert read_by_sdk(message) == folded(await streamed(session, ours)) == theirs


async def test_signed_thoughts_go_round_as_the_sdk_sends_them_round(
    session: HttpProviderSession, client: AsyncAnthropic, sandbox: Sandbox
) -> None:
    text = "Weather? [[sandbox tools=1]]"
    call = CALLS["thoughts sent back"]
    asked = {**arguments(call), "messages": [{"role": "user", "content": text}]}
    message = await client.messages.create(**asked)
    (tool_use,) = (block for block in message.content if block.type == "tool_use")
    back = [
        *asked["messages"],
        message.to_param(),
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": tool_use.id, "content": "sunny"}]},
    ]
    theirs = read_by_sdk(await client.messages.create(**{**asked, "messages": back}))

    base_url = f"{sandbox.url}/anthropic"
    question = Generation(messages=(user(text),), tools=(WEATHER,), reasoning=call.generation.reasoning)
    model = str(call.params["model"])
    answer = await session.generate(sent(base_url, question, model=model))
    (called,) = answer.tool_calls
    result = ToolResult(tool_call_id=called.id, name=called.name, parts=(Text("sunny"),))
    turns = (user(text), Message(Role.ASSISTANT, answer.parts), Message(Role.TOOL, (result,)))
    ours = await session.generate(
        sent(
            base_url,
            Generation(messages=turns, tools=(WEATHER,), reasoning=call.generation.reasoning),
            model=model,
        )
    )
    assert "1 thought came back as given" in ours.text
    # The SDK sends `citations` and `caller` round as well, which the digest of the sandbox's answer notes.
    assert len(ours.parts) == len(theirs.parts)
    changed = tuple(
        Reasoning(part.text + "!", part.signature) if isinstance(part, Reasoning) else part for part in answer.parts
    )
    turns = (user(text), Message(Role.ASSISTANT, changed), Message(Role.TOOL, (result,)))
    with pytest.raises(ProviderError) as caught:
        await session.generate(sent(base_url, Generation(messages=turns, tools=(WEATHER,)), model=model))
    assert "Invalid `signature`" in caught.value.message


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 504, 529])
async def test_the_sdk_sees_the_same_failure(
    session: HttpProviderSession, client: AsyncAnthropic, sandbox: Sandbox, status: int
) -> None:
    text = f"Hi [[sandbox status={status} retry_after=2]]"
    with pytest.raises(APIStatusError) as theirs:
        await client.messages.create(model=ANY, max_tokens=LIMIT, messages=[{"role": "user", "content": text}])
    with pytest.raises(ProviderError) as ours:
        await session.generate(sent(f"{sandbox.url}/anthropic", Generation(messages=(user(text),))))
    assert ours.value.status == theirs.value.status_code == status
    assert ours.value.retry_after_s == float(theirs.value.response.headers["retry-after"])
    if ours.value.message:
        assert ours.value.message in theirs.value.message


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.PROVIDER_INVALID_REQUEST),
        (429, Reason.PROVIDER_RATE_LIMITED),
        (500, Reason.PROVIDER_ERROR),
        (504, Reason.PROVIDER_TIMEOUT),
        (529, Reason.PROVIDER_OVERLOADED),
    ],
)
async def test_the_sdk_sees_the_same_failure_within_a_stream(
    session: HttpProviderSession, client: AsyncAnthropic, sandbox: Sandbox, status: int, reason: Reason
) -> None:
    text = f"Hi [[sandbox error_after=3 error_status={status}]]"
    with pytest.raises(APIStatusError):
        async with client.messages.stream(
            model=ANY, max_tokens=LIMIT, messages=[{"role": "user", "content": text}]
        ) as stream:
            await stream.get_final_message()
    with pytest.raises(ProviderError) as ours:
        await streamed(session, sent(f"{sandbox.url}/anthropic", Generation(messages=(user(text),))))
    assert ours.value.reason is reason
