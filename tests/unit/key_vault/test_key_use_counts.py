"""How often keys were opened: nothing of it is lost while the database cannot be written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import Unavailable
from libs.core.resource_names import KeyName
from services.key_vault.domain.key_use import KeyUseCount, KeyUseCounter, OpenedVersion
from services.key_vault.domain.store_key_use import store_key_use
from tests.unit.key_vault.memory import HandClock, MemoryStore

NAME = KeyName.parse("tenants/acme/keys/openai")
FIRST = OpenedVersion(NAME, "uid", 1, "router")
SECOND = replace(FIRST, version=2)
HOUR = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = KeyUseCount(
    hour=HOUR, name=NAME, key_uid="uid", version=1, service="router", count=1, last_vault_request_id="v1"
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def counter(clock: HandClock) -> KeyUseCounter:
    return KeyUseCounter(clock)


def test_openings_are_added_up_by_hour_version_and_service(clock: HandClock, counter: KeyUseCounter) -> None:
    elsewhere = replace(FIRST, service="probe")
    counter.opened([(FIRST, "v1"), (SECOND, "v1"), (FIRST, "v1"), (elsewhere, "v1")])
    clock.seconds = 3599.999
    counter.opened([(FIRST, "v2")])
    clock.seconds = 3600
    counter.opened([(FIRST, "v3")])
    assert counter.take() == [
        replace(COUNT, count=3, last_vault_request_id="v2"),
        replace(COUNT, version=2),
        replace(COUNT, service="probe"),
        replace(COUNT, hour=HOUR.replace(hour=1), last_vault_request_id="v3"),
    ]


def test_what_was_taken_is_counted_no_more(counter: KeyUseCounter) -> None:
    counter.opened([(FIRST, "v1")])
    counter.take()
    assert counter.take() == []


def test_what_was_put_back_is_added_to_what_came_since_whose_request_is_the_last(counter: KeyUseCounter) -> None:
    counter.opened([(FIRST, "v1"), (SECOND, "v1")])
    taken = counter.take()
    counter.opened([(FIRST, "v2")])
    counter.put_back(taken)
    assert counter.take() == [replace(COUNT, count=2, last_vault_request_id="v2"), replace(COUNT, version=2)]


@given(st.lists(st.sampled_from(["open", "store", "fail"]), max_size=30))
async def test_every_opening_is_stored_once_whatever_fails(steps: list[str]) -> None:
    counter, store, opened = KeyUseCounter(HandClock()), MemoryStore(), 0
    for step in [*steps, "store"]:
        match step:
            case "open":
                counter.opened([(FIRST, "v1")])
                opened += 1
            case "fail":
                store.failure = Unavailable("DATABASE_UNAVAILABLE", "down")
                try:
                    await store_key_use(counter, store)
                except Unavailable:
                    store.failure = None
                store.failure = None
            case _:
                await store_key_use(counter, store)
    assert sum(use.count for use in store.content.uses.values()) == opened
    assert counter.take() == []


async def test_a_database_that_is_down_is_told(counter: KeyUseCounter) -> None:
    store = MemoryStore()
    store.failure = Unavailable("DATABASE_UNAVAILABLE", "down")
    counter.opened([(FIRST, "v1")])
    with pytest.raises(Unavailable):
        await store_key_use(counter, store)


async def test_when_nothing_was_opened_nothing_is_written(counter: KeyUseCounter) -> None:
    store = MemoryStore()
    store.failure = Unavailable("DATABASE_UNAVAILABLE", "down")
    await store_key_use(counter, store)
