"""The port `AuditLog`: SQLite, PostgreSQL and the stand-in of the unit tests behave alike."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from sqlalchemy import text

from libs.core.audit import AuditEvent, AuditFilter, AuditHead, AuditOutcome
from libs.core.audit_seal import HeadSeal
from libs.core.audit_verification import ChainBreak, ChainProblem
from libs.core.errors import FailedPrecondition
from libs.core.secret import Secret
from libs.storage.database import Database
from libs.storage.engines import backend_for
from services.key_vault.domain.ports import KeyStore, KeyTransaction
from services.key_vault.storage.store import SqlKeyStore
from tests.integration.key_vault.storage.stored_keys import HOUR, NOW, add, get, key, opened_store

ACME, GLOBEX = "tenants/acme", "tenants/globex"
ANY = AuditFilter()


def event(number: int = 1, **changes: object) -> AuditEvent:
    first = AuditEvent(
        scope=ACME,
        event_id=str(uuid.UUID(int=number)),
        time=NOW + number * HOUR,
        actor="tenants/acme/users/ann",
        roles=("member", "tenant_admin"),
        address="10.0.0.7",
        action="RotateKey",
        target="tenants/acme/keys/openai",
        outcome=AuditOutcome.SUCCEEDED,
        reason="",
        request_id=f"r-{number}",
        details={"version": str(number)},
    )
    return replace(first, **changes)  # type: ignore[arg-type]


async def append(store: KeyStore, *events: AuditEvent) -> None:
    def work(transaction: KeyTransaction) -> None:
        for each in events:
            transaction.audit.append(each)

    await store.write(work)


async def page(
    store: KeyStore, scope: str = ACME, wanted: AuditFilter = ANY, before: int | None = None, limit: int = 9
) -> list[int]:
    found = await store.read(lambda transaction: transaction.audit.page(scope, wanted, before=before, limit=limit))
    return [each.sequence for each in found]


async def test_events_are_chained_and_read_as_they_were(store: KeyStore) -> None:
    events = [event(1), event(2, details={}), event(3, outcome=AuditOutcome.DENIED, reason="PERMISSION_DENIED")]
    await append(store, *events[:2])
    await append(store, *events[2:])
    found = await store.read(lambda transaction: transaction.audit.following(ACME, after=0, limit=9))
    assert [each.event for each in found] == events
    assert [each.sequence for each in found] == [1, 2, 3]
    assert [each.previous_hash for each in found[1:]] == [each.hash for each in found[:-1]]


async def test_every_scope_has_its_own_chain(store: KeyStore) -> None:
    await append(store, event(1), event(2, scope=GLOBEX), event(3), event(4, scope="platform"))
    assert [await page(store, scope) for scope in (ACME, GLOBEX, "platform", "tenants/x")] == [[2, 1], [1], [1], []]
    found = await store.read(lambda transaction: transaction.audit.heads())
    assert [(head.scope, head.sequence) for head in found] == [("platform", 1), (ACME, 2), (GLOBEX, 1)]


async def test_pages_go_backwards_and_exports_forwards(store: KeyStore) -> None:
    await append(store, *map(event, range(1, 8)))
    assert await page(store, limit=3) == [7, 6, 5]
    assert await page(store, before=5, limit=3) == [4, 3, 2]
    assert await page(store, before=2) == [1]
    found = await store.read(lambda transaction: transaction.audit.following(ACME, after=2, limit=3))
    assert [each.sequence for each in found] == [3, 4, 5]


async def test_pages_can_be_filtered(store: KeyStore) -> None:
    await append(
        store,
        event(1, actor="services/key-vault"),
        event(2, action="DeleteKey"),
        event(3, target="tenants/acme/keys/other"),
        event(4, outcome=AuditOutcome.DENIED),
    )
    for wanted, expected in (
        (AuditFilter(actor="services/key-vault"), [1]),
        (AuditFilter(action="DeleteKey"), [2]),
        (AuditFilter(target="tenants/acme/keys/other"), [3]),
        (AuditFilter(outcome=AuditOutcome.DENIED), [4]),
        (AuditFilter(since=NOW + 2 * HOUR, until=NOW + 4 * HOUR), [3, 2]),
        (AuditFilter(action="DeleteKey", outcome=AuditOutcome.DENIED), []),
    ):
        assert await page(store, wanted=wanted) == expected, wanted


async def test_a_chain_verifies_against_its_head_and_anchors(store: KeyStore) -> None:
    await append(store, *map(event, range(1, 4)))
    [head] = await store.read(lambda transaction: transaction.audit.heads())
    await append(store, event(4))

    async def broken(*anchors: AuditHead) -> ChainBreak | None:
        return (await store.verify_audit(ACME, anchors)).chain_break

    assert await broken() is None
    assert await broken(head) is None
    assert await broken(replace(head, hash="0" * 64)) == ChainBreak(sequence=3, problem=ChainProblem.ANCHOR_MISMATCH)
    assert await broken(head, replace(head, sequence=9)) == ChainBreak(sequence=5, problem=ChainProblem.TRUNCATED)


async def test_an_event_goes_with_the_change_it_is_about(store: KeyStore) -> None:
    def work(transaction: KeyTransaction) -> None:
        transaction.keys.add(key(), "vault:v1:x")
        transaction.audit.append(event())
        transaction.keys.add(key(), "vault:v1:x")

    with pytest.raises(Exception, match="exists already"):
        await store.write(work)
    assert await get(store) is None
    assert await page(store) == []


async def test_nothing_changes_while_the_log_is_not_this_deployments_own(database_url: str) -> None:
    async with opened_store(database_url) as store:
        await append(store, event(1))
    async with Database.open(database_url, name="key_vault") as database:
        stranger = SqlKeyStore(database, HeadSeal(Secret(b"x" * 32)))

        def work(transaction: KeyTransaction) -> None:
            transaction.keys.add(key(), "vault:v1:x")
            transaction.audit.append(event(2))

        with pytest.raises(FailedPrecondition) as caught:
            await stranger.write(work)
        assert caught.value.reason == "AUDIT_LOG_DAMAGED"
        assert await get(stranger) is None
        found = await stranger.verify_audit(ACME, [])
        assert found.chain_break == ChainBreak(sequence=1, problem=ChainProblem.HEAD_FORGED)


@pytest.mark.parametrize("statement", ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events"])
async def test_the_database_refuses_to_change_an_event(database_url: str, statement: str) -> None:
    async with opened_store(database_url) as store:
        await add(store, key())
        await append(store, event(1))
    engine = backend_for(database_url).writer()
    with engine.connect() as connection, pytest.raises(Exception, match=r"append-only|permission denied"):
        connection.execute(text(statement))
    engine.dispose()
