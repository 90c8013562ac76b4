"""What a caller is told of a request that does not carry all that was asked for; see `base.EncodedRequest`."""

from __future__ import annotations

from collections.abc import Mapping

from services.router.domain.generation import Generation
from services.router.providers.base import the_model
from services.router.providers.formats.gemini_content.contents import UNCHANGED, Change

# `{}` is the model.
_OF_CONVERSATION = {
    Change.UNANSWERED_CALLS: "tool calls without results sent with an error as result: {} insists on results",
    Change.STRAY_RESULTS: "tool results sent as texts: {} takes them right after their calls only",
    Change.MOVED_INSTRUCTIONS: "instructions amid the conversation sent at its head: {} takes them nowhere else",
}


def warnings_of(
    request: Generation,
    changes: Change,
    thinking: Mapping[str, object] | None,
    provider_model_id: str,
    *,
    in_words: bool,
) -> tuple[str, ...]:
    """All there are; nearly always none. `thinking` is what is sent; `in_words`: an answer's form is only said."""
    budget = request.reasoning.budget_tokens if request.reasoning is not None else None
    sent = None if budget is None or thinking is None else thinking.get("thinkingBudget")
    if changes is UNCHANGED and not in_words and (sent is None or sent == budget):
        return ()
    model = the_model(provider_model_id)
    found = [text.format(model) for change, text in _OF_CONVERSATION.items() if change in changes]
    if in_words:
        found.append(f"JSON output asked for in words only: {model} cannot be held to it while it has tools")
    if sent is not None and sent != budget:
        bound = "no more" if isinstance(sent, int) and budget is not None and sent < budget else "no less"
        found.append(f"budget of reasoning changed to {sent} tokens: {model} takes {bound}")
    return tuple(found)
