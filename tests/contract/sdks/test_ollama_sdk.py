"""Ollama's own client as the yardstick: it sends what our dialect sends and reads what it reads.

Intended differences: we always say `truncate` and `shift`, which the client has no arguments for, so that nothing is
cut off silently; an empty `content` is sent, which the client leaves out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp
import orjson
import pytest
from ollama import AsyncClient, ChatResponse, ResponseError

from libs.core.money import TokenCounts
from libs.sandbox import Sandbox
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError
from services.router.domain.generation import (
    Answer,
    Effort,
    FinishReason,
    Generation,
    Reasoning,
    ReasoningRequest,
    Text,
    ToolCall,
)
from services.router.domain.ports import Dispatch
from services.router.providers.dialects.ollama import OLLAMA
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import said
from tests.contract.dialects.folding import folded
from tests.contract.sdks.ollama_calls import CALLS, MODEL, Call
from tests.integration.router_providers.wire import (
    CANARY,
    Exchange,
    dispatch,
    embedding_dispatch,
    open_session,
    serving,
    streamed,
    whole,
)

DONE = {"model": MODEL, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
OURS = {"truncate": False, "shift": False}


def sdk(base_url: str) -> AsyncClient:
    return AsyncClient(host=base_url, headers={"authorization": f"Bearer {CANARY}"})


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


@pytest.fixture
def base_url(sandbox: Sandbox) -> str:
    return f"{sandbox.url}/ollama"


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[AsyncClient]:
    async with sdk(base_url) as running:
        yield running


def sent(base_url: str, call: Call) -> Dispatch[Generation]:
    return dispatch(base_url, call.generation, dialect="ollama", output_limit=call.output_limit, options=call.options)


async def echo(exchange: Exchange) -> None:
    if orjson.loads(exchange.body)["stream"]:
        await exchange.send(whole(orjson.dumps(DONE) + b"\n", content_type="application/x-ndjson"))
    else:
        await exchange.send(whole(DONE))


def without_empty(body: dict[str, Any]) -> dict[str, Any]:
    messages = [{key: value for key, value in each.items() if value != ""} for each in body["messages"]]
    return {**body, "messages": messages}


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_sends_the_same_body(session: HttpProviderSession, name: str) -> None:
    call = CALLS[name]
    async with serving(echo) as server, sdk(server.url) as client:
        await session.generate(sent(server.url, call))
        await streamed(session, sent(server.url, call))
        await client.chat(MODEL, **call.arguments)
        _ = [line async for line in await client.chat(MODEL, **call.arguments, stream=True)]
    ours, our_stream, theirs, their_stream = server.bodies()
    # The client says it when there are no tools.
    theirs, their_stream = _with_tools_only(theirs), _with_tools_only(their_stream)
    assert without_empty(ours) == {**theirs, **OURS}
    assert without_empty(our_stream) == {**their_stream, **OURS}
    assert our_stream == {**ours, "stream": True}
    for mine, other in zip(server.exchanges[:2], server.exchanges[2:], strict=True):
        assert (mine.method, mine.path) == (other.method, other.path) == ("POST", "/api/chat")
        for header in ("authorization", "content-type"):
            assert mine.headers[header] == other.headers[header]


def _with_tools_only(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if (key, value) != ("tools", [])}


def read_by_sdk(lines: Iterable[ChatResponse]) -> Answer:
    """The SDK's answer in our words, by the tables of the design."""
    thinking = text = ""
    calls: list[ToolCall] = []
    last: ChatResponse | None = None
    for line in lines:
        thinking += line.message.thinking or ""
        text += line.message.content or ""
        for call in line.message.tool_calls or ():
            arguments = orjson.dumps(dict(call.function.arguments)).decode()
            calls.append(ToolCall(id=f"call_{len(calls)}", name=call.function.name, arguments_json=arguments))
        last = line
    assert last is not None
    assert last.done
    raw = last.done_reason or ""
    usage = None
    if last.prompt_eval_count:
        usage = TokenCounts(input_tokens=last.prompt_eval_count, output_tokens=last.eval_count or 0)
    return Answer(
        parts=(*((Reasoning(thinking),) if thinking else ()), *((Text(text),) if text else ()), *calls),
        finish_reason=_reason(raw, called=bool(calls)),
        raw_finish_reason=raw,
        usage=usage,
    )


def _reason(raw: str, *, called: bool) -> FinishReason:
    if called:
        return FinishReason.TOOL_CALLS
    return FinishReason(raw) if raw in {"stop", "length"} else FinishReason.UNKNOWN


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_reads_the_same_answer(
    session: HttpProviderSession, client: AsyncClient, base_url: str, name: str
) -> None:
    call = CALLS[name]
    theirs = await client.chat(MODEL, **call.arguments)
    ours = await session.generate(sent(base_url, call))
    # `truncate` and `shift` are part of the question, so the sandbox picks its words by them.
    assert same_shape(ours) == same_shape(read_by_sdk([theirs]))
    lines = [line async for line in await client.chat(MODEL, **call.arguments, stream=True)]
    assert read_by_sdk(lines) == read_by_sdk([theirs])
    assert folded(await streamed(session, sent(base_url, call))) == ours


def same_shape(answer: Answer) -> object:
    return (
        [type(part) for part in answer.parts],
        [(call.id, call.name) for call in answer.tool_calls],
        answer.finish_reason,
        answer.raw_finish_reason,
        None if answer.usage is None else answer.usage.input_tokens,
    )


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_reads_what_we_asked_for_as_we_do(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, name: str
) -> None:
    """The very bytes of an answer, read by both."""
    call = CALLS[name]
    ours = await session.generate(sent(base_url, call))
    url, body = f"{base_url}/api/chat", sandbox.requests[0].body
    async with aiohttp.ClientSession() as http, http.post(url, data=body) as response:
        theirs = ChatResponse(**await response.json())
    assert ours == read_by_sdk([theirs])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_sdk_sees_the_same_failure(
    session: HttpProviderSession, client: AsyncClient, base_url: str, status: int, stream: bool
) -> None:
    text = f"Hi [[sandbox status={status}]]"
    call = dispatch(base_url, Generation(messages=(said(text),)), dialect="ollama")
    messages = [{"role": "user", "content": text}]
    with pytest.raises(ResponseError) as theirs:
        if stream:
            _ = [line async for line in await client.chat(MODEL, messages, stream=True)]
        else:
            await client.chat(MODEL, messages)
    with pytest.raises(ProviderError) as ours:
        await (streamed(session, call) if stream else session.generate(call))
    assert ours.value.status == theirs.value.status_code
    if ours.value.message:
        assert ours.value.message in theirs.value.error


async def test_the_sdk_sees_the_same_failure_inside_a_stream(
    session: HttpProviderSession, client: AsyncClient, base_url: str
) -> None:
    text = "Hi [[sandbox error_after=2]]"
    with pytest.raises(ResponseError):
        _ = [line async for line in await client.chat(MODEL, [{"role": "user", "content": text}], stream=True)]
    with pytest.raises(ProviderError) as ours:
        await streamed(session, dispatch(base_url, Generation(messages=(said(text),)), dialect="ollama"))
    assert ours.value.sent


async def test_hidden_thoughts_are_left_out_both_ways(session: HttpProviderSession, base_url: str) -> None:
    request = Generation(messages=(said("Hi"),), reasoning=ReasoningRequest(effort=Effort.HIGH, hide=True))
    call = dispatch(base_url, request, dialect="ollama")
    answer = await session.generate(call)
    assert [type(part) for part in answer.parts] == [Text]
    assert folded(await streamed(session, call)) == answer


@pytest.mark.parametrize("dimensions", [None, 16])
async def test_embeddings_are_asked_for_and_read_as_the_sdk_does(
    session: HttpProviderSession, client: AsyncClient, sandbox: Sandbox, base_url: str, dimensions: int | None
) -> None:
    inputs = ("Hello", "Straße 😀", "")
    request = Embedding(inputs=inputs, dimensions=dimensions)
    options = {"num_ctx": 512.0, "keep_alive": "0"}
    call = embedding_dispatch(base_url, request, dialect="ollama", model="sandbox-embed", options=options)
    ours = await session.embed(call)
    theirs = await client.embed(
        "sandbox-embed", inputs, truncate=False, dimensions=dimensions, options={"num_ctx": 512}, keep_alive=0
    )
    mine, other = (orjson.loads(each.body) for each in sandbox.requests)
    assert mine == other
    assert [list(each) for each in ours.vectors] == [pytest.approx(list(each)) for each in theirs.embeddings]
    assert {len(each) for each in ours.vectors} == {dimensions or 256}
    assert ours.usage == TokenCounts(input_tokens=theirs.prompt_eval_count or 0)
    billed = [record for record in sandbox.bill.records() if record.event == "finished"]
    assert [(each.operation, each.prompt_tokens) for each in billed] == [("embeddings", theirs.prompt_eval_count)] * 2


async def test_the_sdk_lists_the_same_models(client: AsyncClient, sandbox: Sandbox, base_url: str) -> None:
    listed = {each.model for each in (await client.list()).models}
    async with aiohttp.ClientSession() as http, http.get(f"{base_url}/api/tags") as response:
        names = OLLAMA.decode_models(await response.read())
    assert listed < names
    assert names - listed == {name.removesuffix(":latest") for name in listed if name} == set(sandbox.models)
