"""What all tests share: databases, and no network beyond this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgresMissing, PostgresServer


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let Unix sockets through pytest-socket; the hosts it lets through stand in pyproject.toml."""
    if not config.getoption("--allow-hosts"):
        raise pytest.UsageError("pytest's addopts must name the hosts tests may reach (--allow-hosts)")
    config.option.allow_unix_socket = True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL. Skips where none is installed, unless GATEHOUSE_REQUIRE_POSTGRES=1 (as in CI)."""
    try:
        server = PostgresServer()
    except PostgresMissing as missing:
        if os.environ.get("GATEHOUSE_REQUIRE_POSTGRES") == "1":
            pytest.fail(f"GATEHOUSE_REQUIRE_POSTGRES is set, but there is {missing}")
        pytest.skip(str(missing))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; a test that asks for it runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
