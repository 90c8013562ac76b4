"""Database URLs."""

from __future__ import annotations

import pytest

from libs.storage.engines import PostgresBackend, SqliteBackend, backend_for
from libs.storage.errors import InvalidDatabaseUrl


@pytest.mark.parametrize(
    "url",
    [
        "",
        "notes.db",
        "/var/notes.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///relative.db",
        "sqlite:////tmp/a.db?mode=ro",
        "sqlite://host/tmp/a.db",
        "mysql://root:sk-canary@host/db",
        "postgresql://user:sk-canary@host",
        "postgresql+asyncpg://user:sk-canary@host/db",
        "postgresql://user:sk-canary@host:port/db",
        "http://user:sk-canary@[::1/db",
    ],
)
def test_a_useless_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrl) as caught:
        backend_for(url)
    assert "canary" not in str(caught.value)
    assert "sqlite:////absolute/path.db" in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgres_urls_use_psycopg(scheme: str) -> None:
    backend = backend_for(f"{scheme}://user:p%40ss@host:5433/db?sslmode=verify-full")
    assert isinstance(backend, PostgresBackend)
    url = backend.writer().url
    assert (url.drivername, url.password, url.port, url.query["sslmode"]) == (
        "postgresql+psycopg",
        "p@ss",
        5433,
        "verify-full",
    )


def test_sqlite_urls_need_an_absolute_path() -> None:
    assert isinstance(backend_for("sqlite:////tmp/notes.db"), SqliteBackend)
