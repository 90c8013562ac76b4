"""Our dialects against a provider that this project did not write: `@copilotkit/aimock` from npm.

Where it differs from OpenAI's own API, as found with 1.43.0:
- `*_tokens_details` of a fixture's usage are left out, so cached and reasoning tokens cannot be tried with it;
- with `include_usage` the chunks before the last have no `usage` at all instead of null;
- `truncateAfterChunks` destroys the connection before a byte has left: no status line, no chunk;
- text around a tool call keeps its place in a stream, where OpenAI has none after the calls;
- `malformedRate` answers a streamed call with `application/json`;
- text is cut every 20 UTF-16 units, also inside a surrogate pair: see the last test.
"""

import pytest
from orjson import loads

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    FinishReason,
    Generation,
    Image,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import CITY_SCHEMA_JSON, PIXEL, WEATHER, said
from tests.contract.dialects.folding import folded
from tests.contract.peers.aimock import API_KEY, Aimock
from tests.integration.router_providers.wire import dispatch, failure, open_session, reading, streamed

pytestmark = pytest.mark.peers

OSLO = '{"city":"Oslo","days":1}'
ROME = '{"city":"Rome, the eternal city of seven hills","days":2}'


def sent(aimock: Aimock, dialect: str, generation: Generation | str, key: str = API_KEY) -> Dispatch[Generation]:
    if isinstance(generation, str):
        generation = Generation(messages=(said(generation),))
    return dispatch(aimock.base_url, generation, dialect=dialect, key=key, model="gpt-4o-mini")


async def asked(session: HttpProviderSession, call: Dispatch[Generation]) -> Answer:
    """The answer, which is the same both ways."""
    whole = await session.generate(call)
    assert whole == folded(await streamed(session, call))
    return whole


async def test_text_is_the_same_streamed_and_whole(session: HttpProviderSession, aimock: Aimock, dialect: str) -> None:
    answer = await asked(session, sent(aimock, dialect, "PEER-TEXT"))
    assert answer.text == "The sky is blue because of Rayleigh scattering. «é€😀»"
    assert (answer.finish_reason, answer.tool_calls) == (FinishReason.STOP, ())
    assert answer.usage is not None
    assert min(answer.usage.input_tokens, answer.usage.output_tokens) > 0
    events = await streamed(session, sent(aimock, dialect, "PEER-TEXT"))
    assert sum(isinstance(event, TextDelta) for event in events) > 1


async def test_usage_is_what_the_provider_says(session: HttpProviderSession, aimock: Aimock, dialect: str) -> None:
    answer = await asked(session, sent(aimock, dialect, "PEER-USAGE"))
    assert answer.usage == TokenCounts(input_tokens=120, output_tokens=40)


@pytest.mark.parametrize(
    ("text", "reason", "raw"),
    [
        ("PEER-LENGTH", FinishReason.LENGTH, "length"),
        ("PEER-FILTER", FinishReason.CONTENT_FILTER, "content_filter"),
        ("PEER-NEW", FinishReason.UNKNOWN, "tired"),
    ],
)
async def test_finish_reasons_are_told_apart(
    session: HttpProviderSession, aimock: Aimock, dialect: str, text: str, reason: FinishReason, raw: str
) -> None:
    answer = await asked(session, sent(aimock, dialect, text))
    assert (answer.finish_reason, answer.raw_finish_reason) == (reason, raw)


async def test_parallel_tool_calls_and_their_results_make_a_conversation(
    session: HttpProviderSession, aimock: Aimock, dialect: str
) -> None:
    question = said("PEER-TOOLS")
    first = await asked(session, sent(aimock, dialect, Generation(messages=(question,), tools=(WEATHER,))))
    assert first.finish_reason is FinishReason.TOOL_CALLS
    assert first.tool_calls == (
        ToolCall(id="call_oslo", name="get_weather", arguments_json=OSLO),
        ToolCall(id="call_rome", name="get_weather", arguments_json=ROME),
    )
    results = tuple(
        ToolResult(tool_call_id=call.id, name="get_weather", parts=(Text("sunny"),)) for call in first.tool_calls
    )
    turns = (question, Message(Role.ASSISTANT, first.tool_calls), Message(Role.TOOL, results))
    second = await asked(session, sent(aimock, dialect, Generation(messages=turns, tools=(WEATHER,))))
    assert second.text == "Both are sunny."


async def test_text_around_a_tool_call_is_kept(session: HttpProviderSession, aimock: Aimock, dialect: str) -> None:
    whole = await session.generate(sent(aimock, dialect, "PEER-MIXED"))
    stream = folded(await streamed(session, sent(aimock, dialect, "PEER-MIXED")))
    call = ToolCall(id="call_mixed", name="get_weather", arguments_json=OSLO)
    assert whole.parts == (Text("Let me look. One moment."), call)
    assert stream.parts == (Text("Let me look. "), call, Text("One moment."))


async def test_json_is_asked_for_by_kind_and_by_schema(
    session: HttpProviderSession, aimock: Aimock, dialect: str
) -> None:
    schema = JsonSchemaFormat(name="trip", description="", schema_json=CITY_SCHEMA_JSON, strict=True)
    turns = (said("PEER-JSON"),)
    by_schema = await asked(session, sent(aimock, dialect, Generation(messages=turns, response_format=schema)))
    assert loads(by_schema.text) == {"city": "Oslo", "days": 3}
    any_json = await asked(session, sent(aimock, dialect, Generation(messages=turns, response_format=JsonFormat())))
    assert loads(any_json.text) == {"answer": 42}


async def test_an_image_beside_the_text_is_taken(session: HttpProviderSession, aimock: Aimock, dialect: str) -> None:
    parts = (Text("PEER-IMAGE"), Image(data=PIXEL, media_type="image/png"))
    answer = await asked(session, sent(aimock, dialect, Generation(messages=(Message(Role.USER, parts),))))
    assert answer.text == "A pixel."


async def test_shown_reasoning_is_no_part_of_the_answer(
    session: HttpProviderSession, aimock: Aimock, dialect: str
) -> None:
    assert (await asked(session, sent(aimock, dialect, "PEER-REASONING"))).text == "Four."


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("text", "reason", "status"),
    [
        ("PEER-ERROR-400", Reason.PROVIDER_INVALID_REQUEST, 400),
        ("PEER-ERROR-CONTEXT", Reason.CONTEXT_TOO_LONG, 400),
        ("PEER-ERROR-401", Reason.PROVIDER_KEY_REJECTED, 401),
        ("PEER-ERROR-403", Reason.PROVIDER_PERMISSION_DENIED, 403),
        ("PEER-ERROR-QUOTA", Reason.PROVIDER_BILLING, 429),
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
    session: HttpProviderSession, aimock: Aimock, dialect: str, text: str, reason: Reason, status: int, stream: bool
) -> None:
    error = await failure(session, sent(aimock, dialect, text), stream=stream)
    assert (error.reason, error.status) == (reason, status)
    # It sends `Retry-After: 1` with every 429.
    assert error.retry_after_s == (1.0 if status == 429 else None)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_comes_late_is_waited_for_as_long_as_the_timers_say(
    aimock: Aimock, dialect: str, stream: bool
) -> None:
    async with open_session(first_event_s=0.5) as hasty:
        error = await failure(hasty, sent(aimock, dialect, "PEER-CHAOS-LATENCY"), stream=stream)
    assert (error.reason, error.sent) == (Reason.PROVIDER_TIMEOUT, True)
    async with open_session(first_event_s=10) as patient:
        assert (await asked(patient, sent(aimock, dialect, "PEER-CHAOS-LATENCY"))).text == "Late."


@pytest.mark.parametrize("stream", [True, False])
async def test_a_wrong_key_is_refused(session: HttpProviderSession, aimock: Aimock, dialect: str, stream: bool) -> None:
    error = await failure(session, sent(aimock, dialect, "PEER-TEXT", key="sk-other"), stream=stream)
    assert (error.reason, error.status) == (Reason.PROVIDER_KEY_REJECTED, 401)


async def test_a_stream_cut_before_its_first_byte_is_unreachable(
    session: HttpProviderSession, aimock: Aimock, dialect: str
) -> None:
    error = await failure(session, sent(aimock, dialect, "PEER-TRUNCATED"), stream=True)
    assert error.reason is Reason.PROVIDER_UNREACHABLE


async def test_a_stream_cut_in_its_middle_gives_what_came_before(
    session: HttpProviderSession, aimock: Aimock, dialect: str
) -> None:
    text = ""
    with pytest.raises(ProviderError) as caught:
        async for events in reading(session, sent(aimock, dialect, "PEER-DISCONNECTED")):
            text += "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_UNREACHABLE, True)
    assert text
    assert "This answer is long enough to be cut in the middle of its way".startswith(text)


async def test_half_a_character_is_refused_in_a_stream(
    session: HttpProviderSession, aimock: Aimock, dialect: str
) -> None:
    call = sent(aimock, dialect, "PEER-SURROGATE")
    assert (await session.generate(call)).text == "0123456789abcdefghi😀!"
    error = await failure(session, call, stream=True)
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE
