"""The store's contract, for the one in memory, SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from libs.core.errors import Aborted, GatehouseError, InvalidArgument
from libs.core.provider_types import Capabilities
from libs.core.resource_names import KeyName, ModelName, Owner
from libs.storage.database import Database
from libs.storage.errors import Conflict
from libs.storage.migrations import differences
from services.provider_config.domain.changes import once
from services.provider_config.domain.create_model import create_model
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_model, get_provider, list_models, list_providers
from services.provider_config.domain.model import ModelPrice, ModelSettings
from services.provider_config.domain.ports import ConfigStore, Request, Transaction
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.scope_size import model_bytes, provider_bytes
from services.provider_config.domain.update_model import UpdateModel, update_model
from services.provider_config.domain.update_provider import UpdateProvider, update_provider
from services.provider_config.storage.store import SqlConfigStore
from services.provider_config.storage.tables import metadata, models
from tests.unit.provider_config.builders import (
    ACME,
    NOTHING_KNOWN,
    RULES,
    act,
    add_model,
    creation,
    drop_model,
    drop_provider,
    model_creation,
    provider_name,
)
from tests.unit.provider_config.memory_store import NOW, SEAL

_ANN = Owner("acme", "ann")
_ALL: dict[str, Any] = {"after": None, "size": 999}


async def _create(store: ConfigStore, name: str = "openai", **settings: Any) -> Provider:
    return (await store.write(partial(create_provider, command=creation(name, **settings)))).resource


def _update(name: str, etag: str = "", **values: Any) -> Callable[[Transaction], Any]:
    command = UpdateProvider(
        name=provider_name(name), fields=frozenset(values), settings=ProviderSettings(**values), etag=etag, act=act()
    )
    return partial(update_provider, rules=RULES, command=command)


def _revision(transaction: Transaction) -> int:
    return transaction.revision()


async def test_a_provider_is_read_as_it_was_stored(store: ConfigStore) -> None:
    owner = Owner("acme", "ann")
    command = creation(
        "openai",
        owner=owner,
        display_name="Ünïcode 🎉",
        description="two\nlines",
        key=KeyName(owner, "prod"),
        default_model="gpt-4o",
        active=False,
        is_default=True,
        priority=0,
        labels={"team": "a", "empty": ""},
    )
    created = await store.write(partial(create_provider, command=command))
    assert created.resource == await store.read(partial(get_provider, name=command.name))
    later = NOW + timedelta(days=1, microseconds=1)
    settings = replace(command.settings, key=None, active=True, is_default=False, labels={})
    changed = created.resource.changed(settings, now=later)
    await store.write(lambda transaction: transaction.providers.put(changed))
    assert changed == await store.read(partial(get_provider, name=command.name))


@pytest.mark.parametrize(
    "price",
    [None, ModelPrice(input=0, output=0), ModelPrice(input=1, output=2, cache_read=0, cache_write=3, reasoning=10**12)],
)
async def test_a_model_is_read_as_it_was_stored(store: ConfigStore, price: ModelPrice | None) -> None:
    await _create(store)
    capabilities = Capabilities(tools=True, images=True)
    command = model_creation(
        provider_model_id="meta-llama/Llama-3.1-8B", enabled=False, context_tokens=100_000_000,
        max_output_tokens=10_000_000, capabilities=capabilities, price=price,
    )  # fmt: skip
    created = await store.write(partial(create_model, catalogue=NOTHING_KNOWN, command=command))
    assert created.resource == await store.read(partial(get_model, name=command.name))
    update = UpdateModel(
        name=command.name,
        fields=frozenset({"price", "enabled"}),
        settings=ModelSettings(price=ModelPrice(input=5, output=6)),
        act=act(),
    )
    changed = await store.write(partial(update_model, catalogue=NOTHING_KNOWN, command=update))
    assert changed.resource == await store.read(partial(get_model, name=command.name))
    await store.write(drop_model(command.name, etag=changed.resource.etag))
    assert await store.read(partial(list_models, name=provider_name("openai"), **_ALL)) == []


async def test_names_are_apart_by_owner_and_provider(store: ConfigStore) -> None:
    for owner in (ACME, _ANN, Owner("other"), Owner()):
        await _create(store, "same", owner=owner)
        command = model_creation("m", provider=provider_name("same", owner), display_name=str(owner))
        await store.write(partial(create_model, catalogue=NOTHING_KNOWN, command=command))
    for owner in (ACME, _ANN, Owner("other"), Owner()):
        found = await store.read(partial(list_providers, owner=owner, **_ALL))
        assert [each.name for each in found] == [provider_name("same", owner)]
        model = await store.read(partial(get_model, name=ModelName(provider_name("same", owner), "m")))
        assert model.settings.display_name == str(owner)


async def test_pages_are_by_id_and_stay_so_when_the_list_changes(store: ConfigStore) -> None:
    ids = ["a", "a-b", "a.b", "a_b", "a0", "aa", "b", "0"]
    for name in ids:
        await _create(store, name)
        await store.write(add_model(name, provider=provider_name("a")))
    pages: list[Callable[[str | None], Callable[[Transaction], Any]]] = [
        lambda after: partial(list_providers, owner=ACME, after=after, size=2),
        lambda after: partial(list_models, name=provider_name("a"), after=after, size=2),
    ]
    for page in pages:
        seen: list[str] = []
        after: str | None = None
        while True:
            found = [str(each.name).rpartition("/")[2] for each in await store.read(page(after))]
            seen += found[:2]
            if len(found) < 3:
                break
            after = found[1]
        assert seen == sorted(ids)
    first = await store.read(partial(list_providers, owner=ACME, after=None, size=3))
    assert [each.name.provider for each in first] == ["0", "a", "a-b", "a.b"]
    await store.write(drop_provider(provider_name("a-b")))
    await _create(store, "a-a")
    rest = await store.read(partial(list_providers, owner=ACME, after="a-b", size=3))
    assert [each.name.provider for each in rest] == ["a.b", "a0", "a_b", "aa"]


async def test_a_snapshot_holds_the_scope_and_nothing_else(store: ConfigStore) -> None:
    await _create(store, "b", priority=5)
    await _create(store, "z", priority=1, active=False)
    await _create(store, "a", owner=_ANN, priority=5)
    for other in (Owner(), Owner("acme2"), Owner("acm"), Owner("other", "acme")):
        await _create(store, "x", owner=other)
    for model in ("m2", "m1"):
        await store.write(add_model(model, provider=provider_name("b"), enabled=False))
    snapshot = await store.read(lambda transaction: transaction.snapshot(ACME))
    assert [str(each.provider.name) for each in snapshot.providers] == [
        "tenants/acme/providers/z",
        "tenants/acme/providers/b",
        "tenants/acme/users/ann/providers/a",
    ]
    assert [[model.name.model for model in each.models] for each in snapshot.providers] == [[], ["m1", "m2"], []]
    assert snapshot.revision == 9 == await store.read(_revision)
    counted = await store.read(lambda transaction: transaction.scope_bytes(ACME))
    assert counted == sum(
        provider_bytes(each.provider) + sum(map(model_bytes, each.models)) for each in snapshot.providers
    )
    empty = await store.read(lambda transaction: transaction.snapshot(Owner("nobody")))
    assert (empty.scope, empty.revision, empty.providers) == (Owner("nobody"), 9, [])


async def test_changes_since_tells_the_scopes_with_their_last_revision(store: ConfigStore) -> None:
    await _create(store, "a")
    await _create(store, "b", owner=Owner())
    await _create(store, "c", owner=_ANN)
    changes = [await store.read(partial(_changes, since=since)) for since in range(4)]
    platform = Owner()
    assert changes == [{ACME: 3, platform: 2}, {ACME: 3, platform: 2}, {ACME: 3}, {}]


def _changes(transaction: Transaction, since: int) -> Any:
    return dict(transaction.changes_since(since).scopes)


async def test_a_failed_change_leaves_no_trace(store: ConfigStore) -> None:
    def work(transaction: Transaction) -> None:
        create_provider(transaction, creation("a"))
        raise InvalidArgument("INVALID_FIELD", "no")

    with pytest.raises(InvalidArgument):
        await store.write(work)
    assert await store.read(_revision) == 0
    assert await store.read(partial(list_providers, owner=ACME, **_ALL)) == []
    assert await store.read(partial(_changes, since=0)) == {}


async def test_a_repeated_request_has_one_effect(store: ConfigStore) -> None:
    request = Request(caller="tenants/acme/users/ann", method="CreateProvider", request_id="r", digest=b"d")

    async def create(request: Request, name: str) -> str:
        return await store.write(
            partial(
                once,
                request=request,
                effect=lambda transaction: create_provider(transaction, creation(name)).resource.uid,
                encode=str.encode,
                decode=bytes.decode,
                now=NOW,
            )
        )

    first = await create(request, "a")
    assert await create(request, "a") == first
    with pytest.raises(InvalidArgument) as caught:
        await create(replace(request, digest=b"e"), "b")
    assert caught.value.reason == "REQUEST_ID_REUSED"
    assert await create(replace(request, caller="tenants/acme/users/bob"), "c") != first
    assert await store.read(_revision) == 2


# On a database only: several processes.


async def test_of_two_writers_with_one_etag_one_is_aborted(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    for round_ in range(10):
        provider = await _create(replicas[0], f"p{round_}")
        outcomes = await asyncio.gather(
            *(
                replica.write(_update(f"p{round_}", provider.etag, display_name=f"by {index}"))
                for index, replica in enumerate(replicas)
            ),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Aborted", "Changed"]
        (error,) = [outcome for outcome in outcomes if isinstance(outcome, Aborted)]
        assert error.reason == "ETAG_MISMATCH"


async def test_of_many_who_become_default_at_once_one_is(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    for number in range(8):
        await _create(replicas[0], f"p{number}")
    await asyncio.gather(*(replicas[n % 2].write(_update(f"p{n}", is_default=True)) for n in range(8)))
    await asyncio.gather(*(_create(replicas[n % 2], f"new{n}", is_default=True) for n in range(8)))
    found = await replicas[0].read(partial(list_providers, owner=ACME, **_ALL))
    assert sum(each.settings.is_default for each in found) == 1


async def test_of_many_who_take_one_id_at_once_one_gets_it(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    outcomes = await asyncio.gather(*(_create(replicas[n % 2], "same") for n in range(8)), return_exceptions=True)
    refused = [outcome.reason for outcome in outcomes if isinstance(outcome, GatehouseError)]
    assert refused == ["PROVIDER_EXISTS"] * 7


async def test_no_revision_appears_after_a_later_one(replicas: tuple[ConfigStore, ConfigStore]) -> None:
    """What `changes_since` has shown up to a revision is complete: nothing at or below it comes later."""
    done = asyncio.Event()

    async def watch() -> dict[Owner, int]:
        seen = 0
        known: dict[Owner, int] = {}
        while True:
            last = done.is_set()
            changes = await replicas[0].read(partial(_changes, since=seen))
            known |= changes
            seen = max(changes.values(), default=seen)
            if last:
                return known

    async def change(number: int) -> int:
        command = creation("p", owner=Owner(f"t{number}"))
        return (await replicas[number % 2].write(partial(create_provider, command=command))).revision

    watching = asyncio.create_task(watch())
    revisions = await asyncio.gather(*map(change, range(60)))
    done.set()
    assert sorted(revisions) == list(range(1, 61))
    assert await watching == {Owner(f"t{number}"): revision for number, revision in enumerate(revisions)}


async def test_a_second_default_is_refused_by_the_database_itself(config_url: str) -> None:
    async with Database.open(config_url, name="config") as database:
        store = SqlConfigStore(database, SEAL, changed=lambda: None)
        await _create(store, "a", is_default=True)
        other = await _create(store, "b")
        forced = other.changed(replace(other.settings, is_default=True), now=NOW)
        with pytest.raises(Conflict):
            await store.write(lambda transaction: transaction.providers.put(forced))


async def test_no_model_stays_without_its_provider(config_url: str) -> None:
    async with Database.open(config_url, name="config") as database:
        store = SqlConfigStore(database, SEAL, changed=lambda: None)
        await _create(store)
        await store.write(add_model())
        await store.write(drop_provider(provider_name("openai")))
        assert (
            await database.read(lambda connection: connection.scalars(select(func.count()).select_from(models)).one())
            == 0
        )


async def test_only_a_stored_change_is_announced(config_url: str) -> None:
    announced: list[None] = []
    async with Database.open(config_url, name="config") as database:
        store = SqlConfigStore(database, SEAL, changed=lambda: announced.append(None))
        await _create(store)
        assert len(announced) == 1
        await store.write(_update("openai", display_name=""))
        await store.write(partial(create_provider, command=creation("x", validate_only=True)))
        with pytest.raises(GatehouseError):
            await _create(store)
        assert len(announced) == 1


def test_the_migrations_make_the_tables(config_url: str) -> None:
    assert differences(config_url, metadata) == []
