"""Vectors of OpenAI's and Azure's API from a provider that this project did not write: `@copilotkit/aimock` from npm.

Where it differs from OpenAI's own API, as found with 1.43.0:
- vectors are lists of numbers, whatever `encoding_format` asks for;
- usage is all zeros;
- a fixture's vector is the answer to every input, and `dimensions` do not cut it.
"""

import pytest

from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.peers.aimock import API_KEY, Aimock
from tests.integration.router_providers.wire import embedding_dispatch

pytestmark = pytest.mark.peers

SURFACES = {
    "openai": ("openai", "/v1", {}),
    "compatible": ("openai_compatible", "/v1", {}),
    "azure, a date": ("azure_openai", "", {"api_version": "2024-10-21"}),
    "azure, v1": ("azure_openai", "", {"api_version": "v1"}),
}


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> str:
    """The ways to its vectors."""
    return str(request.param)


def sent(
    aimock: Aimock, surface: str, *inputs: str, key: str = API_KEY, dimensions: int | None = None
) -> Dispatch[Embedding]:
    dialect, path, options = SURFACES[surface]
    request = Embedding(inputs=inputs, dimensions=dimensions)
    model = "text-embedding-3-small"
    return embedding_dispatch(aimock.url + path, request, dialect=dialect, key=key, model=model, options=options)


async def test_each_input_has_its_vector(session: HttpProviderSession, aimock: Aimock, surface: str) -> None:
    vectors = await session.embed(sent(aimock, surface, "PEER-VECTOR", "and another"))
    assert [list(each) for each in vectors.vectors] == [[0.5, -0.25, 1.0]] * 2
    assert vectors.usage is None


async def test_inputs_that_differ_have_vectors_that_do(
    session: HttpProviderSession, aimock: Aimock, surface: str
) -> None:
    one, other = (await session.embed(sent(aimock, surface, "Bread", "Butter", dimensions=8))).vectors
    assert len(one) == len(other) == 8
    assert one != other
    assert (await session.embed(sent(aimock, surface, "Butter", dimensions=8))).vectors == (other,)


@pytest.mark.parametrize(
    ("text", "reason", "status"),
    [
        ("PEER-INPUT-400", Reason.PROVIDER_INVALID_REQUEST, 400),
        ("PEER-INPUT-LONG", Reason.CONTEXT_TOO_LONG, 400),
        ("PEER-INPUT-QUOTA", Reason.PROVIDER_BILLING, 429),
        ("PEER-INPUT-503", Reason.PROVIDER_OVERLOADED, 503),
        ("PEER-INPUT-DROP", Reason.PROVIDER_ERROR, 500),
        ("PEER-INPUT-RATELIMIT", Reason.PROVIDER_RATE_LIMITED, 429),
        ("PEER-INPUT-MALFORMED", Reason.PROVIDER_BAD_RESPONSE, 200),
        ("PEER-INPUT-DISCONNECT", Reason.PROVIDER_UNREACHABLE, 0),
    ],
)
async def test_failures_and_chaos_have_their_classes(
    session: HttpProviderSession, aimock: Aimock, surface: str, text: str, reason: Reason, status: int
) -> None:
    with pytest.raises(ProviderError) as caught:
        await session.embed(sent(aimock, surface, text))
    error = caught.value
    assert (error.reason, error.status, error.retry_after_s) == (reason, status, 1.0 if status == 429 else None)


async def test_a_wrong_key_is_refused(session: HttpProviderSession, aimock: Aimock, surface: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await session.embed(sent(aimock, surface, "PEER-VECTOR", key="sk-other"))
    assert (caught.value.reason, caught.value.status) == (Reason.PROVIDER_KEY_REJECTED, 401)
