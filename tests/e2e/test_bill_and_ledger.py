"""The books, after everything that happened to the stack: what the sandbox would charge and what the ledger says."""

import asyncio
import time
from collections import Counter

from gatehouse.usage.v1.usage_record_pb2 import (
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    TOKEN_SOURCE_REPORTED,
    USAGE_EVENT_KIND_CORRECTION,
    UsageRecord,
)

from deploy.local.sample_tenant import OPENAI
from libs.sandbox.bill import BillRecord
from tests.local_stack import LocalStack

# A reservation that a killed router left lapses a minute after its call's deadline.
LAPSED_WITHIN_S = 75.0


def reference(record: UsageRecord) -> str:
    return f"{record.operation_id}/{record.attempt}"


async def whole_ledger(stack: LocalStack) -> list[UsageRecord]:
    """All that was recorded of calls to this stack's own sandbox; some tests put another in OpenAI's place."""
    records = [record for tenant in sorted(stack.tenants) for record in await stack.records(tenant)]
    return [record for record in records if record.dimensions.provider != OPENAI]


async def test_every_charged_attempt_is_recorded_once_and_none_is_invented(stack: LocalStack) -> None:
    accepted: dict[str, BillRecord] = {}
    finished: dict[str, BillRecord] = {}
    for line in stack.bill():
        assert line.call, "the gateway names every attempt to the provider"
        (accepted if line.event == "accepted" else finished)[line.call] = line
    assert accepted

    deadline = time.monotonic() + LAPSED_WITHIN_S
    while True:
        ledger = await whole_ledger(stack)
        missing = accepted.keys() - {reference(record) for record in ledger}
        if not missing or time.monotonic() > deadline:
            break
        await asyncio.sleep(1)
    assert not missing, f"{len(missing)} charged attempts are not in the ledger"

    first = [record for record in ledger if record.kind != USAGE_EVENT_KIND_CORRECTION]
    assert [each for each, times in Counter(map(reference, first)).items() if times > 1] == []
    delivered = (ATTEMPT_OUTCOME_SUCCEEDED, ATTEMPT_OUTCOME_INTERRUPTED)
    assert [reference(each) for each in first if each.outcome in delivered and reference(each) not in accepted] == []

    # An attempt that never got out used nothing, and nobody charges it.
    exact = [each for each in first if each.token_source == TOKEN_SOURCE_REPORTED and each.outcome in delivered]
    assert exact
    for record in exact:
        charged = finished[reference(record)]
        tokens = record.tokens
        assert (tokens.input_tokens + tokens.cache_read_tokens, tokens.output_tokens + tokens.reasoning_tokens) == (
            charged.prompt_tokens,
            charged.completion_tokens,
        )
