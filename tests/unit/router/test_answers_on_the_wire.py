"""Answers and streams on the wire: every part, and signatures that say where they come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gatehouse.router.v1 import generation_pb2, message_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb

from services.router.api.convert import generation
from services.router.api.outcomes import StreamWriter, answer_to_pb
from services.router.domain.configuration import Capabilities
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generate import StreamEvent
from services.router.domain.generation import (
    Answer,
    AnswerPart,
    Effort,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    ReasoningRequest,
    ServiceTier,
    Signature,
    Text,
    TextDelta,
    Tool,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.domain.outcome import Outcome
from tests.unit.router.fakes import USAGE, answer, ask, context, finished, model, provider, world_of

ONE = "tenants/acme/providers/one"
ORIGIN = {"provider": ONE, "key": "tenants/acme/keys/one"}


async def answered(*parts: AnswerPart, **fields: Any) -> tuple[Answer, Outcome]:
    given = Answer(parts=parts, finish_reason=FinishReason.STOP, raw_finish_reason="stop", usage=USAGE)
    return await world_of(provider(), one=[given]).generator().generate(ask(**fields), context())


async def streamed(*events: Any) -> list[StreamEvent]:
    world = world_of(provider(), one=[[*events, finished()]])
    return [event async for event in world.generator().stream(ask(), context())]


async def test_every_part_is_sent_in_its_order_signed_with_where_it_comes_from() -> None:
    response = answer_to_pb(
        *await answered(
            Reasoning("Hm.", Signature(b"s1")),
            Text("Let me see."),
            ToolCall(id="c", name="t", arguments_json="{}", signature=Signature(b"s2")),
            ToolCall(id="d", name="t", arguments_json="{"),
            Reasoning(""),
        )
    )
    assert list(response.message.parts) == [
        message_pb2.Part(
            reasoning=message_pb2.Reasoning(text="Hm.", signature=message_pb2.Signature(data=b"s1", **ORIGIN))
        ),
        message_pb2.Part(text="Let me see."),
        message_pb2.Part(
            tool_call=message_pb2.ToolCall(
                id="c", name="t", arguments_json="{}", signature=message_pb2.Signature(data=b"s2", **ORIGIN)
            )
        ),
        message_pb2.Part(tool_call=message_pb2.ToolCall(id="d", name="t", arguments_json="{")),
        message_pb2.Part(reasoning=message_pb2.Reasoning()),
    ]


async def test_an_answer_can_be_sent_back_as_it_came() -> None:
    said = Reasoning("Hm.", Signature(b"s1")), Text("Well."), ToolCall(id="c", name="t", arguments_json="{}")
    response = answer_to_pb(*await answered(*said))
    back = generation(generation_pb2.Generation(messages=[response.message])).messages[0].parts
    assert back == (Reasoning("Hm.", Signature(b"s1", **ORIGIN)), *said[1:])


async def test_hidden_reasoning_leaves_only_its_signatures() -> None:
    given, outcome = await answered(Reasoning("Secret.", Signature(b"s")), Reasoning("Unsigned."), Text("Well."))
    response = answer_to_pb(given, outcome, hide_reasoning=True)
    kept, text = response.message.parts
    assert (kept.reasoning.text, kept.reasoning.signature.data, text.text) == ("", b"s", "Well.")


async def test_a_stream_s_signatures_say_where_they_come_from() -> None:
    events = await streamed(
        ReasoningDelta("Hm."),
        ReasoningDelta("", Signature(b"s1")),
        TextDelta("Well."),
        ToolCallStarted(0, "c", "t", Signature(b"s2")),
        ToolArgumentsDelta(0, "{}"),
    )
    writer = StreamWriter()
    messages = [writer.event(event) for event in events]
    assert messages[1:-1] == [
        pb.StreamGenerateResponse(reasoning_delta=pb.ReasoningDelta(text="Hm.")),
        pb.StreamGenerateResponse(
            reasoning_delta=pb.ReasoningDelta(signature=message_pb2.Signature(data=b"s1", **ORIGIN))
        ),
        pb.StreamGenerateResponse(text_delta="Well."),
        pb.StreamGenerateResponse(
            tool_call_started=pb.ToolCallStarted(
                id="c", name="t", signature=message_pb2.Signature(data=b"s2", **ORIGIN)
            )
        ),
        pb.StreamGenerateResponse(tool_arguments_delta=pb.ToolArgumentsDelta(arguments_json="{}")),
    ]


async def test_hidden_reasoning_is_no_event_but_for_its_signature() -> None:
    events = await streamed(ReasoningDelta("Secret."), ReasoningDelta("More.", Signature(b"s")), TextDelta("Well."))
    writer = StreamWriter(hide_reasoning=True)
    _, hidden, closing, *_ = [writer.event(event) for event in events]
    assert hidden is None
    assert closing is not None
    assert (closing.reasoning_delta.text, closing.reasoning_delta.signature.data) == ("", b"s")


async def test_each_attempt_is_adapted_to_its_own_target_and_the_outcome_tells_of_the_one_that_served() -> None:
    without_tools = model(capabilities=Capabilities(tools=False))
    without_reasoning = model(capabilities=Capabilities(reasoning=False))
    world = world_of(
        provider(priority=1, models=[without_tools]),
        provider("two", priority=2, models=[without_reasoning]),
        one=[ProviderError(Reason.PROVIDER_OVERLOADED, status=503)],
        two=[answer()],
    )
    request = ask(
        tools=(Tool(name="t", description="", parameters_json=""),),
        reasoning=ReasoningRequest(effort=Effort.LOW),
        service_tier=ServiceTier.PRIORITY,
        drop_unsupported=True,
    )
    _, outcome = await world.generator().generate(request, context())
    first, second = (each.request for each in world.providers.dispatched)
    assert (first.tools, first.reasoning) == ((), None)
    assert second == replace(request, reasoning=None)
    assert outcome.warnings == (
        "reasoning left out: the model 'small' of tenants/acme/providers/two cannot do this",
        "the cost is that of the standard service tier: prices of priority are not known",
    )
