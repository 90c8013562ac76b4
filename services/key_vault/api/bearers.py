"""The port `Bearers` over the token verifier."""

from __future__ import annotations

from libs.identity.tokens import TokenVerifier
from services.key_vault.domain.permission import Bearer


class VerifiedBearers:
    """Verifies tokens; those verified before are recalled by their digest."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def __call__(self, token: bytes) -> Bearer:
        """See `Bearers`."""
        caller = self._verifier.recall(token) or await self._verifier.verify(token)
        return Bearer(
            tenant=caller.tenant,
            user=caller.user,
            actor=caller.actor,
            roles=tuple(sorted(role.value for role in caller.roles)),
        )
