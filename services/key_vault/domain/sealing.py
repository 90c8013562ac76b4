"""To what a ciphertext is bound."""

from __future__ import annotations

from libs.core.resource_names import Owner


def sealing_context(owner: Owner, uid: str, version: int) -> bytes:
    """What the encryption key of one version of one key is derived from.

    A ciphertext moved to another owner, key or version does not open there. Changing this makes every stored key
    unreadable. Unambiguous: neither an owner's name nor a uid holds a `|`.
    """
    return f"{owner}|{uid}|{version}".encode()
