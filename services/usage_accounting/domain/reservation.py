"""What is held for an attempt before anything is sent to a provider."""

from __future__ import annotations

from typing import NamedTuple

from libs.core.money import TokenPrices
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions
from services.usage_accounting.domain.quota import QuotaMetric, WindowKey

_PICO_PER_NANO = 1_000


class ReservationRequest(NamedTuple):
    """What the router asks for. `price`: the configuration's own, None for the catalogue's; `server`: whose models a
    compatible provider serves, if that is known.
    """

    key: AttemptKey
    dimensions: Dimensions
    input_tokens_estimate: int
    output_tokens_limit: int
    price: TokenPrices | None
    lapse_after_us: int
    server: str = ""


class Hold(NamedTuple):
    """What a reservation holds of one quota: `amount` in the quota's unit, in the window it was reserved in."""

    window: WindowKey
    metric: QuotaMetric
    amount: int


class Reservation(NamedTuple):
    """A live reservation: neither settled, nor released, nor lapsed. `price` is pinned: it settles at that price."""

    key: AttemptKey
    dimensions: Dimensions
    input_tokens_estimate: int
    output_tokens_limit: int
    price: TokenPrices | None
    holds: tuple[Hold, ...]
    reserved_us: int
    lapse_us: int

    def is_for(self, request: ReservationRequest) -> bool:
        """Whether `request` asks for what this is. A request without a price is content with the pinned one."""
        return (
            self.dimensions == request.dimensions
            and self.input_tokens_estimate == request.input_tokens_estimate
            and self.output_tokens_limit == request.output_tokens_limit
            and self.lapse_us - self.reserved_us == request.lapse_after_us
            and (request.price is None or request.price == self.price)
        )

    def bound(self, metric: QuotaMetric) -> int:
        """The most the attempt can use of `metric`; 0 for the cost of an attempt without a price."""
        return upper_bound(metric, self.input_tokens_estimate, self.output_tokens_limit, self.price)


class Grant(NamedTuple):
    """A reservation that holds."""

    price: TokenPrices | None
    lapse_us: int


def upper_bound(metric: QuotaMetric, input_tokens: int, output_tokens: int, price: TokenPrices | None) -> int:
    """The most that `input_tokens` and `output_tokens` can come to, whatever buckets they fall in; rounded up.

    Tokens, or nano-USD: never less than `TokenPrices.cost` of the same tokens in any buckets.
    """
    if metric is QuotaMetric.TOKENS:
        return input_tokens + output_tokens
    if price is None:
        return 0
    dearest_input = max(price.input, price.cache_write, price.cache_read)
    dearest_output = max(price.output, price.reasoning)
    return -(-(input_tokens * dearest_input + output_tokens * dearest_output) // _PICO_PER_NANO)
