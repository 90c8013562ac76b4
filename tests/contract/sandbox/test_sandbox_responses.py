"""Responses under faults: what a client sees of them, and what the bill holds."""

from typing import Any

import pytest
from openai import APIConnectionError, APIError, AsyncOpenAI
from openai.types.responses import ResponseStreamEvent

from libs.sandbox import BillRecord, Sandbox

MODEL = "sandbox-small"
TOOL: Any = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}


async def streamed(client: AsyncOpenAI, words: str, **fields: Any) -> list[ResponseStreamEvent]:
    stream = await client.responses.create(model=MODEL, input=f"Hi [[sandbox {words}]]", stream=True, **fields)
    return [each async for each in stream]


async def finished(sandbox: Sandbox) -> BillRecord:
    await sandbox.bill.wait_finished(1)
    return sandbox.bill.records()[-1]


@pytest.mark.parametrize(
    "words", ["tokens=4", "tokens=4 pace_ms=1", "reasoning=8 tokens=4 show_reasoning", "reasoning=3"]
)
async def test_the_bill_counts_what_the_usage_says(client: AsyncOpenAI, sandbox: Sandbox, words: str) -> None:
    *_, last = await streamed(client, words)
    assert last.type == "response.completed"
    usage, bill = last.response.usage, await finished(sandbox)
    assert usage is not None
    assert (bill.dialect, bill.outcome) == ("openai_responses", "completed")
    assert (bill.prompt_tokens, bill.completion_tokens) == (usage.input_tokens, usage.output_tokens)
    assert bill.reasoning_tokens == usage.output_tokens_details.reasoning_tokens


async def test_calls_count_their_names(client: AsyncOpenAI, sandbox: Sandbox) -> None:
    *_, last = await streamed(client, "tools=2 pace_ms=1", tools=[TOOL])
    assert last.type == "response.completed"
    bill = await finished(sandbox)
    assert last.response.usage is not None
    assert bill.completion_tokens == last.response.usage.output_tokens > 2


@pytest.mark.parametrize("words", ["no_done", "no_finish"])
async def test_a_stream_can_end_without_saying_so(client: AsyncOpenAI, words: str) -> None:
    *_, last = await streamed(client, words)
    assert last.type == "response.output_item.done"


@pytest.mark.parametrize(("words", "tokens"), [("cut_after=0", 0), ("cut_after=3", 3), ("cut_at_end tokens=5", 5)])
async def test_what_was_sent_before_a_cut_is_billed(
    client: AsyncOpenAI, sandbox: Sandbox, words: str, tokens: int
) -> None:
    with pytest.raises(APIConnectionError):
        await streamed(client, words)
    bill = await finished(sandbox)
    assert (bill.outcome, bill.completion_tokens) == ("cut", tokens)


async def test_a_failure_in_a_stream_is_an_error_and_a_failed_response(client: AsyncOpenAI, sandbox: Sandbox) -> None:
    events = await streamed(client, "error_after=2 error_status=429")
    assert [each.type for each in events][-3:] == ["response.output_text.delta", "error", "response.failed"]
    error, failed = events[-2:]
    assert error.type == "error"
    assert failed.type == "response.failed"
    assert failed.response.error is not None
    assert error.code == failed.response.error.code == "rate_limit_exceeded"
    bill = await finished(sandbox)
    assert (bill.outcome, bill.completion_tokens) == ("failed", 2)


async def test_an_answer_that_failed_is_one(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model=MODEL, input="Hi [[sandbox finish=failed]]")
    assert response.status == "failed"
    assert response.error is not None


async def test_a_garbled_stream_cannot_be_read(client: AsyncOpenAI) -> None:
    with pytest.raises((APIError, ValueError)):
        await streamed(client, "garbage")


async def test_thoughts_are_sealed_only_where_that_was_asked_for(client: AsyncOpenAI) -> None:
    for include in ([], ["reasoning.encrypted_content"]):
        response = await client.responses.create(
            model=MODEL,
            input="Hi [[sandbox reasoning=2]]",
            include=include,  # type: ignore[arg-type]  # both are
        )
        (item,) = (each for each in response.output if each.type == "reasoning")
        assert (item.encrypted_content is not None) is bool(include)
