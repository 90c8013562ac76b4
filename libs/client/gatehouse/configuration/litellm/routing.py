"""How a LiteLLM file spreads calls over the deployments of a group, and where they go when these fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from gatehouse.configuration.litellm.settings import Settings
from gatehouse.configuration.yaml_tree import Entries, Items, Node, Scalar, joined
from gatehouse.providerconfig.v1.route_pb2 import RoutingStrategy

_STRATEGIES = {
    "": RoutingStrategy.ROUTING_STRATEGY_WEIGHTED,
    "simple-shuffle": RoutingStrategy.ROUTING_STRATEGY_WEIGHTED,
    "least-busy": RoutingStrategy.ROUTING_STRATEGY_LEAST_BUSY,
    "latency-based-routing": RoutingStrategy.ROUTING_STRATEGY_LOWEST_LATENCY,
    "cost-based-routing": RoutingStrategy.ROUTING_STRATEGY_LOWEST_COST,
    "usage-based-routing": RoutingStrategy.ROUTING_STRATEGY_LEAST_BUSY,
    "usage-based-routing-v2": RoutingStrategy.ROUTING_STRATEGY_LEAST_BUSY,
}
ANY = "*"

# Why a setting is not taken over, where there is something to say.
_REASONS: Mapping[str, str] = {
    "allowed_fails": "Gatehouse has a circuit breaker of its own for each endpoint, model and key",
    "allowed_fails_policy": "Gatehouse has a circuit breaker of its own for each endpoint, model and key",
    "cache": "Gatehouse keeps no answers yet; routes can store the wish: `gatehouse routes update TASK --cache 1h`",
    "cache_params": "Gatehouse keeps no answers yet",
    "callbacks": "usage and cost are in the ledger: `gatehouse usage records`",
    "content_policy_fallbacks": "a refused content is an answer, and not asked of another provider",
    "cooldown_time": "Gatehouse has a circuit breaker of its own for each endpoint, model and key",
    "drop_params": "Gatehouse passes over a model that cannot do what a call needs, and says so",
    "enable_pre_call_checks": "Gatehouse always checks the context before it calls",
    "failure_callback": "usage and cost are in the ledger: `gatehouse usage records`",
    "guardrails": "Gatehouse has no guardrails",
    "max_budget": "limit what is used with quotas: `gatehouse quotas create monthly --usd 50 --per month`",
    "redis_host": "Gatehouse needs no Redis",
    "redis_password": "Gatehouse needs no Redis",
    "redis_port": "Gatehouse needs no Redis",
    "redis_url": "Gatehouse needs no Redis",
    "retry_after": "Gatehouse waits as the provider asks, and no longer than the call's deadline",
    "retry_policy": "Gatehouse retries by the kind of failure",
    "success_callback": "usage and cost are in the ledger: `gatehouse usage records`",
}
_PARTS: Mapping[str, str] = {
    "environment_variables": "only variables of the environment are read",
    "general_settings": "callers carry tokens of your issuer, and Gatehouse has settings of its own: see the README",
    "guardrails": "Gatehouse has no guardrails",
    "mcp_servers": "Gatehouse is no MCP gateway; tools of MCP servers can be handed to calls as they are",
}


@dataclass(slots=True, kw_only=True)
class Routing:
    """What holds for groups. `fallbacks`: groups by group, in order, `*` for all; times are in seconds."""

    strategy: RoutingStrategy.ValueType = RoutingStrategy.ROUTING_STRATEGY_WEIGHTED
    fallbacks: dict[str, list[str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    max_retries: int | None = None
    timeout: Decimal | None = None

    def after(self, group: str) -> list[str]:
        """The groups that serve when `group` cannot."""
        following = [*self.fallbacks.get(group, ()), *self.fallbacks.get(ANY, ())]
        return [each for each in dict.fromkeys(following) if each != group]


def read_routing(root: Settings) -> Routing:
    """What `router_settings` and `litellm_settings` say; `router_settings` wins. The rest is told in the findings."""
    routing = Routing()
    for name in ("router_settings", "litellm_settings"):
        part = root.part(name)
        if part is None:
            continue
        _read(part, routing)
        for key in part.rest():
            part.findings.remark(*part.place(key), f"is not taken over: {_REASONS.get(key, 'it has no counterpart')}")
    for key in root.rest():
        node = root.node.entries[key]
        said = f" ({', '.join(node.entries)})" if isinstance(node, Entries) else ""
        root.findings.remark(*root.place(key), f"is not taken over{said}: {_PARTS.get(key, 'it has no counterpart')}")
    return routing


def _read(part: Settings, routing: Routing) -> None:
    strategy = part.text("routing_strategy")
    if strategy in _STRATEGIES:
        if strategy:
            routing.strategy = _STRATEGIES[strategy]
        if strategy.startswith("usage-based"):
            part.findings.remark(*part.place("routing_strategy"), "becomes least_busy, which is nearest")
    else:
        part.findings.remark(*part.place("routing_strategy"), "is not known here: calls are spread by weight")
    retries = part.whole("num_retries", 1000)
    if retries is not None and routing.max_retries is None:
        if retries > 10:  # noqa: PLR2004 - the most a provider takes
            part.findings.remark(*part.place("num_retries"), "becomes 10, which is the most")
        routing.max_retries = min(retries, 10)
    for key in ("timeout", "request_timeout"):
        timeout = part.number(key)
        routing.timeout = timeout if routing.timeout is None else routing.timeout
    for key in ("fallbacks", "context_window_fallbacks"):
        found = list(_fallbacks(part, key))
        for group, following in found:
            routing.fallbacks.setdefault(group, []).extend(following)
        if found and key == "context_window_fallbacks":
            text = "become fallbacks: Gatehouse passes over a target whose context is too short before it calls it"
            part.findings.remark(*part.place(key), text)
    routing.fallbacks.setdefault(ANY, []).extend(_names(part, part.node_of("default_fallbacks"), "default_fallbacks"))
    aliases = part.part("model_group_alias")
    if aliases is not None:
        for alias in aliases.node.entries:
            inner = aliases.node.entries[alias]
            within = aliases.part(alias) if isinstance(inner, Entries) else None
            routing.aliases[alias] = within.text("model") if within else aliases.text(alias)


def _fallbacks(part: Settings, key: str) -> Iterator[tuple[str, list[str]]]:
    """`[{group: [other, …]}, …]`, or the same as one mapping."""
    node = part.node_of(key)
    if node is None:
        return
    if not isinstance(node, Items | Entries):
        part.findings.problems.add(*part.place(key), "must be a list such as [{gpt-4o: [gpt-4o-mini]}]")
        return
    path = joined(part.path, key)
    for index, item in enumerate(node.items if isinstance(node, Items) else (node,)):
        where = f"{path}[{index}]" if isinstance(node, Items) else path
        if not isinstance(item, Entries):
            part.findings.problems.add(item.line, where, "must be a mapping such as {gpt-4o: [gpt-4o-mini]}")
            continue
        for group, following in item.entries.items():
            yield group, _names(part, following, joined(where, group))


def _names(part: Settings, node: Node | None, path: str) -> list[str]:
    if node is None:
        return []
    names = []
    for index, item in enumerate(node.items if isinstance(node, Items) else (node,)):
        if isinstance(item, Scalar):
            names.append(item.text)
        else:
            part.findings.remark(item.line, f"{path}[{index}]", "is not taken over: settings of a fallback's own")
    return names
