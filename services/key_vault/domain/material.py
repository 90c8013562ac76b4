"""What counts as a provider key, and what people mistake for one."""

from __future__ import annotations

import re

from libs.core.secret import Secret

LEAST_BYTES = 8
MOST_BYTES = 8192

_PRINTABLE = re.compile(rb"[\x21-\x7e]*")
# What consoles show instead of a key: `sk-…a1b2`, `sk-...a1b2`, `sk-****a1b2`, bullets, `sk-xxxx`. The runs are long
# enough that a random key holds one less than once in ten million.
_MASKED = re.compile("…|•|●".encode() + rb"|\*{3}|\.{3}|[xX]{6}|[xX]{4}\Z")
_EDGES = b" \t\r\n\v\f"


def problem_with(material: Secret) -> str | None:
    """Why `material` cannot be a provider key, None when it can. The text never holds any of it."""
    value = material.reveal()
    if not value:
        return "is required"
    if len(value) > MOST_BYTES:
        return f"must have at most {MOST_BYTES} bytes"
    return _problem_with_text(value)


def _problem_with_text(value: bytes) -> str | None:
    # The commonest mistakes first: what is said is about them, not about their effects.
    if value.strip(_EDGES) != value:
        return "begins or ends with white space or a newline; send the key alone"
    if _MASKED.search(value):
        return "looks masked; send the whole key, not what a console shows of it"
    if not _PRINTABLE.fullmatch(value):
        return "must be printable ASCII without spaces"
    if len(value) < LEAST_BYTES:
        return f"must have at least {LEAST_BYTES} bytes"
    return None
