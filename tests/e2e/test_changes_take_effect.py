"""Changed providers, rotated and deleted keys, exceeded quotas: what the next call sees of them."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from gatehouse import FailedPrecondition, ResourceExhausted

from libs.sandbox.bill import key_fingerprint
from tests.local_stack import LocalStack

LIVE_WITHIN_S = 1.0


async def test_a_changed_provider_is_used_at_once_by_whoever_waits_for_its_revision(stack: LocalStack) -> None:
    tenant = "changed-waiting"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, "sk-sandbox-changed-waiting")
        for model in ("sandbox-large", "sandbox-small") * 3:
            changed = await client.providers.update(f"tenants/{tenant}/providers/main", default_model=model)
            assert changed.revision > revision
            revision = changed.revision
            answer = await client.generate("Which model?", revision=revision)
            assert answer.outcome.served_by.model == model


async def test_a_changed_provider_is_used_by_everybody_within_a_second(stack: LocalStack) -> None:
    tenant = "changed-unaware"
    async with stack.client(tenant=tenant) as client:
        await client.generate(
            "Warm-up", revision=await stack.give_provider(client, tenant, "sk-sandbox-changed-unaware")
        )
        await client.providers.update(f"tenants/{tenant}/providers/main", default_model="sandbox-large")
        changed = time.monotonic()
        while (await client.generate("Which model?")).outcome.served_by.model != "sandbox-large":
            assert time.monotonic() - changed < LIVE_WITHIN_S * stack.slowness
            await asyncio.sleep(0.01)


async def test_a_rotated_key_is_used_by_the_next_call(stack: LocalStack) -> None:
    tenant, materials = "rotated", [f"sk-sandbox-rotated-{number}" for number in range(4)]
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, materials[0])
        await client.generate("Which key?", revision=revision)
        for material in materials[1:]:
            await client.keys.rotate(f"tenants/{tenant}/keys/main", material)
            answer = await client.generate("Which key?")
            call = f"{answer.outcome.operation_id}/1"
            (line,) = [each for each in stack.bill() if each.call == call and each.event == "accepted"]
            assert line.key_fingerprint == key_fingerprint(material)


async def test_a_deleted_key_serves_no_call_that_starts_afterwards(stack: LocalStack) -> None:
    tenant, material = "deleted", "sk-sandbox-deleted-key"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, material)
        await client.generate("Still there?", revision=revision)
        await client.keys.delete(f"tenants/{tenant}/keys/main")
        with pytest.raises(FailedPrecondition) as failure:
            await client.generate("Still there?")
    assert failure.value.reason == "NO_USABLE_TARGET"
    # What the platform has is for tenants without providers of their own.
    reasons = {each.subject.split("/models/")[0]: each.type for each in failure.value.precondition_violations}
    assert reasons.pop(f"tenants/{tenant}/providers/main") == "KEY_UNUSABLE"
    assert set(reasons.values()) <= {"PLATFORM_NOT_ALLOWED"}
    assert (
        len([line for line in stack.bill(key_fingerprint=key_fingerprint(material)) if line.event == "accepted"]) == 1
    )


async def test_a_call_over_the_quota_reaches_no_provider_and_learns_when_to_come_back(stack: LocalStack) -> None:
    tenant, material = "short-of-tokens", "sk-sandbox-short-of-tokens"
    quota = f"tenants/{tenant}/quotas/daily"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, material)
        await client.quotas.create(quota, metric="tokens", window="day", limit=200)
        await client.generate("Short, please.", max_output_tokens=50, revision=revision)
        with pytest.raises(ResourceExhausted) as failure:
            await client.generate("A long story, please.", max_output_tokens=500)
        state = await client.quotas.state(quota)
    assert failure.value.reason == "QUOTA_EXCEEDED"
    assert [violation.subject for violation in failure.value.quota_violations] == [quota]
    assert failure.value.retry_after is not None
    reset_in_s = state.reset_time.ToDatetime(tzinfo=UTC).timestamp() - datetime.now(UTC).timestamp()
    assert abs(failure.value.retry_after - reset_in_s) < 30
    assert 0 < state.used + state.held <= 200
    assert (
        len([line for line in stack.bill(key_fingerprint=key_fingerprint(material)) if line.event == "accepted"]) == 1
    )
