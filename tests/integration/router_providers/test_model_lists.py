"""The list of models as a test of a provider reads it, from the sandbox and from servers that are none."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from libs.core.endpoints import Address, EndpointRules
from libs.core.secret import Secret
from libs.rpc.name_lookup import NameLookup
from libs.sandbox import Rule, Sandbox
from libs.sandbox.server import DEFAULT_MODELS
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.probe import _MEANINGS, Endpoint, ProbeOutcome
from services.router.providers.http.model_lists import _MAX_LIST_BYTES, HttpModelLists
from services.router.providers.http.vetted_http import VettedHttp
from services.router.providers.registry import DIALECTS
from tests.contract.dialects.variants import VARIANTS
from tests.integration.router_providers.wire import CANARY, Exchange, answering, head, serving, whole

KEY = Secret(CANARY.encode())


@asynccontextmanager
async def opened(rules: EndpointRules | None = None) -> AsyncIterator[HttpModelLists]:
    lookup = NameLookup()
    http = VettedHttp(rules or EndpointRules(allow_loopback=True), lookup)
    try:
        yield HttpModelLists(http, DIALECTS, connect_s=5.0)
    finally:
        connector = http.session.connector
        assert connector is not None
        assert not connector._acquired, "every connection comes back or is closed"
        await http.aclose()
        await lookup.close()


@pytest.fixture
async def lists() -> AsyncIterator[HttpModelLists]:
    async with opened() as running:
        yield running


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(keep_requests=True) as running:
        yield running


def at(base_url: str, type_: str = "openai", options: Mapping[str, object] | None = None) -> Endpoint:
    return Endpoint(type=type_, base_url=base_url, origin="", options=options or {})


async def failure(lists: HttpModelLists, endpoint: Endpoint, *, timeout_s: float = 10.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await lists.read(endpoint, KEY, timeout_s=timeout_s)
    return caught.value


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_list_is_read_with_the_key_and_the_options(
    lists: HttpModelLists, sandbox: Sandbox, dialect: str
) -> None:
    options = {"organization": "org-1", "project": "proj-1"}
    path = next(each.path for each in VARIANTS.values() if each.type == dialect)
    listed = await lists.read(at(f"{sandbox.url}{path}/", dialect, options), KEY, timeout_s=10)
    # Ollama lists them under a second name too.
    assert frozenset(DEFAULT_MODELS) <= listed
    headers = sandbox.requests[0].headers
    sent = {name: headers.get(name) for name in ("openai-organization", "openai-project")}
    wanted = ("org-1", "proj-1") if dialect == "openai" else (None, None)
    assert tuple(sent.values()) == wanted


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ({"status": 401}, ProbeOutcome.BAD_KEY),
        ({"status": 401, "echo_key": True}, ProbeOutcome.BAD_KEY),
        ({"status": 403}, ProbeOutcome.NO_PERMISSION),
        ({"status": 404}, ProbeOutcome.WRONG_ENDPOINT),
        ({"status": 405}, ProbeOutcome.WRONG_ENDPOINT),
        ({"status": 301, "location": "http://169.254.169.254/"}, ProbeOutcome.WRONG_ENDPOINT),
        ({"status": 307, "location": "/v1/models"}, ProbeOutcome.WRONG_ENDPOINT),
        ({"html": True}, ProbeOutcome.WRONG_ENDPOINT),
        ({"garbage": True}, ProbeOutcome.WRONG_ENDPOINT),
        ({"status": 429}, ProbeOutcome.RATE_LIMITED),
        ({"status": 429, "code": "insufficient_quota"}, ProbeOutcome.PROVIDER_ERROR),
        ({"status": 402}, ProbeOutcome.PROVIDER_ERROR),
        ({"status": 500}, ProbeOutcome.PROVIDER_ERROR),
        ({"status": 503}, ProbeOutcome.PROVIDER_ERROR),
        ({"silent": True}, ProbeOutcome.UNREACHABLE),
        ({"first_ms": 60_000}, ProbeOutcome.UNREACHABLE),
        ({"reset": True}, ProbeOutcome.UNREACHABLE),
    ],
    ids=str,
)
async def test_each_failure_comes_to_its_outcome_and_shows_no_key(
    lists: HttpModelLists,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    action: dict[str, object],
    outcome: ProbeOutcome,
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.rules.replace([Rule(listing=True, action=action)])
    error = await failure(lists, at(f"{sandbox.url}/v1"), timeout_s=0.3 if outcome is ProbeOutcome.UNREACHABLE else 10)
    assert _MEANINGS[error.reason][0] is outcome
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = "\n".join((str(vars(error)), *trace.format()))
    assert CANARY not in shown
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        whole({"models": []}),
        whole({"data": {"id": "x"}}),
        whole({"data": [1, 2]}),
        whole([{"name": "x"}]),
        whole("text"),
        whole(None),
        whole({"status": "ok"}),
        whole({"error": {"message": "no"}}),
    ],
)
async def test_json_that_is_no_list_of_models_is_another_api(lists: HttpModelLists, answer: bytes) -> None:
    async with serving(answering(answer)) as server:
        error = await failure(lists, at(server.base_url))
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        ({"object": "list", "data": []}, set()),
        ({"data": [{"id": "a"}, {"id": "b", "x": 1}, {"id": "a"}]}, {"a", "b"}),
        ([{"id": "a"}], {"a"}),
        ({"data": [{"id": "a"}, {"id": ""}, {"id": 7}, None]}, {"a"}),
    ],
)
async def test_the_shapes_of_lists_that_servers_send_are_read(
    lists: HttpModelLists, body: object, listed: set[str]
) -> None:
    async with serving(answering(whole(body))) as server:
        assert await lists.read(at(server.base_url), None, timeout_s=10) == listed


async def test_a_list_without_end_is_not_read_to_its_end(lists: HttpModelLists) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.send(head(content_length=str(1 << 40)))
        piece = b"[" + b" " * 65_536
        for _ in range(_MAX_LIST_BYTES // len(piece) + 2):
            await exchange.send(piece)
        await exchange.client_gone()

    async with serving(endless) as server:
        error = await failure(lists, at(server.base_url))
    assert error.reason is Reason.PROVIDER_BAD_RESPONSE


async def test_a_certificate_that_is_none_of_the_hosts_is_no_connection(
    lists: HttpModelLists, sandbox: Sandbox
) -> None:
    error = await failure(lists, at(sandbox.url.replace("http://", "https://") + "/v1"))
    assert error.reason is Reason.PROVIDER_UNREACHABLE


async def test_an_inside_address_is_not_asked() -> None:
    async def metadata(_host: str, _port: int) -> tuple[Address, ...]:
        raise AssertionError("the URL itself is refused")

    http = VettedHttp(EndpointRules(), metadata)
    lists = HttpModelLists(http, DIALECTS, connect_s=5.0)
    for base_url in ("http://169.254.169.254/v1", "http://127.0.0.1/v1", "https://10.0.0.1/v1", "http://8.8.8.8/v1"):
        error = await failure(lists, at(base_url))
        assert error.reason is Reason.PROVIDER_ADDRESS_REFUSED
    await http.aclose()
