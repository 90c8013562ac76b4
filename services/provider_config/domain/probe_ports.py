"""What trying providers needs of the world: somebody who reaches them, and a memory of who tries what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from libs.core.resource_names import KeyName, Owner, ProviderName
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
    """Why the provider `name` is not tried before `until`: a test is under way, or it was tried just now."""

    name: str
    under_way: bool
    until: datetime


class ProviderTests(Protocol):
    """Which providers are being tried, or were just now; over all replicas."""

    def forget(self, *, ended: datetime, beyond: datetime) -> None:
        """Forget the holds of all owners that have `ended` by a time, and those that last `beyond` another."""
        ...

    def held(self, owner: Owner) -> Sequence[Hold]:
        """The holds on providers of `owner`, whether they exist or not."""
        ...

    def begin(self, name: ProviderName, uid: str, *, until: datetime) -> None:
        """Hold `name`, on which there is no hold, for the test `uid`; it is taken for lost at `until`."""
        ...

    def end(self, name: ProviderName, uid: str, *, free_at: datetime) -> None:
        """The test `uid` has ended; the next may begin at `free_at`. Nothing happens if it was taken for lost."""
        ...
