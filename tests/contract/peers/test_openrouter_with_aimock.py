"""OpenRouter as a provider that this project did not write plays it: `@copilotkit/aimock` from npm.

Where it differs from OpenRouter's own API, as found with 1.43.0:
- there are no comments between events and no `reasoning_details`;
- errors have a status and words only, without `metadata`: a billing failure cannot be told from a rate limit;
- details of usage come from a fixture's `openRouter` only, not from its usage;
- what `test_dialects_with_aimock.py` says of cuts, chaos and surrogate pairs.
"""

import pytest

from libs.core.money import TokenCounts
from services.router.domain.errors import Reason
from services.router.domain.generation import (
    Answer,
    Effort,
    FinishReason,
    Generation,
    Reasoning,
    ReasoningRequest,
    Text,
)
from services.router.domain.ports import Dispatch
from services.router.domain.probe import Endpoint
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from services.router.providers.http.model_lists import HttpModelLists
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.calls import WEATHER, said
from tests.contract.dialects.folding import folded
from tests.contract.peers.aimock import API_KEY, Aimock
from tests.integration.router_providers.wire import dispatch, failure, streamed

pytestmark = pytest.mark.peers

MODEL = "openai/gpt-5"


def sent(aimock: Aimock, generation: Generation | str, key: str = API_KEY) -> Dispatch[Generation]:
    if isinstance(generation, str):
        generation = Generation(messages=(said(generation),))
    options = {"server": "openrouter"}
    return dispatch(
        f"{aimock.url}/api/v1", generation, dialect="openai_compatible", key=key, model=MODEL, options=options
    )


async def asked(session: HttpProviderSession, call: Dispatch[Generation]) -> Answer:
    """The answer, which is the same both ways."""
    whole = await session.generate(call)
    assert whole == folded(await streamed(session, call))
    return whole


async def test_usage_sums_to_the_total(session: HttpProviderSession, aimock: Aimock) -> None:
    answer = await asked(session, sent(aimock, "PEER-OPENROUTER"))
    assert answer.text == "Counted, with details."
    assert answer.usage == TokenCounts(
        input_tokens=15, cache_read_tokens=100, cache_write_tokens=5, output_tokens=10, reasoning_tokens=30
    )
    assert answer.usage.total == 160


async def test_thoughts_are_apart(session: HttpProviderSession, aimock: Aimock) -> None:
    wanted = ReasoningRequest(effort=Effort.HIGH)
    answer = await asked(session, sent(aimock, Generation(messages=(said("PEER-REASONING"),), reasoning=wanted)))
    assert answer.parts == (Reasoning("Two and two."), Text("Four."))


async def test_tool_calls_are_taken(session: HttpProviderSession, aimock: Aimock) -> None:
    answer = await asked(session, sent(aimock, Generation(messages=(said("PEER-TOOLS"),), tools=(WEATHER,))))
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert [call.id for call in answer.tool_calls] == ["call_oslo", "call_rome"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("text", "reason", "status"),
    [
        ("PEER-ERROR-CONTEXT", Reason.CONTEXT_TOO_LONG, 400),
        ("PEER-ERROR-QUOTA", Reason.PROVIDER_RATE_LIMITED, 429),
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


@pytest.mark.parametrize("stream", [True, False])
async def test_a_wrong_key_is_refused(session: HttpProviderSession, aimock: Aimock, stream: bool) -> None:
    error = await failure(session, sent(aimock, "PEER-TEXT", key="sk-other"), stream=stream)
    assert (error.reason, error.status) == (Reason.PROVIDER_KEY_REJECTED, 401)


async def test_its_models_are_listed(session: HttpProviderSession, aimock: Aimock) -> None:
    lists = HttpModelLists(session._http, {"openai_compatible": OPENAI_COMPATIBLE}, connect_s=5.0)
    endpoint = Endpoint(type="openai_compatible", base_url=f"{aimock.url}/api/v1", origin=aimock.url)
    assert "openai/gpt-4o" in await lists.read(endpoint, sent(aimock, "Hi").key, timeout_s=5)
