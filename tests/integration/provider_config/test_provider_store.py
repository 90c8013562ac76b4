"""Whole providers, their versions and their models in the store: in memory, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from libs.core.errors import Aborted, GatehouseError
from libs.core.provider_types import Capabilities
from libs.core.resource_names import KeyName, ModelName, Owner
from libs.storage.database import Database
from libs.storage.errors import Conflict
from services.provider_config.domain.create_model import create_model
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_model, get_provider, list_providers
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.provider import (
    Provider,
    ProviderLimits,
    ProviderSettings,
    ProviderTest,
    ProviderTestOutcome,
    ProviderTimeouts,
)
from services.provider_config.domain.update_model import UpdateModel, update_model
from services.provider_config.domain.update_provider import (
    RollbackProvider,
    UpdateProvider,
    rollback_provider,
    update_provider,
)
from services.provider_config.domain.versions import MOST_KEPT, Version
from services.provider_config.storage.store import SqlConfigStore
from services.provider_config.storage.tables import task_defaults, versions
from tests.unit.provider_config.builders import (
    ACME,
    NOTHING_KNOWN,
    RULES,
    act,
    add_model,
    creation,
    drop_model,
    drop_provider,
    list_provider_versions,
    model_creation,
    provider_name,
)
from tests.unit.provider_config.memory_store import NOW, SEAL

_NAME = provider_name("openai")
_ROUNDS = 10
_WHOLE: dict[str, Any] = {
    "weight": 1_000_000,
    "default_for_tasks": ("z_last", "a.first", "cv-draft"),
    "limits": ProviderLimits(
        requests_per_minute=10_000_000, tokens_per_minute=10_000_000_000, concurrent_requests=100_000
    ),
    "timeouts": ProviderTimeouts(
        connect=timedelta(microseconds=10_001), idle=timedelta(milliseconds=250), total=timedelta(days=1)
    ),
    "max_retries": 10,
    "default_temperature": 0.1,
    "default_max_output_tokens": 10_000_000,
    "options": {"organization": "org-a", "project": "proj_b"},
    "labels": {"team": "a"},
}


async def _create(store: ConfigStore, name: str = "openai", **settings: Any) -> Provider:
    return (await store.write(partial(create_provider, command=creation(name, **settings)))).resource


async def _get(store: ConfigStore, name: str = "openai") -> Provider:
    return await store.read(partial(get_provider, name=provider_name(name)))


def _update(name: str = "openai", etag: str = "", **values: Any) -> Callable[[Transaction], Any]:
    command = UpdateProvider(
        name=provider_name(name), fields=frozenset(values), settings=ProviderSettings(**values), etag=etag, act=act()
    )
    return partial(update_provider, command=command, rules=RULES)


def _roll_back(version: int, etag: str = "") -> Callable[[Transaction], Any]:
    command = RollbackProvider(name=_NAME, version=version, etag=etag, act=act())
    return partial(rollback_provider, command=command, rules=RULES)


def _update_model(model: Model, **values: Any) -> Callable[[Transaction], Any]:
    command = UpdateModel(
        name=model.name, fields=frozenset(values), settings=ModelSettings(**values), etag=model.etag, act=act()
    )
    return partial(update_model, command=command, catalogue=NOTHING_KNOWN)


def _put_test(transaction: Transaction, provider: Provider, test: ProviderTest) -> None:
    transaction.providers.put_test(provider, test)


async def _versions(store: ConfigStore, **page: Any) -> list[Version[ProviderSettings]]:
    _, found = await store.read(partial(list_provider_versions, name=_NAME, **page))
    return found


async def test_a_whole_provider_is_read_as_it_was_stored(store: ConfigStore) -> None:
    options = {"text": "Ünïcode 🎉", "number": 1.5, "whole": 2.0, "no": False, "nothing": None, "list": [1.0, "x"]}
    created = await _create(store, **(_WHOLE | {"options": options}))
    assert await _get(store) == created
    (kept,) = await _versions(store)
    assert kept.settings == created.settings
    snapshot = await store.read(lambda transaction: transaction.snapshot(ACME))
    assert [each.provider for each in snapshot.providers] == [created]


async def test_what_is_unset_is_told_apart_from_nothing(store: ConfigStore) -> None:
    plain = await _create(store, "plain")
    zeros = await _create(store, "zeros", weight=0, max_retries=0, default_temperature=0.0)
    assert await _get(store, "plain") == plain
    assert (plain.settings.weight, plain.settings.max_retries, plain.settings.default_temperature) == (None, None, None)
    assert await _get(store, "zeros") == zeros


async def test_a_test_is_kept_and_is_no_change(store: ConfigStore) -> None:
    before = await _create(store)
    tests = [
        ProviderTest(
            time=NOW + timedelta(microseconds=1),
            outcome=outcome,
            message="The key was refused.",
            duration=timedelta(milliseconds=7),
            model_count=3,
        )
        for outcome in ProviderTestOutcome
    ]
    for test in tests:
        await store.write(partial(_put_test, provider=before, test=test))
        assert await _get(store) == replace(before, last_test=test)
    # A change made from what was read before the test does not undo the test.
    await store.write(lambda transaction: transaction.providers.put(before.changed(before.settings, now=NOW)))
    assert (await _get(store)).last_test == tests[-1]
    assert await store.read(lambda transaction: transaction.revision()) == 1


async def test_a_model_can_be_all_there_is(store: ConfigStore) -> None:
    await _create(store)
    for index, capability in enumerate(Capabilities.__dataclass_fields__):
        capabilities = Capabilities.named(frozenset({capability}))
        created = await store.write(add_model(f"m{index}", capabilities=capabilities))
        assert created.resource == await store.read(partial(get_model, name=created.resource.name))
        assert created.resource.settings.capabilities == capabilities
        assert created.resource.provider_type == "openai"
    snapshot = await store.read(lambda transaction: transaction.snapshot(ACME))
    assert {each.provider_type for each in snapshot.providers[0].models} == {"openai"}


async def test_versions_go_page_by_page_newest_first_and_the_oldest_are_forgotten(store: ConfigStore) -> None:
    await _create(store, **_WHOLE)
    for number in range(2, MOST_KEPT + 3):
        await store.write(_update(display_name=str(number)))
    assert [each.version for each in await _versions(store)] == list(range(MOST_KEPT + 2, 2, -1))
    page = await _versions(store, before=50, size=3)
    assert [(each.version, each.settings.display_name) for each in page[:3]] == [(49, "49"), (48, "48"), (47, "47")]
    back = await store.write(_roll_back(3))
    assert back.resource.settings == replace(creation(**_WHOLE).settings, display_name="3")
    assert (await _versions(store))[0].settings == back.resource.settings


async def test_versions_and_tasks_of_a_deleted_provider_are_gone(config_url: str) -> None:
    async with Database.open(config_url, name="config") as database:
        store = SqlConfigStore(database, SEAL, changed=lambda: None)
        await _create(store, **_WHOLE)
        await store.write(_update(display_name="two"))
        await store.write(drop_provider(_NAME))
        for table in (versions, task_defaults):
            count = select(func.count()).select_from(table)
            assert await database.read(lambda connection, count=count: connection.scalars(count).one()) == 0  # type: ignore[misc]


async def test_a_second_default_for_a_task_is_refused_by_the_database_itself(config_url: str) -> None:
    async with Database.open(config_url, name="config") as database:
        store = SqlConfigStore(database, SEAL, changed=lambda: None)
        await _create(store, "a", default_for_tasks=("extraction",))
        await _create(store, "x", owner=Owner("acme", "ann"), default_for_tasks=("extraction",))
        other = await _create(store, "b")
        forced = other.changed(replace(other.settings, default_for_tasks=("extraction",)), now=NOW)
        with pytest.raises(Conflict):
            await store.write(lambda transaction: transaction.providers.put(forced))


# Several processes on one database.


async def _race(*changes: Any) -> list[str]:
    """What became of changes made at once: the reasons of those refused, else nothing."""
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    return sorted(each.reason if isinstance(each, GatehouseError) else "" for each in outcomes)


async def test_of_two_who_change_one_provider_exactly_one_wins(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    one, two = replicas
    provider = await _create(one, **_WHOLE)
    for number in range(_ROUNDS):
        etag = provider.etag
        changes: list[tuple[Any, Any]] = [
            (_update(etag=etag, display_name=f"a{number}"), _update(etag=etag, display_name=f"b{number}")),
            (_update(etag=etag, weight=number), _roll_back(1, etag)),
        ]
        first, second = changes[number % 2]
        assert await _race(one.write(first), two.write(second)) == ["", "ETAG_MISMATCH"]
        provider = await _get(one)
        assert provider.version == number + 2
    assert [each.version for each in await _versions(two)] == list(range(_ROUNDS + 1, 0, -1))


async def test_of_two_who_change_one_model_exactly_one_wins(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    one, two = replicas
    await _create(one)
    name = ModelName(_NAME, "gpt-4o")
    model = (await one.write(add_model("gpt-4o"))).resource
    for number in range(_ROUNDS):
        race = await _race(
            one.write(_update_model(model, display_name=f"a{number}")),
            two.write(_update_model(model, display_name=f"b{number}")),
        )
        assert race == ["", "ETAG_MISMATCH"]
        model = await one.read(partial(get_model, name=name))
        assert model.version == number + 2


async def test_of_a_change_and_a_deletion_exactly_one_wins(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    one, two = replicas
    for number in range(_ROUNDS):
        provider = await _create(one)
        model = (await one.write(add_model("gpt-4o"))).resource
        race = await _race(
            one.write(_update_model(model, display_name=str(number))),
            two.write(drop_model(model.name, etag=model.etag)),
        )
        assert race in (["", "ETAG_MISMATCH"], ["", "MODEL_NOT_FOUND"])
        race = await _race(
            one.write(_update(etag=provider.etag, display_name=str(number))),
            two.write(drop_provider(_NAME, etag=provider.etag)),
        )
        assert race in (["", "ETAG_MISMATCH"], ["", "PROVIDER_NOT_FOUND"])
        if race == ["", "ETAG_MISMATCH"]:
            await one.write(drop_provider(_NAME))


async def test_a_model_is_never_added_to_a_provider_that_goes(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    one, two = replicas
    for _ in range(_ROUNDS):
        await _create(one)
        create = partial(create_model, command=model_creation("m"), catalogue=NOTHING_KNOWN)
        assert await _race(one.write(create), two.write(drop_provider(_NAME))) in (["", ""], ["", "PROVIDER_NOT_FOUND"])


async def test_of_many_who_take_one_task_at_once_the_last_has_it(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    for number in range(8):
        await _create(replicas[0], f"p{number}", key=KeyName(ACME, "k"))
    work = [_update(f"p{number}", default_for_tasks=("extraction", f"own{number}")) for number in range(8)]
    await asyncio.gather(*(replicas[number % 2].write(each) for number, each in enumerate(work)))
    found = await replicas[0].read(partial(list_providers, owner=ACME, after=None, size=99))
    taken = sorted(task for each in found for task in each.settings.default_for_tasks)
    assert taken == sorted(["extraction", *(f"own{number}" for number in range(8))])


async def test_a_stale_rollback_is_aborted(store: ConfigStore) -> None:
    first = await _create(store)
    await store.write(_update(display_name="two"))
    with pytest.raises(Aborted) as caught:
        await store.write(_roll_back(1, first.etag))
    assert caught.value.reason == "ETAG_MISMATCH"
