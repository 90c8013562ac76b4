"""A fake Gatehouse, a client for it, and the command line pointed at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gatehouse import Client
from gatehouse.cli import app
from typer.testing import CliRunner

from tests.unit.client.fake_gatehouse import FakeGatehouse, start
from tests.unit.client.samples import NOW_S


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGatehouse]:
    for variable in ("GATEHOUSE_TOKEN", "GATEHOUSE_PROFILE", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    fake, server = start(tmp_path)
    yield fake
    server.stop(None).wait()


@pytest.fixture
def client(fake: FakeGatehouse) -> Iterator[Client]:
    with Client(endpoints=fake.target, ca=fake.ca, token="t0ken") as made:
        yield made


@pytest.fixture
def run(fake: FakeGatehouse) -> Callable[..., Any]:
    """`run("keys", "list", input="…")` -> click's Result."""

    def invoke(*arguments: str, input: str | None = None) -> Any:  # noqa: A002 - as CliRunner calls it
        return CliRunner().invoke(app, ["--profile", str(fake.profile), *arguments], input=input)

    return invoke


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans of time are counted from NOW_S."""
    monkeypatch.setattr("gatehouse.cli.times.time", SimpleNamespace(time=lambda: NOW_S))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input counts as a terminal: `run(..., input="y\\n")` is a person who types."""
    for module in ("terminal", "key_inputs"):
        monkeypatch.setattr(f"gatehouse.cli.{module}.stdin_is_terminal", lambda: True)
