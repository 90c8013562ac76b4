"""provider_config's audit log through the API: who changed what, seen by nobody else, every change of it found."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest
from gatehouse.providerconfig.v1 import audit_service_pb2 as pb
from gatehouse.providerconfig.v1 import provider_pb2
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from gatehouse.providerconfig.v1.audit_service_pb2_grpc import AuditServiceStub
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceStub
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import SnapshotServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from libs.core import audit_log
from libs.core.errors import GatehouseError
from libs.rpc.settings import WrongSetting
from tests.databases import PostgresServer
from tests.integration.provider_config.conftest import Replica, Stack, error_of
from tests.integration.storage.audit_log import database_owner

ACME = "tenants/acme"
NAME = f"{ACME}/providers/openai"
Metadata = tuple[tuple[str, str], ...]


class Served:
    """A replica, and those who call it."""

    def __init__(self, stack: Stack, replica: Replica) -> None:
        self.stack = stack
        self.replica = replica
        self.providers: Any = ProviderServiceStub(replica.public)
        self.audit: Any = AuditServiceStub(replica.public)
        self.ann = stack.token("acme", "ann", "tenant_admin")
        self.operator = stack.token(None, "root", "super_admin")

    async def create(self, provider: str = "openai", *, parent: str = ACME, metadata: Metadata | None = None) -> Any:
        request = providers_pb.CreateProviderRequest(
            parent=parent,
            provider_id=provider,
            provider=provider_pb2.Provider(type="openai", key=f"{parent}/keys/prod"),
        )
        return await self.providers.CreateProvider(request, metadata=metadata or self.ann, timeout=10)

    async def update(self, **fields: Any) -> Any:
        request = providers_pb.UpdateProviderRequest(
            provider=provider_pb2.Provider(name=NAME, **fields), update_mask=FieldMask(paths=list(fields))
        )
        return await self.providers.UpdateProvider(request, metadata=self.ann, timeout=10)

    async def delete(self, name: str = NAME, metadata: Metadata | None = None) -> Any:
        request = providers_pb.DeleteProviderRequest(name=name)
        return await self.providers.DeleteProvider(request, metadata=metadata or self.ann, timeout=10)

    async def live_through(self) -> None:
        """Five changes, and one that changes nothing."""
        await self.create()
        await self.update(display_name="Ours", description="All of it")
        await self.update(display_name="Ours")
        await self.create("other")
        await self.update(description="None of it")
        await self.delete()

    async def events(self, parent: str = ACME, **wanted: Any) -> list[pb.AuditEvent]:
        """Newest first."""
        request = pb.ListAuditEventsRequest(parent=parent, page_size=1000, filter=pb.AuditFilter(**wanted))
        return list((await self.audit.ListAuditEvents(request, metadata=self.operator, timeout=10)).events)

    async def verdict(self, parent: str = ACME) -> pb.VerifyAuditLogResponse:
        request = pb.VerifyAuditLogRequest(parent=parent)
        response: pb.VerifyAuditLogResponse = await self.audit.VerifyAuditLog(
            request, metadata=self.operator, timeout=10
        )
        return response

    async def export(self, *, after: int = 0, metadata: Metadata | None = None) -> list[list[pb.AuditEvent]]:
        request = pb.ExportAuditEventsRequest(parent=ACME, after_sequence=after)
        stream = self.audit.ExportAuditEvents(request, metadata=metadata or self.ann, timeout=10)
        return [list(part.events) async for part in stream]


@pytest.fixture
async def served(stack_on: Callable[[str], Stack], database_url: str) -> Served:
    """On SQLite and on PostgreSQL."""
    stack = stack_on(database_url)
    return Served(stack, await stack.start())


async def refusal(call: Any) -> GatehouseError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return error_of(caught.value)


async def tamper(served: Served, *statements: str) -> None:
    """What somebody with the rights of the database's owner can do."""

    def run() -> None:
        with database_owner(served.replica.settings.database_url) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    await asyncio.to_thread(run)


async def test_every_change_is_one_event_with_who_what_and_where(served: Served) -> None:
    await served.create(metadata=(*served.ann, ("x-request-id", "audit-me")))
    (created,) = await served.events()
    assert (created.actor, list(created.roles), created.address, created.action, created.target) == (
        "tenants/acme/users/ann",
        ["tenant_admin"],
        "127.0.0.1",
        "CreateProvider",
        NAME,
    )
    assert (created.sequence, created.outcome, created.request_id) == (1, pb.AUDIT_OUTCOME_SUCCEEDED, "audit-me")
    await served.delete()
    await served.live_through()
    found = await served.events()
    assert [event.action for event in reversed(found)] == [
        "CreateProvider",
        "DeleteProvider",
        "CreateProvider",
        "UpdateProvider",
        "CreateProvider",
        "UpdateProvider",
        "DeleteProvider",
    ]
    updated = next(event for event in reversed(found) if event.action == "UpdateProvider")
    assert updated.details == {"fields": "description,display_name", "version": "2"}
    verdict = await served.verdict()
    assert (verdict.intact, verdict.event_count) == (True, 7)


async def test_what_a_user_and_what_the_platform_owns_is_in_the_log_of_its_scope(served: Served) -> None:
    await served.create(parent="tenants/acme/users/bob", metadata=served.stack.token("acme", "bob", "member"))
    await served.create(parent="platform", metadata=served.operator)
    await served.create(parent="tenants/globex", metadata=served.operator)
    assert [(event.actor, event.target) for event in await served.events()] == [
        ("tenants/acme/users/bob", "tenants/acme/users/bob/providers/openai")
    ]
    assert [(event.actor, event.target) for event in await served.events("platform")] == [
        ("platform/users/root", "platform/providers/openai")
    ]
    assert [event.actor for event in await served.events("tenants/globex")] == ["platform/users/root"]


async def test_a_request_that_is_repeated_or_only_validates_adds_no_event(served: Served) -> None:
    request = providers_pb.CreateProviderRequest(
        parent=ACME,
        provider_id="openai",
        request_id="0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d",
        provider=provider_pb2.Provider(type="openai", key=f"{ACME}/keys/prod"),
        validate_only=True,
    )
    await served.providers.CreateProvider(request, metadata=served.ann, timeout=10)
    assert await served.events() == []
    request.validate_only = False
    for _ in range(2):
        await served.providers.CreateProvider(request, metadata=served.ann, timeout=10)
    assert [event.action for event in await served.events()] == ["CreateProvider"]


async def test_denials_are_recorded_with_the_one_who_tried(served: Served) -> None:
    await served.create()
    eve = served.stack.token("rival", "eve", "tenant_admin")
    assert (await refusal(served.delete(metadata=eve))).reason == "PERMISSION_DENIED"
    (denied,) = await served.events("tenants/rival")
    assert (denied.actor, denied.address, denied.action, denied.target, denied.outcome, denied.reason) == (
        "tenants/rival/users/eve",
        "127.0.0.1",
        "DeleteProvider",
        NAME,
        pb.AUDIT_OUTCOME_DENIED,
        "PERMISSION_DENIED",
    )
    stream: Any = SnapshotServiceStub(served.replica.public).WatchSnapshots(iter(()), metadata=eve, timeout=10)
    with pytest.raises(grpc.aio.AioRpcError):
        await stream.read()
    assert [event.action for event in await served.events("tenants/rival")] == ["WatchSnapshots", "DeleteProvider"]
    assert [event.action for event in await served.events()] == ["CreateProvider"]


async def test_events_are_paged_and_filtered(served: Served) -> None:
    await served.live_through()
    seen: list[int] = []
    token = ""
    while True:
        request = pb.ListAuditEventsRequest(parent=ACME, page_size=2, page_token=token)
        page = await served.audit.ListAuditEvents(request, metadata=served.ann, timeout=10)
        seen += [event.sequence for event in page.events]
        token = page.next_page_token
        if not token:
            break
    assert seen == [5, 4, 3, 2, 1]
    last = (await served.events())[0]
    for wanted, sequences in (
        ({"action": "UpdateProvider"}, [4, 2]),
        ({"actor": "tenants/acme/users/bob"}, []),
        ({"target": f"{ACME}/providers/other"}, [3]),
        ({"outcome": pb.AUDIT_OUTCOME_DENIED}, []),
        ({"since": last.time}, [5]),
        ({"until": last.time}, [4, 3, 2, 1]),
    ):
        assert [event.sequence for event in await served.events(**wanted)] == sequences, wanted


async def test_only_admins_see_a_log_and_only_their_own(served: Served) -> None:
    await served.create()
    for metadata in (
        served.stack.token("acme", "bob", "member"),
        served.stack.token("acme", "backend", "service"),
        served.stack.token("rival", "eve", "tenant_admin"),
    ):
        for method, request in (
            ("ListAuditEvents", pb.ListAuditEventsRequest(parent=ACME)),
            ("VerifyAuditLog", pb.VerifyAuditLogRequest(parent=ACME)),
        ):
            call = getattr(served.audit, method)(request, metadata=metadata, timeout=10)
            assert (await refusal(call)).reason == "PERMISSION_DENIED"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.export(metadata=metadata)
        assert error_of(caught.value).reason == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListAuditEvents", pb.ListAuditEventsRequest(parent="tenants/acme/users/ann"), "parent"),
        ("ListAuditEvents", pb.ListAuditEventsRequest(parent=ACME, page_size=-1), "page_size"),
        ("ListAuditEvents", pb.ListAuditEventsRequest(parent=ACME, page_token="x"), "page_token"),
        (
            "ListAuditEvents",
            pb.ListAuditEventsRequest(parent=ACME, filter=pb.AuditFilter(target="\0")),
            "filter.target",
        ),
        ("VerifyAuditLog", pb.VerifyAuditLogRequest(parent="tenants/acme/users/ann"), "parent"),
    ],
)
async def test_a_wrong_field_is_named(served: Served, method: str, request_: Any, field: str) -> None:
    error = await refusal(getattr(served.audit, method)(request_, metadata=served.ann, timeout=10))
    assert (error.reason, error.metadata["field"]) == ("INVALID_FIELD", field)


async def test_an_export_holds_the_whole_chain_and_is_an_event_itself(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "EXPORTED_TOGETHER", 2)
    await served.live_through()
    parts = await served.export()
    assert [[event.sequence for event in part] for part in parts] == [[1, 2], [3, 4], [5, 6]]
    exported = [event for part in parts for event in part]
    assert (exported[-1].action, dict(exported[-1].details)) == ("ExportAuditEvents", {"after_sequence": "0"})
    assert all(after.previous_hash == before.hash for before, after in itertools.pairwise(exported))
    assert [event.sequence for part in await served.export(after=6) for event in part] == [7]


async def test_an_export_asks_for_fresh_mfa_where_the_deployment_does(stack: Stack) -> None:
    served = Served(stack, await stack.start(fresh_auth_max_age_s=300))
    await served.create()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.export()
    assert error_of(caught.value).reason == "FRESH_AUTHENTICATION_REQUIRED"
    fresh = {"auth_time": int(time.time() - 10), "amr": ["pwd", "otp"]}
    (events,) = await served.export(metadata=stack.token("acme", "ann", "tenant_admin", more=fresh))
    assert [(event.action, event.outcome) for event in events] == [
        ("CreateProvider", pb.AUDIT_OUTCOME_SUCCEEDED),
        ("ExportAuditEvents", pb.AUDIT_OUTCOME_DENIED),
        ("ExportAuditEvents", pb.AUDIT_OUTCOME_SUCCEEDED),
    ]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit_events SET actor = 'tenants/acme/users/bob' WHERE sequence = 3", pb.AUDIT_BREAK_TYPE_ALTERED),
        ("UPDATE audit_events SET details = '{}' WHERE sequence = 2", pb.AUDIT_BREAK_TYPE_ALTERED),
        ("DELETE FROM audit_events WHERE sequence = 3", pb.AUDIT_BREAK_TYPE_MISSING),
        ("DELETE FROM audit_events WHERE sequence > 3", pb.AUDIT_BREAK_TYPE_TRUNCATED),
        ("UPDATE audit_heads SET sequence = 4", pb.AUDIT_BREAK_TYPE_HEAD_FORGED),
        ("DELETE FROM audit_heads", pb.AUDIT_BREAK_TYPE_HEAD_FORGED),
    ],
)
async def test_whoever_changes_the_log_in_the_database_is_found_out(served: Served, statement: str, kind: int) -> None:
    await served.live_through()
    assert (await served.verdict()).intact
    await tamper(served, statement)
    found = await served.verdict()
    assert (found.intact, found.first_break.type) == (False, kind)


async def test_nothing_changes_while_the_log_of_its_scope_is_damaged(served: Served) -> None:
    await served.create()
    await tamper(served, "UPDATE audit_heads SET mac = 'forged' WHERE scope = 'tenants/acme'")
    for change in (served.create("other"), served.update(display_name="Ours"), served.delete()):
        error = await refusal(change)
        assert (error.reason, error.metadata) == ("AUDIT_LOG_DAMAGED", {"scope": ACME})
    listed = await served.providers.ListProviders(
        providers_pb.ListProvidersRequest(parent=ACME), metadata=served.ann, timeout=10
    )
    assert [(each.name, each.display_name) for each in listed.providers] == [(NAME, "")]
    await served.create(parent="tenants/globex", metadata=served.operator)


async def test_a_replica_with_another_seal_key_does_not_start(
    stack_on: Callable[[str], Stack], database_url: str
) -> None:
    stack = stack_on(database_url)
    served = Served(stack, await stack.start())
    await served.create()
    await stack.start()
    stack.seal_key.write_text("f" * 64)
    with pytest.raises(WrongSetting, match=r"PROVIDER_CONFIG_AUDIT_SEAL_KEY_FILE: .*audit-seal\.key is not the key"):
        await stack.start()
    stack.seal_key.write_text("short")
    with pytest.raises(WrongSetting, match="must hold at least 32 characters"):
        await stack.start()


@pytest.mark.postgres
async def test_a_role_of_its_own_lets_the_service_add_audit_rows_and_never_change_one(
    tmp_path: Path, postgres_server: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE provider_config_service LOGIN")
    service_url = postgres_url.replace("gatehouse@", "provider_config_service@")
    try:
        async with AsyncExitStack() as exits:
            stack = Stack(tmp_path / "state", service_url, exits)
            served = Served(stack, await stack.start(migration_database_url=postgres_url))
            await served.live_through()
            assert (await served.verdict()).intact
        with psycopg.connect(service_url, autocommit=True) as connection:
            for statement in (
                "UPDATE audit_events SET actor = 'x'",
                "DELETE FROM audit_events",
                "TRUNCATE audit_events",
                "ALTER TABLE audit_events DISABLE TRIGGER ALL",
                "DROP TABLE audit_events",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
            assert connection.execute("SELECT count(*) FROM audit_events").fetchone() == (5,)
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY provider_config_service")
            connection.execute("DROP ROLE provider_config_service")
