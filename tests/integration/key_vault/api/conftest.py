"""A served key_vault: on SQLite, and on either database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.key_vault.api.served_key_vault import ServedKeyVault, served_key_vault
from tests.vault import ThrowAwayVault


@pytest.fixture
async def world(tmp_path: Path, openbao: ThrowAwayVault) -> AsyncIterator[ServedKeyVault]:
    """Served on SQLite."""
    async with served_key_vault(tmp_path, openbao, f"sqlite:///{tmp_path}/key-vault.db") as served:
        yield served


@pytest.fixture
async def served(tmp_path: Path, openbao: ThrowAwayVault, database_url: str) -> AsyncIterator[ServedKeyVault]:
    """Served on SQLite and on PostgreSQL."""
    async with served_key_vault(tmp_path, openbao, database_url) as running:
        yield running
