"""No place for anchors: what the head of a chain shows is all there is."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.audit_anchors import Anchor


class NoAnchors:
    """Keeps nothing. Chains are not anchored then, and verified without anchors."""

    async def append(self, anchors: Sequence[Anchor]) -> None:  # noqa: ARG002 - the port's
        """See `AnchorStore`."""
        raise OSError("no place for audit anchors is set")

    async def read(self, scope: str) -> list[Anchor]:  # noqa: ARG002 - the port's
        """None."""
        return []
