"""Where the calls of a tenant for one task go, as the router holds it; `route.proto` says what the fields mean."""

from __future__ import annotations

import enum
from dataclasses import dataclass

DEFAULT_ROUTE = "default"
"""The task whose route serves the calls for tasks without a route of their own, and those for no task."""


class Strategy(enum.Enum):
    """How the targets of a route are put in order."""

    PRIORITY = "PRIORITY"
    WEIGHTED = "WEIGHTED"
    LOWEST_COST = "LOWEST_COST"
    LOWEST_LATENCY = "LOWEST_LATENCY"
    LEAST_BUSY = "LEAST_BUSY"
    COMPLEXITY = "COMPLEXITY"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTarget:
    """A provider (its resource name) and model that a route may use; an empty `model` means the provider's default.

    `weight` of None is the provider's. `plans` are those it serves, all when empty. `requires` are the bits of
    `Capabilities.mask` its model must have beyond what the call needs.
    """

    provider: str
    model: str = ""
    weight: int | None = None
    plans: frozenset[str] = frozenset()
    requires: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Where calls go whose complexity is at most `most_score`, 0 to 100, and above that of the tier before."""

    id: str
    most_score: int
    targets: tuple[RouteTarget, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One alternative of an experiment: what serves `share_percent` of the users first."""

    id: str
    share_percent: int
    target: RouteTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A comparison of targets. `name` is `tenants/{tenant}/routes/{task}/experiments/{experiment}`."""

    name: str
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An active or inactive route; only an active one is ever gone by.

    `name` is its resource name, `task` the last part of it. `fallback_task` is the task of the route that follows,
    empty for none. `experiment` is None unless one runs.
    """

    name: str
    task: str
    active: bool = True
    strategy: Strategy = Strategy.PRIORITY
    targets: tuple[RouteTarget, ...] = ()
    fallbacks: tuple[RouteTarget, ...] = ()
    fallback_task: str = ""
    tiers: tuple[Tier, ...] = ()
    experiment: Experiment | None = None
