"""What a provider was, and going back to it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from libs.core.errors import Aborted, FieldViolation, InvalidArgument, NotFound
from libs.core.resource_names import KeyName
from services.provider_config.domain.changes import Changed
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_provider
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.update_provider import (
    RollbackProvider,
    UpdateProvider,
    rollback_provider,
    update_provider,
)
from services.provider_config.domain.versions import MOST_KEPT, Version
from tests.unit.provider_config.builders import (
    ACME,
    ANN,
    RULES,
    act,
    creation,
    drop_provider,
    list_provider_versions,
    provider_name,
)
from tests.unit.provider_config.memory_store import NOW, MemoryStore

_NAME = provider_name("openai")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def _create(store: MemoryStore, **settings: Any) -> Provider:
    return (await store.write(partial(create_provider, command=creation(**settings)))).resource


async def _update(store: MemoryStore, name: str = "openai", **values: Any) -> Changed[Provider]:
    command = UpdateProvider(
        name=provider_name(name),
        fields=frozenset(values),
        settings=ProviderSettings(**values),
        act=act("UpdateProvider"),
    )
    return await store.write(partial(update_provider, command=command, rules=RULES))


async def _roll_back(store: MemoryStore, version: int, *, etag: str = "", rules: Any = RULES) -> Changed[Provider]:
    command = RollbackProvider(name=_NAME, version=version, etag=etag, act=act("RollbackProvider"))
    return await store.write(partial(rollback_provider, command=command, rules=rules))


async def _versions(store: MemoryStore, before: int | None = None, size: int = 999) -> list[Version[ProviderSettings]]:
    _, found = await store.read(partial(list_provider_versions, name=_NAME, before=before, size=size))
    return found


async def test_each_change_is_a_version(store: MemoryStore) -> None:
    created = await _create(store, display_name="one")
    second = await _update(store, display_name="two")
    await _update(store, display_name="two")
    assert await _versions(store) == [
        Version(version=2, changed_by=ANN.actor, change_time=NOW, settings=second.resource.settings),
        Version(version=1, changed_by=ANN.actor, change_time=NOW, settings=created.settings),
    ]
    assert [each.version for each in await _versions(store, before=2)] == [1]


async def test_a_rollback_is_the_next_version(store: MemoryStore) -> None:
    first = await _create(store, display_name="one", priority=7, key=KeyName(ACME, "old"))
    await _update(store, display_name="two", priority=8, key=KeyName(ACME, "new"))
    back = await _roll_back(store, 1)
    assert (back.resource.settings, back.resource.version, back.revision) == (first.settings, 3, 3)
    assert back.resource == await store.read(partial(get_provider, name=_NAME))
    assert [each.version for each in await _versions(store)] == [3, 2, 1]
    event = store.events[-1]
    assert (event.action, event.target) == ("RollbackProvider", str(_NAME))
    assert dict(event.details) == {"fields": "display_name,key,priority", "restored_version": "1", "version": "3"}


async def test_going_back_to_what_is_there_changes_nothing(store: MemoryStore) -> None:
    before = await _create(store)
    assert await _roll_back(store, 1) == Changed(before, 1, stored=False)


@pytest.mark.parametrize("version", [0, 2, 10**15])
async def test_a_version_that_is_not_there_is_not_found(store: MemoryStore, version: int) -> None:
    await _create(store)
    with pytest.raises(NotFound) as caught:
        await _roll_back(store, version)
    assert caught.value.reason == "VERSION_NOT_FOUND"
    assert caught.value.metadata == {"name": str(_NAME), "version": str(version)}


async def test_a_rollback_needs_the_provider_and_its_present_etag(store: MemoryStore) -> None:
    with pytest.raises(NotFound) as caught:
        await _roll_back(store, 1)
    assert caught.value.reason == "PROVIDER_NOT_FOUND"
    first = await _create(store)
    await _update(store, display_name="two")
    with pytest.raises(Aborted):
        await _roll_back(store, 1, etag=first.etag)


async def test_a_rollback_is_checked_as_an_update_is(store: MemoryStore) -> None:
    command = creation(base_url="https://eu.api.openai.com/v1", options={"organization": "org-a"})
    await store.write(partial(create_provider, command=command))
    await _update(store, base_url="https://api.openai.com/v1", options={})
    stricter = replace(RULES, endpoint_problem=lambda _: "is not allowed any more")
    with pytest.raises(InvalidArgument) as caught:
        await _roll_back(store, 1, rules=stricter)
    assert [each.field for each in caught.value.field_violations] == ["provider.base_url"]
    no_options = replace(
        RULES, option_problems=lambda *_: [FieldViolation(field=".organization", description="is gone")]
    )
    with pytest.raises(InvalidArgument) as caught:
        await _roll_back(store, 1, rules=no_options)
    assert [each.field for each in caught.value.field_violations] == ["provider.options.organization"]


async def test_a_rollback_takes_back_what_the_provider_was_the_default_of(store: MemoryStore) -> None:
    await _create(store, is_default=True, default_for_tasks=("extraction",))
    other = creation("other", is_default=True, default_for_tasks=("extraction", "validation"))
    await store.write(partial(create_provider, command=other))
    # The takeover was a change of the first one too.
    assert [each.version for each in await _versions(store)] == [2, 1]
    await _roll_back(store, 1)
    left = (await store.read(partial(get_provider, name=other.name))).settings
    assert (left.is_default, left.default_for_tasks) == (False, ("validation",))
    assert store.events[-1].details["defaults_taken_from"] == "other"


async def test_the_last_hundred_versions_are_kept(store: MemoryStore) -> None:
    await _create(store, display_name="1")
    for number in range(2, MOST_KEPT + 4):
        await _update(store, display_name=str(number))
    kept = [each.version for each in await _versions(store)]
    assert kept == list(range(MOST_KEPT + 3, 3, -1))
    with pytest.raises(NotFound):
        await _roll_back(store, 3)
    assert (await _roll_back(store, 4)).resource.settings.display_name == "4"


async def test_versions_go_with_their_provider(store: MemoryStore) -> None:
    await _create(store, display_name="before")
    await _update(store, display_name="later")
    await store.write(drop_provider(_NAME))
    with pytest.raises(NotFound):
        await _versions(store)
    await _create(store)
    assert [each.version for each in await _versions(store)] == [1]
