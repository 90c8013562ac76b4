"""A store of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.key_vault.domain.ports import KeyStore
from tests.integration.key_vault.storage.stored_keys import opened_store
from tests.unit.key_vault.memory import MemoryStore


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyStore]:
    """An empty store of each kind: they behave alike."""
    if request.param == "memory":
        yield MemoryStore()
        return
    async with opened_store(request.getfixturevalue(f"{request.param}_url")) as opened:
        yield opened
