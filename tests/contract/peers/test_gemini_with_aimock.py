"""Gemini's API and Vertex AI's against a provider that this project did not write: `@copilotkit/aimock` from npm.

Where it differs from Google's own APIs, as found with 1.43.0:
- a function call ends with `FUNCTION_CALL`, a finish reason that Gemini does not have;
- of embeddings it has `embedContent` for one text and no `batchEmbedContents`, so they cannot be tried;
- `cachedContentTokenCount` and `thoughtsTokenCount` are left out, so caches and thoughts cannot be counted with it;
- thoughts have no signatures, and nothing says `responseId` or `modelVersion`;
- `parametersJsonSchema` is not read, and `responseJsonSchema` is not what a fixture's `responseFormat` matches, so JSON
  cannot be tried with it;
- errors keep the types that the fixtures have from OpenAI as `status`, and have no details: `RetryInfo` and reasons
  cannot be tried;
- it has no list of Gemini's models;
- what `test_dialects_with_aimock.py` says of cuts, chaos and surrogate pairs.
"""

import pytest

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Effort,
    FinishReason,
    Generation,
    Image,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import PIXEL, WEATHER, said
from tests.contract.dialects.folding import folded
from tests.contract.peers.aimock import API_KEY, Aimock
from tests.integration.router_providers.wire import dispatch, failure, reading, streamed

pytestmark = pytest.mark.peers

OSLO = '{"city":"Oslo","days":1}'
ROME = '{"city":"Rome, the eternal city of seven hills","days":2}'


@pytest.fixture(params=["/v1beta", "/v1/projects/p/locations/europe-west4/publishers/google"], ids=["gemini", "vertex"])
def base_url(request: pytest.FixtureRequest, aimock: Aimock) -> str:
    """Where the two APIs are."""
    return f"{aimock.url}{request.param}"


def sent(base_url: str, generation: Generation | str, model: str = "gemini-2.5-flash") -> Dispatch[Generation]:
    if isinstance(generation, str):
        generation = Generation(messages=(said(generation),))
    return dispatch(base_url, generation, dialect="gemini", key=API_KEY, model=model, output_limit=4096)


async def asked(session: HttpProviderSession, call: Dispatch[Generation]) -> Answer:
    """The answer, which is the same both ways."""
    whole = await session.generate(call)
    assert whole == folded(await streamed(session, call))
    return whole


async def test_text_is_the_same_streamed_and_whole(session: HttpProviderSession, base_url: str) -> None:
    answer = await asked(session, sent(base_url, "PEER-TEXT"))
    assert answer.text == "The sky is blue because of Rayleigh scattering. «é€😀»"
    assert (answer.finish_reason, answer.raw_finish_reason) == (FinishReason.STOP, "STOP")
    events = await streamed(session, sent(base_url, "PEER-TEXT"))
    assert sum(isinstance(event, TextDelta) for event in events) > 1


async def test_usage_is_what_the_provider_says(session: HttpProviderSession, base_url: str) -> None:
    answer = await asked(session, sent(base_url, "PEER-USAGE"))
    assert answer.usage == TokenCounts(input_tokens=120, output_tokens=40)


@pytest.mark.parametrize(
    ("text", "reason", "raw"),
    [
        ("PEER-LENGTH", FinishReason.LENGTH, "MAX_TOKENS"),
        ("PEER-FILTER", FinishReason.CONTENT_FILTER, "SAFETY"),
        ("PEER-NEW", FinishReason.UNKNOWN, "tired"),
    ],
)
async def test_ends_are_told_apart(
    session: HttpProviderSession, base_url: str, text: str, reason: FinishReason, raw: str
) -> None:
    answer = await asked(session, sent(base_url, text))
    assert (answer.finish_reason, answer.raw_finish_reason) == (reason, raw)


async def test_parallel_tool_calls_and_their_results_make_a_conversation(
    session: HttpProviderSession, base_url: str
) -> None:
    question = said("PEER-TOOLS")
    first = await asked(session, sent(base_url, Generation(messages=(question,), tools=(WEATHER,))))
    assert first.finish_reason is FinishReason.TOOL_CALLS
    assert first.tool_calls == (
        ToolCall(id="call_oslo", name="get_weather", arguments_json=OSLO),
        ToolCall(id="call_rome", name="get_weather", arguments_json=ROME),
    )
    results = tuple(
        ToolResult(tool_call_id=call.id, name="get_weather", parts=(Text("sunny"),)) for call in first.tool_calls
    )
    turns = (question, Message(Role.ASSISTANT, first.parts), Message(Role.TOOL, results))
    second = await asked(session, sent(base_url, Generation(messages=turns, tools=(WEATHER,))))
    assert second.text == "Both are sunny."


async def test_what_stands_around_a_tool_call_keeps_its_place(session: HttpProviderSession, base_url: str) -> None:
    answer = await asked(session, sent(base_url, "PEER-MIXED"))
    assert answer.parts == (
        Text("Let me look. "),
        ToolCall(id="call_mixed", name="get_weather", arguments_json=OSLO),
        Text("One moment."),
    )


async def test_an_image_beside_the_text_is_taken(session: HttpProviderSession, base_url: str) -> None:
    parts = (Text("PEER-IMAGE"), Image(data=PIXEL, media_type="image/png"))
    answer = await asked(session, sent(base_url, Generation(messages=(Message(Role.USER, parts),))))
    assert answer.text == "A pixel."


async def test_thoughts_come_apart(session: HttpProviderSession, base_url: str) -> None:
    wanted = ReasoningRequest(effort=Effort.HIGH)
    call = sent(base_url, Generation(messages=(said("PEER-REASONING"),), reasoning=wanted))
    assert (await asked(session, call)).parts == (Reasoning("Two and two."), Text("Four."))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("text", "reason", "status"),
    [
        ("PEER-ERROR-400", Reason.PROVIDER_INVALID_REQUEST, 400),
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
    session: HttpProviderSession, base_url: str, text: str, reason: Reason, status: int, stream: bool
) -> None:
    error = await failure(session, sent(base_url, text), stream=stream)
    assert (error.reason, error.status) == (reason, status)
    assert error.retry_after_s == (1.0 if status == 429 else None)


async def test_a_stream_cut_before_its_first_byte_is_unreachable(session: HttpProviderSession, base_url: str) -> None:
    error = await failure(session, sent(base_url, "PEER-TRUNCATED"), stream=True)
    assert error.reason is Reason.PROVIDER_UNREACHABLE


async def test_a_stream_cut_in_its_middle_gives_what_came_before(session: HttpProviderSession, base_url: str) -> None:
    said_before = ""
    with pytest.raises(ProviderError) as caught:
        async for events in reading(session, sent(base_url, "PEER-DISCONNECTED")):
            said_before += "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_UNREACHABLE, True)
    assert "This answer is long enough to be cut in the middle of its way".startswith(said_before)
