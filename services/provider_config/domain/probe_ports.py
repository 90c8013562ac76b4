"""What trying providers needs of the world: somebody who reaches them, and a memory of who tries what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from libs.core.resource_names import KeyName, ProviderName
from libs.core.secret import Secret
from services.provider_config.domain.provider import ProviderTestOutcome

MOST_LISTED = 5000
"""How many ids of a provider's list are looked at; a longer list ends here, in the order of its ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A provider to try: with a key to open, one in clear, or none. `model` is empty when none is looked for.

    `caller_token`: that of whoever asks for the test; the key is opened for them.
    """

    type: str
    base_url: str
    options: Mapping[str, Any]
    key: KeyName | Secret | None
    model: str
    caller_token: Secret
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFinding:
    """What a provider did. `model_ids`: the ids in its list, sorted, at most MOST_LISTED."""

    outcome: ProviderTestOutcome
    message: str
    duration: timedelta
    model_ids: tuple[str, ...]


class ProviderProbes(Protocol):
    """The router, which reaches providers."""

    async def probe(self, probe: Probe) -> ProbeFinding:
        """Try a provider. Raises Unavailable when that cannot be done now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why a provider is not tried before `until`: a test is under way, or it was tried just now."""

    under_way: bool
    until: datetime


class ProviderTests(Protocol):
    """Which providers are being tried, or were just now; over all replicas."""

    def begin(self, name: ProviderName, uid: str, *, now: datetime, until: datetime) -> Hold | None:
        """Hold `name` for the test `uid`, which is taken for lost at `until`; or why that cannot be."""
        ...

    def end(self, name: ProviderName, uid: str, *, free_at: datetime) -> None:
        """The test `uid` has ended; the next may begin at `free_at`. Nothing happens if it was taken for lost."""
        ...
