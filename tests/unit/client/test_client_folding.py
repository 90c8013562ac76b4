from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from gatehouse import AnswerBuilder, Client, Event, fold, fold_async
from gatehouse.router.v1.generation_pb2 import Outcome
from gatehouse.router.v1.generation_service_pb2 import (
    Completed,
    ReasoningDelta,
    Started,
    StreamGenerateResponse,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from gatehouse.router.v1.message_pb2 import ROLE_ASSISTANT, Message, Part, Reasoning, Signature, ToolCall

from tests.unit.client.fake_gatehouse import FakeGatehouse

SIGNED = Signature(data=b"\x01", provider="tenants/acme/providers/a", key="tenants/acme/keys/a")
OUTCOME = Outcome(operation_id="op")
STARTED = StreamGenerateResponse(started=Started(operation_id="op"))
COMPLETED = StreamGenerateResponse(completed=Completed(outcome=OUTCOME))


def text(delta: str) -> StreamGenerateResponse:
    return StreamGenerateResponse(text_delta=delta)


def thought(delta: str, signature: Signature | None = None) -> StreamGenerateResponse:
    return StreamGenerateResponse(reasoning_delta=ReasoningDelta(text=delta, signature=signature))


def call(index: int, name: str, signature: Signature | None = None) -> StreamGenerateResponse:
    begun = ToolCallStarted(index=index, id=f"id{index}", name=name, signature=signature)
    return StreamGenerateResponse(tool_call_started=begun)


def arguments(index: int, piece: str) -> StreamGenerateResponse:
    return StreamGenerateResponse(tool_arguments_delta=ToolArgumentsDelta(index=index, arguments_json=piece))


RAW = [
    STARTED,
    thought("Let "),
    thought("me see."),
    thought("", SIGNED),
    thought("", SIGNED),
    text("Two "),
    text("clocks:"),
    call(0, "clock", SIGNED),
    call(1, "calendar"),
    arguments(1, '{"a"'),
    arguments(0, "{"),
    arguments(1, ":1}"),
    arguments(0, "}"),
    text("Done."),
    thought("", SIGNED),
    thought("And more."),
    COMPLETED,
]
WHOLE = Message(
    role=ROLE_ASSISTANT,
    parts=[
        Part(reasoning=Reasoning(text="Let me see.", signature=SIGNED)),
        Part(reasoning=Reasoning(signature=SIGNED)),
        Part(text="Two clocks:"),
        Part(tool_call=ToolCall(id="id0", name="clock", arguments_json="{}", signature=SIGNED)),
        Part(tool_call=ToolCall(id="id1", name="calendar", arguments_json='{"a":1}')),
        Part(text="Done."),
        Part(reasoning=Reasoning(signature=SIGNED)),
        Part(reasoning=Reasoning(text="And more.")),
    ],
)


def test_a_stream_becomes_the_whole_answer(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["StreamGenerate"] = lambda _: RAW
    answer = fold(client.stream("x"))
    assert answer.message == WHOLE
    assert answer.outcome == OUTCOME
    assert (answer.text, answer.reasoning) == ("Two clocks:Done.", "Let me see.And more.")
    assert [each.name for each in answer.tool_calls] == ["clock", "calendar"]


async def test_the_same_of_an_async_stream() -> None:
    async def events() -> AsyncIterator[Event]:
        for raw in RAW:
            yield Event(raw)

    assert (await fold_async(events())).message == WHOLE


def test_events_show_what_is_thought() -> None:
    event = Event(thought("Let ", SIGNED))
    assert (event.kind, event.reasoning, event.text) == ("reasoning_delta", "Let ", "")
    assert event.reasoning_delta == ReasoningDelta(text="Let ", signature=SIGNED)
    assert (Event(text("x")).reasoning, Event(text("x")).reasoning_delta) == ("", None)


def test_what_came_before_a_stream_broke_is_there() -> None:
    builder = AnswerBuilder()
    assert builder.message == Message(role=ROLE_ASSISTANT)
    for raw in RAW[:10]:
        builder.add(Event(raw))
    assert [part.WhichOneof("content") for part in builder.message.parts] == [
        "reasoning", "reasoning", "text", "tool_call", "tool_call",
    ]  # fmt: skip
    assert builder.message.parts[4].tool_call.arguments_json == '{"a"'
    assert builder.outcome is None
    with pytest.raises(ValueError, match="end"):
        builder.answer()


def test_what_this_version_does_not_know_is_skipped() -> None:
    builder = AnswerBuilder()
    for raw in (StreamGenerateResponse(), arguments(7, "{}"), text("a"), StreamGenerateResponse(), text("b")):
        builder.add(Event(raw))
    assert builder.message == Message(role=ROLE_ASSISTANT, parts=[Part(text="ab")])


def test_long_answers_fold_in_no_time() -> None:
    builder, event = AnswerBuilder(), Event(text("word "))
    for _ in range(50_000):
        builder.add(event)
    message: Any = builder.message
    assert len(message.parts[0].text) == 250_000
