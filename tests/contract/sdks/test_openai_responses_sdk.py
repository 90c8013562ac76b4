"""OpenAI's own client as the yardstick for Responses: it sends what we send and reads what we read."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import orjson
import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from libs.core.money import TokenCounts
from libs.sandbox import Sandbox
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    AnswerPart,
    FinishReason,
    Generation,
    Message,
    Reasoning,
    ReasoningDelta,
    Role,
    Signature,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import WEATHER, said
from tests.contract.dialects.folding import folded
from tests.contract.sdks.responses_calls import CALLS, SENT_BACK, Call, with_usual
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

NOTHING = {"id": "resp_1", "object": "response", "status": "completed", "output": []}
RECORDED: Mapping[str, Call] = {**CALLS, "thoughts sent back": SENT_BACK}


def sdk(base_url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=base_url, api_key=CANARY, max_retries=0)


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AsyncOpenAI]:
    async with sdk(f"{sandbox.url}/v1") as running:
        yield running


def arguments(params: ResponseCreateParamsNonStreaming) -> dict[str, Any]:
    """What a caller gives the SDK for this call."""
    return cast("dict[str, Any]", with_usual(params))


def sent(base_url: str, generation: Generation, output_limit: int | None = None, **fields: Any) -> Dispatch[Generation]:
    return dispatch(base_url, generation, options={"api": "responses"}, output_limit=output_limit, **fields)


async def echo(exchange: Exchange) -> None:
    if orjson.loads(exchange.body).get("stream"):
        await streaming(event({"type": "response.completed", "sequence_number": 0, "response": NOTHING}))(exchange)
    else:
        await exchange.send(whole(NOTHING))


@pytest.mark.parametrize("name", RECORDED)
async def test_the_sdk_sends_the_same_body(session: HttpProviderSession, name: str) -> None:
    call = RECORDED[name]
    async with serving(echo) as server, sdk(server.base_url) as client:
        ours = sent(server.base_url, call.generation, call.output_limit)
        await session.generate(ours)
        await streamed(session, ours)
        await client.responses.create(**arguments(call.params))
        await client.responses.create(**arguments(call.params), stream=True)
    whole_body, stream_body, their_whole, their_stream = server.bodies()
    assert whole_body == their_whole == arguments(call.params)
    assert stream_body == their_stream
    assert {key: value for key, value in stream_body.items() if key not in whole_body} == {"stream": True}
    for mine, other in zip(server.exchanges[:2], server.exchanges[2:], strict=True):
        assert (mine.method, mine.path) == (other.method, other.path) == ("POST", "/v1/responses")
        for header in ("authorization", "content-type"):
            assert mine.headers[header] == other.headers[header]


def read_by_sdk(response: Response) -> Answer:
    """The SDK's answer in our words, by the tables of the design."""
    parts: list[AnswerPart] = []
    refused = False
    for item in response.output:
        match item.type:
            case "reasoning":
                text = "\n\n".join(each.text for each in item.summary)
                mark = {"id": item.id, "encrypted_content": item.encrypted_content}
                if len(item.summary) > 1:
                    mark["summary"] = [len(each.text) for each in item.summary]  # type: ignore[assignment]
                parts.append(Reasoning(text, Signature(orjson.dumps(mark)) if item.encrypted_content else None))
            case "message":
                for content in item.content:
                    refused = refused or content.type == "refusal"
                    parts.append(Text(content.refusal if content.type == "refusal" else content.text))
            case "function_call":
                parts.append(ToolCall(id=item.call_id, name=item.name, arguments_json=item.arguments))
    assert response.status is not None
    raw: str = response.status
    if response.incomplete_details is not None:
        raw = response.incomplete_details.reason or raw
    called = any(isinstance(part, ToolCall) for part in parts)
    return Answer(
        parts=tuple(parts),
        finish_reason=_reason(raw, called=called, refused=refused),
        raw_finish_reason=raw,
        usage=_counts(response),
    )


def _reason(raw: str, *, called: bool, refused: bool) -> FinishReason:
    if raw == "completed":
        return FinishReason.REFUSAL if refused else FinishReason.TOOL_CALLS if called else FinishReason.STOP
    known = {"max_output_tokens": FinishReason.LENGTH, "content_filter": FinishReason.CONTENT_FILTER}
    return known.get(raw, FinishReason.UNKNOWN)


def _counts(response: Response) -> TokenCounts | None:
    usage = response.usage
    if usage is None:
        return None
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    read, written = usage.input_tokens_details.cached_tokens, usage.input_tokens_details.cache_write_tokens
    reasoning = usage.output_tokens_details.reasoning_tokens
    return TokenCounts(
        input_tokens=usage.input_tokens - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens - reasoning,
        reasoning_tokens=reasoning,
    )


def pieces(events: list[ResponseStreamEvent]) -> list[str]:
    """The texts of the SDK's deltas."""
    return [
        each.delta
        for each in events
        if each.type
        in {
            "response.output_text.delta",
            "response.refusal.delta",
            "response.reasoning_summary_text.delta",
            "response.function_call_arguments.delta",
        }
        and isinstance(each.delta, str)
    ]


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_reads_the_same_answer(
    session: HttpProviderSession, client: AsyncOpenAI, sandbox: Sandbox, name: str
) -> None:
    call = CALLS[name]
    ours = sent(f"{sandbox.url}/v1", call.generation, call.output_limit)
    theirs = read_by_sdk(await client.responses.create(**arguments(call.params)))
    assert await session.generate(ours) == theirs
    mine = await streamed(session, ours)
    events = [each async for each in await client.responses.create(**arguments(call.params), stream=True)]
    assert folded(mine) == theirs
    last = events[-1]
    assert last.type in {"response.completed", "response.incomplete"}
    assert read_by_sdk(last.response) == theirs
    # Piece by piece, but for the line ends between the parts of a summary.
    texts = [
        each.arguments_json if isinstance(each, ToolArgumentsDelta) else each.text
        for each in mine
        if isinstance(each, TextDelta | ReasoningDelta | ToolArgumentsDelta)
    ]
    assert [text.removeprefix("\n\n") for text in texts if text] == pieces(events)
    assert [each.sequence_number for each in events] == list(range(len(events)))


async def test_the_sdk_s_own_stream_helper_agrees(
    session: HttpProviderSession, client: AsyncOpenAI, sandbox: Sandbox
) -> None:
    call = CALLS["hidden reasoning before tools"]
    async with client.responses.stream(**arguments(call.params)) as stream:
        async for _ in stream:
            pass
        theirs = await stream.get_final_response()
    ours = folded(await streamed(session, sent(f"{sandbox.url}/v1", call.generation)))
    assert ours == read_by_sdk(theirs)


@pytest.mark.parametrize("words", ["reasoning=9 show_reasoning", "reasoning=9", "reasoning=4 show_reasoning"])
async def test_thoughts_go_back_as_they_came(session: HttpProviderSession, sandbox: Sandbox, words: str) -> None:
    question = said(f"Weather? [[sandbox {words} tools=2]]")
    first = await session.generate(sent(f"{sandbox.url}/v1", Generation(messages=(question,), tools=(WEATHER,))))
    results = tuple(
        ToolResult(tool_call_id=call.id, name=call.name, parts=(Text("sunny"),)) for call in first.tool_calls
    )

    def again(parts: tuple[AnswerPart, ...]) -> Generation:
        turns = (question, Message(Role.ASSISTANT, parts), Message(Role.TOOL, results))
        return Generation(messages=turns, tools=(WEATHER,))

    second = await session.generate(sent(f"{sandbox.url}/v1", again(first.parts)))
    assert "1 thought came back as given." in second.text
    thought = first.parts[0]
    assert isinstance(thought, Reasoning)
    assert thought.signature is not None
    foreign = Reasoning(thought.text, Signature(thought.signature.data.replace(b"rs_", b"rs_0")))
    with pytest.raises(ProviderError) as caught:
        await session.generate(sent(f"{sandbox.url}/v1", again((foreign, *first.parts[1:]))))
    assert (caught.value.reason, caught.value.status) == (Reason.PROVIDER_INVALID_REQUEST, 400)
    assert "could not be verified" in caught.value.message


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
async def test_the_sdk_sees_the_same_failure(
    session: HttpProviderSession, client: AsyncOpenAI, sandbox: Sandbox, status: int
) -> None:
    text = f"Hi [[sandbox status={status} retry_after=2]]"
    with pytest.raises(APIStatusError) as theirs:
        await client.responses.create(model="sandbox-small", input=text)
    with pytest.raises(ProviderError) as ours:
        await session.generate(sent(f"{sandbox.url}/v1", Generation(messages=(said(text),))))
    assert ours.value.status == theirs.value.status_code
    assert ours.value.retry_after_s == float(theirs.value.response.headers["retry-after"])
    if ours.value.message:
        assert ours.value.message in theirs.value.message


WRONG: Mapping[str, dict[str, Any]] = {
    "seed": {"input": "Hi", "seed": 1},
    "stop": {"input": "Hi", "stop": ["END"]},
    "messages": {"messages": [{"role": "user", "content": "Hi"}]},
    "previous_response_id": {"input": "Hi", "previous_response_id": "resp_1"},
    "input": {"input": []},
    "input[0].content[0].type": {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "Hi"}]}]},
    "input[0].call_id": {"input": [{"type": "function_call", "call_id": "x" * 65, "name": "f", "arguments": "{}"}]},
    "input[0]": {"input": [{"type": "function_call_output", "call_id": "call_1", "output": ""}]},
    "input[0].content[0]": {
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_file", "file_url": "https://example.com/a.pdf", "filename": "a.pdf"}],
            }
        ]
    },
    # Unsaid, a tool is strict.
    "tools[0].parameters": {
        "input": "Hi",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
    },
    "text.format.schema": {
        "input": "Hi",
        "text": {"format": {"type": "json_schema", "name": "a", "strict": True, "schema": {"type": "object"}}},
    },
    "include": {"input": "Hi", "model": "gpt-4o-mini", "include": ["reasoning.encrypted_content"]},
    "reasoning.effort": {"input": "Hi", "model": "gpt-4o-mini", "reasoning": {"effort": "low"}},
}


@pytest.mark.parametrize("param", WRONG)
async def test_the_sandbox_refuses_what_openai_refuses(client: AsyncOpenAI, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.post("/responses", cast_to=object, body={"model": "sandbox-small", **WRONG[param]})
    assert caught.value.param == param


async def test_models_that_never_reason_are_not_asked_for_sealed_thoughts(
    session: HttpProviderSession, sandbox: Sandbox
) -> None:
    answer = await session.generate(sent(f"{sandbox.url}/v1", Generation(messages=(said("Hi"),)), model="gpt-4o-mini"))
    assert answer.finish_reason is FinishReason.STOP
