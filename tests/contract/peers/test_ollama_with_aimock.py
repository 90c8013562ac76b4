"""Ollama's API against a provider that this project did not write: `@copilotkit/aimock` from npm.

Where it differs from Ollama's own API, as found with 1.43.0:
- thoughts are in `reasoning_content` and not in `thinking`, so they cannot be tried with it;
- all counts and durations are zero, where Ollama leaves a zero out;
- `done_reason` is always `stop`, whatever a fixture says;
- errors are objects with a type and a code as OpenAI has them; Ollama's are a text;
- `/api/embed` takes several inputs and answers with the `embedding` of `/api/embeddings`;
- `format` is not what a fixture's `responseFormat` matches, so JSON cannot be tried with it;
- text around a tool call keeps its place in a stream, and is put together before the calls in a whole answer;
- what `test_dialects_with_aimock.py` says of cuts, chaos and surrogate pairs.
"""

import pytest

from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    FinishReason,
    Generation,
    Image,
    Message,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.domain.probe import Endpoint
from services.router.providers.dialects.ollama import OLLAMA
from services.router.providers.http.model_lists import HttpModelLists
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import PIXEL, WEATHER, said
from tests.contract.dialects.folding import folded
from tests.contract.peers.aimock import API_KEY, Aimock
from tests.integration.router_providers.wire import dispatch, embedding_dispatch, failure, reading, streamed

pytestmark = pytest.mark.peers

OSLO = '{"city":"Oslo","days":1}'
ROME = '{"city":"Rome, the eternal city of seven hills","days":2}'


def sent(aimock: Aimock, generation: Generation | str) -> Dispatch[Generation]:
    if isinstance(generation, str):
        generation = Generation(messages=(said(generation),))
    return dispatch(aimock.url, generation, dialect="ollama", key=API_KEY, model="llama3")


async def asked(session: HttpProviderSession, call: Dispatch[Generation]) -> Answer:
    """The answer, which is the same both ways."""
    whole = await session.generate(call)
    assert whole == folded(await streamed(session, call))
    return whole


async def test_text_is_the_same_streamed_and_whole(session: HttpProviderSession, aimock: Aimock) -> None:
    answer = await asked(session, sent(aimock, "PEER-TEXT"))
    assert answer.text == "The sky is blue because of Rayleigh scattering. «é€😀»"
    assert (answer.finish_reason, answer.raw_finish_reason) == (FinishReason.STOP, "stop")
    # Nothing is counted, so nothing is known.
    assert answer.usage is None
    events = await streamed(session, sent(aimock, "PEER-TEXT"))
    assert sum(isinstance(event, TextDelta) for event in events) > 1


async def test_parallel_tool_calls_get_ids_of_ours(session: HttpProviderSession, aimock: Aimock) -> None:
    answer = await asked(session, sent(aimock, Generation(messages=(said("PEER-TOOLS"),), tools=(WEATHER,))))
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert answer.tool_calls == (
        ToolCall(id="call_0", name="get_weather", arguments_json=OSLO),
        ToolCall(id="call_1", name="get_weather", arguments_json=ROME),
    )


async def test_a_conversation_with_tools_is_taken(session: HttpProviderSession, aimock: Aimock) -> None:
    call = ToolCall(id="call_0", name="get_weather", arguments_json=OSLO)
    result = ToolResult(tool_call_id="call_0", name="get_weather", parts=(Text("sunny"),))
    turns = (said("Weather?"), Message(Role.ASSISTANT, (call,)), Message(Role.TOOL, (result,)), said("PEER-TEXT"))
    answer = await asked(session, sent(aimock, Generation(messages=turns, tools=(WEATHER,))))
    assert answer.text.startswith("The sky is blue")


async def test_what_stands_around_a_tool_call_is_all_there(session: HttpProviderSession, aimock: Aimock) -> None:
    whole = await session.generate(sent(aimock, "PEER-MIXED"))
    stream = folded(await streamed(session, sent(aimock, "PEER-MIXED")))
    call = ToolCall(id="call_0", name="get_weather", arguments_json=OSLO)
    assert whole.parts == (Text("Let me look. One moment."), call)
    assert stream.parts == (Text("Let me look. "), call, Text("One moment."))


async def test_an_image_beside_the_text_is_taken(session: HttpProviderSession, aimock: Aimock) -> None:
    parts = (Text("PEER-IMAGE"), Image(data=PIXEL, media_type="image/png"))
    answer = await asked(session, sent(aimock, Generation(messages=(Message(Role.USER, parts),))))
    assert answer.text == "A pixel."


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("text", "reason", "status"),
    [
        ("PEER-ERROR-400", Reason.PROVIDER_INVALID_REQUEST, 400),
        ("PEER-ERROR-CONTEXT", Reason.CONTEXT_TOO_LONG, 400),
        ("PEER-ERROR-401", Reason.PROVIDER_KEY_REJECTED, 401),
        ("PEER-ERROR-403", Reason.PROVIDER_PERMISSION_DENIED, 403),
        ("PEER-ERROR-429", Reason.PROVIDER_RATE_LIMITED, 429),
        ("PEER-ERROR-500", Reason.PROVIDER_ERROR, 500),
        ("PEER-ERROR-503", Reason.PROVIDER_OVERLOADED, 503),
        ("PEER without a fixture", Reason.PROVIDER_MODEL_NOT_FOUND, 404),
        ("PEER-CHAOS-DROP", Reason.PROVIDER_ERROR, 500),
        ("PEER-CHAOS-RATELIMIT", Reason.PROVIDER_RATE_LIMITED, 429),
        ("PEER-CHAOS-MALFORMED", Reason.PROVIDER_BAD_RESPONSE, 200),
        ("PEER-CHAOS-DISCONNECT", Reason.PROVIDER_UNREACHABLE, 0),
    ],
)
async def test_failures_and_chaos_have_their_classes(
    session: HttpProviderSession, aimock: Aimock, text: str, reason: Reason, status: int, stream: bool
) -> None:
    error = await failure(session, sent(aimock, text), stream=stream)
    assert (error.reason, error.status) == (reason, status)
    assert error.retry_after_s == (1.0 if status == 429 else None)


async def test_a_stream_cut_in_its_middle_gives_what_came_before(session: HttpProviderSession, aimock: Aimock) -> None:
    text = ""
    with pytest.raises(ProviderError) as caught:
        async for events in reading(session, sent(aimock, "PEER-DISCONNECTED")):
            text += "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_UNREACHABLE, True)
    assert text
    assert "This answer is long enough to be cut in the middle of its way".startswith(text)


async def test_half_a_character_is_refused_in_a_stream(session: HttpProviderSession, aimock: Aimock) -> None:
    call = sent(aimock, "PEER-SURROGATE")
    assert (await session.generate(call)).text == "0123456789abcdefghi😀!"
    error = await failure(session, call, stream=True)
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE


async def test_one_vector_for_several_inputs_is_refused(session: HttpProviderSession, aimock: Aimock) -> None:
    call = embedding_dispatch(
        aimock.url, Embedding(inputs=("a", "b")), dialect="ollama", key=API_KEY, model="nomic-embed-text"
    )
    with pytest.raises(ProviderError) as caught:
        await session.embed(call)
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE


async def test_its_models_are_listed(session: HttpProviderSession, aimock: Aimock) -> None:
    lists = HttpModelLists(session._http, {"ollama": OLLAMA}, connect_s=5.0)
    call = sent(aimock, "Hi")
    endpoint = Endpoint(type="ollama", base_url=aimock.url, origin=aimock.url)
    assert "gpt-4o" in await lists.read(endpoint, call.key, timeout_s=5)
