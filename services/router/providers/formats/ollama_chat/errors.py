"""What Ollama's errors mean. They are a text under `error`, without a code."""

from __future__ import annotations

from services.router.domain.errors import Reason
from services.router.providers.reading.error_table import ErrorTable

ERRORS = ErrorTable(
    codes={},
    words=(
        # Of the server, of its older and newer engines, of llama.cpp below.
        ("exceeds the context length", Reason.CONTEXT_TOO_LONG),
        ("maximum context length", Reason.CONTEXT_TOO_LONG),
        ("exceeds the available context size", Reason.CONTEXT_TOO_LONG),
        ("exceed_context_size", Reason.CONTEXT_TOO_LONG),
        ("prompt too long", Reason.CONTEXT_TOO_LONG),
        ("server busy", Reason.PROVIDER_OVERLOADED),
        ("maximum pending requests exceeded", Reason.PROVIDER_OVERLOADED),
        # The memory is taken by other models, for now.
        ("requires more system memory", Reason.PROVIDER_OVERLOADED),
        ("usage limit", Reason.PROVIDER_RATE_LIMITED),
        ("too many concurrent requests", Reason.PROVIDER_RATE_LIMITED),
        ("try pulling it first", Reason.PROVIDER_MODEL_NOT_FOUND),
    ),
    # 500 is what a text that is too long gets from some versions.
    worded_statuses=frozenset({400, 422, 500}),
)
