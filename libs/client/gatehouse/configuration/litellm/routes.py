"""Routes of the groups of a LiteLLM file: several deployments, fallbacks, aliases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from gatehouse.configuration.litellm.deployments import Deployment
from gatehouse.configuration.litellm.names import free, slug
from gatehouse.configuration.litellm.routing import ANY, Routing
from gatehouse.configuration.litellm.settings import Findings
from gatehouse.providerconfig.v1.route_pb2 import Route, RouteTarget, RoutingStrategy

_MOST_TARGETS = 32
_MOST_WEIGHT = 1_000_000

Members = Sequence[tuple[Deployment, RouteTarget]]
Targets = dict[str, list[tuple[Deployment, RouteTarget]]]
"""What each group was made of."""


def build_routes(parent: str, targets: Targets, routing: Routing, findings: Findings) -> dict[str, Route]:
    """Routes for the groups that have several deployments or fallbacks, and for aliases; what is lost is told."""
    builder = _Builder(targets, routing, findings)
    for group, members in targets.items():
        if len(members) > 1 or routing.after(group):
            builder.add(parent, group, group)
    for alias, group in routing.aliases.items():
        if group in targets:
            builder.add(parent, alias, group)
        else:
            findings.remark(0, "model_group_alias", f"{alias} is not taken over: no deployment of {group} is")
    for group in routing.fallbacks:
        if group != ANY and group not in targets and group not in routing.aliases:
            findings.remark(0, "fallbacks", f"those of {group} are not taken over: no deployment of {group} is")
    return builder.routes


class _Builder:
    def __init__(self, targets: Targets, routing: Routing, findings: Findings) -> None:
        self._targets, self._routing, self._findings = targets, routing, findings
        self.routes: dict[str, Route] = {}

    def add(self, parent: str, name: str, group: str) -> None:
        """The route `name` over the deployments of `group`."""
        route_id = free(slug(name), self.routes)
        if route_id != name:
            self._findings.remark(0, "model_list", f"the route of {name} is called {route_id}")
        targets, strategy = _spread(self._targets[group], self._routing.strategy)
        fallbacks = self._fallbacks(name, targets, self._routing.after(group))
        if len(targets) > _MOST_TARGETS or len(fallbacks) > _MOST_TARGETS:
            self._findings.remark(0, "model_list", f"{name}: only the first {_MOST_TARGETS} targets are taken over")
        self.routes[route_id] = Route(
            name=f"{parent}/routes/{route_id}",
            strategy=strategy,
            targets=targets[:_MOST_TARGETS],
            fallbacks=fallbacks[:_MOST_TARGETS],
        )

    def _fallbacks(self, name: str, targets: Sequence[RouteTarget], following: Iterable[str]) -> list[RouteTarget]:
        """The deployments of the groups that follow, each once."""
        seen = {(target.provider, target.model) for target in targets}
        fallbacks = []
        for group in following:
            members = self._targets.get(self._routing.aliases.get(group, group))
            if members is None:
                text = f"{group} as a fallback of {name} is not taken over: no deployment of it is"
                self._findings.remark(0, "fallbacks", text)
            for _, target in members or ():
                if (target.provider, target.model) not in seen:
                    seen.add((target.provider, target.model))
                    fallbacks.append(target)
        return fallbacks


def _spread(
    members: Members, strategy: RoutingStrategy.ValueType
) -> tuple[list[RouteTarget], RoutingStrategy.ValueType]:
    """The targets in order, with their weights, and the strategy."""
    orders = [deployment.order for deployment, _ in members]
    if len(set(orders)) > 1:
        last = max(order for order in orders if order is not None) + 1
        ranked = sorted(members, key=lambda each: last if each[0].order is None else each[0].order)
        return [target for _, target in ranked], RoutingStrategy.ROUTING_STRATEGY_PRIORITY
    weights = _weights([deployment for deployment, _ in members])
    if strategy != RoutingStrategy.ROUTING_STRATEGY_WEIGHTED or weights is None:
        return [target for _, target in members], strategy
    return [
        RouteTarget(provider=target.provider, model=target.model, weight=weight)
        for (_, target), weight in zip(members, weights, strict=True)
    ], strategy


def _weights(deployments: Sequence[Deployment]) -> list[int] | None:
    """As LiteLLM shuffles: by weight, else by requests, else by tokens per minute; None for evenly."""
    for name in ("weight", "requests_per_minute", "tokens_per_minute"):
        said = [getattr(deployment, name) for deployment in deployments]
        if all(each is None for each in said):
            continue
        amounts = [Decimal(0 if each is None else each) for each in said]
        if not any(amounts):
            return None
        # Whole numbers in the same proportion: 0.7 and 0.3 are 7 and 3.
        scale = Decimal(10) ** max(0, *(-int(amount.normalize().as_tuple().exponent) for amount in amounts))
        if max(amounts) * scale > _MOST_WEIGHT:
            scale = Decimal(_MOST_WEIGHT) / max(amounts)
        return [max(int(amount * scale), 1 if amount else 0) for amount in amounts]
    return None
