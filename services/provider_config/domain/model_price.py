"""Finds prices that are likely slips: a unit mistaken, a zero too many."""

from __future__ import annotations

from libs.core.validation import FieldChecks
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.model import Model, ModelSettings

_MOST_TIMES = 100


def check_price(model: Model, catalogue: Catalogue) -> None:
    """Raise InvalidArgument when a part of the model's own price is more than 100 times what the catalogue says.

    A part that is not set, or free in the catalogue, is not looked at, nor is a price the catalogue does not know.
    """
    price = model.settings.price
    known = catalogue.price(model.listed_as, model.settings.provider_model_id)
    if price is None or known is None:
        return
    parts = (
        ("input", price.input, known.input),
        ("output", price.output, known.output),
        ("cache_read", price.cache_read, known.cache_read),
        ("cache_write", price.cache_write, known.cache_write),
        ("reasoning", price.reasoning, known.reasoning),
    )
    with FieldChecks() as check:
        for part, given, usual in parts:
            slip = given is not None and usual > 0 and given > _MOST_TIMES * usual
            check.that(
                not slip,
                f"model.price.{part}_micro_usd_per_million",
                f"is more than {_MOST_TIMES} times the catalogue's {usual}; set force if it is meant",
            )


def price_may_differ(before: ModelSettings, after: ModelSettings) -> bool:
    """Whether a change has to do with the price, or with what it is held against."""
    return (before.price, before.provider_model_id) != (after.price, after.provider_model_id)
