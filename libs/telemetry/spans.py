"""Scrubs finished spans before they are exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import Attributes, AttributeValue

from libs.telemetry.scrubbing import MASK, is_private_field, scrub_foreign_text, scrub_text

# Set by OpenTelemetry itself when an exception passes a span; its text and trace are other people's.
_FOREIGN_ATTRIBUTES = frozenset({"exception.message"})


class ScrubbingSpanProcessor(SpanProcessor):
    """Hands `inner` copies of the finished spans with every text scrubbed, names and status included."""

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is read at the start."""
        self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Forward the scrubbed copy."""
        self._inner.on_end(_scrubbed(span))

    def shutdown(self) -> None:
        """Shut the inner processor down."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the inner processor."""
        return self._inner.force_flush(timeout_millis)


def _scrubbed(span: ReadableSpan) -> ReadableSpan:
    description = span.status.description
    return ReadableSpan(
        name=scrub_text(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[Event(scrub_text(event.name), _attributes(event.attributes), event.timestamp) for event in span.events],
        links=[Link(link.context, _attributes(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code, scrub_foreign_text(description) if description else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(attributes: Attributes) -> dict[str, AttributeValue]:
    return {
        scrub_text(name): _attribute(name, value)
        for name, value in cast("Mapping[str, AttributeValue]", attributes or {}).items()
    }


def _attribute(name: str, value: AttributeValue) -> AttributeValue:
    if isinstance(value, bool | int | float):
        return value
    if is_private_field(name):
        return MASK
    if isinstance(value, str):
        return scrub_foreign_text(value) if name in _FOREIGN_ATTRIBUTES else scrub_text(value)
    if isinstance(value, list | tuple):
        return [scrub_text(item) if isinstance(item, str) else item for item in value]
    return f"<{type(value).__name__}>"
