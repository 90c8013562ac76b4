"""What routers are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.core.resource_names import Owner
from services.provider_config.domain.model import Model
from services.provider_config.domain.policy import RoutingPolicy
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSnapshot:
    """A provider with its models, by name."""

    provider: Provider
    models: Sequence[Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that one scope holds, read at `revision`; providers by priority and name, the others by name.

    `policy` is None as long as nobody changed it.
    """

    scope: Owner
    revision: int
    providers: Sequence[ProviderSnapshot]
    routes: Sequence[Route] = ()
    preferences: Sequence[Preferences] = ()
    profiles: Sequence[Profile] = ()
    policy: RoutingPolicy | None = None

    @property
    def size(self) -> int:
        """How many resources it holds."""
        lists = (self.providers, self.routes, self.preferences, self.profiles)
        return sum(map(len, lists)) + (self.policy is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotDelta:
    """What changed in one scope after `from_revision`, read at `revision`; `deleted` are names of what is gone."""

    scope: Owner
    from_revision: int
    revision: int
    providers: Sequence[ProviderSnapshot] = ()
    routes: Sequence[Route] = ()
    preferences: Sequence[Preferences] = ()
    profiles: Sequence[Profile] = ()
    policy: RoutingPolicy | None = None
    deleted: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Every change up to `revision` was sent for the scopes that the router's first `requests` messages named."""

    revision: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changed after a revision: the scopes, each with the revision of its last change.

    `revision` is the present one. With `anew`, what was known of the revision asked about is worth nothing: the
    database was put back to an older state since.
    """

    revision: int
    scopes: Mapping[Owner, int]
    anew: bool
