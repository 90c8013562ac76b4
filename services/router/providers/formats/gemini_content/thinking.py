"""What the families of Gemini models take, and how they are told to think."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from services.router.domain.generation import Effort, ReasoningRequest
from services.router.providers.base import Options
from services.router.providers.formats.gemini_content.model_names import model_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What models of one family take: `levels` from least to most, or a budget of `least` to `most` tokens, or nothing.

    `can_be_off`: whether a budget of 0 is taken. `signs_calls`: whether a function call without a thought signature is
    refused. `media_in_results`: whether the answers of tools may hold images and documents. `continues`: whether a
    conversation may end with the model's turn, with which it then goes on. `penalties`: whether these are taken.
    `json_with_tools`: whether an answer's form can be asked for beside functions.
    """

    levels: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    can_be_off: bool = False
    signs_calls: bool = False
    media_in_results: bool = False
    continues: bool = True
    penalties: bool = True
    json_with_tools: bool = True

    @property
    def thinks(self) -> bool:
        """Whether it can be told to think."""
        return bool(self.levels or self.most)


def _by_level(*levels: str, continues: bool = False) -> Family:
    return Family(levels=levels, signs_calls=True, media_in_results=True, continues=continues, penalties=False)


_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_WITHOUT_MINIMAL = _LEVELS[1:]
_USUAL = _by_level(*_WITHOUT_MINIMAL)
_WITH_MINIMAL = _by_level(*_LEVELS)
_NO_THOUGHTS = Family(json_with_tools=False)

# By the beginning of the model's name, the longest one counts; from the pages on thinking and on models of the Gemini
# API and of Vertex AI.
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "gemini-1": _NO_THOUGHTS,
        "gemini-2.0": _NO_THOUGHTS,
        "gemini-2.5-pro": Family(least=128, most=32_768, json_with_tools=False),
        "gemini-2.5-flash": Family(least=1, most=24_576, can_be_off=True, json_with_tools=False),
        "gemini-2.5-flash-image": _NO_THOUGHTS,
        "gemini-2.5-flash-lite": Family(least=512, most=24_576, can_be_off=True, json_with_tools=False),
        "gemini-3-": _by_level(*_WITHOUT_MINIMAL, continues=True),
        "gemini-3-pro": _by_level("LOW", "HIGH", continues=True),
        "gemini-3-flash": _by_level(*_LEVELS, continues=True),
        "gemini-3.1-": _by_level(*_WITHOUT_MINIMAL, continues=True),
        "gemini-3.1-flash-lite": _by_level(*_LEVELS, continues=True),
        "gemini-3.5-flash": _WITH_MINIMAL,
        "gemini-3.6-flash": _WITH_MINIMAL,
        "gemini-pro-latest": _by_level(*_WITHOUT_MINIMAL, continues=True),
        # The other third generation models, those to come, and `gemini-flash-latest`: these steps they all have.
        "gemini-": _USUAL,
        "gemma-4": Family(levels=("MINIMAL", "HIGH")),
    }
)
_LONGEST_FIRST = tuple(sorted(FAMILIES, key=len, reverse=True))

# A model of another name, such as a tuned one: the provider's option says which way.
_OTHERS: Mapping[object, Family] = MappingProxyType(
    {"budget": Family(least=1, most=24_576, can_be_off=True), "level": Family(levels=_WITHOUT_MINIMAL)}
)

_LEVEL_OF_EFFORT = {Effort.NONE: 0, Effort.LOW: 1, Effort.MEDIUM: 2, Effort.HIGH: 3, Effort.MAX: 3}
_TOKENS_OF_EFFORT = {Effort.LOW: 1024, Effort.MEDIUM: 8192, Effort.HIGH: 24_576, Effort.MAX: 32_768}
_MOST_OF_LOW, _MOST_OF_MEDIUM = 2048, 16_384


def family_of(provider_model_id: str, options: Options) -> Family:
    """The family of a model, by its name; of one that has no such name, what the option `thinking` says."""
    return _named(provider_model_id) or _OTHERS.get(options.get("thinking"), _OTHERS["level"])


@lru_cache(maxsize=1024)
def _named(provider_model_id: str) -> Family | None:
    name = model_id(provider_model_id)
    return next((FAMILIES[prefix] for prefix in _LONGEST_FIRST if name.startswith(prefix)), None)


def thinking_config(wanted: ReasoningRequest, family: Family, output_limit: int | None) -> dict[str, Any] | None:
    """`thinkingConfig` of a request; None for models that do not think."""
    if family.levels:
        config: dict[str, Any] = {"thinkingLevel": _level(wanted, family.levels)}
    elif family.most:
        config = {"thinkingBudget": _budget(wanted, family, output_limit)}
    else:
        return None
    # Who does not think has no thoughts to show: asking for them is refused.
    if not wanted.hide and wanted.effort is not Effort.NONE and config.get("thinkingBudget") != 0:
        config["includeThoughts"] = True
    return config


def _level(wanted: ReasoningRequest, levels: tuple[str, ...]) -> str:
    """The nearest level there is; of two as near, the higher one."""
    place = _LEVEL_OF_EFFORT[_effort(wanted)]
    return min(levels, key=lambda level: (abs(_LEVELS.index(level) - place), -_LEVELS.index(level)))


def _effort(wanted: ReasoningRequest) -> Effort:
    if wanted.effort is not None:
        return wanted.effort
    tokens = wanted.budget_tokens or 0
    if tokens <= _MOST_OF_LOW:
        return Effort.LOW
    return Effort.MEDIUM if tokens <= _MOST_OF_MEDIUM else Effort.HIGH


def _budget(wanted: ReasoningRequest, family: Family, output_limit: int | None) -> int:
    if wanted.effort is Effort.NONE:
        return 0 if family.can_be_off else family.least
    if wanted.effort is not None:
        tokens = _TOKENS_OF_EFFORT[wanted.effort]
        if output_limit is not None:
            # Thoughts count against the limit: a quarter of it stays for the answer.
            tokens = min(tokens, output_limit * 3 // 4)
    else:
        tokens = wanted.budget_tokens or 0
    return max(family.least, min(tokens, family.most))
