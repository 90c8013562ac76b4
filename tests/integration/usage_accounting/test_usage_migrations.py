"""What becomes of the ledger, the reservations and the sums that an earlier version wrote."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, insert, inspect

from libs.storage.database import Database
from libs.storage.engines import backend_for
from libs.storage.migrations import differences, upgrade
from services.usage_accounting import app
from services.usage_accounting.domain.attempt import AttemptKey, EventKind
from services.usage_accounting.domain.read_usage import get_usage_stats
from services.usage_accounting.domain.reports import Grouping, StatsQuery
from services.usage_accounting.storage.tables import ROLLUP_KEY, metadata
from tests.integration.usage_accounting.ledger_world import (
    DIMENSIONS,
    HOUR,
    MINUTE,
    NOON,
    Time,
    World,
    ask,
    counts,
    reasons,
)

KEY = AttemptKey("acme", "0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d", 1)
AS_IT_WAS = DIMENSIONS._replace(rule="", experiment="", arm="")
# As revision 0001 wrote them.
OLD_DIMENSIONS = {
    "user_id": "alice",
    "provider": "tenants/acme/providers/openai",
    "provider_type": "openai",
    "model": "gpt",
    "provider_model_id": "gpt-wire",
    "key_name": "tenants/acme/keys/k",
    "task": "chat",
    "plan": "pro",
    "request_id": "",
    "labels": "{}",
}
TOKENS = {
    "input_tokens": 10,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
    "output_tokens": 20,
    "reasoning_tokens": 0,
}
SETTLED: dict[str, Any] = {
    "sequence": 7, "kind": 1, "correction": 0, "tenant": "acme", "operation_id": KEY.operation_id, "attempt": 2,
    **OLD_DIMENSIONS, "outcome": 1, **TOKENS, "token_source": 1, "cost_nano_usd": 50, "finish_reason": "stop",
    "error_reason": "", "fallback": 1, "start_us": NOON, "duration_us": 500_000, "record_us": NOON + 1,
}  # fmt: skip
RESERVED: dict[str, Any] = {
    "operation_id": KEY.operation_id, "attempt": 1, "tenant": "acme", **OLD_DIMENSIONS, "input_tokens_estimate": 100,
    "output_tokens_limit": 200, "price": "[1000, 1000, 1000, 2000, 2000]", "holds": "[]", "reserved_us": NOON,
    "lapse_us": NOON + 10 * MINUTE,
}  # fmt: skip
HOURLY: dict[str, Any] = {
    "tenant": "acme", "hour_us": NOON, "user_id": "alice", "provider": "tenants/acme/providers/openai", "model": "gpt",
    "key_name": "tenants/acme/keys/k", "task": "chat", "attempts": 1, "succeeded": 1, "fallbacks": 1, **TOKENS,
    "cost_nano_usd": 50, "unpriced_attempts": 0, "timed_attempts": 1, "duration_us": 500_000,
}  # fmt: skip


@pytest.fixture
def old_url(database_url: str, tmp_path: Path) -> str:
    """A database as revision 0001 left it: one settled attempt and one under way."""
    scripts = tmp_path / "usage_accounting" / "storage" / "migrations"
    (scripts / "versions").mkdir(parents=True)
    for file in ("env.py", "versions/0001_ledger.py"):
        shutil.copy(app.MIGRATIONS / file, scripts / file)
    upgrade(database_url, scripts)
    engine = backend_for(database_url).writer()
    with engine.begin() as connection:
        for name, row in (("ledger_events", SETTLED), ("reservations", RESERVED), ("usage_hourly", HOURLY)):
            table = Table(name, MetaData(), autoload_with=connection)
            connection.execute(insert(table), [row])
    engine.dispose()
    return database_url


@pytest.fixture
async def upgraded(old_url: str, stopped_time: Time) -> AsyncIterator[World]:
    """The store on that database, upgraded."""
    upgrade(old_url, app.MIGRATIONS)
    async with Database.open(old_url, name="usage") as database:
        yield World(database, stopped_time)


def test_an_older_schema_becomes_that_of_the_tables(old_url: str) -> None:
    upgrade(old_url, app.MIGRATIONS)
    assert differences(old_url, metadata) == []


async def test_the_rule_is_part_of_the_key_of_the_sums(upgraded: World) -> None:
    def read(connection: Connection) -> tuple[list[str], list[str]]:
        inspector = inspect(connection)
        return inspector.get_pk_constraint("usage_hourly")["constrained_columns"], inspector.get_table_names()

    key, tables = await upgraded.database.read(read)
    assert sorted(key) == sorted(ROLLUP_KEY)
    assert set(tables) == {*metadata.tables, "alembic_version"}


async def test_older_events_have_no_rule_and_no_experiment(upgraded: World) -> None:
    (event,) = await upgraded.events()
    assert (event.key, event.dimensions) == (KEY._replace(attempt=2), AS_IT_WAS)
    assert (event.tokens, event.cost, event.start_us, event.fallback) == (counts(10, 20), 50, NOON, True)


async def test_an_older_reservation_settles_as_what_it_was(upgraded: World) -> None:
    assert reasons(await upgraded.reserve(ask(100, 200, key=KEY, dimensions=AS_IT_WAS))) == ["ok"]
    await upgraded.settle(KEY, counts(1, 1))
    (event,) = (event for event in await upgraded.events() if event.key == KEY)
    assert (event.kind, event.dimensions, event.cost) == (EventKind.SETTLED, AS_IT_WAS, 3)


async def test_older_sums_stay_beside_those_by_rule(upgraded: World) -> None:
    request = ask(10, 10)
    await upgraded.reserve(request)
    await upgraded.settle(request.key, counts(10, 10))
    by_rule = StatsQuery(tenant="acme", start_us=NOON, end_us=NOON + HOUR, group_by=(Grouping.RULE,))
    stats = await get_usage_stats(upgraded.store, by_rule)
    assert [(row.group, row.attempts, row.tokens.total) for row in stats.rows] == [(("",), 1, 30), (("route",), 1, 20)]
    assert (stats.total.fallbacks, stats.total.cost_nano_usd, stats.total.duration_us) == (1, 80, 1_000_000)
