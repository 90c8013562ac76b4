"""Creates keys and changes them until it is killed, and prints each key's name and revision once a change returned.

Run by test_key_store_races.py: changing_process.py URL [POINT]. With a point it stops there in its first rotation,
after printing the point's name, and waits to be killed: before-event, after-event (still uncommitted), after-commit.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from unittest import mock

from libs.core.audit import AuditEvent
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from libs.storage.audit_repository import AuditRepository
from libs.storage.database import Database
from services.key_vault.domain.commands import DestroyKeyVersion, RotateKey, UpdateKey
from services.key_vault.domain.destroy_key_version import destroy_key_version
from services.key_vault.domain.key import Key
from services.key_vault.domain.update_key import update_key
from services.key_vault.storage.store import SqlKeyStore
from tests.unit.key_vault.memory import SEAL
from tests.unit.key_vault.world import ANN, CREATE, NEW, Replica

AT_ONCE = 8


async def main(url: str, point: str = "") -> None:
    async with Database.open(url, name="key_vault") as database:
        replica = Replica(SqlKeyStore(database, SEAL))
        if point:
            await stop_at(point, replica)
        await asyncio.gather(*(change_for_ever(replica, number) for number in range(AT_ONCE)))


async def stop_at(point: str, replica: Replica) -> None:
    append = AuditRepository.append

    def stop(here: str) -> None:
        if here == point:
            os.write(1, f"{point}\n".encode())
            time.sleep(600)

    def stopping(audit: AuditRepository, event: AuditEvent) -> None:
        stop("before-event")
        append(audit, event)
        stop("after-event")

    await replica.create(CREATE)
    with mock.patch.object(AuditRepository, "append", stopping):
        await replica.rotate(RotateKey(name=CREATE.name, author=ANN, material=NEW))
    stop("after-commit")


async def change_for_ever(replica: Replica, number: int) -> None:
    name = KeyName.parse(f"tenants/acme/keys/k{number}")
    report((await replica.create(replace(CREATE, name=name))).key)
    while True:
        material = Secret(f"sk-{replica.new_uid()}".encode())
        rotated = (await replica.rotate(RotateKey(name=name, author=ANN, material=material))).key
        report(rotated)
        destroy = DestroyKeyVersion(name=name, author=ANN, version=rotated.version - 1)
        report(await replica.change(destroy_key_version, destroy))
        report(await replica.change(update_key, UpdateKey(name=name, author=ANN, display_name=replica.new_uid())))


def report(key: Key) -> None:
    os.write(1, f"{key.name} {key.revision}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
