"""Starts a provider from npm. Without Node its tests skip, unless GATEHOUSE_REQUIRE_PEERS=1 (as in CI)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from services.router.providers.http.session import HttpProviderSession
from tests.contract.peers.aimock import API_KEY, Aimock
from tests.integration.router_providers.wire import open_session

HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules/@copilotkit/aimock/dist/cli.js"
INSTALL_TIMEOUT_S = 180


def _missing(what: str) -> NoReturn:
    if os.environ.get("GATEHOUSE_REQUIRE_PEERS") == "1":
        pytest.fail(f"GATEHOUSE_REQUIRE_PEERS is set, but {what}", pytrace=False)
    pytest.skip(what)


def _installed() -> bool:
    """Whether what lies in node_modules is what the lock file names."""
    pinned = re.search(r'"integrity": "([^"]+)"', (HERE / "package-lock.json").read_text())
    present = HERE / "node_modules/.package-lock.json"
    return pinned is not None and present.exists() and pinned[1] in present.read_text()


@pytest.fixture(scope="session")
def aimock_program() -> Path:
    """The program of `@copilotkit/aimock`, installed by `npm ci` if it is not there yet."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        _missing("there is no Node with npm on this machine (20.15 or newer is needed)")
    if not _installed():
        # No script of a package runs; npm finds the packages where its own configuration says.
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            result = subprocess.run(
                command, cwd=HERE, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            _missing(f"npm ci took more than {INSTALL_TIMEOUT_S} s")
        if result.returncode != 0:
            _missing(f"npm ci failed: {result.stderr.strip()[-500:]}")
    return PROGRAM


@pytest.fixture(scope="session")
def aimock(aimock_program: Path) -> Iterator[Aimock]:
    """The outside provider, running on a free port of this machine."""
    process = subprocess.Popen(
        ["node", aimock_program, "--port", "0", "--fixtures", HERE / "fixtures.json", "--validate-on-load"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": os.environ["PATH"], "AIMOCK_API_KEYS": API_KEY},
    )
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", line):
                yield Aimock(url=found[1])
                return
        pytest.fail(f"aimock did not start: {said}")
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(params=["openai", "openai_compatible"])
def dialect(request: pytest.FixtureRequest) -> str:
    """The dialects that speak Chat Completions under `/v1`; the others have files of their own."""
    return str(request.param)


@pytest.fixture
async def session() -> AsyncIterator[HttpProviderSession]:
    async with open_session() as running:
        yield running
