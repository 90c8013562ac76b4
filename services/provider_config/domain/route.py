"""A route: where the calls of a tenant for one task go."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from libs.core.provider_types import Capabilities
from libs.core.resource_names import Owner, ProviderName, RouteName
from services.provider_config.domain.etag import etag_of
from services.provider_config.domain.versions import Version


class RoutingStrategy(enum.StrEnum):
    """How the targets of a route are put in order; as in `route.proto`."""

    PRIORITY = "PRIORITY"
    WEIGHTED = "WEIGHTED"
    LOWEST_COST = "LOWEST_COST"
    LOWEST_LATENCY = "LOWEST_LATENCY"
    LEAST_BUSY = "LEAST_BUSY"
    COMPLEXITY = "COMPLEXITY"


class CacheMode(enum.StrEnum):
    """What counts as the same call."""

    OFF = "OFF"
    EXACT = "EXACT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTarget:
    """A provider and model that a route may use; an empty `model` means the provider's default.

    `weight` of None: the provider's. `requires` of None: whatever the call itself needs.
    """

    provider: ProviderName
    model: str = ""
    weight: int | None = None
    plans: tuple[str, ...] = ()
    requires: Capabilities | None = None

    @property
    def serves(self) -> tuple[ProviderName, str]:
        """What two targets must not have in common within one list."""
        return self.provider, self.model

    def __str__(self) -> str:
        return f"{self.provider}/models/{self.model}" if self.model else str(self.provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplexityTier:
    """Where calls go whose score is at most `most_score`, 0 to 100, and above that of the tier before."""

    tier_id: str
    most_score: int
    targets: tuple[RouteTarget, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentArm:
    """What serves `share_percent` of the users first."""

    arm_id: str
    share_percent: int
    target: RouteTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A comparison of targets on the calls of a route."""

    experiment_id: str
    active: bool = True
    arms: tuple[ExperimentArm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """Whether answers may be kept, and how long; `time_to_live` may be None only when the mode is OFF."""

    mode: CacheMode = CacheMode.OFF
    time_to_live: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """What can be changed of a route; names and bounds as in `route.proto`.

    `strategy` is None only in an update that does not change it.
    """

    display_name: str = ""
    description: str = ""
    active: bool = True
    strategy: RoutingStrategy | None = None
    targets: tuple[RouteTarget, ...] = ()
    fallbacks: tuple[RouteTarget, ...] = ()
    fallback_route: RouteName | None = None
    tiers: tuple[ComplexityTier, ...] = ()
    experiment: Experiment | None = None
    cache: CachePolicy | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def every_target(self) -> Iterator[tuple[str, RouteTarget]]:
        """All targets, each with the path of its field in `route`, such as `tiers[0].targets[2]`."""
        for index, target in enumerate(self.targets):
            yield f"targets[{index}]", target
        for index, target in enumerate(self.fallbacks):
            yield f"fallbacks[{index}]", target
        for number, tier in enumerate(self.tiers):
            for index, target in enumerate(tier.targets):
                yield f"tiers[{number}].targets[{index}]", target
        for index, arm in enumerate(self.experiment.arms if self.experiment else ()):
            yield f"experiment.arms[{index}].target", arm.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route as stored. `version` counts its changes from 1; times are UTC."""

    name: RouteName
    uid: str
    version: int
    settings: RouteSettings
    created_by: str
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen."""
        return etag_of(self.uid, self.version)

    @property
    def scope(self) -> Owner:
        """In whose snapshot it is: the tenant's."""
        return self.name.owner

    def changed(self, settings: RouteSettings, *, now: datetime) -> Route:
        """The next version, with `settings`."""
        return replace(self, settings=settings, version=self.version + 1, update_time=now)

    def at(self, version: Version[RouteSettings]) -> Route:
        """What it was."""
        return replace(self, settings=version.settings, version=version.version, update_time=version.change_time)
