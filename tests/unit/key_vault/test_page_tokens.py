"""Page tokens of key_vault's lists: they lead through everything once, and a forged one is a wrong field, no crash.

A client can compute the digest that binds a token to its call, so it can put anything behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gatehouse.keyvault.v1 import audit_service_pb2 as audit_pb
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.core.audit_authors import Occasion
from libs.core.errors import InvalidArgument
from libs.core.page_tokens import encode_page_token
from libs.core.resource_names import KeyName, Owner
from libs.rpc.audit_reader import event_cursor, event_place
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from services.key_vault.api.audit_service import AuditServicer
from services.key_vault.api.cursors import (
    key_cursor,
    key_place,
    notification_cursor,
    notification_place,
)
from services.key_vault.api.key_service import KeyServicer
from services.key_vault.domain.anchor_audit import AuditVerdict
from services.key_vault.domain.key_outcome import KeyNotification, KeyOutcome, NotificationType
from services.key_vault.domain.key_use import KeyUseCount
from services.key_vault.domain.record_outcomes import OutcomeRecorder
from services.key_vault.storage.store import MIGRATIONS, SqlKeyStore
from tests.unit.key_vault.memory import SEAL
from tests.unit.key_vault.world import CREATE, Replica

PARENT = "tenants/acme"
OWNERS = [Owner("acme"), Owner("acme", "ann"), Owner("acme", "bob")]
NAMES = [KeyName(owner, key) for owner in OWNERS for key in ("a", "b", "c")]
# What one list takes and another does not is among them, and what only looks like a number, an id or a time.
LISTS = ["keys", "notifications", "events", "uses"]
# What one list takes and another does not is among them, and what only looks like a number, an id or a time.
FORGED = [
    "", " ", "\n", "/", "//", "x", "x/", "x//y", "../x", "a/b/c", "A/b", "a/B", "a b/c", "a/b\n", "é/é", "٣", "٣/x",
    "a\x00/b", "a/b\x00", "/\x00", "1/\x00", "1/", "/1/", "-1", "-1/x", "+1", "1.0", "1e3", "1e3/x", "0x1", "1_0",
    "1_0/x", "nan", "inf", "None", "0", "00", " 1", "1 ", "9" * 19, "9" * 19 + "/x", "9" * 5000, "9" * 5000 + "/x",
    str(-(2**63)), "1/" + "x" * 37, "a" * 64 + "/x", "/" + "a" * 64, "1 2", "1 x y 1 z", "1 x y -1 z",
    "\x00 x y 1 z", "1 x\x00 y 1 z", "999999999999999999 x y 1 z", "1 x y 99999999999 z", "1 x y 1 z z", "1  y 1 z",
]  # fmt: skip
# Those of them that are places in a list.
PLACES = {
    "keys": ["1e3/x", "1_0/x", "9" * 19 + "/x", "1/" + "x" * 37],
    "notifications": [],
    "events": [],
    "uses": ["1 x y 1 z"],
}


@dataclass(frozen=True)
class Paged:
    """One list: how it is called, and what a client binds a token of it to."""

    call: Callable[[Any], Awaitable[Any]]
    request: type[Message]
    items: str
    arguments: dict[str, object]
    count: int

    async def page(self, token: str, size: int = 2) -> Any:
        return await self.call(self.request(parent=PARENT, page_size=size, page_token=token, **self.more))

    @property
    def more(self) -> dict[str, object]:
        return {"include_users": True} if "include_users" in self.arguments else {}

    def forge(self, cursor: str) -> str:
        return encode_page_token(cursor, self.arguments)


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SqlKeyStore]:
    """A real database: what gets past us meets it."""
    upgrade(sqlite_url, MIGRATIONS)
    database = Database.open(sqlite_url, name="key_vault")
    yield SqlKeyStore(database, SEAL)
    await database.close()


@pytest.fixture
async def lists(store: SqlKeyStore) -> dict[str, Paged]:
    """Every list of key_vault, with nine items each."""
    replica = Replica(store)
    record = OutcomeRecorder(store=store, clock=replica.clock, new_uid=replica.new_uid, notified=lambda _: None)
    for name in NAMES:
        await replica.create(replace(CREATE, name=name))
        replica.clock.seconds += 0.5
        now = replica.clock.now()
        await record([KeyOutcome(name=name, version=1, last_use_time=now, last_rejection_time=now)])
    await store.write(lambda transaction: transaction.uses.add([a_use(name) for name in NAMES]))

    async def no_verdict(_: str) -> AuditVerdict:
        raise NotImplementedError

    def occasion() -> Occasion:
        return Occasion(now=replica.clock.now(), uid=replica.new_uid())

    keys = KeyServicer(
        store=store,
        create=replica.create,
        rotate=replica.rotate,
        digests=replica.digests,
        clock=replica.clock,
        occasion=occasion,
    )
    audit = AuditServicer(store, no_verdict, occasion)
    of_keys: dict[str, object] = {"provider_type": "", "state": 0, "condition": 0, "include_users": True}
    return {
        "keys": Paged(with_context(keys.ListKeys), pb.ListKeysRequest, "keys", {"parent": PARENT} | of_keys, 9),
        "notifications": Paged(
            with_context(keys.ListKeyNotifications),
            pb.ListKeyNotificationsRequest,
            "notifications",
            {"parent": PARENT},
            9,
        ),
        "events": Paged(
            with_context(audit.ListAuditEvents),
            audit_pb.ListAuditEventsRequest,
            "events",
            {"parent": PARENT, "filter": ""},
            9,
        ),
        "uses": Paged(
            with_context(audit.ListKeyUse), audit_pb.ListKeyUseRequest, "uses", {"parent": PARENT, "since": ""}, 9
        ),
    }


def with_context(method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """No list looks at gRPC's own context."""
    return lambda request: method(request, None)


def a_use(name: KeyName) -> KeyUseCount:
    return KeyUseCount(
        hour=datetime(2026, 1, 1, tzinfo=UTC),
        name=name,
        key_uid=f"uid-{NAMES.index(name)}",
        version=1,
        service="router",
        count=3,
        last_vault_request_id="v",
    )


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("size", [1, 2, 8, 9, 10])
async def test_pages_lead_through_everything_once(lists: dict[str, Paged], name: str, size: int) -> None:
    paged = lists[name]
    whole = list(getattr(await paged.page("", size=1000), paged.items))
    assert len(whole) == paged.count
    gathered: list[Any] = []
    token, pages = "", 0
    while token or not pages:
        answer = await paged.page(token, size=size)
        gathered += getattr(answer, paged.items)
        token, pages = answer.next_page_token, pages + 1
    assert gathered == whole
    assert pages == -(-paged.count // size)


@pytest.mark.parametrize("name", LISTS)
async def test_a_forged_token_is_a_wrong_field(lists: dict[str, Paged], name: str) -> None:
    taken = []
    for cursor in FORGED:
        try:
            await lists[name].page(lists[name].forge(cursor))
        except InvalidArgument as refusal:
            assert refusal.metadata["field"] == "page_token", cursor  # noqa: PT017 - all of them are looked at
        else:
            taken.append(cursor)
    assert taken == PLACES[name]


@pytest.mark.parametrize("name", LISTS)
@given(
    cursor=st.text()
    | st.from_regex(r"[0-9]+/[!-~]+", fullmatch=True)
    | st.from_regex(r"[0-9]+( [!-~]+){4}", fullmatch=True)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
async def test_whatever_is_in_a_token_it_is_answered(lists: dict[str, Paged], name: str, cursor: str) -> None:
    try:
        await lists[name].page(lists[name].forge(cursor))
    except InvalidArgument as refusal:
        assert refusal.metadata["field"] == "page_token"  # noqa: PT017 - either is right


@pytest.mark.parametrize("name", LISTS)
async def test_a_token_of_another_list_is_refused(lists: dict[str, Paged], name: str) -> None:
    for other in LISTS:
        if other != name:
            token = (await lists[other].page("")).next_page_token
            with pytest.raises(InvalidArgument):
                await lists[name].page(token)


IDS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
TIMES = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2250, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it


@given(IDS, st.none() | IDS, IDS)
def test_every_key_can_be_the_last_of_a_page(tenant: str, user: str | None, key: str) -> None:
    assert key_place(key_cursor(KeyName(Owner(tenant, user), key))) == (user or "", key)


@given(TIMES, st.uuids())
def test_every_notification_can_be_the_last_of_a_page(time: datetime, uid: object) -> None:
    last = KeyNotification(uid=str(uid), key=NAMES[0], version=1, type=NotificationType.REJECTED, create_time=time)
    assert notification_place(notification_cursor(last)) == (time, str(uid))


@given(st.integers(1, 10**18 - 1))
def test_every_event_can_be_the_last_of_a_page(sequence: int) -> None:
    assert event_place(event_cursor(sequence)) == sequence


def test_the_first_page_begins_at_no_place() -> None:
    assert (key_place(None), notification_place(None), event_place(None)) == (None, None, None)


def test_the_latest_time_a_cursor_can_hold_is_one() -> None:
    place = notification_place("9" * 16 + "/x")
    assert place is not None
    assert place[0] - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(microseconds=10**16 - 1)
