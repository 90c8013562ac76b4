"""One real endpoint for all tests of this folder: `make test-live`. They run only when asked for by their marker."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from libs.core.endpoints import Address
from services.router.providers.http.access_tokens import AccessTokens
from services.router.providers.http.model_lists import HttpModelLists
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.http.timers import Timers
from services.router.providers.http.vetted_http import VettedHttp
from services.router.providers.registry import DIALECTS
from tests.live.asking import STREAMED, WHOLE, Asker
from tests.live.target import BadTarget, LiveTarget, read_target
from tests.live.verdicts import FEATURE, WAY, Verdicts, heading

# A model that has to be loaded from a disk first takes its time.
_CONNECT_S, _FIRST_EVENT_S, _IDLE_S, _TEST_S = 15.0, 300.0, 120.0, 900
_MASK = "[the key]"
_TARGET = pytest.StashKey[LiveTarget]()
_PLACES = pytest.StashKey[dict[tuple[str, int], tuple[str, ...]]]()
_VERDICTS = pytest.StashKey[Verdicts]()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Once the tests are chosen, read what is to be tested, and let them reach nothing else."""
    names = {marker.args[0] for item in items if (marker := item.get_closest_marker("live")) is not None}
    yield
    chosen = [(item, marker) for item in items if (marker := item.get_closest_marker("live")) is not None]
    if not chosen:
        return
    try:
        target = read_target(os.environ, names)
        places = target.addresses()
    except BadTarget as problem:
        raise pytest.UsageError(str(problem)) from None
    config.stash[_TARGET], config.stash[_PLACES], config.stash[_VERDICTS] = target, places, Verdicts()
    hosts = [address for addresses in places.values() for address in addresses]
    for item, marker in chosen:
        item.user_properties.append((FEATURE, marker.args[0]))
        item.add_marker(pytest.mark.allow_hosts(hosts))
        item.add_marker(pytest.mark.timeout(_TEST_S))
        if marker.args[0] in target.skipped:
            item.add_marker(pytest.mark.skip(reason="left out by GATEHOUSE_LIVE_SKIP"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take note of what came of a test; a key in its report, which nothing puts there, is masked."""
    report = yield
    verdicts = item.config.stash.get(_VERDICTS, None)
    if verdicts is None or item.get_closest_marker("live") is None:
        return report
    secret = item.config.stash[_TARGET].key
    key = secret.reveal().decode(errors="replace") if secret else ""
    if key and not isinstance(report.longrepr, tuple | None) and key in str(report.longrepr):
        report.longrepr = str(report.longrepr).replace(key, _MASK)
    if key:
        report.sections = [(name, text.replace(key, _MASK)) for name, text in report.sections]
    verdicts.add(report)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what the model can do."""
    verdicts = config.stash.get(_VERDICTS, None)
    if verdicts is not None and verdicts.found:
        terminalreporter.section(heading(config.stash[_TARGET]))
        for line in verdicts.lines():
            terminalreporter.line(line)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> LiveTarget:
    return request.config.stash[_TARGET]


@pytest.fixture
async def http(request: pytest.FixtureRequest, target: LiveTarget) -> AsyncIterator[VettedHttp]:
    places = request.config.stash[_PLACES]

    async def lookup(host: str, port: int) -> tuple[Address, ...]:
        # What was let through at the beginning: services with many addresses name others each time.
        if (host, port) not in places:
            raise OSError(f"{host}:{port} is not what is tested")
        return tuple(map(ipaddress.ip_address, places[host, port]))

    http = VettedHttp(target.rules, lookup)
    yield http
    await http.aclose()


@pytest.fixture
async def session(http: VettedHttp) -> AsyncIterator[HttpProviderSession]:
    timers = Timers(connect_s=_CONNECT_S, first_event_s=_FIRST_EVENT_S, idle_s=_IDLE_S)
    tokens = AccessTokens(http, connect_s=_CONNECT_S)
    session = HttpProviderSession(http, DIALECTS, timers, tokens=tokens)
    yield session
    await session.aclose()
    await tokens.aclose()


@pytest.fixture
def model_lists(http: VettedHttp) -> HttpModelLists:
    return HttpModelLists(http, DIALECTS, connect_s=_CONNECT_S)


@pytest.fixture(params=[WHOLE, STREAMED])
def asker(request: pytest.FixtureRequest, target: LiveTarget, session: HttpProviderSession) -> Asker:
    """Asks in both ways in turn."""
    request.node.user_properties.append((WAY, request.param))
    return _asker(request, target, session, request.param)


@pytest.fixture
def lone_asker(request: pytest.FixtureRequest, target: LiveTarget, session: HttpProviderSession) -> Asker:
    """For what is not asked in both ways."""
    return _asker(request, target, session, WHOLE)


def _asker(request: pytest.FixtureRequest, target: LiveTarget, session: HttpProviderSession, way: str) -> Asker:
    feature, *refusals = request.node.get_closest_marker("live").args
    return Asker(target, session, feature=feature, refusals=refusals, way=way)
