"""W3C trace context in gRPC metadata, by hand: the ready-made aio client interceptors swallow cancellation."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Metadata = tuple[tuple[str, str | bytes], ...]

_PARENT = "traceparent"
_STATE = "tracestate"
_MAX_STATE_LENGTH = 512
_propagator = TraceContextTextMapPropagator()


def extract(metadata: Iterable[tuple[str, str | bytes]]) -> Context | None:
    """The caller's trace, to start a server span under. None without exactly one well-formed `traceparent`."""
    carrier: dict[str, str] = {}
    for key, value in metadata:
        if key in (_PARENT, _STATE) and isinstance(value, str):
            if key in carrier:
                return None
            carrier[key] = value
    if _PARENT not in carrier:
        return None
    if len(carrier.get(_STATE, "")) > _MAX_STATE_LENGTH:
        del carrier[_STATE]
    context = _propagator.extract(carrier, context=Context())
    return context or None


def inject(metadata: Metadata, context: Context | None = None) -> Metadata:
    """`metadata` with the trace of `context` (default: the current one), replacing any that was there."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context)
    if not carrier:
        return metadata
    kept = tuple(entry for entry in metadata if entry[0] not in (_PARENT, _STATE))
    return (*kept, *carrier.items())
