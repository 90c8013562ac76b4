"""How often keys were opened, added up in memory and stored every second: nothing of it is on the way of a call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from libs.core.clock import Clock
from libs.core.resource_names import KeyName


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUseCount:
    """How often one service opened one version within one hour, and Vault's id of the last request that did."""

    hour: datetime
    name: KeyName
    key_uid: str
    version: int
    service: str
    count: int
    last_vault_request_id: str


@dataclass(frozen=True, slots=True)
class OpenedVersion:
    """A version that was opened for a service."""

    name: KeyName
    key_uid: str
    version: int
    service: str


class KeyUseCounter:
    """Counts since it was last emptied. For use from one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[tuple[OpenedVersion, datetime], tuple[int, str]] = {}

    def opened(self, versions: Iterable[tuple[OpenedVersion, str]]) -> None:
        """Count one opening of each of `versions`, which come with Vault's id of the request that opened them."""
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        for version, vault_request_id in versions:
            count, _ = self._counts.get((version, hour), (0, ""))
            self._counts[version, hour] = count + 1, vault_request_id

    def take(self) -> list[KeyUseCount]:
        """All counts; the next ones begin at 0."""
        counts, self._counts = self._counts, {}
        return [
            KeyUseCount(
                hour=hour,
                name=version.name,
                key_uid=version.key_uid,
                version=version.version,
                service=version.service,
                count=count,
                last_vault_request_id=vault_request_id,
            )
            for (version, hour), (count, vault_request_id) in counts.items()
        ]

    def put_back(self, uses: Iterable[KeyUseCount]) -> None:
        """Counts that could not be stored: they are added to those made since."""
        for use in uses:
            version = OpenedVersion(use.name, use.key_uid, use.version, use.service)
            since, vault_request_id = self._counts.get((version, use.hour), (0, use.last_vault_request_id))
            self._counts[version, use.hour] = since + use.count, vault_request_id
