"""Marks that only the sandbox can make, for what a caller has to send back unchanged: signatures and sealed texts.

The secret is the same everywhere, for the same question has the same answer, bit for bit. It protects nothing: it shows
whether a caller, or a gateway between, changed or mixed up what it was given.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

_SECRET = b"the sandbox signs what it thought"
_MARK_BYTES = 24


def sign(text: str) -> str:
    """The signature of `text`, as base64."""
    return base64.b64encode(_mark(text.encode())).decode()


def is_signed(text: str, signature: str) -> bool:
    """Whether `signature` is the one that `text` was given."""
    return signature == sign(text)


def seal(text: str) -> str:
    """`text` in a form that nobody can read, as base64."""
    data = text.encode()
    mark = _mark(data)
    return base64.b64encode(mark + _veiled(mark, data)).decode()


def unseal(sealed: str) -> str | None:
    """The text that was sealed; None when this is nothing that was."""
    try:
        raw = base64.b64decode(sealed, validate=True)
        mark, veiled = raw[:_MARK_BYTES], raw[_MARK_BYTES:]
        data = _veiled(mark, veiled)
        return data.decode() if _mark(data) == mark else None
    except (binascii.Error, ValueError):
        return None


def _mark(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_MARK_BYTES, key=_SECRET).digest()


def _veiled(mark: bytes, data: bytes) -> bytes:
    stream = hashlib.shake_256(_SECRET + mark).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
