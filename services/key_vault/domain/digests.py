"""Keyed digests: of key material for people to compare, of requests to recognise a repetition by.

Keyed, because both cover key material: a plain hash in a stolen database would let guesses be checked.
"""

from __future__ import annotations

import hashlib
import hmac

from libs.core.resource_names import Owner
from libs.core.secret import Secret

_FINGERPRINT_DIGITS = 16


class Digests:
    """HMAC-SHA256 with one key of the deployment, which is kept apart from the database."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def fingerprint(self, owner: Owner, material: Secret) -> str:
        """16 hexadecimal digits: the same for the same material within one tenant, nothing else can be told."""
        # A tenant begins with `platform` or `tenants/`, so no fingerprint is also the digest of a request.
        return self._mac(f"{Owner(owner.tenant)}|".encode() + material.reveal()).hex()[:_FINGERPRINT_DIGITS]

    def of_request(self, request: Secret) -> bytes:
        """32 bytes for a request in its deterministic encoding, without its id."""
        return self._mac(b"request|" + request.reveal())

    def derived_key(self, purpose: str) -> Secret:
        """A key of its own for another purpose, 32 bytes."""
        return Secret(self._mac(f"key|{purpose}".encode()))

    def _mac(self, message: bytes) -> bytes:
        return hmac.digest(self._key.reveal(), message, hashlib.sha256)
