from __future__ import annotations

import itertools
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from libs.storage.database import Database
from libs.storage.migrations import differences, upgrade
from services.usage_accounting import app
from services.usage_accounting.domain.reports import RecordFilter
from services.usage_accounting.domain.usage_event import Cursor
from services.usage_accounting.storage.ledger import records_of
from services.usage_accounting.storage.tables import metadata


def test_the_migrations_make_the_tables_the_code_expects(usage_url: str) -> None:
    assert differences(usage_url, metadata) == []


async def test_no_listing_reads_more_than_its_page(sqlite_url: str) -> None:
    upgrade(sqlite_url, app.MIGRATIONS)
    choices = itertools.product((None, "alice"), (None, 1), (None, 9), (None, Cursor(5, 5)))
    async with Database.open(sqlite_url, name="usage") as database:
        for user, start_us, end_us, after in choices:
            query = RecordFilter(tenant="acme", user=user, start_us=start_us, end_us=end_us, after=after)
            plan = await database.read(partial(explain, query))
            index = "ix_ledger_events_tenant_time" if user is None else "ix_ledger_events_user_time"
            # One step: the index has the right order, and reading ends with the page.
            assert [index in step for step in plan] == [True], (query, plan)


def explain(query: RecordFilter, connection: Connection) -> list[str]:
    """SQLite's plan for a listing, a line for each step."""
    compiled = records_of(query).limit(51).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
