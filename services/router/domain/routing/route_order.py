"""The order of a route's targets for one call, by its strategy; and that of providers of one priority."""

from __future__ import annotations

import random
from collections.abc import Sequence

from services.router.domain.configuration import Fleet, Provider
from services.router.domain.generation import Generation
from services.router.domain.health import TargetHealth
from services.router.domain.route import Route, RouteTarget, Strategy
from services.router.domain.routing import least_busy, lowest_cost, lowest_latency, weighted
from services.router.domain.routing.costs import likely_pico_usd
from services.router.domain.routing.route_plan import Target
from services.router.domain.tokens import RequestSize


class RouteOrder:
    """Orders for one call; everything that goes by chance is decided by `seed`."""

    __slots__ = ("_health", "_now", "_request", "_rng", "_seed", "_size", "_streaming")

    def __init__(
        self, request: Generation, size: RequestSize, health: TargetHealth, *, streaming: bool, now: float, seed: int
    ) -> None:
        self._request = request
        self._size = size
        self._health = health
        self._streaming = streaming
        self._now = now
        self._seed = seed
        self._rng: random.Random | None = None

    def of_targets(self, route: Route, kept: Sequence[int], targets: list[Target]) -> list[Target]:
        """`targets` in the order of the route's strategy; `kept` are their places in the route."""
        health, now = self._health, self._now
        match route.strategy:
            case Strategy.WEIGHTED:
                # One draw for every target of the route: one that cannot serve now does not reshuffle the others.
                draws = self._draws(len(route.targets))
                weights = [_weight(route.targets[place], each) for place, each in zip(kept, targets, strict=True)]
                return weighted.order(targets, weights, [draws[place] for place in kept])
            case Strategy.LOWEST_COST:
                return lowest_cost.order(
                    targets, [likely_pico_usd(self._request, self._size, each) for each in targets]
                )
            case Strategy.LOWEST_LATENCY:
                keys = [each.health_key for each in targets]
                latencies = [health.latency_s(key, now, streaming=self._streaming) for key in keys]
                return lowest_latency.order(targets, latencies, [health.under_way(key) for key in keys])
            case Strategy.LEAST_BUSY:
                under_way = [health.under_way(each.health_key) for each in targets]
                return least_busy.order(targets, under_way, self._draws(len(targets)))
            case Strategy.PRIORITY | Strategy.COMPLEXITY:
                return targets

    def of_fleet(self, fleet: Fleet) -> Sequence[Provider]:
        """The providers of an owner: among those of one priority the ones with a weight by chance, then the rest."""
        if not fleet.drawn:
            return fleet.providers
        ordered = list(fleet.providers)
        for start, end in fleet.drawn:
            weighty = [each for each in ordered[start:end] if each.weight is not None]
            rest = [each for each in ordered[start:end] if each.weight is None]
            drawn = weighted.order(weighty, [each.weight or 0 for each in weighty], self._draws(len(weighty)))
            ordered[start:end] = [*drawn, *rest]
        return ordered

    def _draws(self, number: int) -> list[float]:
        rng = self._rng
        if rng is None:
            rng = self._rng = random.Random(self._seed)  # noqa: S311 - spreads calls, keeps no secret
        return [rng.random() for _ in range(number)]


def _weight(listed: RouteTarget, target: Target) -> int:
    if listed.weight is not None:
        return listed.weight
    return target.provider.weight if target.provider.weight is not None else 1
