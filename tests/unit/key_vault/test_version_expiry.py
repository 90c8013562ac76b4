"""What retired long ago is destroyed by itself; nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.core.audit import AuditEvent
from libs.core.errors import FailedPrecondition, GatehouseError, Unavailable
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain import expire_versions
from services.key_vault.domain.commands import RollbackKey, RotateKey
from services.key_vault.domain.expire_versions import KEY_USE_KEPT, NOTIFICATIONS_KEPT, VersionExpirer
from services.key_vault.domain.key_outcome import KeyOutcome
from services.key_vault.domain.key_use import KeyUseCount
from services.key_vault.domain.record_outcomes import OutcomeRecorder
from services.key_vault.domain.rollback_key import rollback_key
from tests.unit.key_vault.memory import MemoryStore
from tests.unit.key_vault.world import ANN, CREATE, NAME, NEW, World

KEPT = timedelta(days=30)
DAY_S = 86_400


def expirer(world: World, *, kept: timedelta = KEPT) -> VersionExpirer:
    return VersionExpirer(store=world.store, clock=world.clock, new_uid=world.new_uid, kept=kept)


async def a_rotated_key(world: World, name: KeyName = NAME, *, overlap: timedelta = timedelta(0)) -> None:
    await world.create(replace(CREATE, name=name))
    await world.rotate(RotateKey(name=name, author=ANN, material=NEW, overlap=overlap))


def destroyed(world: World, name: KeyName = NAME) -> list[int]:
    return [version.number for version in world.key(name).versions if version.destroy_time is not None]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_version_is_kept_for_its_time_after_it_retired_and_then_destroyed(world: World) -> None:
    await a_rotated_key(world, overlap=timedelta(days=2))
    world.clock.seconds = 32 * DAY_S
    await expirer(world)()
    assert destroyed(world) == []
    world.clock.seconds += 0.001
    await expirer(world)()
    assert destroyed(world) == [1]
    assert list(world.store.content.ciphertexts) == [(world.key().uid, 2)]


async def test_it_is_recorded_as_what_gatehouse_did_by_itself(world: World) -> None:
    await a_rotated_key(world)
    world.clock.seconds = 31 * DAY_S
    await expirer(world)()
    await expirer(world)()
    event = world.audited()[-1]
    assert [each.action for each in world.audited()] == ["CreateKey", "RotateKey", "DestroyKeyVersion"]
    assert (event.actor, event.address, event.target, dict(event.details)) == (
        "services/key-vault",
        "",
        str(NAME),
        {"version": "1"},
    )


async def test_several_versions_of_a_key_expire_together(world: World) -> None:
    await a_rotated_key(world)
    for number in range(3):
        await world.rotate(RotateKey(name=NAME, author=ANN, material=Secret(b"sk-%010d" % number)))
    world.clock.seconds = 31 * DAY_S
    await expirer(world)()
    assert destroyed(world) == [4, 3, 2, 1]
    assert len({event.event_id for event in world.audited()}) == len(world.audited())


async def test_versions_that_retired_at_different_times_expire_one_after_another(world: World) -> None:
    await a_rotated_key(world)
    world.clock.seconds = 10 * DAY_S
    await world.rotate(RotateKey(name=NAME, author=ANN, material=Secret(b"sk-third-0123456789")))
    for day, gone in ((31, [1]), (39, [1]), (41, [2, 1])):
        world.clock.seconds = day * DAY_S
        await expirer(world)()
        assert destroyed(world) == gone


async def test_an_old_version_that_was_put_back_in_use_is_not_destroyed(world: World) -> None:
    await a_rotated_key(world)
    world.clock.seconds = 31 * DAY_S
    await world.change(rollback_key, RollbackKey(name=NAME, author=ANN, version=1))
    await expirer(world)()
    assert destroyed(world) == []
    world.clock.seconds = 90 * DAY_S
    await expirer(world)()
    assert destroyed(world) == [2]


async def test_a_version_that_comes_back_between_looking_and_destroying_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_rotated_key(world)
    world.clock.seconds = 31 * DAY_S
    read = world.store.read

    async def overtaken(work: Callable[..., object]) -> object:
        found = await read(work)
        monkeypatch.setattr(world.store, "read", read)
        await world.change(rollback_key, RollbackKey(name=NAME, author=ANN, version=1))
        return found

    monkeypatch.setattr(world.store, "read", overtaken)
    await expirer(world)()
    assert destroyed(world) == []


async def test_a_key_that_goes_between_looking_and_destroying_is_passed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_rotated_key(world)
    world.clock.seconds = 31 * DAY_S
    read = world.store.read

    async def overtaken(work: Callable[..., object]) -> object:
        found = await read(work)
        if world.store.content.keys:
            world.store.transaction.keys.remove(world.key())
        return found

    monkeypatch.setattr(world.store, "read", overtaken)
    await expirer(world)()
    assert world.store.content.keys == {}


async def test_more_keys_than_one_batch_all_expire(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire_versions, "_MOST_TOGETHER", 3)
    names = [KeyName(Owner("acme"), f"k{number}") for number in range(7)]
    for name in names:
        await a_rotated_key(world, name)
    world.clock.seconds = 31 * DAY_S
    await expirer(world)()
    assert [destroyed(world, name) for name in names] == [[1]] * 7


def refusing(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, scope: str, error: GatehouseError
) -> list[AuditEvent]:
    """Let nothing be appended to the chain `scope`; what was to be."""
    append = store.transaction.audit.append
    refused: list[AuditEvent] = []

    def refuse(event: AuditEvent) -> None:
        if event.scope == scope:
            refused.append(event)
            raise error
        append(event)

    monkeypatch.setattr(store.transaction.audit, "append", refuse)
    return refused


@pytest.mark.parametrize("many", [1, 3, 9])
async def test_keys_that_cannot_be_changed_keep_no_other_from_expiring(
    world: World, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(expire_versions, "_MOST_TOGETHER", 3)
    damaged = [KeyName(Owner("damaged"), f"k{number}") for number in range(many)]
    fine = [KeyName(Owner("acme"), f"k{number}") for number in range(6)]
    for name in (*damaged, *fine):
        await a_rotated_key(world, name)
    refusing(world.store, monkeypatch, "tenants/damaged", FailedPrecondition("REFUSED", "damaged"))
    world.clock.seconds = 31 * DAY_S
    with pytest.raises(FailedPrecondition, match="damaged"):
        await expirer(world)()
    assert [destroyed(world, name) for name in fine] == [[1]] * 6
    assert [destroyed(world, name) for name in damaged] == [[]] * many


async def test_a_damaged_log_keeps_nothing_from_being_destroyed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await a_rotated_key(world)
    refusing(world.store, monkeypatch, "tenants/acme", FailedPrecondition("AUDIT_LOG_DAMAGED", "damaged"))
    world.clock.seconds = 31 * DAY_S
    await expirer(world)()
    assert destroyed(world) == [1]
    (event,) = (each.event for each in world.store.content.chains["platform"])
    assert (event.action, event.target) == ("DestroyKeyVersion", str(NAME))
    assert event.details["damaged_audit_log"] == "tenants/acme"


async def test_when_only_what_cannot_expire_is_left_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expire_versions, "_MOST_TOGETHER", 2)
    for number in range(4):
        await a_rotated_key(world, KeyName(Owner("damaged"), f"k{number}"))
    refusing(world.store, monkeypatch, "tenants/damaged", FailedPrecondition("REFUSED", "damaged"))
    world.clock.seconds = 31 * DAY_S
    with pytest.raises(FailedPrecondition, match="damaged"):
        await expirer(world)()


async def test_a_database_that_is_down_ends_it_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await a_rotated_key(world, KeyName(Owner("acme"), f"k{number}"))
    tried = refusing(world.store, monkeypatch, "tenants/acme", Unavailable("DATABASE_UNAVAILABLE", "down"))
    world.clock.seconds = 31 * DAY_S
    with pytest.raises(Unavailable):
        await expirer(world)()
    assert len(tried) == 1


async def test_old_notifications_are_forgotten(world: World) -> None:
    await world.create(CREATE)
    record = OutcomeRecorder(
        store=world.store, clock=world.clock, new_uid=world.new_uid, notified=lambda notification: None
    )
    now = world.clock.now()
    await record([KeyOutcome(name=NAME, version=1, last_use_time=now, last_rejection_time=now)])
    world.clock.seconds = NOTIFICATIONS_KEPT.total_seconds()
    await expirer(world)()
    assert len(world.store.content.notifications) == 1
    world.clock.seconds += 0.001
    await expirer(world)()
    assert world.store.content.notifications == {}


async def test_without_a_time_to_keep_them_versions_go_as_soon_as_they_retired(world: World) -> None:
    await a_rotated_key(world)
    world.clock.seconds += 0.001
    await expirer(world, kept=timedelta(0))()
    assert destroyed(world) == [1]


async def test_old_counts_of_key_use_are_forgotten(world: World) -> None:
    await world.create(CREATE)
    hour = world.clock.now().replace(minute=0, second=0, microsecond=0)
    use = KeyUseCount(
        hour=hour,
        name=NAME,
        key_uid=world.key().uid,
        version=1,
        service="router",
        count=3,
        last_vault_request_id="vault-1",
    )
    await world.store.write(lambda transaction: transaction.uses.add([use]))
    world.clock.seconds = KEY_USE_KEPT.total_seconds()
    await expirer(world)()
    assert list(world.store.content.uses.values()) == [use]
    world.clock.seconds += 3600
    await expirer(world)()
    assert world.store.content.uses == {}
