"""What a caller is told of a request that does not carry all that was asked for; see `base.EncodedRequest`."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from services.router.domain.generation import Generation, ServiceTier
from services.router.providers.base import the_model
from services.router.providers.formats.anthropic_messages.conversation import Change
from services.router.providers.formats.anthropic_messages.thinking import LEAST_BUDGET, ThinkingRequest

BLANK_STOPS = "stop texts of white space alone"
HIGH_TEMPERATURE = "a temperature above 1"
SECOND_SAMPLER = "top_p beside a temperature"
_ALWAYS = {BLANK_STOPS: "them", HIGH_TEMPERATURE: "it", SECOND_SAMPLER: "it"}
"""What is left out whether the model thinks or not."""


class NotThinking(enum.Enum):
    """Why a model is not asked to think although the call wants it to. The values go on after the model's name."""

    NO_ROOM = f"thinks with {LEAST_BUDGET} tokens at least, which the output limit has no room for"
    UNDER_WAY = "can only think on in a turn that began with its own thoughts"
    FORCED_TOOL = "cannot think while it is made to call a tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of a call. `bound`: sampling and stop texts that were left out; `weaker` as in `StructuredOutput`."""

    request: Generation
    thinking: ThinkingRequest
    not_thinking: NotThinking | None
    bound: tuple[str, ...]
    weaker: str


# In the order of the conversation's life; `{}` is the model.
_OF_CONVERSATION = {
    Change.FOREIGN_THOUGHTS: "reasoning left out: that of earlier answers comes from another model than {}",
    Change.IDLE_THOUGHTS: "reasoning left out: thoughts of earlier answers led to nothing, and {} takes none of these",
    Change.UNANSWERED_CALLS: "tool calls without results sent with an error as result: {} insists on results",
    Change.STRAY_RESULTS: "tool results sent as texts: {} takes them right after their calls only",
    Change.MARKED_INSTRUCTIONS: "instructions amid the conversation sent as marked texts of the user: {} takes no "
    "others there",
}
_TIERS = {
    ServiceTier.PRIORITY: "service tier priority asked for as auto: the API of {} gives it to those who have bought it",
    ServiceTier.FLEX: "service tier flex left out: the API of {} has none below the standard one, which serves",
}


def warnings_of(changed: Changed, changes: Change, provider_model_id: str, limit: int) -> tuple[str, ...]:
    """All there are; nearly always none. `changes` are those of the conversation, `limit` is that of the output."""
    tier = changed.request.service_tier
    wanted = changed.request.reasoning
    budget = wanted.budget_tokens if wanted is not None else None
    sent = changed.thinking.budget
    if not (changes or changed.not_thinking or changed.bound or changed.weaker or tier in _TIERS) and (
        not sent or budget is None or sent == budget
    ):
        return ()
    model = the_model(provider_model_id)
    found = [text.format(model) for change, text in _OF_CONVERSATION.items() if change in changes]
    if changed.not_thinking is not None:
        found.append(f"reasoning left out: {model} {changed.not_thinking.value}")
    elif sent and budget is not None and sent != budget:
        found.append(
            f"budget of reasoning changed to {sent} tokens: {model} takes {LEAST_BUDGET} at least, and less than the "
            f"output limit of {limit}"
        )
    if sampling := [each for each in changed.bound if each not in _ALWAYS]:
        found.append(f"{', '.join(sampling)} left out: {model} does not take this while it thinks")
    found += (f"{each} left out: {model} does not take {_ALWAYS[each]}" for each in changed.bound if each in _ALWAYS)
    if changed.weaker:
        found.append(changed.weaker.format(model))
    if tier in _TIERS:
        found.append(_TIERS[tier].format(model))
    return tuple(found)
