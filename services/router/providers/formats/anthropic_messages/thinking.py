"""How much a model is to think, in the words its family knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from services.router.domain.generation import Effort, ReasoningRequest
from services.router.providers.formats.anthropic_messages.model_families import Family, Thinking

LEAST_BUDGET = 1024
"""The API refuses less."""

# As gatehouse.router.v1.ReasoningRequest says.
_BUDGETS: Mapping[Effort, int] = MappingProxyType(
    {Effort.LOW: 1024, Effort.MEDIUM: 8192, Effort.HIGH: 24_576, Effort.MAX: 32_768}
)
_LOW_BUDGET, _MEDIUM_BUDGET = 2048, 16_384
_ON = frozenset({"enabled", "adaptive"})
_WORDS: Mapping[Effort, str] = MappingProxyType(
    {Effort.LOW: "low", Effort.MEDIUM: "medium", Effort.HIGH: "high", Effort.MAX: "max"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingRequest:
    """`config` goes under `thinking`, `effort` under `output_config`. `budgeted`: the older way, with its limits."""

    config: Mapping[str, Any] | None = None
    effort: str | None = None

    @property
    def budgeted(self) -> bool:
        """Whether it is the older way, which goes with no sampling and no forced tools."""
        return self.config is not None and self.config["type"] == "enabled"

    @property
    def thinks(self) -> bool:
        """Whether the model is asked to think, either way."""
        return self.config is not None and self.config["type"] in _ON

    @property
    def budget(self) -> int:
        """The budget; 0 for none."""
        return self.config["budget_tokens"] if self.config is not None and self.budgeted else 0


NOT_SAID = ThinkingRequest()


def thinking_request(wanted: ReasoningRequest | None, family: Family, output_limit: int) -> ThinkingRequest:
    """What to ask for.

    A budget has to be below the output limit and at least 1024: one in tokens is cut to what the limit leaves, one for
    an effort to half of it, so that there is room for the answer. Where the limit has no room for 1024 the model is not
    asked to think.
    """
    if wanted is None or family.thinking is Thinking.NONE:
        return NOT_SAID
    if wanted.effort is Effort.NONE:
        return _as_little_as_possible(family, hide=wanted.hide)
    by_budget = family.thinking is Thinking.BUDGET or (
        family.thinking is Thinking.EITHER and wanted.budget_tokens is not None
    )
    if not by_budget:
        return _adaptive(family, _effort(wanted), hide=wanted.hide)
    budget = _budget(wanted, output_limit)
    if budget < LEAST_BUDGET:
        return NOT_SAID
    config: dict[str, Any] = {"type": "enabled", "budget_tokens": budget}
    return ThinkingRequest(config=_shown(config, family, hide=wanted.hide))


def _budget(wanted: ReasoningRequest, output_limit: int) -> int:
    tokens = wanted.budget_tokens or 0
    if wanted.effort is not None:
        tokens = min(_BUDGETS[wanted.effort], output_limit // 2)
    return min(max(tokens, LEAST_BUDGET), output_limit - 1)


def _as_little_as_possible(family: Family, *, hide: bool) -> ThinkingRequest:
    if family.thinking_off:
        return ThinkingRequest(config={"type": family.thinking_off})
    return _adaptive(family, Effort.LOW, hide=hide)


def _adaptive(family: Family, effort: Effort, *, hide: bool) -> ThinkingRequest:
    return ThinkingRequest(config=_shown({"type": "adaptive"}, family, hide=hide), effort=_WORDS[effort])


def _shown(config: dict[str, Any], family: Family, *, hide: bool) -> dict[str, Any]:
    if hide:
        config["display"] = "omitted"
    elif family.hides_thoughts:
        config["display"] = "summarized"
    return config


def _effort(wanted: ReasoningRequest) -> Effort:
    if wanted.effort is not None:
        return wanted.effort
    tokens = wanted.budget_tokens or 0
    if tokens <= _LOW_BUDGET:
        return Effort.LOW
    return Effort.MEDIUM if tokens <= _MEDIUM_BUDGET else Effort.HIGH
