"""Updating, rolling back, disabling, enabling keys, and destroying versions: what `change` makes of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.core.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from services.key_vault.domain.commands import (
    Command,
    DestroyKeyVersion,
    RollbackKey,
    RotateKey,
    SetKeyState,
    UpdateKey,
)
from services.key_vault.domain.destroy_key_version import destroy_key_version
from services.key_vault.domain.key import Condition, Key, KeyState, KeyStatus, VersionState
from services.key_vault.domain.rollback_key import rollback_key
from services.key_vault.domain.set_key_state import set_key_state
from services.key_vault.domain.update_key import update_key
from tests.unit.key_vault.world import ANN, CREATE, NAME, NEW, OLD, UseCase, World, a_request

DISABLE = SetKeyState(name=NAME, author=ANN, state=KeyState.DISABLED)
ENABLE = SetKeyState(name=NAME, author=ANN, state=KeyState.ACTIVE)
ROLL_BACK = RollbackKey(name=NAME, author=ANN, version=1)
DESTROY = DestroyKeyVersion(name=NAME, author=ANN, version=1)
AGAINST_A_VERSION: list[tuple[RollbackKey | DestroyKeyVersion, UseCase[Key]]] = [
    (DESTROY, destroy_key_version),
    (ROLL_BACK, rollback_key),
]
UPDATE = UpdateKey(name=NAME, author=ANN, display_name="Ours", labels={"env": "prod"})


@pytest.fixture
async def world() -> World:
    """With a key in its second version."""
    world = World()
    await world.create(CREATE)
    await world.rotate(RotateKey(name=NAME, author=ANN, material=NEW))
    world.clock.seconds += 60
    return world


def states(world: World, key: Key) -> dict[int, VersionState]:
    return {version.number: key.state_of(version, world.clock.now()) for version in key.versions}


async def test_an_earlier_version_is_put_back_in_use_and_the_other_retires(world: World) -> None:
    key = await world.change(rollback_key, ROLL_BACK)
    assert states(world, key) == {2: VersionState.RETIRED, 1: VersionState.CURRENT}
    assert (key.version, key.last_version, key.rotate_time) == (1, 2, world.clock.now())
    assert await world.material() == OLD
    assert world.key() == key


async def test_a_version_put_back_in_use_begins_without_what_was_said_of_the_other(world: World) -> None:
    used = world.clock.now()
    rejected = KeyStatus(condition=Condition.REJECTED, last_use_time=used, last_rejection_time=used)
    world.store.transaction.statuses.put({world.key().uid: rejected})
    key = await world.change(rollback_key, ROLL_BACK)
    assert key.status == KeyStatus(last_use_time=used)


async def test_a_destroyed_version_is_gone_for_ever(world: World) -> None:
    key = await world.change(destroy_key_version, DESTROY)
    assert states(world, key) == {2: VersionState.CURRENT, 1: VersionState.DESTROYED}
    assert list(world.store.content.ciphertexts) == [(key.uid, 2)]
    for command, use_case in AGAINST_A_VERSION:
        with pytest.raises(FailedPrecondition) as caught:
            await world.change(use_case, command)
        assert (caught.value.reason, caught.value.metadata["version"]) == ("KEY_VERSION_DESTROYED", "1")


@pytest.mark.parametrize("version", [2, 3])
async def test_only_a_version_that_is_there_and_not_in_use_can_be_destroyed_or_rolled_back_to(
    world: World, version: int
) -> None:
    before = world.key()
    reasons = []
    for command, use_case in AGAINST_A_VERSION:
        with pytest.raises((FailedPrecondition, NotFound)) as caught:
            await world.change(use_case, replace(command, version=version))
        reasons.append(caught.value.reason)
    assert reasons == ["KEY_VERSION_IN_USE" if version == 2 else "KEY_VERSION_NOT_FOUND"] * 2
    assert world.key() == before


async def test_a_disabled_key_is_enabled_again(world: World) -> None:
    disabled = await world.change(set_key_state, DISABLE)
    assert (disabled.state, disabled.revision, disabled.update_time) == (KeyState.DISABLED, 3, world.clock.now())
    enabled = await world.change(set_key_state, ENABLE)
    assert (enabled.state, enabled.revision) == (KeyState.ACTIVE, 4)


async def test_a_key_that_is_in_the_state_already_stays_as_it_is(world: World) -> None:
    before = world.store.content.snapshot()
    assert await world.change(set_key_state, ENABLE) == world.key()
    assert world.store.content == before


async def test_a_key_can_be_rotated_rolled_back_and_cleared_while_it_is_disabled(world: World) -> None:
    await world.change(set_key_state, DISABLE)
    await world.change(rollback_key, ROLL_BACK)
    await world.change(destroy_key_version, replace(DESTROY, version=2))
    await world.rotate(RotateKey(name=NAME, author=ANN, material=NEW))
    assert (world.key().state, world.key().version) == (KeyState.DISABLED, 3)


async def test_what_is_not_given_is_not_updated(world: World) -> None:
    await world.change(update_key, UPDATE)
    key = await world.change(update_key, replace(UPDATE, display_name=None, labels={}))
    assert (key.display_name, key.labels) == ("Ours", {})
    key = await world.change(update_key, replace(UPDATE, display_name="", labels=None))
    assert (key.display_name, key.labels, await world.material()) == ("", {}, NEW)


CHANGES: list[tuple[Command, UseCase[Key]]] = [
    (ROLL_BACK, rollback_key),
    (DESTROY, destroy_key_version),
    (DISABLE, set_key_state),
    (UPDATE, update_key),
]


@pytest.mark.parametrize(("command", "use_case"), CHANGES)
async def test_every_change_makes_another_etag_and_takes_none_that_is_stale(
    world: World,
    command: Command,
    use_case: UseCase[Key],
) -> None:
    before = world.key()
    with pytest.raises(Aborted) as caught:
        await world.change(use_case, replace(command, etag="0123456789abcdef"))
    assert caught.value.reason == "ETAG_MISMATCH"
    assert world.key() == before
    after = await world.change(use_case, replace(command, etag=before.etag))
    assert after.etag not in (before.etag, "")
    assert (after.revision, after.update_time) == (before.revision + 1, world.clock.now())


@pytest.mark.parametrize(("command", "use_case"), CHANGES)
async def test_every_change_happens_once_for_a_request_and_is_one_event(
    world: World, command: Command, use_case: UseCase[Key]
) -> None:
    command = replace(command, request=a_request(command.action))
    first = await world.change(use_case, command)
    await world.change(update_key, replace(UPDATE, display_name="meanwhile"))
    assert await world.change(use_case, command) == first
    assert [event.action for event in world.audited()[2:]] == [command.action, "UpdateKey"]
    with pytest.raises(InvalidArgument):
        await world.change(
            use_case,
            replace(command, request=a_request(command.action, b"another")),
        )


async def test_a_request_that_had_nothing_to_do_does_nothing_later(world: World) -> None:
    enable = replace(ENABLE, request=a_request("EnableKey"))
    first = await world.change(set_key_state, enable)
    await world.change(set_key_state, DISABLE)
    assert await world.change(set_key_state, enable) == first
    assert world.key().state is KeyState.DISABLED
    assert [event.action for event in world.audited()[2:]] == ["DisableKey"]


@pytest.mark.parametrize(("command", "use_case"), CHANGES)
async def test_nothing_can_be_changed_of_a_key_that_is_not_there(command: Command, use_case: UseCase[Key]) -> None:
    with pytest.raises(NotFound) as caught:
        await World().change(use_case, command)
    assert caught.value.reason == "KEY_NOT_FOUND"


async def test_the_log_says_which_version_and_which_state(world: World) -> None:
    await world.change(set_key_state, DISABLE)
    await world.change(set_key_state, ENABLE)
    await world.change(rollback_key, ROLL_BACK)
    await world.change(destroy_key_version, replace(DESTROY, version=2))
    assert [(event.action, dict(event.details)) for event in world.audited()[2:]] == [
        ("DisableKey", {"state": "disabled"}),
        ("EnableKey", {"state": "active"}),
        ("RollbackKey", {"version": "1"}),
        ("DestroyKeyVersion", {"version": "2"}),
    ]
