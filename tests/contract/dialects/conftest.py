from collections.abc import AsyncIterator

import pytest

from libs.sandbox import Sandbox
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import open_session


@pytest.fixture(scope="session", params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    """Every way to speak to a provider in turn."""
    return VARIANTS[request.param]


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


@pytest.fixture
def base_url(sandbox: Sandbox, variant: Variant) -> str:
    """The sandbox in the words of the variant."""
    return sandbox.url + variant.path


@pytest.fixture(params=["openai", "openai_compatible"])
def dialect(request: pytest.FixtureRequest) -> str:
    """The dialects that speak Chat Completions under `/v1`."""
    return str(request.param)
