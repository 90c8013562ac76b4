from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from gatehouse.usage.v1 import ledger_service_pb2 as pb

from libs.core.errors import GatehouseError, NotFound, Unavailable
from libs.core.money import TokenCounts
from services.router.clients.usage import UsageClient
from services.router.domain.accounting import AttemptOutcome, Settlement
from services.router.spool.ledger import SpooledLedger
from services.router.spool.spool import Spool


def settlement(number: int) -> Settlement:
    return Settlement(
        tenant="acme",
        operation_id=f"operation-{number}",
        attempt=1,
        outcome=AttemptOutcome.SUCCEEDED,
        tokens=TokenCounts(input_tokens=1),
        estimated=False,
        finish_reason="stop",
        error_reason="",
        start_time=1.5,
        duration_s=0.5,
        first_content_s=None,
        fallback=False,
    )


class FakeUsage:
    """Settles by script: an error for the whole batch, or errors by operation id."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.refusals: dict[str, GatehouseError] = {}
        self.settled: list[str] = []

    async def settle(self, settlements: Sequence[pb.Settlement]) -> list[GatehouseError | None]:
        if self.failures:
            raise self.failures.pop(0)
        ids = [each.key.operation_id for each in settlements]
        self.settled += [each for each in ids if each not in self.refusals]
        return [self.refusals.get(each) for each in ids]


class Running:
    """A spooled ledger whose drain task runs."""

    def __init__(self, directory: Path) -> None:
        self.usage = FakeUsage()
        self.spool = Spool(directory)
        self.ledger = SpooledLedger(self.spool, cast(UsageClient, cast(Any, self.usage)))
        self.task = asyncio.create_task(self.ledger.run())

    async def drained(self) -> None:
        async with asyncio.timeout(10):
            while self.spool.pending:
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        self.ledger.close()


async def test_settlements_reach_the_ledger_in_order(tmp_path: Path) -> None:
    running = Running(tmp_path)
    for number in range(5):
        running.ledger.settle(settlement(number))
    await running.drained()
    assert running.usage.settled == [f"operation-{number}" for number in range(5)]
    await running.close()


@pytest.mark.parametrize("failure", [Unavailable("SERVICE_UNREACHABLE", "away"), OSError(5, "disk"), ValueError("odd")])
async def test_no_failure_ends_the_draining(tmp_path: Path, failure: Exception) -> None:
    running = Running(tmp_path)
    running.usage.failures = [failure, failure]
    running.ledger.settle(settlement(1))
    await running.drained()
    assert running.usage.settled == ["operation-1"]
    await running.close()


async def test_a_refused_settlement_is_put_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.usage.refusals = {"operation-1": NotFound("RESERVATION_NOT_FOUND", "unknown")}
    for number in range(3):
        running.ledger.settle(settlement(number))
    await running.drained()
    assert running.usage.settled == ["operation-0", "operation-2"]
    assert (tmp_path / "rejected").stat().st_size > 0
    await running.close()


async def test_what_may_pass_is_waited_for_before_anything_is_put_aside(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.usage.refusals = {
        "operation-0": NotFound("RESERVATION_NOT_FOUND", "unknown"),
        "operation-1": Unavailable("DATABASE_BUSY", "busy"),
    }
    for number in range(2):
        running.ledger.settle(settlement(number))
    await asyncio.sleep(0.3)
    assert not (tmp_path / "rejected").exists()
    del running.usage.refusals["operation-1"]
    await running.drained()
    assert (tmp_path / "rejected").stat().st_size < 200
    await running.close()


async def test_a_disk_that_was_full_is_tried_again_without_a_new_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(tmp_path)
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:3]))
    running.ledger.settle(settlement(1))
    refusing = not running.ledger.accepting
    await asyncio.sleep(0.2)
    monkeypatch.undo()
    await running.drained()
    assert (refusing, running.ledger.accepting, running.usage.settled) == (True, True, ["operation-1"])
    await running.close()
