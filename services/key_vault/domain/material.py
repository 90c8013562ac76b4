"""What counts as a provider key, and what people mistake for one."""

from __future__ import annotations

import json
import re

from libs.core.secret import Secret

LEAST_BYTES = 8
MOST_BYTES = 8192

_PRINTABLE = re.compile(rb"[\x21-\x7e]*")
# Some providers give out a file: Google's key of a service account is a JSON object with line ends in it.
_PRINTABLE_JSON = re.compile(rb"\{[\x20-\x7e\t\r\n]*\}")
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


def mask_of(material: Secret) -> str:
    """For people to recognise a key by. Of a JSON object the end says nothing: the id of the key in it does."""
    if not _is_json_object(material.reveal()):
        return material.mask()
    key_id = json.loads(material.reveal()).get("private_key_id")
    shown = isinstance(key_id, str) and key_id.isascii() and key_id.isprintable()
    return Secret(key_id.encode() if shown else b"").mask()


def _is_json_object(value: bytes) -> bool:
    if not _PRINTABLE_JSON.fullmatch(value):
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _problem_with_text(value: bytes) -> str | None:
    # The commonest mistakes first: what is said is about them, not about their effects.
    if value.strip(_EDGES) != value:
        return "begins or ends with white space or a newline; send the key alone"
    if _MASKED.search(value):
        return "looks masked; send the whole key, not what a console shows of it"
    if not _PRINTABLE.fullmatch(value) and not _is_json_object(value):
        return "must be printable ASCII without spaces, or a JSON object"
    if len(value) < LEAST_BYTES:
        return f"must have at least {LEAST_BYTES} bytes"
    return None
