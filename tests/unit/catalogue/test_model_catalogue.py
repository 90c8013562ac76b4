"""What is known of a model, and whose word it is."""

from __future__ import annotations

import pytest

from libs.catalogue.model_catalogue import ModelCatalogue, ModelFacts
from libs.core.clock import SystemClock
from libs.core.provider_types import catalogue_type


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


@pytest.mark.parametrize(
    ("provider_type", "model_id", "context_tokens", "prices"),
    [
        # Writing the prompt cache has a price of its own at Anthropic: that of entries that live five minutes.
        ("anthropic", "claude-sonnet-4-6", 1_000_000, (3_000_000, 300_000, 3_750_000, 15_000_000)),
        ("anthropic", "claude-haiku-4-5-20251001", 200_000, (1_000_000, 100_000, 1_250_000, 5_000_000)),
        ("gemini", "gemini-2.5-flash", 1_048_576, (300_000, 30_000, 300_000, 2_500_000)),
        ("gemini", "gemini-embedding-001", 2_048, (150_000, 150_000, 150_000, 0)),
        ("azure_openai", "gpt-4o-mini", 128_000, (150_000, 75_000, 150_000, 600_000)),
    ],
)
def test_every_type_has_its_own_models_prices(
    catalogue: ModelCatalogue, provider_type: str, model_id: str, context_tokens: int, prices: tuple[int, ...]
) -> None:
    assert catalogue.facts(provider_type, model_id).context_tokens == context_tokens
    price = catalogue.price(provider_type, model_id)
    assert price is not None
    assert (price.input, price.cache_read, price.cache_write, price.output) == prices


@pytest.mark.parametrize("deployment", ["gpt-4o-production", "chat", "davinci", "gpt-4o-mini-eu"])
def test_a_deployment_that_is_not_named_like_a_model_has_no_price(catalogue: ModelCatalogue, deployment: str) -> None:
    assert catalogue.price("azure_openai", deployment) is None
    assert catalogue.facts("azure_openai", deployment) == ModelFacts()


def test_models_on_ones_own_machine_cost_nobody_knows_what(catalogue: ModelCatalogue) -> None:
    assert catalogue.price("ollama", "llama3.1") is None
    vectors = catalogue.facts("ollama", "BGE-M3:567m").capabilities
    assert vectors == catalogue.facts("ollama", "bge-m3").capabilities == frozenset({"embeddings"})


def test_models_that_sample_in_their_own_way_are_known_by_it(catalogue: ModelCatalogue) -> None:
    def fixed(provider_type: str, *model_ids: str) -> list[bool]:
        found = [catalogue.facts(provider_type, model_id).capabilities for model_id in model_ids]
        return ["fixed_sampling" in (each or ()) for each in found]

    assert fixed("openai", "o3", "gpt-5", "gpt-4o", "gpt-5.2") == [True, True, False, False]
    assert fixed("azure_openai", "o4-mini", "gpt-4.1") == [True, False]
    assert fixed("anthropic", "claude-opus-4-8", "claude-sonnet-4-6") == [True, False]
    assert fixed("gemini", "gemini-3.6-flash", "gemini-2.5-pro") == [True, False]


@pytest.mark.parametrize(
    ("server", "model_id"),
    [
        ("groq", "openai/gpt-oss-120b"),
        ("mistral", "mistral-large-latest"),
        ("deepseek", "deepseek-chat"),
        ("xai", "grok-4.5"),
        ("together", "openai/gpt-oss-120b"),
        ("openrouter", "openai/gpt-4o"),
    ],
)
def test_a_compatible_server_that_is_known_has_its_own_models_prices(
    catalogue: ModelCatalogue, server: str, model_id: str
) -> None:
    assert catalogue.price(catalogue_type("openai_compatible", server), model_id) is not None
    for unknown in ("vllm", "other", "", None, 5):
        assert catalogue.price(catalogue_type("openai_compatible", unknown), model_id) is None


def test_other_types_have_no_servers() -> None:
    assert catalogue_type("anthropic", "groq") == "anthropic"
