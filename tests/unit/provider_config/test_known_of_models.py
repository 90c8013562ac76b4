"""What the catalogue knows of a model fills what is not said of it, and catches prices that are slips."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from libs.core.errors import InvalidArgument
from libs.core.money import PicoUsdPerToken, TokenPrices
from libs.core.provider_types import Capabilities
from libs.core.resource_names import ModelName
from services.provider_config.api.convert import priced_model_message
from services.provider_config.domain.create_model import create_model
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_model
from services.provider_config.domain.model import Model, ModelPrice, ModelSettings
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.provider_config.domain.update_model import UpdateModel, update_model
from tests.unit.provider_config.builders import FakeCatalogue, KnownModel, act, creation, model_creation, provider_name
from tests.unit.provider_config.memory_store import MemoryStore

_PRICES = TokenPrices(
    input=PicoUsdPerToken(1000),
    output=PicoUsdPerToken(4000),
    cache_read=PicoUsdPerToken(500),
    cache_write=PicoUsdPerToken(0),
    reasoning=PicoUsdPerToken(4000),
)
_CATALOGUE = FakeCatalogue(
    known=KnownModel(
        context_tokens=128_000,
        max_output_tokens=16_384,
        capabilities=frozenset({"streaming", "reasoning", "embeddings"}),
        token_price=_PRICES,
    ),
    sized=KnownModel(context_tokens=9),
    dear=KnownModel(token_price=_PRICES),
)


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await store.write(partial(create_provider, command=creation()))
    return store


async def _create(store: MemoryStore, name: str = "m", *, force: bool = False, **settings: Any) -> Model:
    command = replace(model_creation(name, **settings), force=force)
    return (await store.write(partial(create_model, command=command, catalogue=_CATALOGUE))).resource


async def _update(store: MemoryStore, name: str = "m", *, force: bool = False, **values: Any) -> Model:
    command = UpdateModel(
        name=ModelName(provider_name("openai"), name),
        fields=frozenset(values),
        settings=ModelSettings(**values),
        act=act(),
        force=force,
    )
    return (await store.write(partial(update_model, command=command, catalogue=_CATALOGUE))).resource


async def test_what_is_not_said_of_a_known_model_is_what_is_known(store: MemoryStore) -> None:
    settings = (await _create(store, provider_model_id="known")).settings
    assert (settings.context_tokens, settings.max_output_tokens) == (128_000, 16_384)
    assert settings.capabilities == Capabilities(streaming=True, reasoning=True, embeddings=True)
    assert settings.price is None


async def test_a_model_goes_by_its_id_unless_its_provider_calls_it_otherwise(store: MemoryStore) -> None:
    assert (await _create(store, "known")).settings.context_tokens == 128_000


async def test_what_is_said_holds_also_when_it_is_nothing(store: MemoryStore) -> None:
    said: dict[str, Any] = {"context_tokens": 0, "max_output_tokens": 7, "capabilities": Capabilities()}
    settings = (await _create(store, "known", **said)).settings
    assert {name: getattr(settings, name) for name in said} == said


async def test_of_a_model_nobody_knows_the_sizes_are_unknown_and_it_can_what_its_type_can(store: MemoryStore) -> None:
    settings = (await _create(store)).settings
    assert (settings.context_tokens, settings.max_output_tokens) == (0, 0)
    assert settings.capabilities == replace(PROVIDER_TYPES["openai"].capabilities, embeddings=False)
    assert (await _create(store, "sized")).settings.capabilities == replace(
        PROVIDER_TYPES["openai"].capabilities, embeddings=False
    )


async def test_an_update_that_unsets_goes_back_to_what_is_known(store: MemoryStore) -> None:
    await _create(store, "known", context_tokens=5, max_output_tokens=6)
    settings = (await _update(store, "known", context_tokens=None)).settings
    assert (settings.context_tokens, settings.max_output_tokens) == (128_000, 6)


async def test_another_model_id_alone_changes_neither_sizes_nor_abilities(store: MemoryStore) -> None:
    before = (await _create(store, "known")).settings
    assert (await _update(store, "known", provider_model_id="sized")).settings == replace(
        before, provider_model_id="sized"
    )


@pytest.mark.parametrize(
    ("price", "wrong"),
    [
        (ModelPrice(input=100_000, output=400_000, cache_read=50_000, reasoning=400_000), []),
        (ModelPrice(input=100_001, output=1), ["input"]),
        (ModelPrice(input=1, output=400_001), ["output"]),
        (ModelPrice(input=1, output=1, cache_read=50_001), ["cache_read"]),
        (ModelPrice(input=1, output=1, cache_write=10**12), []),
        (ModelPrice(input=1, output=1, reasoning=400_001), ["reasoning"]),
        (ModelPrice(input=10**9, output=10**9), ["input", "output"]),
        (ModelPrice(input=0, output=0), []),
    ],
)
async def test_a_price_of_more_than_a_hundred_times_the_catalogues_is_refused(
    store: MemoryStore, price: ModelPrice, wrong: list[str]
) -> None:
    await _create(store, "dear")
    fields = [f"model.price.{part}_micro_usd_per_million" for part in wrong]
    for change in (
        partial(_create, store, "new", provider_model_id="dear", price=price),
        partial(_update, store, "dear", price=price),
    ):
        if wrong:
            with pytest.raises(InvalidArgument) as caught:
                await change()
            assert [each.field for each in caught.value.field_violations] == fields
        assert (await change(force=bool(wrong))).settings.price == price


async def test_a_price_nothing_is_known_against_is_taken(store: MemoryStore) -> None:
    assert (await _create(store, price=ModelPrice(input=10**12, output=10**12))).settings.price is not None


async def test_a_price_is_held_against_the_catalogue_again_when_the_model_becomes_another(store: MemoryStore) -> None:
    await _create(store, price=ModelPrice(input=10**9, output=1))
    with pytest.raises(InvalidArgument):
        await _update(store, provider_model_id="dear")
    assert (await _update(store, provider_model_id="dear", force=True)).settings.provider_model_id == "dear"
    # What was forced once stays while nothing about it changes.
    assert not (await _update(store, enabled=False)).settings.enabled


async def test_validating_a_price_refuses_it_too(store: MemoryStore) -> None:
    command = model_creation("dear", validate_only=True, price=ModelPrice(input=10**9, output=1))
    with pytest.raises(InvalidArgument):
        await store.write(partial(create_model, command=command, catalogue=_CATALOGUE))


async def test_a_model_of_a_known_compatible_server_is_looked_up_among_its_models(store: MemoryStore) -> None:
    class Catalogue(FakeCatalogue):
        def price(self, provider_type: str, provider_model_id: str) -> TokenPrices | None:
            return _PRICES if (provider_type, provider_model_id) == ("openai_compatible/groq", "m") else None

    for name, options in (("groq", {"server": "groq"}), ("plain", {})):
        command = replace(creation(name, options=options), type="openai_compatible")
        await store.write(partial(create_provider, command=command))
        model = replace(model_creation("m"), name=ModelName(provider_name(name), "m"))
        await store.write(partial(create_model, command=model, catalogue=Catalogue()))
    priced = {}
    for name in ("groq", "plain"):
        stored = await store.read(partial(get_model, name=ModelName(provider_name(name), "m")))
        priced[name] = priced_model_message(stored, Catalogue()).HasField("catalogue_price")
    assert priced == {"groq": True, "plain": False}
