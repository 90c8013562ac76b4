"""From the domain to the wire: answers, events and how calls ended."""

from __future__ import annotations

from typing import assert_never

from gatehouse.router.v1 import generation_pb2, message_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb

from libs.core.money import TokenCounts
from services.router.api.plans import duration, money, target_to_pb, trace_to_pb
from services.router.domain.call import Outcome, StreamInterrupted
from services.router.domain.generate import Completed, Started, StreamEvent
from services.router.domain.generation import Answer, FinishReason, TextDelta, ToolArgumentsDelta, ToolCallStarted

_FINISH_REASONS = {
    FinishReason.STOP: generation_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: generation_pb2.FINISH_REASON_LENGTH,
    FinishReason.TOOL_CALLS: generation_pb2.FINISH_REASON_TOOL_CALLS,
    FinishReason.CONTENT_FILTER: generation_pb2.FINISH_REASON_CONTENT_FILTER,
    FinishReason.REFUSAL: generation_pb2.FINISH_REASON_REFUSAL,
    FinishReason.UNKNOWN: generation_pb2.FINISH_REASON_UNKNOWN,
}


def answer_to_pb(answer: Answer, outcome: Outcome) -> pb.GenerateResponse:
    """A complete answer."""
    message = message_pb2.Message(role=message_pb2.ROLE_ASSISTANT)
    if answer.text:
        message.parts.add(text=answer.text)
    for call in answer.tool_calls:
        message.parts.add(
            tool_call=message_pb2.ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json)
        )
    return pb.GenerateResponse(message=message, outcome=_outcome(outcome))


def event_to_pb(event: StreamEvent) -> pb.StreamGenerateResponse:
    """One event of a stream."""
    match event:
        case TextDelta(text):
            return pb.StreamGenerateResponse(text_delta=text)
        case ToolArgumentsDelta(index, arguments_json):
            return pb.StreamGenerateResponse(
                tool_arguments_delta=pb.ToolArgumentsDelta(index=index, arguments_json=arguments_json)
            )
        case ToolCallStarted(index, call_id, name):
            return pb.StreamGenerateResponse(tool_call_started=pb.ToolCallStarted(index=index, id=call_id, name=name))
        case Started(operation_id, target):
            return pb.StreamGenerateResponse(started=pb.Started(operation_id=operation_id, target=target_to_pb(target)))
        case Completed(outcome):
            return pb.StreamGenerateResponse(completed=pb.Completed(outcome=_outcome(outcome)))
        case _:
            assert_never(event)


def partial_to_pb(error: StreamInterrupted) -> generation_pb2.PartialOutcome:
    """What was used before a stream broke."""
    return generation_pb2.PartialOutcome(
        operation_id=error.operation_id,
        served_by=target_to_pb(error.target),
        usage=_usage(error.usage),
        estimated=error.estimated,
    )


def _outcome(outcome: Outcome) -> generation_pb2.Outcome:
    gateway_s = max(0.0, outcome.total_s - outcome.provider_s)
    latency = generation_pb2.Latency(
        total=duration(outcome.total_s), provider=duration(outcome.provider_s), gateway=duration(gateway_s)
    )
    if outcome.first_content_s is not None:
        latency.first_content.CopyFrom(duration(outcome.first_content_s))
    served_by = target_to_pb(outcome.served_by)
    return generation_pb2.Outcome(
        operation_id=outcome.operation_id,
        finish_reason=_FINISH_REASONS[outcome.finish_reason],
        raw_finish_reason=outcome.raw_finish_reason,
        usage=_usage(outcome.usage) if outcome.usage is not None else None,
        cost=money(outcome.cost) if outcome.cost is not None else None,
        served_by=served_by,
        attempts=[
            generation_pb2.Attempt(
                number=each.number,
                target=served_by if each.target is outcome.served_by else target_to_pb(each.target),
                key_version=each.key_version,
                error_reason=each.error_reason,
                duration=duration(each.duration_s),
            )
            for each in outcome.attempts
        ],
        warnings=outcome.warnings,
        latency=latency,
        trace=trace_to_pb(outcome.plan, outcome.configuration_age_s),
    )


def _usage(tokens: TokenCounts) -> generation_pb2.TokenUsage:
    return generation_pb2.TokenUsage(
        input_tokens=tokens.input_tokens,
        cache_read_tokens=tokens.cache_read_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        output_tokens=tokens.output_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
    )
