"""What Claude's generations take: data by the names of models.

From the API's pages on thinking, effort, structured outputs, tool choice and system messages within conversations, as
they stood in November 2026. Names come with prefixes and dates of their own on other clouds: the family is looked for
anywhere in them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType


class Thinking(enum.Enum):
    """How a model is told to think: by a budget of tokens, by effort, either way, or not at all."""

    NONE = "none"
    BUDGET = "budget"
    EITHER = "either"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the models of a generation have in common.

    `thinking_off`: the `thinking.type` that turns thinking off; empty where it is always on. `hides_thoughts`: whether
    thoughts are left out unless asked for. `sampling`: temperature, top_p and top_k. `output_schemas`:
    `output_config.format`. `forced_tools`: tool choices `any` and `tool`; `thinks_when_forced`: also while it thinks.
    `system_turns`: messages of role `system`. `continues`: whether it goes on with what the assistant said last.
    `one_sampler`: whether it takes no top_p beside a temperature.
    """

    thinking: Thinking = Thinking.ADAPTIVE
    thinking_off: str = "disabled"
    hides_thoughts: bool = True
    sampling: bool = False
    output_schemas: bool = True
    forced_tools: bool = True
    thinks_when_forced: bool = True
    system_turns: bool = False
    continues: bool = False
    one_sampler: bool = False


UNKNOWN = Family(sampling=True)
"""Models of other names: the ways of the newest ones, but sampling is theirs to refuse."""

_ALWAYS_THINKS = Family(thinking_off="", system_turns=True)
_BEFORE_4_8 = Family(thinks_when_forced=False)
_BEFORE_4_7 = replace(_BEFORE_4_8, hides_thoughts=False, sampling=True)
_BEFORE_4_6 = replace(_BEFORE_4_7, thinking=Thinking.BUDGET, continues=True)
_MYTHOS_PREVIEW = replace(_BEFORE_4_7, thinking=Thinking.EITHER, thinking_off="")

# The first row that holds the line of a model (None: any) and begins at or below its version counts.
_ROWS: tuple[tuple[frozenset[str] | None, tuple[int, int], Family], ...] = (
    (frozenset({"opus"}), (5, 5), replace(_ALWAYS_THINKS, forced_tools=False)),
    (frozenset({"fable", "mythos"}), (5, 1), replace(_ALWAYS_THINKS, forced_tools=False)),
    (frozenset({"fable", "mythos"}), (5, 0), _ALWAYS_THINKS),
    (frozenset({"sonnet"}), (5, 5), Family(thinking_off="between_tools", forced_tools=False, system_turns=True)),
    (frozenset({"haiku"}), (5, 5), Family(system_turns=True)),
    (frozenset({"opus"}), (4, 8), Family(system_turns=True)),
    (None, (4, 8), Family()),
    (None, (4, 7), _BEFORE_4_8),
    (None, (4, 6), replace(_BEFORE_4_7, thinking=Thinking.EITHER, one_sampler=True)),
    (None, (4, 5), replace(_BEFORE_4_6, one_sampler=True)),
    (None, (4, 1), replace(_BEFORE_4_6, output_schemas=False, one_sampler=True)),
    (None, (3, 7), replace(_BEFORE_4_6, output_schemas=False)),
    (None, (0, 0), replace(_BEFORE_4_6, thinking=Thinking.NONE, output_schemas=False)),
)

_NEWEST = (99, 0)
# A minor version has one or two digits; what has more is a date.
_NAME = re.compile(
    r"claude(?:-(?P<line>[a-z]+))?(?:-(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2})(?!\d))?(?!\d))?(?P<rest>.*)"
)
_OLD_LINE = re.compile(r"[-.](opus|sonnet|haiku)")
_OVERRIDES: Mapping[object, Thinking] = MappingProxyType({"budget": Thinking.BUDGET, "adaptive": Thinking.ADAPTIVE})


def family_of(model_id: str, thinking: object = None) -> Family:
    """What is known of a model; `thinking` is a provider's own word for it: `budget`, `adaptive`, or None."""
    family = _by_name(model_id)
    known = _OVERRIDES.get(thinking) if isinstance(thinking, str) else None
    return family if known is None else replace(family, thinking=known)


@lru_cache(maxsize=1024)
def _by_name(model_id: str) -> Family:
    match = _NAME.search(model_id.lower())
    if match is None:
        return UNKNOWN
    line, major, rest = match["line"], match["major"], match["rest"]
    if line == "mythos" and rest.startswith("-preview"):
        return _MYTHOS_PREVIEW
    if line == "instant":
        return _ROWS[-1][2]
    if line is None and (old := _OLD_LINE.match(rest)) is not None:
        # Up to 3.7 the line stood behind the version.
        line = old[1]
    version = (int(major), int(match["minor"] or 0)) if major else _NEWEST
    return next(family for lines, since, family in _ROWS if (lines is None or line in lines) and since <= version)
