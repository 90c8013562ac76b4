"""What a call would cost at a target: likely, and at most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from libs.core.money import NanoUsd, TokenCounts, round_pico_to_nano
from services.router.domain import features
from services.router.domain.call_request import CallRequest
from services.router.domain.configuration import Model
from services.router.domain.generation import Generation
from services.router.domain.routing.route_plan import Target, input_limit, output_limit
from services.router.domain.tokens import LIKELY_OUTPUT_TOKENS, RequestSize
from services.router.domain.weighing import (
    MOST_IMAGE_TOKENS,
    MOST_TOKENS_PER_PAGE,
    USUAL_IMAGE_TOKENS,
    USUAL_TOKENS_PER_PAGE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """What a call would take and cost at a target; costs are None where no price is known."""

    target: Target
    likely: TokenCounts
    likely_cost: NanoUsd | None
    most: TokenCounts
    most_cost: NanoUsd | None
    assumptions: tuple[str, ...]


def likely_pico_usd(request: CallRequest, size: RequestSize, targets: Iterable[Target]) -> list[int | None]:
    """What the call would likely cost at each target, for comparing them; None where no price is known."""
    input_tokens = size.usual_input_tokens
    costs: list[int | None] = []
    for target in targets:
        price = target.model.price
        if price is None:
            costs.append(None)
        else:
            output = min(LIKELY_OUTPUT_TOKENS, output_limit(request, target.provider, target.model))
            costs.append(input_tokens * price.input + output * price.output)
    return costs


def likely_cost(request: CallRequest, size: RequestSize, target: Target) -> NanoUsd | None:
    """What the call would likely cost at a target; None where no price is known."""
    (pico_usd,) = likely_pico_usd(request, size, (target,))
    return round_pico_to_nano(pico_usd) if pico_usd is not None else None


def estimate(request: Generation, size: RequestSize, target: Target) -> CostEstimate:
    """Likely and most tokens and costs of the call at a target, and what they rest on."""
    price, limit = target.model.price, output_limit(request, target.provider, target.model)
    likely = _likely(request, size, target)
    most = TokenCounts(input_tokens=input_limit(request, size, target.model), output_tokens=limit)
    most_cost = None
    if price is not None:
        # Any of the input may be written to or read from a cache, any of the output be reasoning.
        most_cost = max(
            price.cost(TokenCounts(**{input_bucket: most.input_tokens, output_bucket: limit}))
            for input_bucket in ("input_tokens", "cache_read_tokens", "cache_write_tokens")
            for output_bucket in ("output_tokens", "reasoning_tokens")
        )
    return CostEstimate(
        target=target,
        likely=likely,
        likely_cost=price.cost(likely) if price is not None else None,
        most=most,
        most_cost=most_cost,
        assumptions=tuple(_assumptions(request, size, target, likely)),
    )


def _likely(request: Generation, size: RequestSize, target: Target) -> TokenCounts:
    limit = output_limit(request, target.provider, target.model)
    return TokenCounts(input_tokens=size.usual_input_tokens, output_tokens=min(LIKELY_OUTPUT_TOKENS, limit))


_UNKNOWN_SIZE = "By URL it may fill the largest context there is."


def _assumptions(request: Generation, size: RequestSize, target: Target, likely: TokenCounts) -> list[str]:
    model = target.model
    said = ["Likely input: one token for 4 bytes of text. At most: one token a byte, which no tokenizer exceeds."]
    if size.images:
        said.append(f"An image counts {USUAL_IMAGE_TOKENS:,} input tokens likely and {MOST_IMAGE_TOKENS:,} at most.")
    if size.kinds & features.AUDIO:
        said.append("A second of sound counts 32 input tokens; how long it is follows from its size. " + _UNKNOWN_SIZE)
    if size.kinds & features.DOCUMENTS:
        said.append(
            f"A page of a PDF counts {USUAL_TOKENS_PER_PAGE:,} input tokens likely and {MOST_TOKENS_PER_PAGE:,} at "
            f"most; how many pages there are follows from its size. {_UNKNOWN_SIZE}"
        )
    if likely.output_tokens < LIKELY_OUTPUT_TOKENS:
        said.append(f"Likely output: as many tokens as the limit of the answer allows, {likely.output_tokens:,}.")
    else:
        said.append(f"Likely output: an answer of {LIKELY_OUTPUT_TOKENS:,} tokens, reasoning included.")
    said.append(f"At most: the limit of the answer, {_limit_source(request, target)}.")
    said.append(_price_source(model))
    if model.price is not None:
        said.append("No attempt fails, and nothing of the input comes from a prompt cache.")
    return said


def _limit_source(request: Generation, target: Target) -> str:
    if request.max_output_tokens:
        return "which the call gives"
    own, default = target.model.max_output_tokens, target.provider.default_max_output_tokens
    if default and not (own and own < default):
        return "which is the provider's default"
    return "which is the model's" if own else "which is assumed, for the model's is not known"


def _price_source(model: Model) -> str:
    if model.price is None:
        return "No price is known of this model: give it one."
    if model.price_is_catalogue:
        return "The price is that of the built-in catalogue."
    return "The price is the one the model is configured with."
