"""Reading a provider's JSON, which may be anything."""

from __future__ import annotations

from typing import Any

import orjson

from services.router.domain.errors import ProviderError, Reason

Json = dict[str, Any]

MAX_FINISH_REASON = 64
"""As much of a provider's finish reason as the ledger keeps; it is a word."""

# What the ledger takes at most (gatehouse.usage.v1.Settlement.tokens), a hundred times the largest context there is.
_MAX_TOKENS = 10**9
_HTTP_OK = 200


def malformed() -> ProviderError:
    """The error of an answer that is none."""
    return ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=_HTTP_OK, sent=True)


def load_object(data: bytes) -> Json:
    """The JSON object in `data`. Raises ProviderError."""
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise malformed() from None
    if not isinstance(parsed, dict):
        raise malformed()
    return parsed


def text(value: object) -> str:
    """`value`, which has to be text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def token_count(fields: Json, name: str, *, absent: int | None = None) -> int | None:
    """A number of tokens, `absent` when there is none, None when it is no number of tokens."""
    value = fields.get(name)
    if value is None:
        return absent
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS:
        return value
    return None
