"""Entity tags: short, opaque, different for every version of every resource."""

from __future__ import annotations

import hashlib


def etag_of(uid: str, version: int) -> str:
    """16 hexadecimal digits for `version` of the resource `uid`."""
    return hashlib.blake2s(f"{uid}/{version}".encode(), digest_size=8).hexdigest()
