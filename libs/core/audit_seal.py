"""The seal on a chain's head: a MAC by a key that the database does not hold."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from libs.core.audit import AuditHead
from libs.core.audit_encoding import canonical_json
from libs.core.secret import Secret

# As long as the hash's own output, which RFC 2104 recommends as the minimum.
LEAST_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedHead:
    """A head and the MAC found beside it, 64 lower-case hexadecimal digits when it is one."""

    head: AuditHead
    mac: str


class HeadSeal:
    """Seals heads with a key of the deployment, the same in every replica and kept outside the database.

    Whoever can write the database but lacks the key can recompute a chain's hashes, yet not seal its new head. What the
    seal cannot show: that a chain was put back to a state it once had, together with the head of that time. Anchors do.

    The MAC is HMAC-SHA256 over the canonical JSON
    `{"format":"gatehouse-audit-head-1","hash":"<64 digits>","scope":"tenants/acme","sequence":7}`.
    """

    def __init__(self, key: Secret) -> None:
        """Raises ValueError for a key of fewer than 32 bytes."""
        if len(key) < LEAST_KEY_BYTES:
            raise ValueError(f"the key that seals audit logs must have at least {LEAST_KEY_BYTES} bytes")
        self._key = key

    def seal(self, head: AuditHead) -> SealedHead:
        """`head` with its MAC."""
        return SealedHead(head=head, mac=self._mac(head))

    def is_on(self, sealed: SealedHead) -> bool:
        """Whether this deployment sealed the head; compares in constant time."""
        # As bytes: compare_digest refuses text outside ASCII, which a forged MAC may hold.
        return hmac.compare_digest(self._mac(sealed.head).encode(), sealed.mac.encode("utf-8", "replace"))

    def _mac(self, head: AuditHead) -> str:
        fields = {"format": "gatehouse-audit-head-1", "hash": head.hash, "scope": head.scope, "sequence": head.sequence}
        return hmac.new(self._key.reveal(), canonical_json(fields), hashlib.sha256).hexdigest()
