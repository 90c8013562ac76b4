"""Remembered requests, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from libs.core.errors import InvalidArgument
from libs.storage.database import Database
from libs.storage.idempotency import recall, remember
from tests.integration.storage.notes import add, count, requests

_NOW = datetime(2026, 7, 1, tzinfo=UTC)
_KEY: dict[str, Any] = {"scope": "tenants/acme", "method": "CreateKey", "request_id": "r1", "digest": b"d1"}


def _recall(now: datetime = _NOW, **changes: Any) -> Callable[[Connection], bytes | None]:
    return lambda connection: recall(connection, requests, now=now, **(_KEY | changes))


def _remember(response: bytes, now: datetime = _NOW, **changes: Any) -> Callable[[Connection], None]:
    return lambda connection: remember(connection, requests, response=response, now=now, **(_KEY | changes))


async def test_a_repeated_request_gets_the_stored_response(database: Database) -> None:
    assert await database.write(_recall()) is None
    await database.write(_remember(b"\x00response"))
    assert await database.write(_recall()) == b"\x00response"


@pytest.mark.parametrize("changes", [{"scope": "tenants/other"}, {"method": "RotateKey"}, {"request_id": "r2"}])
async def test_another_scope_method_or_id_is_another_request(database: Database, changes: dict[str, Any]) -> None:
    await database.write(_remember(b"response"))
    assert await database.write(_recall(**changes)) is None


async def test_an_id_that_came_with_another_request_is_refused(database: Database) -> None:
    await database.write(_remember(b"response"))
    with pytest.raises(InvalidArgument) as caught:
        await database.write(_recall(digest=b"d2"))
    assert caught.value.reason == "REQUEST_ID_REUSED"
    assert [violation.field for violation in caught.value.field_violations] == ["request_id"]


async def test_a_response_is_forgotten_after_24_hours_and_the_id_is_free_again(database: Database) -> None:
    await database.write(_remember(b"first"))
    almost, after = _NOW + timedelta(hours=24, microseconds=-1), _NOW + timedelta(hours=24)
    assert await database.write(_recall(almost)) == b"first"
    assert await database.write(_recall(after, digest=b"d2")) is None
    await database.write(_remember(b"second", after, digest=b"d2"))
    assert await database.write(_recall(after, digest=b"d2")) == b"second"


async def test_expired_responses_are_cleared_away_by_new_ones(database: Database) -> None:
    for number in range(30):
        await database.write(_remember(b"old", request_id=f"old{number}"))
    later = _NOW + timedelta(days=2)
    await database.write(_remember(b"new", later, request_id="new1"))
    await database.write(_remember(b"new", later, request_id="new2"))

    def left(connection: Connection) -> int:
        return connection.scalars(select(func.count()).select_from(requests)).one()

    assert await database.read(left) == 2


async def test_a_response_is_forgotten_with_the_effect_that_failed(database: Database) -> None:
    def work(connection: Connection) -> None:
        _remember(b"response")(connection)
        raise InvalidArgument("INVALID_FIELD", "wrong")

    with pytest.raises(InvalidArgument):
        await database.write(work)
    assert await database.write(_recall()) is None


async def test_the_same_request_on_two_replicas_at_once_has_one_effect(notes_url: str) -> None:
    def create(connection: Connection) -> bytes:
        stored = _recall()(connection)
        if stored is not None:
            return stored
        response = add(f"note{count(connection)}")(connection).encode()
        _remember(response)(connection)
        return response

    async with Database.open(notes_url, name="one") as one, Database.open(notes_url, name="two") as two:
        responses = await asyncio.gather(*((one, two)[number % 2].write(create) for number in range(20)))
        assert set(responses) == {b"note0"}
        assert await one.read(count) == 1
