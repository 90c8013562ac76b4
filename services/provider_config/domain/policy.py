"""What holds for all calls of a tenant."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from libs.core.resource_names import Owner
from services.provider_config.domain.etag import etag_of


class PlatformFallback(enum.StrEnum):
    """Whether the platform's providers may serve callers whose tenant has providers of its own."""

    NEVER = "NEVER"
    LAST = "LAST"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPolicy:
    """The policy of a tenant. `version` counts its changes from 1; it is 0 and `uid` empty as long as there is none."""

    tenant: Owner
    uid: str = ""
    version: int = 0
    platform_fallback: PlatformFallback = PlatformFallback.NEVER
    update_time: datetime | None = None

    @property
    def name(self) -> str:
        """`tenants/{tenant}/policy`."""
        return f"{self.tenant}/policy"

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen; empty as long as nobody changed it."""
        return etag_of(self.uid, self.version) if self.version else ""

    def changed(self, platform_fallback: PlatformFallback, *, uid: str, now: datetime) -> Self:
        """The next version; `uid` is for the first one."""
        return replace(
            self,
            uid=self.uid or uid,
            version=self.version + 1,
            platform_fallback=platform_fallback,
            update_time=now,
        )
