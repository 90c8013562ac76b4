"""Opens the database of a service that keeps an audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

from libs.rpc.service import Service
from libs.rpc.settings import DatabaseSettings, WrongSetting, variable
from libs.storage.database import Database
from libs.storage.migrations import role_of, upgrade


async def open_database(
    settings: DatabaseSettings, service: Service, *, name: str, migrations: Path, append_only: Collection[str]
) -> Database:
    """Bring the schema to its newest revision and open the database; `service` closes it.

    Where the schema is another role's, the service's own role is granted what it needs, and of the `append_only`
    tables to read and to add rows only. Raises Unavailable while the database is down, WrongSetting, and what `upgrade`
    raises.
    """
    owner_url = settings.migration_database_url
    role = None if owner_url is None else role_of(settings.database_url)
    if owner_url is not None and role is None:
        raise WrongSetting(
            f"{variable(settings, 'database_url')}: must name the role to grant rights to: postgresql://role@host/…"
        )
    await asyncio.to_thread(
        upgrade, owner_url or settings.database_url, migrations, service_role=role, append_only=append_only
    )
    database = Database.open(settings.database_url, name=name)
    service.on_close("database", database.close, ready=database.ping)
    return database


def wrong_seal(settings: DatabaseSettings, field: str) -> WrongSetting:
    """The key file that `field` names is not the one that the database's audit chains are sealed with.

    A process that went on would begin chains that no other replica can go on with.
    """
    return WrongSetting(
        f"{variable(settings, field)}: {getattr(settings, field)} is not the key that the audit logs in this database "
        "are sealed with; give every replica the same file, or restore the database if it was changed"
    )
