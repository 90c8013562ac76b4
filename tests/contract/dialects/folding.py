"""A stream folded into what the same answer would be in one piece."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.router.domain.generation import (
    Answer,
    Finished,
    ProviderEvent,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)


def folded(events: Iterable[ProviderEvent]) -> Answer:
    """Checks the grammar of the stream on the way: deltas are not empty, calls begin in order, the end is the end."""
    text = ""
    calls: list[ToolCall] = []
    end: Finished | None = None
    for event in events:
        assert end is None, "nothing follows the end"
        match event:
            case TextDelta(delta):
                assert delta
                text += delta
            case ToolCallStarted(index, call_id, name):
                assert index == len(calls)
                calls.append(ToolCall(id=call_id, name=name, arguments_json=""))
            case ToolArgumentsDelta(index, arguments):
                assert arguments
                calls[index] = replace(calls[index], arguments_json=calls[index].arguments_json + arguments)
            case Finished():
                end = event
    assert end is not None
    return Answer(
        text=text,
        tool_calls=tuple(calls),
        finish_reason=end.finish_reason,
        raw_finish_reason=end.raw_finish_reason,
        usage=end.usage,
    )
