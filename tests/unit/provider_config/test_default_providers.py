"""At most one provider of an owner is its default, and at most one is that of each task."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.resource_names import Owner
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_provider, list_providers
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.update_provider import UpdateProvider, update_provider
from tests.unit.provider_config.builders import ACME, RULES, act, creation, drop_provider, provider_name
from tests.unit.provider_config.memory_store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def _create(store: MemoryStore, name: str, **settings: Any) -> Provider:
    return (await store.write(partial(create_provider, command=creation(name, **settings)))).resource


async def _update(store: MemoryStore, name: str, **values: Any) -> Provider:
    command = UpdateProvider(
        name=provider_name(name), fields=frozenset(values), settings=ProviderSettings(**values), act=act()
    )
    return (await store.write(partial(update_provider, command=command, rules=RULES))).resource


async def _tasks(store: MemoryStore, name: str, owner: Owner = ACME) -> tuple[str, ...]:
    return (await store.read(partial(get_provider, name=provider_name(name, owner)))).settings.default_for_tasks


async def test_a_task_goes_to_one_provider_of_an_owner(store: MemoryStore) -> None:
    await _create(store, "a", default_for_tasks=("extraction", "cv_draft", "validation"))
    await _create(store, "x", owner=Owner("acme", "ann"), default_for_tasks=("extraction",))
    before = await _create(store, "b", default_for_tasks=("cover_letter",))
    after = await _update(store, "b", default_for_tasks=("validation", "extraction"))
    assert after.etag != before.etag
    assert await _tasks(store, "a") == ("cv_draft",)
    assert await _tasks(store, "b") == ("validation", "extraction")
    assert await _tasks(store, "x", Owner("acme", "ann")) == ("extraction",)


async def test_a_takeover_changes_every_holder_once_and_routers_are_told_of_all(store: MemoryStore) -> None:
    await _create(store, "a", is_default=True, default_for_tasks=("one",))
    await _create(store, "b", default_for_tasks=("two", "three"))
    before = await store.read(lambda transaction: transaction.revision())
    await _create(store, "c", is_default=True, default_for_tasks=("one", "two"))
    changed = await store.read(lambda transaction: transaction.changed_names(ACME, since=before))
    assert changed == {f"tenants/acme/providers/{name}" for name in "abc"}
    holders = [await store.read(partial(get_provider, name=provider_name(name))) for name in "ab"]
    assert [each.version for each in holders] == [2, 2]
    assert store.events[-1].details["defaults_taken_from"] == "a,b"


async def test_a_task_is_free_again_when_its_provider_is_gone(store: MemoryStore) -> None:
    await _create(store, "a", default_for_tasks=("one",))
    await store.write(drop_provider(provider_name("a")))
    await _create(store, "b", default_for_tasks=("one",))
    assert "defaults_taken_from" not in store.events[-1].details


_tasks_of = st.lists(st.sampled_from(["t1", "t2", "t3"]), unique=True).map(tuple)
_changes = st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), _tasks_of), max_size=12)


@given(_changes)
async def test_whatever_changes_nothing_has_two_defaults(changes: list[tuple[str, bool, tuple[str, ...]]]) -> None:
    store = MemoryStore()
    for name in "abc":
        await _create(store, name)
    for name, is_default, tasks in changes:
        last = await _update(store, name, is_default=is_default, default_for_tasks=tasks)
        assert (last.settings.is_default, last.settings.default_for_tasks) == (is_default, tasks)
        found = [each.settings for each in await store.read(partial(list_providers, owner=ACME, after=None, size=9))]
        assert sum(each.is_default for each in found) <= 1
        taken = [task for each in found for task in each.default_for_tasks]
        assert sorted(taken) == sorted(set(taken))
