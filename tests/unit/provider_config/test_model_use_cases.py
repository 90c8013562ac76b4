"""What may be done with models."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from libs.core.errors import Aborted, AlreadyExists, NotFound
from libs.core.provider_types import Capabilities
from libs.core.resource_names import ModelName
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_model
from services.provider_config.domain.model import Model, ModelPrice, ModelSettings
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.provider_config.domain.update_model import UpdateModel, update_model
from tests.unit.provider_config.builders import (
    NOTHING_KNOWN,
    act,
    add_model,
    creation,
    drop_model,
    provider_name,
)
from tests.unit.provider_config.memory_store import MemoryStore

_NAME = ModelName(provider_name("openai"), "gpt-4o")


@pytest.fixture
async def store() -> MemoryStore:
    """Holds one provider, so the revision is 1."""
    store = MemoryStore()
    await store.write(partial(create_provider, command=creation()))
    return store


async def _create(store: MemoryStore, **settings: Any) -> Model:
    return (await store.write(add_model(**settings))).resource


async def _update(store: MemoryStore, etag: str = "", **values: Any) -> Any:
    command = UpdateModel(
        name=_NAME, fields=frozenset(values), settings=ModelSettings(**values), etag=etag, act=act("UpdateModel")
    )  # fmt: skip
    return await store.write(partial(update_model, catalogue=NOTHING_KNOWN, command=command))


async def test_a_model_gets_its_providers_defaults(store: MemoryStore) -> None:
    model = await _create(store)
    assert model.settings.provider_model_id == "gpt-4o"
    assert model.settings.capabilities == replace(PROVIDER_TYPES["openai"].capabilities, embeddings=False)
    assert model == await store.read(partial(get_model, name=_NAME))


async def test_a_model_whose_name_tells_of_vectors_gives_those_and_nothing_else(store: MemoryStore) -> None:
    model = await _create(store, provider_model_id="Nomic-Embed-Text")
    assert model.settings.capabilities == Capabilities(embeddings=True)


async def test_a_model_that_can_do_nothing_stays_so(store: MemoryStore) -> None:
    assert (await _create(store, capabilities=Capabilities())).settings.capabilities == Capabilities()


async def test_a_model_needs_its_provider_and_a_free_id(store: MemoryStore) -> None:
    await _create(store)
    with pytest.raises(AlreadyExists) as taken:
        await _create(store)
    with pytest.raises(NotFound) as missing:
        await _create(store, provider=provider_name("nowhere"))
    assert (taken.value.reason, missing.value.reason) == ("MODEL_EXISTS", "PROVIDER_NOT_FOUND")


async def test_validating_stores_nothing(store: MemoryStore) -> None:
    validated = await store.write(add_model(validate_only=True))
    assert validated.revision == 0
    with pytest.raises(NotFound) as caught:
        await store.read(partial(get_model, name=_NAME))
    assert caught.value.reason == "MODEL_NOT_FOUND"


async def test_only_named_fields_change(store: MemoryStore) -> None:
    price = ModelPrice(input=1, output=2)
    await _create(store, price=price, context_tokens=5)
    changed = await _update(store, enabled=False)
    assert (changed.resource.settings.enabled, changed.resource.settings.price) == (False, price)
    assert changed.revision == 3
    cleared = await _update(store, price=None)
    assert cleared.resource.settings.price is None
    assert cleared.resource.settings.context_tokens == 5


async def test_an_update_that_changes_nothing_keeps_etag_and_revision(store: MemoryStore) -> None:
    before = await _create(store)
    after = await _update(store, provider_model_id="", capabilities=None)
    assert (after.resource, after.revision) == (before, 2)


async def test_a_stale_etag_changes_nothing(store: MemoryStore) -> None:
    before = await _create(store)
    await _update(store, etag=before.etag, display_name="first")
    with pytest.raises(Aborted):
        await _update(store, etag=before.etag, display_name="second")
    with pytest.raises(Aborted):
        await store.write(drop_model(_NAME, etag=before.etag))
    assert (await store.read(partial(get_model, name=_NAME))).settings.display_name == "first"


async def test_a_deleted_model_is_gone(store: MemoryStore) -> None:
    model = await _create(store)
    assert (await store.write(drop_model(_NAME, etag=model.etag))).revision == 3
    with pytest.raises(NotFound) as caught:
        await store.write(drop_model(_NAME))
    assert caught.value.reason == "MODEL_NOT_FOUND"
