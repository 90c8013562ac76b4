"""From the domain to the wire: answers, events and how calls ended."""

from __future__ import annotations

from typing import assert_never

from gatehouse.router.v1 import generation_pb2, message_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb

from libs.core.money import TokenCounts
from services.router.api.plans import write_duration, write_money, write_target, write_trace
from services.router.domain.generate import Completed, Started, StreamEvent
from services.router.domain.generation import (
    Answer,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from services.router.domain.outcome import Outcome, StreamInterrupted

_FINISH_REASONS = {
    FinishReason.STOP: generation_pb2.FINISH_REASON_STOP,
    FinishReason.LENGTH: generation_pb2.FINISH_REASON_LENGTH,
    FinishReason.TOOL_CALLS: generation_pb2.FINISH_REASON_TOOL_CALLS,
    FinishReason.CONTENT_FILTER: generation_pb2.FINISH_REASON_CONTENT_FILTER,
    FinishReason.REFUSAL: generation_pb2.FINISH_REASON_REFUSAL,
    FinishReason.UNKNOWN: generation_pb2.FINISH_REASON_UNKNOWN,
    FinishReason.PAUSED: generation_pb2.FINISH_REASON_PAUSED,
    FinishReason.CONTEXT_EXCEEDED: generation_pb2.FINISH_REASON_CONTEXT_EXCEEDED,
    FinishReason.MALFORMED_TOOL_CALL: generation_pb2.FINISH_REASON_MALFORMED_TOOL_CALL,
    FinishReason.ERROR: generation_pb2.FINISH_REASON_ERROR,
}


def answer_to_pb(answer: Answer, outcome: Outcome) -> pb.GenerateResponse:
    """A complete answer."""
    response = pb.GenerateResponse()
    message = response.message
    message.role = message_pb2.ROLE_ASSISTANT
    if answer.text:
        message.parts.add(text=answer.text)
    for call in answer.tool_calls:
        message.parts.add(
            tool_call=message_pb2.ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json)
        )
    write_outcome(response.outcome, outcome)
    return response


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
        case ReasoningDelta(text):
            return pb.StreamGenerateResponse(reasoning_delta=pb.ReasoningDelta(text=text))
        case Started(operation_id, target):
            response = pb.StreamGenerateResponse(started=pb.Started(operation_id=operation_id))
            write_target(response.started.target, target)
            return response
        case Completed(outcome):
            response = pb.StreamGenerateResponse()
            write_outcome(response.completed.outcome, outcome)
            return response
        case _:
            assert_never(event)


def partial_to_pb(error: StreamInterrupted) -> generation_pb2.PartialOutcome:
    """What was used before a stream broke."""
    partial = generation_pb2.PartialOutcome(operation_id=error.operation_id, estimated=error.estimated)
    write_target(partial.served_by, error.target)
    _write_usage(partial.usage, error.usage)
    return partial


def write_outcome(message: generation_pb2.Outcome, outcome: Outcome) -> None:
    """How a call ended and what it took."""
    message.operation_id = outcome.operation_id
    message.finish_reason = _FINISH_REASONS[outcome.finish_reason]
    message.raw_finish_reason = outcome.raw_finish_reason
    if outcome.usage is not None:
        _write_usage(message.usage, outcome.usage)
    if outcome.cost is not None:
        write_money(message.cost, outcome.cost)
    write_target(message.served_by, outcome.served_by)
    for each in outcome.attempts:
        attempt = message.attempts.add(number=each.number, key_version=each.key_version, error_reason=each.error_reason)
        write_target(attempt.target, each.target)
        write_duration(attempt.duration, each.duration_s)
    if outcome.warnings:
        message.warnings.extend(outcome.warnings)
    latency = message.latency
    write_duration(latency.total, outcome.total_s)
    write_duration(latency.provider, outcome.provider_s)
    write_duration(latency.gateway, max(0.0, outcome.total_s - outcome.provider_s))
    if outcome.first_content_s is not None:
        write_duration(latency.first_content, outcome.first_content_s)
    write_trace(message.trace, outcome.plan, outcome.configuration_age_s)


def _write_usage(message: generation_pb2.TokenUsage, tokens: TokenCounts) -> None:
    message.input_tokens = tokens.input_tokens
    message.cache_read_tokens = tokens.cache_read_tokens
    message.cache_write_tokens = tokens.cache_write_tokens
    message.output_tokens = tokens.output_tokens
    message.reasoning_tokens = tokens.reasoning_tokens
    # Also usage of nothing was reported.
    message.SetInParent()
