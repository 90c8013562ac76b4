"""Azure's paths and keys against a provider that this project did not write: `@copilotkit/aimock` from npm.

Where it differs from Azure's own API, as found with 1.43.0:
- the version is not looked at, and any deployment is there;
- there are no results of content filters, and errors are those of OpenAI;
- the path without a deployment in it is taken for OpenAI's own;
- what `test_dialects_with_aimock.py` says of usage, cuts, chaos and surrogate pairs.
"""

import pytest
from orjson import loads

from libs.core.money import TokenCounts
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Generation,
    JsonFormat,
    Message,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import WEATHER, said
from tests.contract.dialects.folding import folded
from tests.contract.peers.aimock import API_KEY, Aimock
from tests.integration.router_providers.wire import dispatch, failure, reading, streamed

pytestmark = pytest.mark.peers


@pytest.fixture(params=["2024-10-21", "2025-04-01-preview", "v1", "preview"])
def version(request: pytest.FixtureRequest) -> str:
    """Versions with the deployment in the path, and without."""
    return str(request.param)


def sent(aimock: Aimock, version: str, generation: Generation | str, key: str = API_KEY) -> Dispatch[Generation]:
    if isinstance(generation, str):
        generation = Generation(messages=(said(generation),))
    return dispatch(
        aimock.url,
        generation,
        dialect="azure_openai",
        key=key,
        model="my gpt",
        options={"api_version": version},
        output_limit=100,
    )


async def asked(session: HttpProviderSession, call: Dispatch[Generation]) -> Answer:
    """The answer, which is the same both ways."""
    whole = await session.generate(call)
    assert whole == folded(await streamed(session, call))
    return whole


async def test_text_is_the_same_streamed_and_whole(session: HttpProviderSession, aimock: Aimock, version: str) -> None:
    answer = await asked(session, sent(aimock, version, "PEER-TEXT"))
    assert answer.text == "The sky is blue because of Rayleigh scattering. «é€😀»"


async def test_usage_is_what_the_provider_says(session: HttpProviderSession, aimock: Aimock, version: str) -> None:
    answer = await asked(session, sent(aimock, version, "PEER-USAGE"))
    assert answer.usage == TokenCounts(input_tokens=120, output_tokens=40)


async def test_parallel_tool_calls_and_their_results_make_a_conversation(
    session: HttpProviderSession, aimock: Aimock, version: str
) -> None:
    question = said("PEER-TOOLS")
    request = Generation(messages=(question,), tools=(WEATHER,), tool_choice=ToolChoiceMode.REQUIRED)
    first = await asked(session, sent(aimock, version, request))
    assert [call.id for call in first.tool_calls] == ["call_oslo", "call_rome"]
    results = tuple(
        ToolResult(tool_call_id=call.id, name="get_weather", parts=(Text("sunny"),)) for call in first.tool_calls
    )
    turns = (question, Message(Role.ASSISTANT, first.parts), Message(Role.TOOL, results))
    assert (await asked(session, sent(aimock, version, Generation(messages=turns, tools=(WEATHER,))))).text == (
        "Both are sunny."
    )


async def test_text_around_a_tool_call_and_json_are_taken(
    session: HttpProviderSession, aimock: Aimock, version: str
) -> None:
    answer = await session.generate(sent(aimock, version, "PEER-MIXED"))
    assert answer.text == "Let me look. One moment."
    assert answer.tool_calls == (
        ToolCall(id="call_mixed", name="get_weather", arguments_json='{"city":"Oslo","days":1}'),
    )
    json = Generation(messages=(said("PEER-JSON"),), response_format=JsonFormat())
    assert loads((await asked(session, sent(aimock, version, json))).text) == {"answer": 42}


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
    session: HttpProviderSession, aimock: Aimock, text: str, reason: Reason, status: int, stream: bool
) -> None:
    error = await failure(session, sent(aimock, "2024-10-21", text), stream=stream)
    assert (error.reason, error.status, error.retry_after_s) == (reason, status, 1.0 if status == 429 else None)


async def test_a_wrong_key_is_refused(session: HttpProviderSession, aimock: Aimock, version: str) -> None:
    error = await failure(session, sent(aimock, version, "PEER-TEXT", key="sk-other"), stream=True)
    assert (error.reason, error.status) == (Reason.PROVIDER_KEY_REJECTED, 401)


async def test_a_stream_cut_in_its_middle_gives_what_came_before(
    session: HttpProviderSession, aimock: Aimock, version: str
) -> None:
    text = ""
    with pytest.raises(ProviderError) as caught:
        async for events in reading(session, sent(aimock, version, "PEER-DISCONNECTED")):
            text += "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_UNREACHABLE, True)
    assert "This answer is long enough to be cut in the middle of its way".startswith(text)
