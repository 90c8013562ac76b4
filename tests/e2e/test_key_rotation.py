"""Rotations under load: no call is lost, and no call that starts after the overlap uses the old key."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gatehouse import AsyncClient, FailedPrecondition
from gatehouse.keyvault.v1 import key_pb2

from libs.sandbox.bill import key_fingerprint
from tests.local_stack import LocalStack

OLD = "sk-sandbox-rotation-old-1111"
NEW = "sk-sandbox-rotation-new-2222"
CALLERS = 12
OVERLAP_S = 4.0


@contextmanager
def refusing(stack: LocalStack, material: str) -> Iterator[None]:
    """The provider does not know `material` yet."""
    rules(stack, [{"key_suffix": material[-4:], "action": {"status": 401}}])
    try:
        yield
    finally:
        rules(stack, [])


def rules(stack: LocalStack, wanted: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(
        f"{stack.sandbox_url}/_sandbox/rules", data=json.dumps({"rules": wanted}).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def served_with(stack: LocalStack, material: str) -> set[str]:
    """The operations that the provider served with a key."""
    lines = stack.bill(key_fingerprint=key_fingerprint(material))
    return {(line.call or "").partition("/")[0] for line in lines if line.event == "accepted"}


async def status_when(client: AsyncClient, name: str, condition: int) -> key_pb2.KeyStatus:
    """The key's status as soon as its condition is `condition`."""
    async with asyncio.timeout(20):
        while True:
            status = (await client.keys.get(name)).status
            if status.condition == condition:
                return status
            await asyncio.sleep(0.1)


async def test_a_rotation_with_overlap_loses_no_call_even_while_the_provider_refuses_the_new_key(
    stack: LocalStack,
) -> None:
    tenant = "rotation"
    name = f"tenants/{tenant}/keys/main"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, OLD)
        await client.generate("Warm-up", revision=revision)
        calls: list[tuple[float, str]] = []
        stop = asyncio.Event()

        async def call() -> None:
            while not stop.is_set():
                began = time.time()
                answer = await client.generate("Which key?", timeout=30)
                calls.append((began, answer.outcome.operation_id))

        callers = [asyncio.create_task(call()) for _ in range(CALLERS)]
        await asyncio.sleep(0.5)
        with refusing(stack, NEW):
            rotated = (await client.keys.rotate(name, NEW, overlap=OVERLAP_S)).key
            returned = time.time()
            assert rotated.version == 2
            refused = await status_when(client, name, key_pb2.KEY_CONDITION_REJECTED)
        await status_when(client, name, key_pb2.KEY_CONDITION_WORKING)
        overlap_ended = rotated.versions[1].retire_time.ToNanoseconds() / 1e9
        await asyncio.sleep(max(0.0, overlap_ended - time.time()) + 1.0)
        stop.set()
        # A call that failed raises here.
        await asyncio.gather(*callers)
        noticed = [each.type async for each in client.keys.notifications(f"tenants/{tenant}")]

    assert refused.HasField("last_rejection_time")
    assert noticed.count(key_pb2.KEY_NOTIFICATION_TYPE_REJECTED) == 1
    served_by_old, served_by_new = served_with(stack, OLD), served_with(stack, NEW)
    during = {operation for began, operation in calls if returned <= began < overlap_ended}
    after = {operation for began, operation in calls if began >= overlap_ended}
    assert during & served_by_old, "the old key stood in for the refused new one"
    assert len(after) > CALLERS
    assert after <= served_by_new
    assert after & served_by_old == set()


async def test_a_disabled_key_is_told_by_name_and_serves_again_once_enabled(stack: LocalStack) -> None:
    tenant = "disabled"
    name = f"tenants/{tenant}/keys/main"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, "sk-sandbox-disabled-key")
        await client.generate("Warm-up", revision=revision)
        await client.keys.disable(name)
        with pytest.raises(FailedPrecondition) as told:
            await client.generate("Anybody?")
        # What the platform has is for tenants without providers of their own.
        reasons = {each.subject.split("/models/")[0]: each.type for each in told.value.precondition_violations}
        assert reasons.pop(f"tenants/{tenant}/providers/main") == "KEY_DISABLED"
        assert set(reasons.values()) <= {"PLATFORM_NOT_ALLOWED"}
        await client.keys.enable(name)
        await client.generate("And now?")
