"""The order of a route's targets for one call, by its strategy; and that of providers of one priority."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.domain.call_request import CallRequest
from services.router.domain.configuration import Fleet, Provider
from services.router.domain.health import TargetHealth
from services.router.domain.route import Route, Strategy
from services.router.domain.routing import least_busy, lowest_cost, lowest_latency, weighted
from services.router.domain.routing.costs import likely_pico_usd
from services.router.domain.routing.draws import Draws
from services.router.domain.routing.route_plan import Target
from services.router.domain.tokens import RequestSize


class RouteOrder:
    """Orders for one call; everything that goes by chance is decided by `seed`."""

    __slots__ = ("_draws", "_health", "_now", "_request", "_size", "_streaming")

    def __init__(
        self, request: CallRequest, size: RequestSize, health: TargetHealth, *, streaming: bool, now: float, seed: int
    ) -> None:
        self._request = request
        self._size = size
        self._health = health
        self._streaming = streaming
        self._now = now
        self._draws = Draws(seed)

    def of_targets(self, route: Route, kept: Sequence[int], targets: list[Target]) -> list[Target]:
        """`targets` in the order of the route's strategy; `kept` are their places in the route."""
        health, now = self._health, self._now
        match route.strategy:
            case Strategy.WEIGHTED:
                # One draw for every target of the route: one that cannot serve now does not reshuffle the others.
                draws, listed = self._draws.take(len(route.targets)), route.targets
                weights = [
                    weight if (weight := listed[place].weight) is not None else _own_weight(each.provider)
                    for place, each in zip(kept, targets, strict=True)
                ]
                return weighted.order(targets, weights, [draws[place] for place in kept])
            case Strategy.LOWEST_COST:
                return lowest_cost.order(targets, likely_pico_usd(self._request, self._size, targets))
            case Strategy.LOWEST_LATENCY:
                latencies = [health.latency_s(each.health_key, now, streaming=self._streaming) for each in targets]
                tried = [
                    latency is None and health.tried_lately(each.health_key, now)
                    for latency, each in zip(latencies, targets, strict=True)
                ]
                return lowest_latency.order(targets, latencies, tried)
            case Strategy.LEAST_BUSY:
                under_way = [health.under_way(each.health_key) for each in targets]
                return least_busy.order(targets, under_way, self._draws.take(len(targets)))
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
            drawn = weighted.order(weighty, [each.weight or 0 for each in weighty], self._draws.take(len(weighty)))
            ordered[start:end] = [*drawn, *rest]
        return ordered


def _own_weight(provider: Provider) -> int:
    return provider.weight if provider.weight is not None else 1
