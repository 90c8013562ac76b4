"""The platform's keys follow the environment, and nobody who manages them by hand is overruled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from libs.core.errors import Aborted, Unavailable
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain.commands import CreateKey, DeleteKey, RollbackKey, RotateKey, UpdateKey
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.errors import vault_sealed
from services.key_vault.domain.import_environment import LABEL, EnvironmentImporter, EnvironmentKey, ImportOutcome
from services.key_vault.domain.ports import KeyAnswer
from services.key_vault.domain.rollback_key import rollback_key
from services.key_vault.domain.update_key import update_key
from tests.unit.key_vault.memory import MemoryContent
from tests.unit.key_vault.world import ANN, CREATE, NEW, NEWEST, OLD, ORIGIN, World

NAME = KeyName(Owner(), "openai")
OPERATOR = replace(ANN, actor="platform/users/root", roles=("super_admin",), tenant=None, user="root")


def found(material: Secret = OLD, *, key_id: str = "openai", origin: str = ORIGIN) -> EnvironmentKey:
    return EnvironmentKey(
        variable="OPENAI_API_KEY", key_id=key_id, provider_type="openai", origin=origin, material=material
    )


def importer(world: World) -> EnvironmentImporter:
    return EnvironmentImporter(store=world.store, create=world.create, rotate=world.rotate, digests=world.digests)


def overtaken(world: World, meanwhile: Callable[[], Awaitable[object]], *, times: int = 1) -> EnvironmentImporter:
    """One that looks, and before it does anything, `meanwhile` happens."""
    left = iter(range(times))

    async def create(command: CreateKey) -> KeyAnswer:
        if next(left, None) is not None:
            await meanwhile()
        return await world.create(command)

    async def rotate(command: RotateKey) -> KeyAnswer:
        if next(left, None) is not None:
            await meanwhile()
        return await world.rotate(command)

    return EnvironmentImporter(store=world.store, create=create, rotate=rotate, digests=world.digests)


async def outcome(world: World, key: EnvironmentKey) -> ImportOutcome:
    ((imported, result),) = await importer(world)([key])
    assert imported is key
    return result


@pytest.fixture
def world() -> World:
    return World()


async def test_a_key_in_the_environment_becomes_the_platforms(world: World) -> None:
    assert await outcome(world, found()) is ImportOutcome.CREATED
    key = world.key(NAME)
    assert (key.provider_type, key.origin, key.display_name, key.labels) == (
        "openai",
        ORIGIN,
        "OPENAI_API_KEY from the environment",
        {LABEL: "OPENAI_API_KEY"},
    )
    assert await world.material(NAME) == OLD
    assert [(event.actor, event.action) for event in world.audited("platform")] == [("services/key-vault", "CreateKey")]


async def test_the_same_key_again_changes_nothing_and_costs_no_vault_call(world: World) -> None:
    await outcome(world, found())
    before = world.store.content.snapshot()
    assert await outcome(world, found()) is ImportOutcome.UNCHANGED
    assert world.store.content == before
    assert world.vault.sealed == 1


async def test_another_value_is_rotated_in_and_the_old_one_is_not_usable_any_more(world: World) -> None:
    await outcome(world, found())
    world.clock.seconds += 1
    assert await outcome(world, found(NEW)) is ImportOutcome.ROTATED
    assert await world.material(NAME) == NEW
    (_, old) = world.key(NAME).versions
    assert old.usable_until == world.clock.now()


async def test_a_key_entered_by_hand_stays_as_it_is(world: World) -> None:
    await world.create(replace(CREATE, name=NAME, author=OPERATOR))
    assert await outcome(world, found(NEW)) is ImportOutcome.TAKEN
    assert await world.material(NAME) == OLD


async def test_a_key_that_lost_its_label_is_its_owners(world: World) -> None:
    await outcome(world, found())
    await world.change(update_key, UpdateKey(name=NAME, author=OPERATOR, labels={}))
    assert await outcome(world, found(NEW)) is ImportOutcome.TAKEN
    assert await world.material(NAME) == OLD


async def test_a_key_is_not_sent_to_another_origin_because_a_variable_says_so(world: World) -> None:
    await outcome(world, found())
    elsewhere = found(NEW, origin="https://proxy.example:443")
    assert await outcome(world, elsewhere) is ImportOutcome.ORIGIN_CHANGED
    assert (world.key(NAME).origin, await world.material(NAME)) == (ORIGIN, OLD)


async def test_a_key_that_leaked_and_was_rotated_by_hand_is_not_brought_back_by_a_restart(world: World) -> None:
    await outcome(world, found())
    await world.rotate(RotateKey(name=NAME, author=OPERATOR, material=NEW))
    assert await outcome(world, found()) is ImportOutcome.REPLACED
    assert await world.material(NAME) == NEW
    assert await outcome(world, found(NEWEST)) is ImportOutcome.ROTATED


async def test_a_version_that_was_rolled_back_by_hand_is_not_brought_back_by_a_restart(world: World) -> None:
    await outcome(world, found())
    await outcome(world, found(NEW))
    await world.change(rollback_key, RollbackKey(name=NAME, author=OPERATOR, version=1))
    assert await outcome(world, found(NEW)) is ImportOutcome.REPLACED
    assert await world.material(NAME) == OLD


async def test_a_deleted_key_is_imported_anew(world: World) -> None:
    await outcome(world, found())
    await world.change(delete_key, DeleteKey(name=NAME, author=OPERATOR))
    assert await outcome(world, found()) is ImportOutcome.CREATED


async def test_several_keys_are_told_of_one_by_one_in_their_order(world: World) -> None:
    await outcome(world, found())
    results = await importer(world)([found(NEW, key_id="other"), found()])
    assert [(key.key_id, result) for key, result in results] == [
        ("other", ImportOutcome.CREATED),
        ("openai", ImportOutcome.UNCHANGED),
    ]


@pytest.mark.parametrize(("others", "result"), [(OLD, ImportOutcome.UNCHANGED), (NEWEST, ImportOutcome.ROTATED)])
async def test_another_replica_that_creates_the_key_first_is_no_failure(
    world: World, others: Secret, result: ImportOutcome
) -> None:
    other = World(world.store)
    ((_, imported),) = await overtaken(world, lambda: importer(other)([found(others)]))([found()])
    assert imported is result
    assert await world.material(NAME) == OLD


async def test_another_replica_that_rotates_first_is_no_failure(world: World) -> None:
    await outcome(world, found())
    other = World(world.store)
    ((_, imported),) = await overtaken(world, lambda: importer(other)([found(NEW)]))([found(NEW)])
    assert imported is ImportOutcome.UNCHANGED
    assert world.key(NAME).version == 2


async def test_a_key_that_is_deleted_before_it_is_rotated_is_created(world: World) -> None:
    await outcome(world, found())
    delete = DeleteKey(name=NAME, author=OPERATOR)
    ((_, imported),) = await overtaken(world, lambda: world.change(delete_key, delete))([found(NEW)])
    assert imported is ImportOutcome.CREATED
    assert await world.material(NAME) == NEW


async def test_whoever_is_overtaken_twice_is_told(world: World) -> None:
    await outcome(world, found())
    names = iter(["busy", "busier"])

    def rename() -> Awaitable[object]:
        return world.change(update_key, UpdateKey(name=NAME, author=OPERATOR, display_name=next(names)))

    with pytest.raises(Aborted):
        await overtaken(world, rename, times=2)([found(NEW)])
    assert await world.material(NAME) == OLD


async def test_nothing_is_imported_while_vault_is_sealed(world: World) -> None:
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable):
        await importer(world)([found()])
    assert world.store.content == MemoryContent()


def test_no_material_is_in_a_repr() -> None:
    assert "sk-" not in repr(found())
