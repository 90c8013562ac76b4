"""TestProvider and SyncModels from the caller to the provider: provider_config, a router, the sandbox, by gRPC."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as key_pb
from gatehouse.providerconfig.v1 import audit_service_pb2 as audit_pb
from gatehouse.providerconfig.v1 import model_pb2, model_service_pb2, provider_pb2
from gatehouse.providerconfig.v1 import provider_service_pb2 as pb
from gatehouse.providerconfig.v1.audit_service_pb2_grpc import AuditServiceStub
from gatehouse.providerconfig.v1.model_service_pb2_grpc import ModelServiceStub
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceStub

from libs.core.errors import GatehouseError
from libs.sandbox import Rule, Sandbox
from libs.sandbox.server import DEFAULT_MODELS
from libs.telemetry.telemetry import configure
from tests.integration.provider_config.conftest import Replica, Stack, error_of

NAME = "tenants/acme/providers/main"
KEY = "tenants/acme/keys/prod"
CANARY = "sk-sandbox-canary-4c1d2e3f"
OTHER_CANARY = "sk-sandbox-canary-9a8b7c6d"


class Chain:
    """Everything between a caller and the sandbox."""

    def __init__(self, stack: Stack, replica: Replica, sandbox: Sandbox) -> None:
        self.key_vault = stack.key_vault
        self.sandbox = sandbox
        self.token = stack.token("acme", "ann", "tenant_admin")
        self.providers: Any = ProviderServiceStub(replica.public)
        self.models: Any = ModelServiceStub(replica.public)
        self.audit: Any = AuditServiceStub(replica.public)

    async def create(self, **changes: Any) -> provider_pb2.Provider:
        provider = provider_pb2.Provider(
            **{"type": "openai_compatible", "base_url": f"{self.sandbox.url}/v1", "key": KEY, **changes}
        )
        request = pb.CreateProviderRequest(parent="tenants/acme", provider_id="main", provider=provider)
        response: pb.CreateProviderResponse = await self.providers.CreateProvider(request, metadata=self.token)
        return response.provider

    async def test(
        self, provider: provider_pb2.Provider | None = None, *, api_key: str = "", model: str = ""
    ) -> provider_pb2.ProviderTest:
        request = pb.TestProviderRequest(
            provider=provider or provider_pb2.Provider(name=NAME), api_key=api_key.encode(), model=model
        )
        response: pb.TestProviderResponse = await self.providers.TestProvider(request, metadata=self.token, timeout=30)
        return response.test

    async def get(self) -> provider_pb2.Provider:
        request = pb.GetProviderRequest(name=NAME)
        response: pb.GetProviderResponse = await self.providers.GetProvider(request, metadata=self.token)
        return response.provider

    async def sync(self, **changes: Any) -> model_service_pb2.SyncModelsResponse:
        request = model_service_pb2.SyncModelsRequest(parent=NAME, **changes)
        response: model_service_pb2.SyncModelsResponse = await self.models.SyncModels(
            request, metadata=self.token, timeout=30
        )
        return response

    async def listed(self) -> list[model_pb2.Model]:
        request = model_service_pb2.ListModelsRequest(parent=NAME)
        response: model_service_pb2.ListModelsResponse = await self.models.ListModels(request, metadata=self.token)
        return list(response.models)

    async def events(self) -> list[Any]:
        request = audit_pb.ListAuditEventsRequest(parent="tenants/acme")
        response: audit_pb.ListAuditEventsResponse = await self.audit.ListAuditEvents(request, metadata=self.token)
        return list(response.events)


@pytest.fixture
def router_log() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
async def chain(
    stack_on: Callable[[str], Stack], database_url: str, tmp_path: Path, router_log: io.BytesIO
) -> AsyncIterator[Chain]:
    """On SQLite and on PostgreSQL, without a pause between tests."""
    stack = stack_on(database_url)
    stack.key_vault.materials[KEY] = CANARY.encode()
    telemetry = configure("router", log_level="debug", stream=router_log)
    try:
        async with Sandbox(keep_requests=True) as sandbox:
            router = await stack.start_router(tmp_path / "spool", telemetry)
            replica = await stack.start(
                router_target=router, allow_loopback_endpoints=True, probe_floor_s=0, probe_timeout_s=1
            )
            yield Chain(stack, replica, sandbox)
    finally:
        telemetry.restore_logs()


async def refusal(call: Any) -> GatehouseError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert CANARY not in str(caught.value)
    assert OTHER_CANARY not in str(caught.value)
    return error_of(caught.value)


def outcome(name: str) -> provider_pb2.ProviderTestOutcome.ValueType:
    return provider_pb2.ProviderTestOutcome.Value(f"PROVIDER_TEST_OUTCOME_{name}")


async def test_a_stored_provider_is_tried_and_shows_the_result(chain: Chain) -> None:
    before = await chain.create()
    test = await chain.test()
    assert (test.outcome, test.model_count) == (outcome("OK"), len(DEFAULT_MODELS))
    assert test.message == "it answers and takes the key"
    assert test.HasField("time")
    assert test.duration.ToMicroseconds() > 0
    (opened,) = chain.key_vault.opened
    assert (opened.name, opened.purpose) == (KEY, key_pb.KEY_PURPOSE_PROBE)
    assert opened.origin == chain.sandbox.url
    assert f"Bearer {opened.caller_token.decode()}" == chain.token[0][1], "the key is opened for whoever asks"
    assert chain.sandbox.bill.records() == [], "it costs nothing"
    after = await chain.get()
    assert after.last_test == test
    after.ClearField("last_test")
    assert after == before
    request = pb.ListProvidersRequest(parent="tenants/acme")
    page: pb.ListProvidersResponse = await chain.providers.ListProviders(request, metadata=chain.token)
    assert [each.last_test for each in page.providers] == [test]


async def test_a_success_is_told_to_key_vault(chain: Chain) -> None:
    await chain.create()
    await chain.test()
    async with asyncio.timeout(10):
        while not chain.key_vault.told:
            await asyncio.sleep(0.01)
    (told,) = chain.key_vault.told
    assert (told.name, told.version, told.HasField("last_success_time")) == (KEY, 1, True)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"status": 401, "echo_key": True}, "BAD_KEY"),
        ({"status": 403, "echo_key": True}, "NO_PERMISSION"),
        ({"status": 404}, "WRONG_ENDPOINT"),
        ({"status": 302, "location": "http://169.254.169.254/"}, "WRONG_ENDPOINT"),
        ({"html": True}, "WRONG_ENDPOINT"),
        ({"garbage": True}, "WRONG_ENDPOINT"),
        ({"status": 429}, "RATE_LIMITED"),
        ({"status": 429, "code": "insufficient_quota"}, "PROVIDER_ERROR"),
        ({"status": 500, "echo_key": True}, "PROVIDER_ERROR"),
        ({"silent": True}, "UNREACHABLE"),
        ({"reset": True}, "UNREACHABLE"),
    ],
    ids=str,
)
async def test_each_way_to_fail_has_its_outcome(chain: Chain, action: dict[str, object], expected: str) -> None:
    await chain.create()
    chain.sandbox.rules.replace([Rule(listing=True, action=action)])
    test = await chain.test()
    assert provider_pb2.ProviderTestOutcome.Name(test.outcome) == f"PROVIDER_TEST_OUTCOME_{expected}"
    assert CANARY not in str(test)
    assert (await chain.get()).last_test == test
    error = await refusal(chain.sync())
    passes = expected in {"UNREACHABLE", "RATE_LIMITED", "PROVIDER_ERROR"}
    assert error.kind.value == ("UNAVAILABLE" if passes else "FAILED_PRECONDITION")
    assert (error.reason, error.metadata["outcome"]) == ("PROVIDER_LIST_FAILED", expected)


async def test_a_model_is_looked_for(chain: Chain) -> None:
    await chain.create()
    assert (await chain.test(model=DEFAULT_MODELS[0])).outcome == outcome("OK")
    assert (await chain.test(model="gpt-99")).outcome == outcome("UNKNOWN_MODEL")


async def test_a_key_that_cannot_be_opened_is_a_result(chain: Chain) -> None:
    await chain.create()
    chain.key_vault.materials.clear()
    test = await chain.test()
    assert test.outcome == outcome("KEY_UNUSABLE")
    assert list(chain.sandbox.requests) == []


async def test_nobody_listening_is_unreachable(chain: Chain) -> None:
    await chain.create(base_url="http://127.0.0.1:1/v1")
    assert (await chain.test()).outcome == outcome("UNREACHABLE")


async def test_a_provider_is_tried_before_it_is_saved_with_a_key_in_clear(
    chain: Chain, caplog: pytest.LogCaptureFixture, router_log: io.BytesIO, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    unsaved = provider_pb2.Provider(name=NAME, type="openai", base_url=f"{chain.sandbox.url}/v1")
    unsaved.options.update({"organization": "org-7"})
    test = await chain.test(unsaved, api_key=OTHER_CANARY)
    assert test.outcome == outcome("OK")
    assert chain.sandbox.requests[0].headers["openai-organization"] == "org-7"
    assert chain.key_vault.opened == []
    assert (await refusal(chain.get())).reason == "PROVIDER_NOT_FOUND"
    for action in ({"status": 401, "echo_key": True}, {"html": True}, {"reset": True}):
        chain.sandbox.rules.replace([Rule(listing=True, action=action)])
        assert OTHER_CANARY not in str(await chain.test(unsaved, api_key=OTHER_CANARY))
    assert (await chain.test(unsaved, api_key="sk-wrong-canary-0000")).outcome == outcome("BAD_KEY")
    events = await chain.events()
    assert {event.action for event in events} == {"TestProvider"}
    places = [caplog.text, router_log.getvalue().decode(), str(events)]
    places += contents(tmp_path)
    assert "provider_probed" in places[1], "the search finds what is there"
    for place in places:
        assert OTHER_CANARY not in place
        assert "sk-wrong-canary" not in place


def contents(directory: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in directory.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("provider", "api_key", "fields"),
    [
        ({"name": "acme"}, "", {"provider.name"}),
        ({"name": NAME}, CANARY, {"api_key"}),
        ({"name": NAME, "type": "openai", "key": KEY}, CANARY, {"api_key"}),
        ({"name": NAME, "type": "openai", "key": KEY}, "k" * 8193, {"api_key"}),
        ({"name": NAME, "base_url": "https://x.example.com"}, "", {"provider.type"}),
        ({"name": NAME, "type": "openai"}, "", {"provider.key"}),
        ({"name": NAME, "type": "openai", "key": "tenants/globex/keys/x"}, "", {"provider.key"}),
        ({"name": NAME, "type": "openai_compatible", "base_url": "http://10.0.0.1/v1"}, CANARY, {"provider.base_url"}),
        ({"name": NAME, "type": "openai_compatible"}, CANARY, {"provider.base_url"}),
        ({"name": NAME, "type": "openai", "options": {"no": 1}}, CANARY, {"provider.options.no"}),
    ],
    ids=str,
)
async def test_wrong_fields_are_named(stack: Stack, provider: dict[str, Any], api_key: str, fields: set[str]) -> None:
    chain = Chain(stack, await stack.start(), Sandbox())
    error = await refusal(chain.test(provider_pb2.Provider(**provider), api_key=api_key))
    assert error.reason == "INVALID_FIELD"
    assert fields <= {each.field for each in error.field_violations}


async def test_a_model_id_that_is_too_long_is_named(stack: Stack) -> None:
    chain = Chain(stack, await stack.start(), Sandbox())
    error = await refusal(chain.test(model="m" * 257))
    assert [each.field for each in error.field_violations] == ["model"]
    error = await refusal(
        chain.models.SyncModels(model_service_pb2.SyncModelsRequest(parent="x"), metadata=chain.token)
    )
    assert error.reason == "INVALID_FIELD"


async def test_two_at_once_and_too_soon(stack: Stack, tmp_path: Path) -> None:
    telemetry = configure("router", stream=io.BytesIO())
    async with Sandbox(keep_requests=True) as sandbox:
        stack.key_vault.materials[KEY] = CANARY.encode()
        router = await stack.start_router(tmp_path / "spool", telemetry)
        replicas = [
            await stack.start(router_target=router, allow_loopback_endpoints=True, probe_floor_s=60) for _ in range(2)
        ]
        one, two = (Chain(stack, replica, sandbox) for replica in replicas)
        await one.create()
        sandbox.rules.replace([Rule(listing=True, action={"first_ms": 60_000})])
        first = asyncio.ensure_future(one.test())
        async with asyncio.timeout(10):
            while not sandbox.requests:
                await asyncio.sleep(0.01)
        for other in (one, two):
            error = await refusal(other.test())
            assert (error.kind.value, error.reason) == ("ABORTED", "TEST_UNDER_WAY")
        # The caller hangs up: the provider is left alone, and tried again after the floor as ever.
        first.cancel()
        async with asyncio.timeout(10):
            while (await refusal(two.test())).reason == "TEST_UNDER_WAY":
                await asyncio.sleep(0.02)
        for other in (one, two):
            error = await refusal(other.test())
            assert (error.kind.value, error.reason) == ("RESOURCE_EXHAUSTED", "TEST_TOO_SOON")
            assert error.retry_delay_s is not None
            assert 50 < error.retry_delay_s <= 60
            assert (await refusal(other.sync())).reason == "TEST_TOO_SOON"
    telemetry.restore_logs()


async def test_a_router_that_is_away_is_said_so_and_leaves_the_provider_free(stack: Stack) -> None:
    chain = Chain(stack, await stack.start(), Sandbox())
    await chain.create(type="openai", base_url="")
    for _ in range(2):
        error = await refusal(chain.test())
        assert (error.kind.value, error.reason, error.metadata) == (
            "UNAVAILABLE",
            "SERVICE_UNREACHABLE",
            {"service": "router"},
        )
    assert not (await chain.get()).HasField("last_test")


async def test_models_are_taken_over_from_the_list(chain: Chain) -> None:
    await chain.create(type="openai")
    dry = await chain.sync(validate_only=True, enable=True)
    assert ([each.name.rpartition("/")[2] for each in dry.added], dry.revision) == (sorted(DEFAULT_MODELS), 0)
    assert await chain.listed() == []
    synced = await chain.sync()
    listed = await chain.listed()
    assert list(synced.added) == listed
    assert not any(each.enabled for each in listed)
    by_id = {each.provider_model_id: each for each in listed}
    assert by_id["gpt-4o-mini"].context_tokens == 128_000
    assert by_id["gpt-4o-mini"].HasField("catalogue_price")
    assert synced.revision > 0
    again = await chain.sync(enable=True)
    assert (list(again.added), again.known_count, again.revision) == ([], len(DEFAULT_MODELS), 0)
    assert (await chain.get()).last_test.model_count == len(DEFAULT_MODELS)
    events = [event for event in await chain.events() if event.action == "SyncModels"]
    assert [event.details["added"] for event in events] == ["0", str(len(DEFAULT_MODELS)), "0"]
    assert {event.target for event in events} == {NAME}


async def test_who_may_not_manage_may_not_try(chain: Chain, stack: Stack) -> None:
    await chain.create()
    for caller in (stack.token("acme", "bob", "member"), stack.token("globex", "eve", "tenant_admin")):
        chain.token = caller
        assert (await refusal(chain.test())).reason == "PERMISSION_DENIED"
        assert (await refusal(chain.sync())).reason == "PERMISSION_DENIED"
    assert chain.key_vault.opened == []
