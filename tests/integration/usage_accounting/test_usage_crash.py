from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import select

from libs.storage.database import Database
from services.usage_accounting.storage.tables import reservations
from tests.integration.usage_accounting.ledger_world import Time, World, assert_held_equals_holds, held_equals_holds

PROGRAM = Path(__file__).with_name("reserving_process.py")
REPOSITORY = Path(__file__).parents[3]


async def test_what_was_acknowledged_before_kill_9_is_there_afterwards(usage_url: str, stopped_time: Time) -> None:
    async with Database.open(usage_url, name="usage") as database:
        await World(database, stopped_time).quota(10**9)
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop
        [sys.executable, str(PROGRAM), usage_url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(100)]
    process.kill()
    acknowledged += process.stdout.read().split("\n")[:-1]
    process.stdout.close()
    process.wait()
    async with Database.open(usage_url, name="usage") as database:
        stored = await database.read(lambda connection: set(connection.scalars(select(reservations.c.operation_id))))
        assert set(acknowledged) <= stored
        assert len(acknowledged) >= 100
        # At most what was under way besides.
        assert len(stored) <= len(acknowledged) + 8
        held, _ = await database.read(held_equals_holds)
        await assert_held_equals_holds(database)
        assert sum(held.values()) == 2 * len(stored)
