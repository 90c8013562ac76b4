"""From the domain to the wire: answers, events and how calls ended."""

from __future__ import annotations

from typing import assert_never

from gatehouse.router.v1 import generation_pb2, message_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb

from libs.core.money import TokenCounts
from services.router.api.plans import write_duration, write_money, write_target, write_trace
from services.router.domain.configuration import Provider
from services.router.domain.generate import Completed, Started, StreamEvent
from services.router.domain.generation import (
    Answer,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    Signature,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
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


def answer_to_pb(answer: Answer, outcome: Outcome, *, hide_reasoning: bool = False) -> pb.GenerateResponse:
    """A complete answer, its signatures with the provider and key they come from.

    `hide_reasoning`: of reasoning there are only the signatures. Some providers cannot be kept from telling it.
    """
    response = pb.GenerateResponse()
    message = response.message
    message.role = message_pb2.ROLE_ASSISTANT
    served_by = outcome.served_by.provider
    for part in answer.parts:
        match part:
            case Text(text):
                message.parts.add(text=text)
            case Reasoning(_, None) if hide_reasoning:
                pass
            case Reasoning(text, signature):
                reasoning = message.parts.add().reasoning
                reasoning.text = "" if hide_reasoning else text
                reasoning.SetInParent()
                _write_signature(reasoning, signature, served_by)
            case ToolCall():
                call = message.parts.add().tool_call
                call.id, call.name, call.arguments_json = part.id, part.name, part.arguments_json
                _write_signature(call, part.signature, served_by)
            case _:
                assert_never(part)
    write_outcome(response.outcome, outcome)
    return response


class StreamWriter:
    """Writes the events of one stream. It remembers who serves, from where the signatures come.

    `hide_reasoning` is as for `answer_to_pb`.
    """

    __slots__ = ("_hide", "_provider")

    def __init__(self, *, hide_reasoning: bool = False) -> None:
        self._hide = hide_reasoning
        self._provider: Provider | None = None

    def event(self, event: StreamEvent) -> pb.StreamGenerateResponse | None:
        """One event, of which `Started` comes first; None for one that is hidden."""
        # Nearly every event is this.
        if type(event) is TextDelta:
            return pb.StreamGenerateResponse(text_delta=event.text)
        match event:
            case TextDelta(text):
                return pb.StreamGenerateResponse(text_delta=text)
            case ToolArgumentsDelta(index, arguments_json):
                return pb.StreamGenerateResponse(
                    tool_arguments_delta=pb.ToolArgumentsDelta(index=index, arguments_json=arguments_json)
                )
            case ReasoningDelta(_, None) if self._hide:
                return None
            case ReasoningDelta(text, signature):
                text = "" if self._hide else text
                response = pb.StreamGenerateResponse(reasoning_delta=pb.ReasoningDelta(text=text))
                _write_signature(response.reasoning_delta, signature, self._provider)
            case ToolCallStarted(index, call_id, name, signature):
                started = pb.ToolCallStarted(index=index, id=call_id, name=name)
                response = pb.StreamGenerateResponse(tool_call_started=started)
                _write_signature(response.tool_call_started, signature, self._provider)
            case Started(operation_id, target):
                self._provider = target.provider
                response = pb.StreamGenerateResponse(started=pb.Started(operation_id=operation_id))
                write_target(response.started.target, target)
            case Completed(outcome):
                response = pb.StreamGenerateResponse()
                write_outcome(response.completed.outcome, outcome)
            case _:
                assert_never(event)
        return response


def _write_signature(
    message: message_pb2.Reasoning | message_pb2.ToolCall | pb.ReasoningDelta | pb.ToolCallStarted,
    signature: Signature | None,
    origin: Provider | None,
) -> None:
    if signature is None:
        return
    if origin is None:
        raise AssertionError("a stream begins with who serves")
    message.signature.data = signature.data
    message.signature.provider = origin.name
    message.signature.key = origin.key


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
