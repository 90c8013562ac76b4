"""Writes notes until it is killed, and prints the name of each once its write has returned.

Run by test_sqlite_faults.py: crash_writer.py URL
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from libs.storage.database import Database
from tests.integration.storage.notes import add


async def main(url: str) -> None:
    database = Database.open(url, name="notes")
    numbers = itertools.count()

    async def write_for_ever() -> None:
        for number in numbers:
            name = await database.write(add(f"n{number}"))
            os.write(1, f"{name}\n".encode())

    await asyncio.gather(*(write_for_ever() for _ in range(16)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
