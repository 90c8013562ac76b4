"""Reserves in a loop and says what was acknowledged, until it is killed: `python reserving_process.py URL`."""

from __future__ import annotations

import asyncio
import sys

from libs.core.clock import SystemClock
from libs.storage.database import Database
from services.usage_accounting.domain.reserve_usage import reserve_usage
from services.usage_accounting.domain.windows import WindowCalendar
from services.usage_accounting.storage.store import StoredUsage
from tests.integration.usage_accounting.ledger_world import NoPrices, ask


async def main(url: str) -> None:
    database = Database.open(url, name="usage")
    store = StoredUsage(database, SystemClock())
    calendar = WindowCalendar()

    async def caller() -> None:
        while True:
            request = ask(1, 1)
            await reserve_usage(store, NoPrices(), calendar, [request])
            sys.stdout.write(f"{request.key.operation_id}\n")
            sys.stdout.flush()

    await asyncio.gather(*(caller() for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
