"""Two replicas on one database, and one that is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import pytest

from libs.core.audit import AuditFilter
from libs.core.errors import Aborted, AlreadyExists
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.commands import RotateKey
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import KeyAnswer, KeyStore, KeyTransaction
from tests.integration.key_vault.storage.stored_keys import NAME as OTHER
from tests.integration.key_vault.storage.stored_keys import add, get, key, opened_store, rotate
from tests.unit.key_vault.memory import FakeVault
from tests.unit.key_vault.world import ANN, CREATE, NAME, NEW, NEWEST, Replica

PROGRAM = Path(__file__).with_name("changing_process.py")
REPOSITORY = Path(__file__).parents[4]


async def audited(store: KeyStore, scope: str = "tenants/acme") -> Counter[tuple[str, str]]:
    """How often which action was done to which key; the chain is whole."""

    def work(transaction: KeyTransaction) -> Counter[tuple[str, str]]:
        events = transaction.audit.page(scope, AuditFilter(), before=None, limit=100_000)
        return Counter((each.event.target, each.event.action) for each in events)

    assert (await store.verify_audit(scope, [])).is_intact
    return await store.read(work)


class MeetingVault(FakeVault):
    """Seals once two have asked: by then both have read the key."""

    def __init__(self, meeting: asyncio.Barrier) -> None:
        super().__init__()
        self.meeting = meeting

    async def seal(self, material: Secret, context: bytes) -> str:
        await self.meeting.wait()
        return await super().seal(material, context)


def meeting_replicas(*stores: KeyStore) -> list[Replica]:
    """Replicas whose calls to Vault meet."""
    meeting = asyncio.Barrier(len(stores))
    replicas = [Replica(store) for store in stores]
    for replica in replicas:
        materials = replace(replica.materials, sealer=MeetingVault(meeting))
        replica.create = replace(replica.create, materials=materials)
        replica.rotate = replace(replica.rotate, materials=materials)
    return replicas


async def outcomes(*calls: Awaitable[KeyAnswer]) -> tuple[list[KeyAnswer], list[BaseException]]:
    """Who won and who lost."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    won = [each for each in results if isinstance(each, KeyAnswer)]
    return won, [each for each in results if isinstance(each, BaseException)]


def changing_process(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
    )


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def test_of_two_rotations_at_once_one_wins_and_the_other_is_told(database_url: str) -> None:
    async with opened_store(database_url) as store, opened_store(database_url) as other_store:
        await Replica(store).create(CREATE)
        one, other = meeting_replicas(store, other_store)
        [winner], [loser] = await outcomes(
            one.rotate(RotateKey(name=NAME, author=ANN, material=NEW)),
            other.rotate(RotateKey(name=NAME, author=ANN, material=NEWEST)),
        )
        assert isinstance(loser, Aborted)
        assert loser.reason == "ETAG_MISMATCH"
        assert await get(store, NAME) == winner.key
        assert (winner.key.version, winner.key.revision) == (2, 2)
        assert await audited(store) == {(str(NAME), "CreateKey"): 1, (str(NAME), "RotateKey"): 1}


async def test_of_two_creations_at_once_one_wins_and_the_other_is_told(database_url: str) -> None:
    async with opened_store(database_url) as store, opened_store(database_url) as other_store:
        one, other = meeting_replicas(store, other_store)
        [winner], [loser] = await outcomes(one.create(CREATE), other.create(CREATE))
        assert isinstance(loser, AlreadyExists)
        assert await get(store, NAME) == winner.key
        assert await audited(store) == {(str(NAME), "CreateKey"): 1}


async def test_nobody_writes_before_another_has_finished(database_url: str) -> None:
    inside, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(transaction: KeyTransaction) -> None:
        seen.append("one begins")
        inside.set()
        assert go_on.wait(30)
        transaction.keys.add(key(), "vault:v1:x")
        seen.append("one ends")

    def quick(transaction: KeyTransaction) -> None:
        seen.append("other begins")
        # A key of another name altogether: no row is what they wait for.
        transaction.keys.add(key("platform/keys/openai"), "vault:v1:x")

    async with opened_store(database_url) as store, opened_store(database_url) as other_store:
        one = asyncio.create_task(store.write(slow))
        await asyncio.to_thread(inside.wait, 30)
        other = asyncio.create_task(other_store.write(quick))
        await asyncio.sleep(0.3)
        go_on.set()
        await asyncio.gather(one, other)
    assert seen == ["one begins", "one ends", "other begins"]


async def test_readers_do_not_wait_for_whoever_writes(database_url: str) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(transaction: KeyTransaction) -> Key | None:
        found = transaction.keys.get(OTHER)
        inside.set()
        assert go_on.wait(30)
        return found

    async with opened_store(database_url) as store, opened_store(database_url) as other_store:
        await add(store, key())
        writing = asyncio.create_task(store.write(slow))
        await asyncio.to_thread(inside.wait, 30)
        found = await other_store.read(lambda transaction: transaction.keys.sealed({OTHER}))
        go_on.set()
        assert await writing == key()
    assert set(found) == {OTHER}


async def test_changes_that_met_in_one_commit_do_not_undo_each_other(database_url: str) -> None:
    names = [KeyName.parse(f"tenants/acme/keys/k{number}") for number in range(20)]
    async with opened_store(database_url) as store, opened_store(database_url) as other_store:
        await add(store, *map(key, names))
        results: list[Key | BaseException] = await asyncio.gather(
            *(
                rotate(each, key(name))
                # In opposite orders: whoever locked row by row would meet the other in a deadlock.
                for each, ordered in ((store, names), (other_store, names[::-1]))
                for name in ordered
            ),
            return_exceptions=True,
        )
        stored = await store.read(lambda transaction: [transaction.keys.get(name) for name in names])
    assert [each.version for each in stored if each] == [2] * len(names)
    # The second of the two finds that the version is there already.
    assert sum(isinstance(each, Key) for each in results) == len(names)


@pytest.mark.parametrize(("point", "revision"), [("before-event", 1), ("after-event", 1), ("after-commit", 2)])
async def test_killed_before_the_commit_neither_a_change_nor_its_event_is_there_and_after_it_both(
    database_url: str, point: str, revision: int
) -> None:
    async with opened_store(database_url):
        pass
    process = changing_process(database_url, point)
    reported = process.stdout.readline() if process.stdout else ""
    end(process)
    assert reported == f"{point}\n"
    async with opened_store(database_url) as store:
        stored = await get(store, NAME)
        assert stored is not None
        assert (stored.revision, stored.version) == (revision, revision)
        assert (await audited(store)).total() == revision
        # Nothing of what was broken off is in the way.
        await Replica(store).rotate(RotateKey(name=NAME, author=ANN, material=NEWEST))


@pytest.mark.parametrize("moment", range(3))
async def test_after_kill_9_all_that_was_answered_is_there_and_every_change_has_its_event(
    database_url: str, moment: int
) -> None:
    async with opened_store(database_url):
        pass
    process = changing_process(database_url)
    assert process.stdout is not None
    # Lines come when something was committed; what is killed has gone a different way since, each time.
    reported = [process.stdout.readline() for _ in range(40 + 29 * moment)]
    await asyncio.sleep(0.007 * moment)
    process.kill()
    reported += process.stdout.readlines()
    end(process)
    acknowledged: dict[str, int] = {}
    for line in (each for each in reported if each.endswith("\n")):
        name, revision = line.split()
        acknowledged[name] = int(revision)

    def revisions(transaction: KeyTransaction) -> dict[str, int]:
        found = map(transaction.keys.get, map(KeyName.parse, acknowledged))
        return {str(each.name): each.revision for each in found if each}

    async with opened_store(database_url) as store:
        stored = await store.read(revisions)
        events = await audited(store)
    assert len(reported) >= 40
    assert {name: revision for name, revision in acknowledged.items() if stored.get(name, 0) < revision} == {}
    # Every change of a key is one revision and one event.
    counted = Counter[str]()
    for (name, _), count in events.items():
        counted[name] += count
    assert {name: count for name, count in counted.items() if name in stored} == stored
