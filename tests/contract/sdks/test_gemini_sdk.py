"""Google's own client as the yardstick: it sends what our dialect sends and reads what it reads.

The differences intended: the SDK writes some names of fields as the .proto files have them and base64 in the alphabet
for URLs; the API takes both.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from google.genai import Client, errors, types
from google.genai.client import AsyncClient
from google.oauth2.credentials import Credentials

from libs.core.money import TokenCounts
from libs.sandbox import Sandbox
from libs.sandbox.dialects.google_tokens import google_service_account
from services.router.domain.embedding import Embedding, EmbeddingPurpose
from services.router.domain.errors import ProviderError
from services.router.domain.generation import (
    Answer,
    AnswerPart,
    FinishReason,
    Generation,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.providers.dialects.gemini import GEMINI
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.folding import folded
from tests.contract.sdks.gemini_calls import ANSWERS, CALLS, CLOCK, FUNCTIONS, LIMIT, MODEL, WEATHER, Call, said, turn
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

# The SDK's own way to use aiohttp.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

PLACE = "projects/sandbox-project/locations/europe-west1/publishers/google"
ANSWER = {"candidates": [{"content": {"parts": [{"text": "Hi."}], "role": "model"}, "finishReason": "STOP"}]}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


@pytest.fixture
async def session(sandbox: Sandbox) -> AsyncIterator[HttpProviderSession]:
    async with open_session(issuers={"google": f"{sandbox.url}/google"}) as running:
        yield running


@asynccontextmanager
async def sdk(url: str, token: str = "") -> AsyncIterator[AsyncClient]:
    """For the Gemini API with a key; for Vertex AI with a token."""
    options = types.HttpOptions(base_url=url, api_version="v1" if token else "v1beta")
    if token:
        credentials = Credentials(token=token)  # type: ignore[no-untyped-call]
        client = Client(
            vertexai=True,
            project="sandbox-project",
            location="europe-west1",
            credentials=credentials,
            http_options=options,
        )
    else:
        client = Client(api_key=CANARY, vertexai=False, http_options=options)
    async with client.aio as running:
        yield running
    client.close()


def sent(base_url: str, call: Call | Generation, **fields: Any) -> Dispatch[Generation]:
    request = call if isinstance(call, Generation) else call.generation
    model = MODEL if isinstance(call, Generation) else call.model
    return dispatch(base_url, request, dialect="gemini", output_limit=LIMIT, model=model, **fields)


def config(call: Call) -> types.GenerateContentConfig:
    """What a caller gives the SDK for this call: our calls always name the limit."""
    off = types.AutomaticFunctionCallingConfig(disable=True)
    return call.config.model_copy(update={"max_output_tokens": LIMIT, "automatic_function_calling": off})


async def echo(exchange: Exchange) -> None:
    if "stream" in exchange.path:
        await streaming(event(ANSWER))(exchange)
    elif "mbed" in exchange.path:
        await exchange.send(whole({"embeddings": [{"values": [1.0, 0.0]}, {"values": [0.0, 1.0]}]}))
    else:
        await exchange.send(whole(ANSWER))


def canonical(value: Any) -> Any:
    """A body of the SDK as the API reads it: names of fields in either case, base64 in either alphabet."""
    if isinstance(value, list):
        return [canonical(each) for each in value]
    if not isinstance(value, dict):
        return value
    read: dict[str, Any] = {}
    for name, each in value.items():
        head, *tail = name.split("_")
        field = head + "".join(word.capitalize() for word in tail)
        if field in {"args", "response", "parametersJsonSchema", "responseJsonSchema"}:
            read[field] = each
        elif field == "data":
            read[field] = each.replace("-", "+").replace("_", "/")
        else:
            read[field] = canonical(each)
    return read


async def ask_both(client: AsyncClient, call: Call) -> None:
    models = client.models
    await models.generate_content(model=call.model, contents=call.contents, config=config(call))
    async for _ in await models.generate_content_stream(model=call.model, contents=call.contents, config=config(call)):
        pass


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_sends_the_same(session: HttpProviderSession, name: str) -> None:
    call = CALLS[name]
    async with serving(echo) as server:
        ours_to_send = sent(f"{server.url}/v1beta", call)
        await session.generate(ours_to_send)
        await streamed(session, ours_to_send)
        async with sdk(server.url) as client:
            await ask_both(client, call)
    ours, our_stream, theirs, their_stream = server.bodies()
    assert ours == canonical(theirs)
    assert our_stream == canonical(their_stream) == ours
    for mine, other in zip(server.exchanges[:2], server.exchanges[2:], strict=True):
        assert (mine.method, mine.path) == (other.method, other.path)
        for header in ("content-type", "x-goog-api-key"):
            assert mine.headers[header] == other.headers[header]
        assert CANARY not in mine.path


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_sends_the_same_to_vertex(session: HttpProviderSession, name: str) -> None:
    call = CALLS[name]
    async with serving(echo) as server:
        ours_to_send = sent(f"{server.url}/v1/{PLACE}", call, key=google_service_account())
        await session.generate(ours_to_send)
        await streamed(session, ours_to_send)
        token = server.exchanges[0].headers["authorization"].removeprefix("Bearer ")
        async with sdk(server.url, token) as client:
            await ask_both(client, call)
    ours, our_stream, theirs, their_stream = server.bodies()
    assert ours == canonical(theirs)
    assert our_stream == canonical(their_stream) == ours
    for mine, other in zip(server.exchanges[:2], server.exchanges[2:], strict=True):
        assert (mine.method, mine.path) == (other.method, other.path)
        assert mine.headers["authorization"] == other.headers["authorization"]
        assert "x-goog-api-key" not in mine.headers


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("tunedModels/mine-1", "/tunedModels/mine-1"),
    ],
)
async def test_names_of_models_may_say_where_they_are(session: HttpProviderSession, model: str, path: str) -> None:
    async with serving(echo) as server:
        await session.generate(dispatch(f"{server.url}/v1beta", said_hello(), dialect="gemini", model=model))
        async with sdk(server.url) as client:
            await client.models.generate_content(model=model, contents="Hello")
    assert [each.path for each in server.exchanges] == [f"/v1beta{path}:generateContent"] * 2


def said_hello() -> Generation:
    return Generation(messages=(said("Hello"),))


def read_by_sdk(response: types.GenerateContentResponse) -> Answer:
    """The SDK's answer in our words, by the tables of the design."""
    assert response.candidates is not None
    (candidate,) = response.candidates
    content = candidate.content
    parts: list[AnswerPart] = []
    calls = 0
    for part in (content.parts if content else None) or ():
        if part.function_call is not None:
            call, mark = part.function_call, _mark(part)
            arguments = orjson.dumps(call.args).decode()
            call_id = call.id or f"call_{response.response_id}_{calls}"
            parts.append(ToolCall(id=call_id, name=str(call.name), arguments_json=arguments, signature=mark))
            calls += 1
        elif part.thought:
            parts.append(Reasoning(part.text or "", _mark(part)))
        else:
            _say(parts, part)
    raw = candidate.finish_reason.value if candidate.finish_reason else ""
    words = {"STOP": FinishReason.STOP, "MAX_TOKENS": FinishReason.LENGTH, "SAFETY": FinishReason.CONTENT_FILTER}
    return Answer(
        parts=tuple(parts),
        finish_reason=FinishReason.TOOL_CALLS if calls else words[raw],
        raw_finish_reason=raw,
        usage=_counts(response.usage_metadata),
    )


def _say(parts: list[AnswerPart], part: types.Part) -> None:
    said_now = part.text or ""
    if said_now and parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text + said_now)
    elif said_now:
        parts.append(Text(said_now))
    if (mark := _mark(part)) is not None:
        parts.append(Reasoning("", Signature(b"%d:" % len(said_now) + mark.data)))


def _mark(part: types.Part) -> Signature | None:
    if part.thought_signature is None:
        return None
    written = part.model_dump(mode="json")["thought_signature"]
    return Signature(written.replace("-", "+").replace("_", "/").encode())


def _counts(usage: types.GenerateContentResponseUsageMetadata | None) -> TokenCounts | None:
    if usage is None:
        return None
    cached = usage.cached_content_token_count or 0
    counts = TokenCounts(
        input_tokens=(usage.prompt_token_count or 0) - cached,
        cache_read_tokens=cached,
        output_tokens=usage.candidates_token_count or 0,
        reasoning_tokens=usage.thoughts_token_count or 0,
    )
    assert counts.total == usage.total_token_count
    return counts


def joined(chunks: list[types.GenerateContentResponse]) -> Answer:
    """The SDK's chunks put together by hand."""
    parts = [part for chunk in chunks for part in _parts(chunk)]
    thoughts = "".join(part.text or "" for part in parts if part.thought)
    spoken = [part for part in parts if not part.thought]
    merged = [types.Part(text=thoughts, thought=True), *spoken] if thoughts else spoken
    last = chunks[-1].model_copy(deep=True)
    assert last.candidates
    last.candidates[0].content = types.Content(role="model", parts=merged)
    return read_by_sdk(last)


def _parts(chunk: types.GenerateContentResponse) -> list[types.Part]:
    content = chunk.candidates[0].content if chunk.candidates else None
    return (content.parts if content else None) or []


ASKED = {
    "thoughts": ("Hi [[sandbox cached=5 tokens=10]]", ReasoningRequest(budget_tokens=5)),
    "no usage": ("Hi [[sandbox no_usage]]", None),
    "the limit is met": ("Hi [[sandbox finish=MAX_TOKENS]]", None),
    "filtered": ("Hi [[sandbox finish=SAFETY]]", None),
    "tools after thoughts": ("Hi [[sandbox tools=3 reasoning=4]]", None),
    "words before tools": ("Hi [[sandbox tools=2 text_before_tools]]", None),
}


def _asked(name: str) -> Call:
    text, reasoning = ASKED[name]
    level = types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW, include_thoughts=True)
    tools = "tools" in text
    return Call(
        generation=Generation(messages=(said(text),), reasoning=reasoning, tools=(WEATHER, CLOCK) if tools else ()),
        contents=[turn("user", text)],
        config=types.GenerateContentConfig(
            thinking_config=level if reasoning else None, tools=[FUNCTIONS] if tools else None
        ),
    )


@pytest.mark.parametrize("name", [*ANSWERS, *ASKED])
async def test_the_sdk_reads_the_same_answer(session: HttpProviderSession, sandbox: Sandbox, name: str) -> None:
    call = CALLS[name] if name in CALLS else _asked(name)
    ours_to_send = sent(f"{sandbox.url}/gemini/v1beta", call)
    asked: dict[str, Any] = {"model": call.model, "contents": call.contents, "config": config(call)}
    async with sdk(f"{sandbox.url}/gemini") as client:
        theirs = await client.models.generate_content(**asked)
        chunks = [chunk async for chunk in await client.models.generate_content_stream(**asked)]
    assert await session.generate(ours_to_send) == read_by_sdk(theirs)
    assert folded(await streamed(session, ours_to_send)) == joined(chunks)


async def test_a_conversation_with_thoughts_and_tools_goes_on(session: HttpProviderSession, sandbox: Sandbox) -> None:
    base_url = f"{sandbox.url}/gemini/v1beta"
    asked = said("Hi [[sandbox tools=2 reasoning=4 show_reasoning]]")
    first = await session.generate(sent(base_url, Generation(messages=(asked,), tools=(WEATHER, CLOCK))))
    assert [call.signature is not None for call in first.tool_calls] == [True, False]
    results = tuple(
        ToolResult(tool_call_id=call.id, name=call.name, parts=(Text("clear"),)) for call in first.tool_calls
    )
    turns = (asked, Message(Role.ASSISTANT, first.parts), Message(Role.TOOL, results))
    second = await session.generate(sent(base_url, Generation(messages=turns, tools=(WEATHER, CLOCK))))
    assert "1 thought came back as given" in second.text
    assert isinstance(second.parts[-1], Reasoning)
    third = (*turns, Message(Role.ASSISTANT, second.parts), said("And now?"))
    assert "2 thoughts came back as given" in (await session.generate(sent(base_url, Generation(messages=third)))).text


async def test_a_signature_that_was_changed_is_noticed(session: HttpProviderSession, sandbox: Sandbox) -> None:
    spoken = Message(Role.ASSISTANT, (Text("It is."), Reasoning("", Signature(b"6:QUJD"))))
    with pytest.raises(ProviderError) as refused:
        await session.generate(
            sent(f"{sandbox.url}/gemini/v1beta", Generation(messages=(said("Hi"), spoken, said("So?"))))
        )
    assert refused.value.message == "Corrupted thought signature."


async def test_vertex_is_called_with_a_token(session: HttpProviderSession, sandbox: Sandbox) -> None:
    call = sent(f"{sandbox.url}/gemini/v1/{PLACE}", said_hello(), key=google_service_account())
    assert (await session.generate(call)).finish_reason is FinishReason.STOP
    assert folded(await streamed(session, call)).finish_reason is FinishReason.STOP
    exchanges = [request for request in sandbox.requests if request.path == "/google/token"]
    assert len(exchanges) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_the_sdk_sees_the_same_failure(session: HttpProviderSession, sandbox: Sandbox, status: int) -> None:
    text = f"Hi [[sandbox status={status} retry_after=2.5]]"
    async with sdk(f"{sandbox.url}/gemini") as client:
        with pytest.raises(errors.APIError) as theirs:
            await client.models.generate_content(model=MODEL, contents=text)
    with pytest.raises(ProviderError) as ours:
        await session.generate(sent(f"{sandbox.url}/gemini/v1beta", Generation(messages=(said(text),))))
    assert (ours.value.status, ours.value.retry_after_s) == (theirs.value.code, 2.5)
    if ours.value.message:
        assert ours.value.message in str(theirs.value.message)


async def test_the_sdk_lists_the_same_models(sandbox: Sandbox) -> None:
    async with sdk(f"{sandbox.url}/gemini") as client:
        pager = await client.models.list(config=types.ListModelsConfig(page_size=1000))
        theirs = {str(model.name) async for model in pager}
    body = sandbox_list(sandbox)
    assert GEMINI.decode_models(body) == {name.removeprefix("models/") for name in theirs}


def sandbox_list(sandbox: Sandbox) -> bytes:
    return orjson.dumps({"models": [{"name": f"models/{name}"} for name in sandbox.models]})


INPUTS = ("The dog is cute", "The cat is cute")


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
@pytest.mark.parametrize("vertex", [False, True])
async def test_the_sdk_asks_for_the_same_vectors(session: HttpProviderSession, model: str, *, vertex: bool) -> None:
    request = Embedding(inputs=INPUTS, dimensions=2, purpose=EmbeddingPurpose.QUERY)
    fields: dict[str, Any] = {"options": {"auth": "service_account"}} if vertex else {}
    async with serving(echo) as server:
        base_url = f"{server.url}/v1/{PLACE}" if vertex else f"{server.url}/v1beta"
        key = google_service_account() if vertex else CANARY
        ours = await session.embed(dispatch(base_url, request, dialect="gemini", model=model, key=key, **fields))  # type: ignore[arg-type]
        async with sdk(server.url, "token" if vertex else "") as client:
            theirs = await client.models.embed_content(
                model=model,
                contents=[turn("user", text) for text in INPUTS],
                config=types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=2),
            )
    mine, other = server.exchanges
    assert (mine.method, mine.path) == (other.method, other.path)
    assert orjson.loads(mine.body) == canonical(orjson.loads(other.body))
    assert [list(vector) for vector in ours.vectors] == [each.values for each in theirs.embeddings or ()]


async def test_vertex_predicts_vectors_of_older_models(session: HttpProviderSession, sandbox: Sandbox) -> None:
    request = Embedding(inputs=INPUTS, dimensions=8, purpose=EmbeddingPurpose.DOCUMENT)
    base_url, options = f"{sandbox.url}/gemini/v1/{PLACE}", {"auth": "service_account"}
    call = dispatch(
        base_url,
        request,  # type: ignore[arg-type]
        dialect="gemini",
        model="sandbox-embed",
        key=google_service_account(),
        options=options,
    )
    ours = await session.embed(call)  # type: ignore[arg-type]
    token = sandbox.requests[-1].headers
    assert "x-goog-api-key" not in token
    assert [len(vector) for vector in ours.vectors] == [8, 8]
