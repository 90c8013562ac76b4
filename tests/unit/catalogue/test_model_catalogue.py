"""What is known of a model, and whose word it is."""

from __future__ import annotations

import pytest

from libs.catalogue.model_catalogue import ModelCatalogue, ModelFacts
from libs.core.clock import SystemClock


@pytest.fixture(scope="module")
def catalogue() -> ModelCatalogue:
    return ModelCatalogue(SystemClock())


def test_a_well_known_model_has_sizes_abilities_and_a_price(catalogue: ModelCatalogue) -> None:
    assert catalogue.facts("openai", "gpt-4o-mini") == ModelFacts(
        context_tokens=128_000,
        max_output_tokens=16_384,
        capabilities=frozenset({"streaming", "tools", "json_schema", "images", "documents"}),
    )
    price = catalogue.price("openai", "gpt-4o-mini")
    assert price is not None
    assert (price.input, price.cache_read, price.output) == (150_000, 75_000, 600_000)


def test_our_own_table_has_the_first_word(catalogue: ModelCatalogue) -> None:
    assert catalogue.facts("openai", "gpt-4.1").context_tokens == 1_047_576
    assert catalogue._genai.context_tokens("openai", "gpt-4.1") == 1_000_000


def test_a_model_of_the_price_catalogue_only_has_what_is_known_there(catalogue: ModelCatalogue) -> None:
    assert catalogue.facts("openai", "gpt-3.5-turbo-16k") == ModelFacts(context_tokens=16_385)


def test_nothing_is_known_of_a_model_of_anybodys(catalogue: ModelCatalogue) -> None:
    for provider_type, model_id in (("openai", "no-such"), ("openai_compatible", "gpt-4o-mini"), ("openai", "")):
        assert catalogue.facts(provider_type, model_id) == ModelFacts()
        assert catalogue.price(provider_type, model_id) is None
