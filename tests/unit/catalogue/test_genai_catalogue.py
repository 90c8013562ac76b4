from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
)

from libs.catalogue import genai_catalogue
from libs.catalogue.genai_catalogue import GenaiCatalogue
from libs.core.money import TokenPrices


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def catalogue_of(clock: FakeClock, monkeypatch: pytest.MonkeyPatch, prices: object) -> GenaiCatalogue:
    """A catalogue that knows one model, `m`."""
    model = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)  # type: ignore[arg-type]
    provider = Provider(id="openai", name="", api_pattern="", models=[model])
    snapshot = data_snapshot.DataSnapshot(providers=[provider], from_auto_update=False)
    monkeypatch.setattr(genai_catalogue, "get_snapshot", lambda: snapshot)
    return GenaiCatalogue(clock)


def as_tuple(price: TokenPrices | None) -> tuple[int, ...] | None:
    if price is None:
        return None
    return price.input, price.cache_read, price.cache_write, price.output, price.reasoning


def test_a_known_model_has_its_price_in_whole_pico_usd(clock: FakeClock) -> None:
    price = GenaiCatalogue(clock).find("openai", "gpt-4o-mini", input_tokens=100)
    assert as_tuple(price) == (150_000, 75_000, 150_000, 600_000, 600_000)


@pytest.mark.parametrize(
    ("provider_type", "model"),
    [("openai", "no-such-model"), ("openai_compatible", "gpt-4o-mini"), ("", ""), ("openai", "x" * 256)],
)
def test_what_nobody_published_has_no_price(clock: FakeClock, provider_type: str, model: str) -> None:
    assert GenaiCatalogue(clock).find(provider_type, model, input_tokens=1) is None


def test_a_model_without_output_price_has_none(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = catalogue_of(clock, monkeypatch, ModelPrice(input_mtok=Decimal("0.02")))
    assert catalogue.find("openai", "m", input_tokens=1) is None


def test_a_model_that_makes_vectors_costs_its_input_only(clock: FakeClock) -> None:
    price = GenaiCatalogue(clock).find("openai", "text-embedding-3-small", input_tokens=100)
    assert as_tuple(price) == (20_000, 20_000, 20_000, 0, 0)
    assert GenaiCatalogue(clock).find("openai", "text-embedding-3-large", input_tokens=100) is not None


def test_missing_buckets_cost_what_input_and_output_cost(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = catalogue_of(clock, monkeypatch, ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(2)))
    expected = (1_000_000, 1_000_000, 1_000_000, 2_000_000, 2_000_000)
    assert as_tuple(catalogue.find("openai", "m", input_tokens=1)) == expected


def test_a_price_that_is_no_whole_pico_usd_is_rounded_up(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = ModelPrice(input_mtok=Decimal("0.0833333333333333"), output_mtok=Decimal("0.0000001"))
    price = catalogue_of(clock, monkeypatch, prices).find("openai", "m", input_tokens=1)
    assert price is not None
    assert (price.input, price.output) == (83_334, 1)


def test_a_call_is_priced_by_the_tier_its_input_can_get_into(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    tiered = TieredPrices(
        base=Decimal(1), tiers=[Tier(start=1000, price=Decimal(3)), Tier(start=200, price=Decimal(2))]
    )
    catalogue = catalogue_of(clock, monkeypatch, ModelPrice(input_mtok=tiered, output_mtok=Decimal(10)))
    found = [catalogue.find("openai", "m", input_tokens=tokens) for tokens in (0, 200, 201, 1000, 1001)]
    assert [price.input for price in found if price] == [1_000_000, 1_000_000, 2_000_000, 2_000_000, 3_000_000]


def test_a_price_change_is_seen_within_a_minute(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1))
    after = ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(2))
    change = datetime(2026, 1, 2, tzinfo=UTC)
    conditional = [
        ConditionalPrice(prices=before),
        ConditionalPrice(constraint=StartDateConstraint(start_date=change.date()), prices=after),
    ]
    catalogue = catalogue_of(clock, monkeypatch, conditional)
    seen = []
    for time, seconds in ((clock.time, 0.0), (change, 59.0), (change, 61.0)):
        clock.time, clock.seconds = time, seconds
        price = catalogue.find("openai", "m", input_tokens=1)
        assert price is not None
        seen.append(price.input)
    assert seen == [1_000_000, 1_000_000, 2_000_000]


def test_unknown_models_do_not_fill_the_memory(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genai_catalogue, "_MOST_REMEMBERED", 10)
    monkeypatch.setattr(genai_catalogue, "_MOST_FOUND", 10)
    catalogue = catalogue_of(clock, monkeypatch, ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)))
    for number in range(50):
        assert catalogue.find("openai", f"unknown-{number}", input_tokens=1) is None
    assert len(catalogue._remembered) <= 10
    assert catalogue._model.cache_info().currsize <= 10


def test_a_model_is_looked_for_once(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = catalogue_of(clock, monkeypatch, ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)))
    for _ in range(3):
        clock.seconds += 61
        for name in ("m", "unknown"):
            catalogue.find("openai", name, input_tokens=1)
            catalogue.context_tokens("openai", name)
    assert catalogue._model.cache_info().misses == 2


def test_no_price_is_fetched_while_running(clock: FakeClock) -> None:
    GenaiCatalogue(clock).find("openai", "gpt-4o-mini", input_tokens=1)
    assert data_snapshot._custom_snapshot is None
    assert not data_snapshot.get_snapshot().from_auto_update
