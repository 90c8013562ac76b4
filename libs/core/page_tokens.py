"""Opaque page tokens, bound to the arguments of the list call that issued them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping

from libs.core.errors import FieldViolation, InvalidArgument

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

_DIGEST_BYTES = 8


def page_size(requested: int) -> int:
    """The size to serve: 0 means the default, more than the maximum is capped (AIP-158).

    Raises InvalidArgument for a negative size.
    """
    if requested < 0:
        raise _invalid("page_size", "must not be negative")
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def encode_page_token(cursor: str, arguments: Mapping[str, object]) -> str:
    """A token that continues after `cursor` for a call with the same `arguments` (JSON-able values)."""
    return base64.urlsafe_b64encode(_digest(arguments) + cursor.encode()).decode().rstrip("=")


def decode_page_token(token: str, arguments: Mapping[str, object]) -> str | None:
    """The cursor inside `token`; None for an empty token (the first page).

    Raises InvalidArgument when the token is not one of ours or belongs to other arguments.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        cursor = raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError):
        raise _invalid("page_token", "is not a token this service issued") from None
    if raw[:_DIGEST_BYTES] != _digest(arguments):
        raise _invalid("page_token", "belongs to a call with other arguments; start again without it")
    return cursor


def _digest(arguments: Mapping[str, object]) -> bytes:
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).digest()[:_DIGEST_BYTES]


def _invalid(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(
        "INVALID_FIELD",
        f"{field} {description}",
        metadata={"field": field},
        field_violations=(FieldViolation(field=field, description=description),),
    )
