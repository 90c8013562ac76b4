from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import pytest

from libs.sandbox import Sandbox
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.registry import DIALECTS
from tests.integration.router_providers.wire import open_session

# Where the sandbox speaks each dialect. A new dialect needs an entry: the contract is for all of them.
PATHS: Mapping[str, str] = MappingProxyType({"openai": "/v1", "openai_compatible": "/v1"})


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> str:
    """Every dialect in turn."""
    return str(request.param)


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


@pytest.fixture
def base_url(sandbox: Sandbox, dialect: str) -> str:
    """The sandbox in the words of the dialect."""
    return sandbox.url + PATHS[dialect]
