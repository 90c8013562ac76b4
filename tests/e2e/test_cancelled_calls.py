"""A caller that goes away: the provider stops at once, and what was used is recorded."""

import asyncio
import time

import pytest
from gatehouse import DeadlineExceeded
from gatehouse.usage.v1.usage_record_pb2 import ATTEMPT_OUTCOME_CANCELLED, TOKEN_SOURCE_ESTIMATED

from libs.sandbox.bill import key_fingerprint
from tests.local_stack import LocalStack

CLOSED_WITHIN_S = 0.25


async def test_cancelling_a_stream_closes_the_upstream_and_leaves_a_record(stack: LocalStack) -> None:
    tenant, material = "cancelled", "sk-sandbox-cancelled-stream"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, material)
        events = client.stream("Talk. [[sandbox pace_ms=20 tokens=500]]", revision=revision)
        operation_id, pieces = "", 0
        async for event in events:
            if event.started:
                operation_id = event.started.operation_id
            pieces += bool(event.text)
            if pieces == 5:
                break
        cancelled = time.time()
        await events.aclose()
    (record,) = await stack.records_when(tenant, operation_id)
    while True:
        lines = stack.bill(key_fingerprint=key_fingerprint(material))
        if any(line.event == "finished" for line in lines):
            break
        assert time.time() - cancelled < 5
        await asyncio.sleep(0.01)
    (end,) = [line for line in lines if line.event == "finished"]
    assert end.outcome == "client_gone"
    assert end.time - cancelled <= CLOSED_WITHIN_S * stack.slowness
    assert record.outcome == ATTEMPT_OUTCOME_CANCELLED
    assert record.token_source == TOKEN_SOURCE_ESTIMATED
    assert abs(record.tokens.output_tokens - end.completion_tokens) <= 20


async def test_a_deadline_that_passes_closes_the_upstream_too(stack: LocalStack) -> None:
    tenant, material = "too-late", "sk-sandbox-too-late"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, material)
        await client.generate("Warm-up", revision=revision)
        began = time.time()
        with pytest.raises(DeadlineExceeded):
            await client.generate("Think. [[sandbox first_ms=20000]]", timeout=0.5)
    while not (
        ends := [
            line
            for line in stack.bill(key_fingerprint=key_fingerprint(material))
            if line.event == "finished" and line.outcome == "client_gone"
        ]
    ):
        assert time.time() - began < 5
        await asyncio.sleep(0.01)
    assert ends[0].time - began <= 0.5 + CLOSED_WITHIN_S * stack.slowness
    assert ends[0].call is not None
    (record,) = await stack.records_when(tenant, ends[0].call.split("/")[0])
    assert record.outcome == ATTEMPT_OUTCOME_CANCELLED
