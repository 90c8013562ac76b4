"""Deleting what routes, preferences and profiles name."""

from __future__ import annotations

from functools import partial

import pytest

from libs.core.errors import FailedPrecondition
from libs.core.resource_names import ModelName
from services.provider_config.domain.create_provider import create_provider
from tests.unit.provider_config.builders import add_model, creation, drop_model, drop_provider, provider_name
from tests.unit.provider_config.memory_store import MemoryStore

_PROVIDER = provider_name("openai")
_MODEL = ModelName(_PROVIDER, "gpt-4o")
_ROUTE = "tenants/acme/routes/extraction"
_PREFERENCES = "tenants/acme/users/ann/preferences"


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await store.write(partial(create_provider, command=creation()))
    await store.write(add_model("gpt-4o"))
    await store.write(add_model("o3"))
    store.let_use(_ROUTE, _PROVIDER, "gpt-4o")
    store.let_use(_PREFERENCES, _PROVIDER)
    return store


async def test_a_provider_in_use_is_not_deleted_and_its_users_are_named(store: MemoryStore) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await store.write(drop_provider(_PROVIDER))
    assert (caught.value.reason, caught.value.metadata) == ("PROVIDER_IN_USE", {"name": str(_PROVIDER), "count": "2"})
    violations = [(each.type, each.subject) for each in caught.value.precondition_violations]
    assert violations == [("PROVIDER_IN_USE", _ROUTE), ("PROVIDER_IN_USE", _PREFERENCES)]


async def test_a_model_in_use_is_not_deleted_and_its_users_are_named(store: MemoryStore) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        await store.write(drop_model(_MODEL))
    assert (caught.value.reason, caught.value.metadata) == ("MODEL_IN_USE", {"name": str(_MODEL), "count": "1"})
    assert [each.subject for each in caught.value.precondition_violations] == [_ROUTE]


async def test_a_model_that_nothing_names_is_deleted(store: MemoryStore) -> None:
    assert (await store.write(drop_model(ModelName(_PROVIDER, "o3")))).still_named_by == ()


async def test_with_force_both_are_deleted_and_their_users_are_told(store: MemoryStore) -> None:
    model = await store.write(drop_model(_MODEL, force=True))
    provider = await store.write(drop_provider(_PROVIDER, force=True))
    assert (model.still_named_by, provider.still_named_by) == ((_ROUTE,), (_ROUTE, _PREFERENCES))
    assert [each.details.get("still_named_by") for each in store.events[-2:]] == ["1", "2"]


async def test_at_most_a_hundred_users_are_told(store: MemoryStore) -> None:
    for number in range(150):
        store.let_use(f"tenants/acme/users/u{number}/preferences", _PROVIDER)
    with pytest.raises(FailedPrecondition) as caught:
        await store.write(drop_provider(_PROVIDER))
    assert caught.value.metadata["count"] == "152"
    assert len(caught.value.precondition_violations) == 100
    assert len((await store.write(drop_provider(_PROVIDER, force=True))).still_named_by) == 100
