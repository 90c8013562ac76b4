"""Bringing all ciphertexts to the newest sealing key: by whoever is there, from wherever it stopped, and to an end."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from libs.core.errors import Unavailable
from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain import rewrap_keys
from services.key_vault.domain.commands import DeleteKey, RotateKey
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.errors import vault_sealed
from services.key_vault.domain.ports import Ciphertext, WrappedVersion
from services.key_vault.domain.rewrap_keys import KeyRewrapper
from services.key_vault.domain.rewrap_run import RewrapRun
from tests.unit.key_vault.memory import FakeVault
from tests.unit.key_vault.world import ANN, CREATE, NEW, OLD, World

OPERATOR = replace(ANN, actor="platform/users/root", roles=("super_admin",), tenant=None, user="root")
NAMES = [KeyName(Owner("acme"), f"k{number}") for number in range(10)]
DOWN = Unavailable("DATABASE_UNAVAILABLE", "down")
MOST_STEPS = 100


class Replica:
    """A process that re-wraps, with a way to Vault of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.before_rewrap: Callable[[], object] = lambda: None
        self.refused: list[WrappedVersion] = []
        self.rewrapper = KeyRewrapper(
            store=world.store, vault=self, clock=world.clock, new_uid=world.new_uid, refused=self.refused.append
        )

    async def begin(self, *, rotate: bool = True) -> RewrapRun:
        return await self.rewrapper.begin(OPERATOR, rotate_sealing_key=rotate)

    async def finish(self) -> RewrapRun:
        for _ in range(MOST_STEPS):
            if not await self.rewrapper.go_on():
                break
        else:
            pytest.fail("the run does not end")
        return progress(self.world)

    async def rewrap(self, ciphertexts: Sequence[Ciphertext]) -> Sequence[str | None]:
        hook, self.before_rewrap = self.before_rewrap, lambda: None
        outcome = hook()
        if outcome is not None:
            await outcome  # type: ignore[misc]
        return await self.world.vault.rewrap(ciphertexts)

    async def sealing_version(self) -> int:
        return await self.world.vault.sealing_version()

    async def rotate_sealing_key(self) -> int:
        return await self.world.vault.rotate_sealing_key()


def progress(world: World) -> RewrapRun:
    run = world.store.content.run
    assert run is not None
    return run


def versions(world: World) -> set[str]:
    return {text.split(":")[1] for text in world.store.content.ciphertexts.values()}


def damage(world: World, name: KeyName) -> None:
    """Put a ciphertext into the key that is sealed in another context: Vault refuses it."""
    ciphertexts = world.store.content.ciphertexts
    foreign = base64.b64encode(b"elsewhere").decode()
    key = world.key(name)
    ciphertexts[key.uid, key.version] = f"vault:v1:{foreign}." + ciphertexts[key.uid, key.version].rpartition(".")[2]


async def add_keys(world: World, names: Sequence[KeyName] = NAMES) -> None:
    for name in names:
        await world.create(replace(CREATE, name=name))


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """With ten keys, of which three are re-wrapped at a time."""
    monkeypatch.setattr(rewrap_keys, "MOST_TOGETHER", 3)
    world = World()
    await add_keys(world)
    return world


async def test_every_ciphertext_is_brought_to_the_new_key_and_opens_as_before(world: World) -> None:
    replica = Replica(world)
    begun = await replica.begin()
    assert (begun.sealing_key_version, begun.total, begun.remaining, begun.failed) == (2, 10, 10, 0)
    assert begun.end_time is None
    world.clock.seconds += 5
    run = await replica.finish()
    assert (run.total, run.remaining, run.failed) == (10, 0, 0)
    assert (run.start_time, run.end_time) == (begun.start_time, world.clock.now())
    assert versions(world) == {"v2"}
    assert [await world.material(name) for name in NAMES] == [OLD] * 10


async def test_old_versions_are_brought_there_too(world: World) -> None:
    await world.rotate(RotateKey(name=NAMES[0], author=ANN, material=NEW))
    replica = Replica(world)
    assert (await replica.begin()).total == 11
    await replica.finish()
    assert await world.material(NAMES[0], version=1) == OLD


async def test_progress_is_told_after_every_batch(world: World) -> None:
    replica = Replica(world)
    await replica.begin()
    remaining = []
    while await replica.rewrapper.go_on():
        remaining.append(progress(world).remaining)
    assert remaining == [7, 4, 1, 0]
    assert await replica.rewrapper.progress() == progress(world)


async def test_without_a_run_there_is_nothing_to_do() -> None:
    replica = Replica(World())
    assert await replica.rewrapper.go_on() is False
    assert await replica.rewrapper.progress() is None


async def test_a_run_with_nothing_to_do_ends_at_once(world: World) -> None:
    replica = Replica(world)
    run = await replica.begin(rotate=False)
    assert (run.sealing_key_version, run.total, run.end_time) == (1, 0, world.clock.now())
    assert await replica.rewrapper.go_on() is False


async def test_after_its_end_nothing_is_asked_or_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica(world)
    await replica.begin()
    await replica.finish()

    async def never(_: object) -> None:
        raise AssertionError("written")

    monkeypatch.setattr(world.store, "write", never)
    assert await replica.rewrapper.go_on() is False


async def test_while_a_run_is_under_way_no_other_begins(world: World) -> None:
    replica = Replica(world)
    first = await replica.begin()
    await replica.rewrapper.go_on()
    again = await replica.begin()
    assert (again.uid, again.remaining) == (first.uid, 7)
    assert world.vault.sealing_key_version == 2


async def test_of_two_that_begin_at_once_one_begins(world: World) -> None:
    one, other = Replica(world), Replica(world)
    begun: list[RewrapRun] = []

    class Slow(FakeVault):
        async def rotate_sealing_key(self) -> int:
            begun.append(await one.begin())
            return await world.vault.rotate_sealing_key()

    slow = replace(other.rewrapper, vault=Slow())
    run = await slow.begin(OPERATOR, rotate_sealing_key=True)
    assert [each.uid for each in begun] == [run.uid]
    assert [event.action for event in world.audited("platform")] == ["RewrapKeys"]
    await one.finish()
    assert versions(world) == {"v2"}


async def test_a_run_whose_beginner_died_before_it_knew_vaults_version_is_taken_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica(world)

    async def dies() -> int:
        await world.vault.rotate_sealing_key()
        raise SystemExit

    monkeypatch.setattr(replica, "rotate_sealing_key", dies)
    with pytest.raises(SystemExit):
        await replica.begin()
    assert await replica.rewrapper.go_on() is False
    world.clock.seconds += 60
    run = await replica.finish()
    assert (run.sealing_key_version, run.remaining) == (2, 0)
    assert run.end_time is not None
    assert versions(world) == {"v2"}


async def test_after_a_run_the_next_can_begin(world: World) -> None:
    replica = Replica(world)
    first = await replica.begin()
    await replica.finish()
    second = await replica.begin()
    await replica.finish()
    assert second.uid != first.uid
    assert versions(world) == {"v3"}


async def test_who_began_it_is_in_the_platforms_log(world: World) -> None:
    await Replica(world).begin()
    (event,) = world.audited("platform")
    assert (event.actor, event.action, event.target, dict(event.details)) == (
        "platform/users/root",
        "RewrapKeys",
        "",
        {"rotates_sealing_key": "true"},
    )


async def test_what_vault_refuses_is_counted_left_alone_and_keeps_nothing_from_ending(world: World) -> None:
    for name in (NAMES[1], NAMES[2], NAMES[9]):
        damage(world, name)
    before = dict(world.store.content.ciphertexts)
    replica = Replica(world)
    await replica.begin()
    run = await replica.finish()
    assert (run.remaining, run.failed) == (3, 3)
    assert run.end_time is not None
    left = {place for place, text in world.store.content.ciphertexts.items() if before[place] == text}
    assert left == {(world.key(name).uid, 1) for name in (NAMES[1], NAMES[2], NAMES[9])}
    assert {(each.key_uid, each.version) for each in replica.refused} == left


async def test_nothing_is_looked_at_twice_for_what_vault_refuses(world: World) -> None:
    damage(world, NAMES[0])
    replica = Replica(world)
    await replica.begin()
    steps = 0
    while await replica.rewrapper.go_on():
        steps += 1
    assert steps == 4


async def test_what_was_sealed_before_and_stored_behind_is_found(world: World) -> None:
    replica = Replica(world)
    damage(world, NAMES[5])
    await replica.begin()
    for _ in range(3):
        await replica.rewrapper.go_on()
    # Sealed with the old key while the run began, and stored only now, where the run has been already.
    late = replace(world.key(NAMES[0]), name=KeyName(Owner("acme"), "late"), uid="0")
    text = f"vault:v1:{base64.b64encode(b'tenants/acme|0|1').decode()}.{base64.b64encode(OLD.reveal()).decode()}"
    world.store.transaction.keys.add(late, text)
    run = await replica.finish()
    assert (run.remaining, run.failed) == (1, 1)
    assert await world.material(late.name) == OLD
    assert world.store.content.ciphertexts["0", 1].startswith("vault:v2:")


async def test_a_vault_that_went_back_to_an_older_key_does_not_make_it_endless(world: World) -> None:
    replica = Replica(world)
    await replica.begin()
    # Restored from a backup: what it re-wraps is sealed with the old key again.
    world.vault.sealing_key_version = 1
    run = await replica.finish()
    assert (run.remaining, run.failed) == (10, 10)
    assert run.end_time is not None


@pytest.mark.parametrize("lost", ["before Vault", "in Vault", "in the database", "after the database"])
@pytest.mark.parametrize("batch", range(5))
async def test_it_goes_on_where_a_crash_left_it(
    world: World, monkeypatch: pytest.MonkeyPatch, lost: str, batch: int
) -> None:
    damage(world, NAMES[4])
    replica = Replica(world)
    await replica.begin()
    for _ in range(batch):
        await replica.rewrapper.go_on()
    write, read = world.store.write, world.store.read

    async def no_write(work: Callable[..., object]) -> object:
        if lost == "after the database":
            await write(work)
        raise DOWN

    async def no_read(work: Callable[..., object]) -> object:
        raise DOWN

    with monkeypatch.context() as crash:
        match lost:
            case "before Vault":
                crash.setattr(world.store, "read", no_read)
            case "in Vault":
                crash.setattr(world.vault, "failure", vault_sealed())
            case _:
                crash.setattr(world.store, "write", no_write)
        # The last step needs no Vault.
        if lost != "in Vault" or batch < 4:
            with pytest.raises(Unavailable):
                await replica.rewrapper.go_on()
    assert world.store.read == read
    run = await Replica(world).finish()
    assert (run.remaining, run.failed) == (1, 1)
    assert versions(world) == {"v1", "v2"}
    assert [await world.material(name) for name in NAMES if name != NAMES[4]] == [OLD] * 9


async def test_a_replica_that_overtakes_another_counts_nothing_twice(world: World) -> None:
    for name in NAMES[:4]:
        damage(world, name)
    slow, fast = Replica(world), Replica(world)
    await slow.begin()
    slow.before_rewrap = fast.rewrapper.go_on
    await slow.rewrapper.go_on()
    assert (progress(world).failed, progress(world).remaining) == (3, 10)
    slow.before_rewrap = fast.finish
    assert await slow.rewrapper.go_on() is False
    run = progress(world)
    assert (run.failed, run.remaining) == (4, 4)


@pytest.mark.parametrize("seed", range(20))
async def test_two_replicas_in_any_order_come_to_the_same_end(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for name in NAMES[:3]:
        damage(world, name)
    one, other = Replica(world), Replica(world)
    await one.begin()
    for _ in range(MOST_STEPS):
        slow, fast = chance.sample([one, other], 2)
        slow.before_rewrap = chance.choice([lambda: None, fast.rewrapper.go_on])
        if not await slow.rewrapper.go_on():
            break
    run = progress(world)
    assert (run.remaining, run.failed) == (3, 3)
    assert run.end_time is not None
    assert [await world.material(name) for name in NAMES[3:]] == [OLD] * 7


async def test_what_is_rotated_or_deleted_meanwhile_stays_so(world: World) -> None:
    replica = Replica(world)

    async def meanwhile() -> None:
        await world.rotate(RotateKey(name=NAMES[0], author=ANN, material=NEW))
        await world.change(delete_key, DeleteKey(name=NAMES[1], author=ANN))

    await replica.begin()
    replica.before_rewrap = meanwhile
    run = await replica.finish()
    assert (run.remaining, run.failed) == (0, 0)
    assert (await world.material(NAMES[0]), await world.material(NAMES[0], version=1)) == (NEW, OLD)
    assert NAMES[1] not in world.store.content.keys
    assert len(world.store.content.ciphertexts) == 10


async def test_a_step_of_a_run_that_was_replaced_changes_nothing(world: World) -> None:
    slow, fast = Replica(world), Replica(world)
    await slow.begin()

    async def meanwhile() -> None:
        await fast.finish()
        await fast.begin()

    slow.before_rewrap = meanwhile
    assert await slow.rewrapper.go_on() is False
    assert (progress(world).sealing_key_version, progress(world).remaining, progress(world).after_uid) == (3, 10, "")


async def test_nothing_begins_while_vault_is_sealed(world: World) -> None:
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable):
        await Replica(world).begin()
    # That it was tried is on record, and the next can begin.
    run = progress(world)
    assert (run.sealing_key_version, run.end_time) == (0, world.clock.now())
    assert [event.action for event in world.audited("platform")] == ["RewrapKeys"]
    world.vault.failure = None
    assert (await Replica(world).begin()).sealing_key_version == 2
