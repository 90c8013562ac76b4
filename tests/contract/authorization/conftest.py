"""Who is who in the matrix."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from libs.telemetry.telemetry import configure
from tests.contract.authorization.callers import SERVICES, Tokens
from tests.identities import Identities


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    return Identities(tmp_path_factory.mktemp("identities") / "state", SERVICES)


@pytest.fixture(scope="session")
def tokens(identities: Identities) -> Tokens:
    return Tokens(identities)


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """A line for every denial would take most of the time."""
    telemetry = configure("matrix", log_level="error", stream=io.BytesIO())
    yield
    telemetry.restore_logs()
