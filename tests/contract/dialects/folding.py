"""A stream folded into what the same answer would be in one piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.router.domain.generation import (
    Answer,
    AnswerPart,
    Finished,
    ProviderEvent,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)


def folded(events: Iterable[ProviderEvent]) -> Answer:
    """Checks the grammar of the stream on the way: deltas are not empty, calls begin in order, the end is the end."""
    parts: list[AnswerPart] = []
    calls: list[int] = []
    end: Finished | None = None
    for event in events:
        assert end is None, "nothing follows the end"
        last = parts[-1] if parts else None
        match event:
            case TextDelta(delta):
                assert delta
                if isinstance(last, Text):
                    parts[-1] = Text(last.text + delta)
                else:
                    parts.append(Text(delta))
            case ReasoningDelta(delta, signature):
                assert delta or signature is not None
                if isinstance(last, Reasoning) and last.signature is None:
                    parts[-1] = Reasoning(last.text + delta, signature)
                else:
                    parts.append(Reasoning(delta, signature))
            case ToolCallStarted(index, call_id, name, signature):
                assert index == len(calls)
                calls.append(len(parts))
                parts.append(ToolCall(id=call_id, name=name, arguments_json="", signature=signature))
            case ToolArgumentsDelta(index, arguments):
                assert arguments
                call = parts[calls[index]]
                assert isinstance(call, ToolCall)
                parts[calls[index]] = replace(call, arguments_json=call.arguments_json + arguments)
            case Finished():
                end = event
    assert end is not None
    return Answer(
        parts=tuple(parts),
        finish_reason=end.finish_reason,
        raw_finish_reason=end.raw_finish_reason,
        usage=end.usage,
    )
