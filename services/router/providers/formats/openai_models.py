"""What OpenAI's models take, by their ids: a table. Chat Completions and Responses share it.

Only what decides how a request is written stands here; what a model can do is in its capabilities. An id that no line
knows (a deployment's own name, a model of tomorrow) gets what most take.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from services.router.domain.generation import Effort, ReasoningRequest

# OpenAI's words from least to most. Ours stand at the same places.
_WORDS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_PLACES = {Effort.NONE: 0, Effort.LOW: 2, Effort.MEDIUM: 3, Effort.HIGH: 4, Effort.MAX: 6}
# From the API's contract: see ReasoningRequest in generation.proto.
_LOW_BUDGET, _MEDIUM_BUDGET = 2048, 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """`efforts`: the words of reasoning it takes. `reasons`: False for those that never do and refuse to be asked.

    `responses_only`: Chat Completions refuse it.
    """

    efforts: tuple[str, ...] = ("none", "low", "medium", "high")
    reasons: bool = True
    responses_only: bool = False


_LOW_TO_HIGH = ("low", "medium", "high")
_LOW_TO_XHIGH = (*_LOW_TO_HIGH, "xhigh")

# The first line that fits an id's beginning counts. Source: the pages of the models and `ResponsesModel` in OpenAI's
# Python SDK 3.52; that the codex models take no Chat Completions, their 404s.
_FACTS: tuple[tuple[re.Pattern[str], ModelFacts], ...] = tuple(
    (re.compile(pattern), facts)
    for pattern, facts in (
        (r"o[13]-pro", ModelFacts(efforts=_LOW_TO_HIGH, responses_only=True)),
        (r"o\d(-mini)?-deep-research", ModelFacts(efforts=("medium",), responses_only=True)),
        (r"computer-use-preview", ModelFacts(efforts=_LOW_TO_HIGH, responses_only=True)),
        (r"codex-", ModelFacts(efforts=_LOW_TO_HIGH, responses_only=True)),
        (r"o\d", ModelFacts(efforts=_LOW_TO_HIGH)),
        (r"gpt-5-pro", ModelFacts(efforts=("high",), responses_only=True)),
        (r"gpt-[\d.]+-pro", ModelFacts(efforts=("medium", "high", "xhigh"), responses_only=True)),
        (r"gpt-5(\.1)?-codex(?!-max)", ModelFacts(efforts=_LOW_TO_HIGH, responses_only=True)),
        (r"gpt-[\d.]+-codex", ModelFacts(efforts=_LOW_TO_XHIGH, responses_only=True)),
        (r"gpt-daybreak-|gpt-rosalind-|gpt-[\d.]+-(cyber|rosalind)", ModelFacts(responses_only=True)),
        (r"gpt-[\d.]+-chat|chatgpt-|gpt-[34]|gpt-audio|gpt-realtime", ModelFacts(reasons=False)),
        (r"gpt-5(?!\.)", ModelFacts(efforts=("minimal", *_LOW_TO_HIGH))),
        (r"gpt-5\.1(?!\d)", ModelFacts()),
        (r"gpt-5\.[2-5](?!\d)", ModelFacts(efforts=("none", *_LOW_TO_XHIGH))),
        (r"gpt-\d", ModelFacts(efforts=("none", *_LOW_TO_XHIGH, "max"))),
    )
)
_UNKNOWN = ModelFacts()


@lru_cache(maxsize=1024)
def facts_of(provider_model_id: str) -> ModelFacts:
    """What is known of a model. Fine-tuned ones (`ft:…`) are what they were made from."""
    name = provider_model_id.removeprefix("ft:")
    return next((facts for pattern, facts in _FACTS if pattern.match(name)), _UNKNOWN)


def effort_word(wanted: ReasoningRequest, provider_model_id: str) -> str:
    """The word nearest to what is wanted among those that the model takes."""
    place = _PLACES[effort_of(wanted)]
    return min(facts_of(provider_model_id).efforts, key=lambda word: abs(_WORDS.index(word) - place))


def effort_of(wanted: ReasoningRequest) -> Effort:
    """What is wanted in our own words."""
    if wanted.effort is not None:
        return wanted.effort
    budget = wanted.budget_tokens or 0
    if budget <= _LOW_BUDGET:
        return Effort.LOW
    return Effort.MEDIUM if budget <= _MEDIUM_BUDGET else Effort.HIGH
