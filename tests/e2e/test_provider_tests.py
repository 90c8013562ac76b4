"""Providers tried and their lists taken over, through all services, with real keys in a real Vault."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from gatehouse import AsyncClient, FailedPrecondition, GatehouseError, ResourceExhausted
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.providerconfig.v1 import provider_pb2
from gatehouse.router.v1 import provider_health_service_pb2 as health_pb2

from libs.sandbox.server import DEFAULT_MODELS
from tests.e2e.test_canary import places
from tests.local_stack import LocalStack

CANARY = "sk-sandbox-canary-3b7e9d1f50c2a864"
INLINE = "sk-sandbox-canary-d20f6a8c7b194e35"


async def tried(client: AsyncClient, name: str) -> str:
    """The outcome of a test, once the floor after the one before is over."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(ResourceExhausted):
                test = await client.providers.test(name)
                return provider_pb2.ProviderTestOutcome.Name(test.outcome).removeprefix("PROVIDER_TEST_OUTCOME_")
            await asyncio.sleep(0.2)


async def condition(client: AsyncClient, key: str, wanted: key_pb2.KeyCondition.ValueType) -> None:
    """Wait until key_vault says this of a key."""
    async with asyncio.timeout(10):
        while (await client.keys.get(key)).status.condition != wanted:
            await asyncio.sleep(0.05)


async def test_a_test_tells_whether_the_key_works_and_sets_its_condition_right(stack: LocalStack) -> None:
    tenant = "tried"
    provider, key = f"tenants/{tenant}/providers/main", f"tenants/{tenant}/keys/main"
    async with stack.client(tenant=tenant) as client, aiohttp.ClientSession() as http:
        await stack.give_provider(client, tenant, CANARY)
        rule = {"listing": True, "key_suffix": CANARY[-12:], "times": 1, "action": {"status": 401, "echo_key": True}}
        async with http.post(f"{stack.sandbox_url}/_sandbox/rules", json={"rules": [rule]}) as response:
            assert response.status == 200
        assert await tried(client, provider) == "BAD_KEY"
        await condition(client, key, key_pb2.KEY_CONDITION_REJECTED)
        assert await tried(client, provider) == "OK"
        await condition(client, key, key_pb2.KEY_CONDITION_WORKING)
        await client.keys.disable(key)
        assert await tried(client, provider) == "KEY_UNUSABLE"
        shown = await client.providers.get(provider)
        assert shown.last_test.outcome == provider_pb2.PROVIDER_TEST_OUTCOME_KEY_UNUSABLE
        assert "disabled" in shown.last_test.message


async def test_a_key_that_passes_a_test_rests_no_longer(stack: LocalStack) -> None:
    tenant, material = "mended", "sk-sandbox-mended-0001"
    async with stack.client(tenant=tenant) as client, aiohttp.ClientSession() as http:
        revision = await stack.give_provider(client, tenant, material)
        rule = {"key_suffix": material[-11:], "times": 1, "action": {"status": 401}}
        async with http.post(f"{stack.sandbox_url}/_sandbox/rules", json={"rules": [rule]}) as response:
            assert response.status == 200
        with pytest.raises(FailedPrecondition):
            await client.generate("Hello?", revision=revision)
        (resting,) = (await client.health()).targets
        assert resting.state == health_pb2.BREAKER_STATE_OPEN
        assert await tried(client, f"tenants/{tenant}/providers/main") == "OK"
        (rested,) = (await client.health()).targets
        assert rested.state == health_pb2.BREAKER_STATE_CLOSED


async def test_a_key_typed_in_is_tried_and_written_nowhere(stack: LocalStack) -> None:
    tenant = "typed"
    async with stack.client(tenant=tenant) as client:
        with contextlib.suppress(GatehouseError):
            await client.providers.test_unsaved(
                f"tenants/{tenant}/providers/new", type="openai", base_url="https://127.0.0.1:1/v1", api_key=INLINE
            )
        test = await client.providers.test_unsaved(
            f"tenants/{tenant}/providers/other",
            type="openai_compatible",
            base_url=f"{stack.sandbox_url}/v1",
            api_key=INLINE,
        )
        assert (test.outcome, test.model_count) == (provider_pb2.PROVIDER_TEST_OUTCOME_OK, len(DEFAULT_MODELS))
    roots = [stack.layout.root, stack.output_file]
    assert places("tenants/typed/providers/other", roots), "the search finds what is there"
    assert places(INLINE, roots) == []
    assert places(CANARY, roots) == []


async def test_a_synced_model_serves_once_it_is_enabled(stack: LocalStack) -> None:
    tenant = "synced"
    async with stack.client(tenant=tenant) as client:
        await stack.give_provider(client, tenant, "sk-sandbox-synced-0001")
        synced = await client.models.sync(f"tenants/{tenant}/providers/main")
        added = {each.name.rpartition("/")[2] for each in synced.added}
        assert added == set(DEFAULT_MODELS) - {"sandbox-small", "sandbox-large"}
        assert synced.known_count == 2
        with pytest.raises(FailedPrecondition):
            await client.generate("Hello?", model="gpt-4o-mini", revision=synced.revision)
        model = f"tenants/{tenant}/providers/main/models/gpt-4o-mini"
        enabled = await client.models.update(model, enabled=True)
        answer = await client.generate("Hello?", model="gpt-4o-mini", revision=enabled.revision)
        assert answer.outcome.served_by.model == "gpt-4o-mini"


async def test_whoever_manages_a_provider_can_test_it(stack: LocalStack) -> None:
    async with stack.client(tenant="ops", roles=("super_admin",), user="root") as operator:
        assert await tried(operator, "platform/providers/sandbox") == "OK"
    owner = "tenants/managed/users/bob"
    async with (
        stack.client(tenant="managed", user="bob", roles=("member",)) as bob,
        stack.client(tenant="managed", user="ann") as admin,
        stack.client(tenant="managed", user="eve", roles=("member",)) as eve,
    ):
        await bob.keys.create(
            f"{owner}/keys/mine",
            provider_type="openai_compatible",
            origin=stack.sandbox_url,
            api_key="sk-sandbox-bobs-0001",
        )
        name = f"{owner}/providers/mine"
        await bob.providers.create(
            name, type="openai_compatible", base_url=f"{stack.sandbox_url}/v1", key=f"{owner}/keys/mine"
        )
        assert await tried(bob, name) == "OK"
        assert await tried(admin, name) == "OK"
        with pytest.raises(GatehouseError) as refused:
            await eve.providers.test(name)
        assert refused.value.reason == "PERMISSION_DENIED"


async def test_a_provider_whose_key_does_not_fit_is_refused(stack: LocalStack) -> None:
    tenant = "misfits"
    async with stack.client(tenant=tenant) as client:
        owner = f"tenants/{tenant}"
        await client.keys.create(
            f"{owner}/keys/main", provider_type="openai", origin="https://api.openai.com", api_key="sk-sandbox-x-0001"
        )
        for key, words in ((f"{owner}/keys/none", "does not"), (f"{owner}/keys/main", "https://api.openai.com:443")):
            with pytest.raises(GatehouseError) as refused:
                await client.providers.create(
                    f"{owner}/providers/main",
                    type="openai_compatible",
                    base_url=f"{stack.sandbox_url}/v1",
                    key=key,
                )
            assert "provider.key" in str(refused.value)
            assert words in str(refused.value)
