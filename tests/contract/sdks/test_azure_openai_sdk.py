"""OpenAI's own client for Azure as the yardstick: it sends what we send and reads what we read."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import orjson
import pytest
from openai import APIStatusError, AsyncAzureOpenAI, AsyncOpenAI

from libs.sandbox import Sandbox
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Generation
from services.router.domain.ports import Dispatch
from services.router.providers.base import Options
from services.router.providers.dialects.azure_openai import AZURE_OPENAI
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import Call, said
from tests.contract.dialects.folding import folded
from tests.contract.sdks.chat_calls import CHAT_CALLS, END_USERS, OPENAI_CALLS
from tests.contract.sdks.test_openai_chat_sdk import echo, joined, read_by_sdk
from tests.integration.router_providers.wire import (
    CANARY,
    dispatch,
    embedding_dispatch,
    open_session,
    serving,
    streamed,
    whole,
)

VERSION = "2024-10-21"
NEWER_VERSION = "2025-04-01-preview"
NOT_IN_DATED = ("documents", "tier auto", "tier standard", "tier flex", "tier priority", "a key of the cache")
NEWER_CALLS: Mapping[str, Call] = {
    **CHAT_CALLS,
    **{name: call for name, call in OPENAI_CALLS.items() if name not in NOT_IN_DATED},
    "an end user": END_USERS["user"],
}
CALLS: Mapping[str, Call] = {
    name: call for name, call in NEWER_CALLS.items() if name != "sound" and "reasoning_effort" not in call.params
}
V1_CALLS: Mapping[str, Call] = {**CHAT_CALLS, **OPENAI_CALLS, "an end user": END_USERS["user"]}
ODD_NAME = "my gpt/4o?#%ü"


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


def sdk(endpoint: str, version: str = VERSION, **fields: Any) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(
        azure_endpoint=endpoint, api_version=version, max_retries=0, **(fields or {"api_key": CANARY})
    )


def arguments(call: Call, field: str = "max_completion_tokens") -> dict[str, Any]:
    limit = {field: call.output_limit} if call.output_limit is not None else {}
    return {**cast("dict[str, Any]", call.params), **limit}


def sent(base_url: str, call: Call, options: Options | None = None) -> Dispatch[Generation]:
    return dispatch(base_url, call.generation, dialect="azure_openai", output_limit=call.output_limit, options=options)


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_sends_the_same_request(session: HttpProviderSession, name: str) -> None:
    call = CALLS[name]
    async with serving(echo) as server:
        await session.generate(sent(server.url, call))
        await streamed(session, sent(server.url, call))
        async with sdk(server.url) as client:
            wanted = arguments(call, "max_tokens")
            await client.chat.completions.create(**wanted)
            usage: dict[str, Any] = {"stream_options": {"include_usage": True}}
            await client.chat.completions.create(**wanted, **usage, stream=True)
    ours, our_stream, theirs, their_stream = server.bodies()
    assert ours == theirs == wanted
    assert our_stream == their_stream
    for mine, other in zip(server.exchanges[:2], server.exchanges[2:], strict=True):
        assert (mine.method, mine.path) == (other.method, other.path)
        assert mine.headers["api-key"] == other.headers["api-key"] == CANARY
        assert "authorization" not in mine.headers


@pytest.mark.parametrize("name", NEWER_CALLS)
async def test_newer_versions_know_sound_and_reasoning(
    session: HttpProviderSession, sandbox: Sandbox, name: str
) -> None:
    call, options = NEWER_CALLS[name], {"api_version": NEWER_VERSION}
    async with serving(echo) as server:
        await session.generate(sent(server.url, call, options))
        async with sdk(server.url, NEWER_VERSION) as client:
            await client.chat.completions.create(**arguments(call))
    ours, theirs = server.exchanges
    assert orjson.loads(ours.body) == orjson.loads(theirs.body) == arguments(call)
    assert ours.path == theirs.path
    async with sdk(f"{sandbox.url}/azure", NEWER_VERSION) as client:
        answer = read_by_sdk(await client.chat.completions.create(**arguments(call)))
    assert await session.generate(sent(f"{sandbox.url}/azure", call, options)) == answer


@pytest.mark.parametrize("name", V1_CALLS)
async def test_the_version_without_a_date_is_openai_s_own(session: HttpProviderSession, name: str) -> None:
    call = V1_CALLS[name]
    async with serving(echo) as server:
        await session.generate(sent(server.url, call, {"api_version": "v1"}))
        async with AsyncOpenAI(base_url=f"{server.url}/openai/v1/", api_key=CANARY, max_retries=0) as client:
            await client.chat.completions.create(**arguments(call))
    ours, theirs = server.bodies()
    assert ours == theirs == arguments(call)
    assert server.exchanges[0].path == server.exchanges[1].path == "/openai/v1/chat/completions"


async def test_deployments_may_have_any_name(session: HttpProviderSession) -> None:
    async with serving(echo) as server:
        await session.generate(dispatch(server.url, dialect="azure_openai", model=ODD_NAME))
        async with sdk(server.url) as client:
            await client.chat.completions.create(model=ODD_NAME, messages=[{"role": "user", "content": "Hello"}])
    ours, theirs = server.exchanges
    assert ours.path == theirs.path


async def test_vectors_come_from_a_deployment_too(session: HttpProviderSession) -> None:
    async def one_vector(exchange: Any) -> None:
        await exchange.send(whole({"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 1}}))

    async with serving(one_vector) as server:
        request = Embedding(inputs=("Bread",))
        await session.embed(embedding_dispatch(server.url, request, dialect="azure_openai", model="embed"))
        async with sdk(server.url) as client:
            await client.embeddings.create(model="embed", input=["Bread"], encoding_format="base64")
    ours, theirs = server.exchanges
    assert ours.path == theirs.path == f"/openai/deployments/embed/embeddings?api-version={VERSION}"
    assert orjson.loads(ours.body) == orjson.loads(theirs.body)


async def test_a_token_of_entra_goes_where_the_sdk_puts_it() -> None:
    headers = AZURE_OPENAI.key_headers("token-1", {"auth": "entra"})
    async with serving(echo) as server, sdk(server.url, azure_ad_token="token-1") as client:
        await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
    assert headers == {"Authorization": server.exchanges[0].headers["authorization"]}
    assert "api-key" not in server.exchanges[0].headers


@pytest.mark.parametrize("name", CALLS)
async def test_the_sdk_reads_the_same_answer(session: HttpProviderSession, sandbox: Sandbox, name: str) -> None:
    call, base_url = CALLS[name], f"{sandbox.url}/azure"
    wanted = arguments(call, "max_tokens")
    async with sdk(base_url) as client:
        theirs = await client.chat.completions.create(**wanted)
        assert await session.generate(sent(base_url, call)) == read_by_sdk(theirs)
        chunks = await client.chat.completions.create(**wanted, stream=True, stream_options={"include_usage": True})
        assert folded(await streamed(session, sent(base_url, call))) == joined([chunk async for chunk in chunks])


@pytest.mark.parametrize("version", ["v1", "preview", VERSION])
async def test_every_version_has_its_paths(session: HttpProviderSession, sandbox: Sandbox, version: str) -> None:
    call = CHAT_CALLS["text"]
    answer = await session.generate(sent(f"{sandbox.url}/azure", call, {"api_version": version}))
    assert answer.text
    assert AZURE_OPENAI.models_path({"api_version": version}) in (
        "/openai/v1/models",
        "/openai/v1/models?api-version=preview",
        f"/openai/models?api-version={VERSION}",
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("status=400 code=content_filter", Reason.CONTENT_REFUSED),
        ("status=400 code=context_length_exceeded", Reason.CONTEXT_TOO_LONG),
        ("status=401", Reason.PROVIDER_KEY_REJECTED),
        ("status=403", Reason.PROVIDER_PERMISSION_DENIED),
        ("status=404", Reason.PROVIDER_MODEL_NOT_FOUND),
        ("status=429 retry_after=2", Reason.PROVIDER_RATE_LIMITED),
        ("status=429 code=insufficient_quota", Reason.PROVIDER_BILLING),
        ("status=500", Reason.PROVIDER_ERROR),
        ("status=503", Reason.PROVIDER_OVERLOADED),
    ],
)
async def test_the_sdk_sees_the_same_failure(
    session: HttpProviderSession, sandbox: Sandbox, words: str, reason: Reason
) -> None:
    text, base_url = f"Hi [[sandbox {words}]]", f"{sandbox.url}/azure"
    async with sdk(base_url) as client:
        with pytest.raises(APIStatusError) as theirs:
            await client.chat.completions.create(model="sandbox-small", messages=[{"role": "user", "content": text}])
    with pytest.raises(ProviderError) as ours:
        await session.generate(dispatch(base_url, Generation(messages=(said(text),)), dialect="azure_openai"))
    assert (ours.value.status, ours.value.reason) == (theirs.value.status_code, reason)
    hint = theirs.value.response.headers.get("retry-after")
    assert ours.value.retry_after_s == (float(hint) if hint else None)
    if ours.value.message:
        assert ours.value.message in theirs.value.message
