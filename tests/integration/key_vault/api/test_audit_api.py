"""The audit log through the API: everything is in it, nobody sees another's, every change of it is found."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from gatehouse.keyvault.v1 import audit_service_pb2 as pb
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_service_pb2 as key_pb
from sqlalchemy import create_engine, text

from tests.integration.key_vault.api.served_key_vault import (
    CANARY,
    NAME,
    OTHER_CANARY,
    ServedKeyVault,
    create_request,
    error_of,
    served_key_vault,
)
from tests.integration.storage.audit_log import database_owner
from tests.vault import ThrowAwayVault

ACME = "tenants/acme"


async def events(served: ServedKeyVault, parent: str = ACME, **wanted: Any) -> list[pb.AuditEvent]:
    request = pb.ListAuditEventsRequest(parent=parent, page_size=1000, filter=pb.AuditFilter(**wanted))
    return list((await served.audit.ListAuditEvents(request, metadata=served.operator)).events)


async def verdict(served: ServedKeyVault, parent: str = ACME) -> pb.VerifyAuditLogResponse:
    request = pb.VerifyAuditLogRequest(parent=parent)
    response: pb.VerifyAuditLogResponse = await served.audit.VerifyAuditLog(request, metadata=served.operator)
    return response


async def live_through(served: ServedKeyVault) -> None:
    await served.create()
    await served.keys.RotateKey(
        key_pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode()), metadata=served.admin
    )
    await served.keys.RollbackKey(key_pb.RollbackKeyRequest(name=NAME, version=1), metadata=served.admin)
    await served.keys.DisableKey(key_pb.DisableKeyRequest(name=NAME), metadata=served.admin)
    await served.keys.DisableKey(key_pb.DisableKeyRequest(name=NAME), metadata=served.admin)
    await served.keys.EnableKey(key_pb.EnableKeyRequest(name=NAME), metadata=served.admin)
    await served.keys.DestroyKeyVersion(key_pb.DestroyKeyVersionRequest(name=NAME, version=2), metadata=served.admin)
    await served.keys.DeleteKey(key_pb.DeleteKeyRequest(name=NAME), metadata=served.admin)


async def test_every_change_is_one_event_with_who_what_and_where(served: ServedKeyVault) -> None:
    request_id = (("x-request-id", "audit-me"),)
    await served.keys.CreateKey(create_request(), metadata=served.admin + request_id)
    (created,) = await events(served)
    assert (created.actor, list(created.roles), created.address, created.action, created.target) == (
        "tenants/acme/users/ann",
        ["tenant_admin"],
        "127.0.0.1",
        "CreateKey",
        NAME,
    )
    assert (created.sequence, created.outcome, created.request_id) == (1, pb.AUDIT_OUTCOME_SUCCEEDED, "audit-me")
    await served.keys.DeleteKey(key_pb.DeleteKeyRequest(name=NAME), metadata=served.admin)
    await live_through(served)
    assert [event.action for event in reversed(await events(served))] == [
        "CreateKey",
        "DeleteKey",
        "CreateKey",
        "RotateKey",
        "RollbackKey",
        "DisableKey",
        "EnableKey",
        "DestroyKeyVersion",
        "DeleteKey",
    ]
    assert CANARY not in str(await events(served))
    found = await verdict(served)
    assert (found.intact, found.event_count) == (True, 9)


async def test_denials_are_recorded_with_the_one_who_tried(served: ServedKeyVault) -> None:
    await served.create()
    eve = served.identities.bearer("tenant_admin", tenant="rival", user="eve")
    assert (await error_of(served.keys.GetKey(key_pb.GetKeyRequest(name=NAME), metadata=eve))).reason == (
        "PERMISSION_DENIED"
    )
    (denied,) = await events(served, "tenants/rival")
    assert (denied.actor, denied.action, denied.target, denied.outcome, denied.reason) == (
        "tenants/rival/users/eve",
        "GetKey",
        NAME,
        pb.AUDIT_OUTCOME_DENIED,
        "PERMISSION_DENIED",
    )
    assert await served.open(served.item(tenant="rival", user="mallory")) == ["PERMISSION_DENIED"]
    async with asyncio.timeout(10):
        while len(await events(served, "tenants/rival")) < 2:
            await asyncio.sleep(0.05)
    opened = (await events(served, "tenants/rival"))[0]
    assert (opened.actor, opened.action, opened.target) == ("tenants/rival/users/mallory", "AccessKeys", NAME)
    stranger = await served.stranger("usage-accounting")
    await error_of(stranger.AccessKeys(access_pb.AccessKeysRequest(items=[served.item()])))
    (service,) = await events(served, "platform")
    assert (service.actor, service.action) == ("services/usage-accounting", "AccessKeys")
    assert [event.action for event in await events(served)] == ["CreateKey"]


async def test_events_are_paged_and_filtered(served: ServedKeyVault) -> None:
    await live_through(served)
    seen: list[int] = []
    token = ""
    while True:
        request = pb.ListAuditEventsRequest(parent=ACME, page_size=2, page_token=token)
        page = await served.audit.ListAuditEvents(request, metadata=served.admin)
        seen += [event.sequence for event in page.events]
        token = page.next_page_token
        if not token:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert [event.sequence for event in await events(served, action="RotateKey")] == [2]
    assert await events(served, actor="tenants/acme/users/bob") == []
    assert await events(served, outcome=pb.AUDIT_OUTCOME_DENIED) == []
    last = (await events(served))[0]
    assert [event.sequence for event in await events(served, since=last.time)] == [7]
    assert [event.sequence for event in await events(served, until=last.time)] == [6, 5, 4, 3, 2, 1]


async def test_only_admins_see_a_log_and_only_their_own(served: ServedKeyVault) -> None:
    await served.create()
    for bearer in (
        served.identities.bearer("member"),
        served.identities.bearer("service"),
        served.identities.bearer("tenant_admin", tenant="rival"),
    ):
        for method, request in (
            (served.audit.ListAuditEvents, pb.ListAuditEventsRequest(parent=ACME)),
            (served.audit.VerifyAuditLog, pb.VerifyAuditLogRequest(parent=ACME)),
        ):
            assert (await error_of(method(request, metadata=bearer))).reason == "PERMISSION_DENIED"
    wrong = pb.ListAuditEventsRequest(parent="tenants/acme/users/ann")
    assert (await error_of(served.audit.ListAuditEvents(wrong, metadata=served.admin))).reason == "INVALID_FIELD"


async def test_an_export_holds_the_whole_chain_and_is_an_event_itself(served: ServedKeyVault) -> None:
    await live_through(served)
    request = pb.ExportAuditEventsRequest(parent=ACME)
    exported = [
        event async for part in served.audit.ExportAuditEvents(request, metadata=served.admin) for event in part.events
    ]
    assert [event.sequence for event in exported] == list(range(1, 9))
    assert exported[-1].action == "ExportAuditEvents"
    for before, after in itertools.pairwise(exported):
        assert after.previous_hash == before.hash


async def execute(database_url: str, *statements: str) -> None:
    """What somebody with the rights of the database's owner can do."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")

    def run() -> None:
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement))
        finally:
            engine.dispose()

    await asyncio.to_thread(run)


async def without_triggers(served: ServedKeyVault, *statements: str) -> None:
    def run() -> None:
        with database_owner(served.settings.database_url) as connection:
            for statement in statements:
                connection.execute(text(statement))

    await asyncio.to_thread(run)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit_events SET actor = 'tenants/acme/users/bob' WHERE sequence = 3", pb.AUDIT_BREAK_TYPE_ALTERED),
        ("UPDATE audit_events SET outcome = 'denied' WHERE sequence = 3", pb.AUDIT_BREAK_TYPE_ALTERED),
        ("DELETE FROM audit_events WHERE sequence = 3", pb.AUDIT_BREAK_TYPE_MISSING),
        ("DELETE FROM audit_events WHERE sequence > 5", pb.AUDIT_BREAK_TYPE_TRUNCATED),
        ("UPDATE audit_heads SET sequence = 5", pb.AUDIT_BREAK_TYPE_HEAD_FORGED),
    ],
)
async def test_whoever_changes_the_log_in_the_database_is_found_out(
    served: ServedKeyVault, statement: str, kind: int
) -> None:
    await live_through(served)
    assert (await verdict(served)).intact
    with pytest.raises(Exception, match=r"(?i)append|audit"):
        await execute(served.settings.database_url, "DELETE FROM audit_events WHERE sequence = 3")
    await without_triggers(served, statement)
    found = await verdict(served)
    assert not found.intact
    assert found.first_break.type == kind


async def test_anchors_show_that_a_log_was_put_back_to_an_earlier_state(
    tmp_path: Path, openbao: ThrowAwayVault, database_url: str
) -> None:
    async with served_key_vault(tmp_path, openbao, database_url, audit_anchor_interval_s=1) as served:
        await served.create()

        def head() -> str:
            return "UPDATE audit_heads SET (sequence, hash, mac) = (SELECT sequence, hash, mac FROM kept)"

        await execute(database_url, "CREATE TABLE kept AS SELECT * FROM audit_heads")
        await served.keys.DeleteKey(key_pb.DeleteKeyRequest(name=NAME), metadata=served.admin)
        anchors = tmp_path / "audit-anchors.jsonl"
        async with asyncio.timeout(20):
            while not anchors.exists() or '"sequence":2' not in anchors.read_text():
                await asyncio.sleep(0.05)
        found = await verdict(served)
        assert found.intact
        assert found.anchor_count >= 1
        assert found.HasField("last_anchor_time")

        await without_triggers(served, "DELETE FROM audit_events WHERE sequence = 2", head())
        found = await verdict(served)
        assert (found.intact, found.first_break.type) == (False, pb.AUDIT_BREAK_TYPE_TRUNCATED)

        # Without the anchor it would pass; an anchor that Vault did not sign does not.
        forged = anchors.read_text().replace('"sequence":2', '"sequence":1')
        anchors.write_text(forged)
        found = await verdict(served)
        assert (found.intact, found.first_break.type) == (False, pb.AUDIT_BREAK_TYPE_ANCHOR_MISMATCH)


async def test_key_use_is_counted_by_hour_and_joins_to_the_audit_log_of_vault(
    served: ServedKeyVault, openbao: ThrowAwayVault
) -> None:
    key = await served.create()
    for _ in range(3):
        await served.open(served.item(), served.item())
    async with asyncio.timeout(15):
        while True:
            request = pb.ListKeyUseRequest(parent=ACME)
            uses = (await served.audit.ListKeyUse(request, metadata=served.admin)).uses
            if sum(use.count for use in uses) == 6:
                break
            await asyncio.sleep(0.1)
    use = uses[0]
    assert (use.key, use.key_uid, use.version, use.service) == (NAME, key.uid, 1, "router")
    assert use.last_vault_request_id in openbao.audit_log.read_text()
    assert use.last_vault_request_id.encode() in served.log.getvalue()
    of_key = pb.ListKeyUseRequest(parent=NAME)
    assert (await served.audit.ListKeyUse(of_key, metadata=served.admin)).uses == uses
    rival = served.identities.bearer("tenant_admin", tenant="rival")
    assert (await error_of(served.audit.ListKeyUse(request, metadata=rival))).reason == "PERMISSION_DENIED"


async def test_a_leaked_key_is_stopped_even_when_its_tenants_log_is_damaged(served: ServedKeyVault) -> None:
    await served.create()
    await without_triggers(served, "UPDATE audit_heads SET mac = 'forged' WHERE scope = 'tenants/acme'")
    rotate = key_pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode())
    assert (await error_of(served.keys.RotateKey(rotate, metadata=served.admin))).reason == "AUDIT_LOG_DAMAGED"
    await served.keys.DisableKey(key_pb.DisableKeyRequest(name=NAME), metadata=served.admin)
    assert await served.open(served.item()) == ["KEY_DISABLED"]
    await served.keys.DeleteKey(key_pb.DeleteKeyRequest(name=NAME), metadata=served.admin)
    assert [(event.action, event.details["damaged_audit_log"]) for event in await events(served, "platform")] == [
        ("DeleteKey", ACME),
        ("DisableKey", ACME),
    ]
    assert (await verdict(served)).first_break.type == pb.AUDIT_BREAK_TYPE_HEAD_FORGED
