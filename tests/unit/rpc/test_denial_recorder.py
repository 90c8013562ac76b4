"""Denials on their way into the audit log: in the log of whoever tried, bounded, not lost by another's impatience."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from libs.core.audit import AuditEvent, AuditOutcome
from libs.core.audit_authors import Author
from libs.core.errors import FailedPrecondition, Unavailable
from libs.identity.caller import Caller, Role
from libs.rpc import denial_recorder
from libs.rpc.denial_recorder import DenialRecorder
from libs.rpc.denials import Denial
from libs.telemetry.telemetry import configure

EVE = Author(actor="tenants/globex/users/eve", roles=("member",), address="192.0.2.9", request_id="req-9")
DOWN = Unavailable("DATABASE_UNAVAILABLE", "down")


class StoppedClock:
    """Always the same time."""

    def now(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class Denials:
    """A recorder over chains in memory, to which appending can be held up and made to fail."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.failure: Exception | None = None
        self.lost: list[int] = []
        self.writes = 0
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.recorder = DenialRecorder(
            self._append, StoppedClock(), new_uid=lambda: str(uuid.uuid4()), lost=self.lost.append
        )

    async def _append(self, events: Sequence[AuditEvent]) -> None:
        """All of them or none."""
        self.writes += 1
        await self.may_write.wait()
        # No database answers in the same step.
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        for event in events:
            self.check(event)
        self.events += events

    def check(self, event: AuditEvent) -> None:
        """Raises what keeps `event` out of its chain."""

    def deny(self, target: str, *, tenant: str | None = "globex") -> None:
        self.recorder.add(EVE, tenant, action="DeleteKey", target=target, reason="PERMISSION_DENIED")

    def of(self, scope: str) -> list[AuditEvent]:
        return [event for event in self.events if event.scope == scope]

    def targets(self, scope: str = "tenants/globex") -> list[str]:
        return [event.target for event in self.of(scope)]


@pytest.fixture
async def gathered() -> Denials:
    return Denials()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Room for few denials."""
    monkeypatch.setattr(denial_recorder, "MOST_WAITING", 5)
    return 5


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_denial_stands_in_the_log_of_the_tenant_that_tried(gathered: Denials) -> None:
    gathered.deny("tenants/acme/keys/openai")
    await gathered.recorder.store()
    (event,) = gathered.of("tenants/globex")
    assert (event.actor, event.roles, event.address, event.request_id) == (
        "tenants/globex/users/eve",
        ("member",),
        "192.0.2.9",
        "req-9",
    )
    assert (event.action, event.target, event.outcome, event.reason) == (
        "DeleteKey",
        "tenants/acme/keys/openai",
        AuditOutcome.DENIED,
        "PERMISSION_DENIED",
    )
    assert gathered.of("tenants/acme") == []


async def test_the_denial_of_somebody_outside_every_tenant_stands_in_the_platforms_log(gathered: Denials) -> None:
    gathered.deny("platform/keys/openai", tenant=None)
    await gathered.recorder.store()
    assert gathered.targets("platform") == ["platform/keys/openai"]


async def test_the_hook_records_before_it_returns(gathered: Denials) -> None:
    caller = Caller(tenant="globex", user="eve", roles=frozenset({Role.MEMBER}))
    denial = Denial(
        caller=caller,
        method="/gatehouse.keyvault.v1.KeyService/RotateKey",
        resource=None,
        reason="FRESH_AUTHENTICATION_REQUIRED",
        address="192.0.2.9",
        request_id="req-9",
    )
    await gathered.recorder.record(denial)
    (event,) = gathered.of("tenants/globex")
    assert (event.action, event.target, event.reason) == ("RotateKey", "", "FRESH_AUTHENTICATION_REQUIRED")
    assert (event.actor, event.roles, event.address, event.request_id) == (
        "tenants/globex/users/eve",
        ("member",),
        "192.0.2.9",
        "req-9",
    )


async def test_a_service_that_is_denied_is_recorded_too(gathered: Denials) -> None:
    denial = Denial(
        caller=Caller(service="usage-accounting"),
        method="/gatehouse.keyvault.v1.KeyAccessService/AccessKeys",
        resource=None,
        reason="PERMISSION_DENIED",
        address="",
        request_id="r",
    )
    await gathered.recorder.record(denial)
    assert [event.actor for event in gathered.of("platform")] == ["services/usage-accounting"]


async def test_many_are_stored_together(gathered: Denials) -> None:
    names = [f"tenants/acme/keys/{number}" for number in range(450)]
    for name in names:
        gathered.deny(name)
    await gathered.recorder.store()
    assert gathered.targets() == names
    assert gathered.writes == 3


async def test_what_could_not_be_stored_waits_in_its_order(gathered: Denials) -> None:
    names = [f"tenants/acme/keys/{number}" for number in range(250)]
    for name in names:
        gathered.deny(name)
    gathered.failure = DOWN
    with pytest.raises(Unavailable):
        await gathered.recorder.store()
    gathered.deny("tenants/acme/keys/last")
    gathered.failure = None
    await gathered.recorder.store()
    assert gathered.targets() == [*names, "tenants/acme/keys/last"]
    assert gathered.lost == []


async def test_what_is_too_much_is_dropped_and_counted(gathered: Denials, few: int) -> None:
    for number in range(few + 3):
        gathered.deny(f"tenants/acme/keys/{number}")
    await gathered.recorder.store()
    assert gathered.targets() == [f"tenants/acme/keys/{number}" for number in range(few)]
    # Once, not a line of log for each.
    assert gathered.lost == [3]
    await gathered.recorder.store()
    assert gathered.lost == [3]


async def test_what_is_being_stored_counts_as_waiting(gathered: Denials, few: int) -> None:
    gathered.may_write.clear()
    for number in range(few):
        gathered.deny(f"tenants/acme/keys/{number}")
    storing = asyncio.create_task(gathered.recorder.store())
    await settle()
    gathered.deny("tenants/acme/keys/one-too-many")
    gathered.may_write.set()
    await storing
    gathered.deny("tenants/acme/keys/later")
    await gathered.recorder.store()
    assert gathered.lost == [1]
    assert gathered.targets()[few:] == ["tenants/acme/keys/later"]


async def test_a_caller_that_gives_up_takes_no_denial_along(gathered: Denials) -> None:
    gathered.may_write.clear()
    gathered.deny("tenants/acme/keys/of-somebody-else")
    impatient = asyncio.create_task(gathered.recorder.store())
    await settle()
    impatient.cancel()
    await asyncio.wait({impatient})
    assert impatient.cancelled()
    gathered.may_write.set()
    await settle()
    assert gathered.targets() == ["tenants/acme/keys/of-somebody-else"]
    await gathered.recorder.store()
    assert gathered.writes == 1


async def test_whoever_comes_meanwhile_waits_for_its_own_denial_and_not_for_those_of_others(gathered: Denials) -> None:
    gathered.may_write.clear()
    gathered.deny("tenants/acme/keys/first")
    first = asyncio.create_task(gathered.recorder.store())
    await settle()
    others = []
    for number in range(3):
        gathered.deny(f"tenants/acme/keys/later-{number}")
        others.append(asyncio.create_task(gathered.recorder.store()))
    await settle()
    gathered.may_write.set()
    await first
    await asyncio.gather(*others)
    assert gathered.targets() == ["tenants/acme/keys/first", *(f"tenants/acme/keys/later-{n}" for n in range(3))]
    assert gathered.writes == 2


async def test_a_flood_of_denials_keeps_nobody_waiting_for_its_end(
    gathered: Denials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ever_more(_: AuditEvent) -> None:
        gathered.deny("tenants/acme/keys/more")

    monkeypatch.setattr(gathered, "check", ever_more)
    gathered.deny("tenants/acme/keys/first")
    await gathered.recorder.store()
    assert gathered.targets() == ["tenants/acme/keys/first"]


async def test_an_outage_that_others_met_is_met_by_whoever_waited_for_them(gathered: Denials) -> None:
    gathered.may_write.clear()
    gathered.failure = DOWN
    gathered.deny("tenants/acme/keys/first")
    first = asyncio.create_task(gathered.recorder.store())
    await settle()
    gathered.deny("tenants/acme/keys/second")
    second = asyncio.create_task(gathered.recorder.store())
    await settle()
    gathered.may_write.set()
    for storing in (first, second):
        with pytest.raises(Unavailable):
            await storing
    gathered.failure = None
    await gathered.recorder.store()
    assert gathered.targets() == ["tenants/acme/keys/first", "tenants/acme/keys/second"]


async def test_a_failure_after_everybody_gave_up_is_no_noise(gathered: Denials) -> None:
    gathered.may_write.clear()
    gathered.failure = DOWN
    gathered.deny("tenants/acme/keys/x")
    impatient = asyncio.create_task(gathered.recorder.store())
    await settle()
    impatient.cancel()
    await asyncio.wait({impatient})
    gathered.may_write.set()
    await settle()
    gathered.failure = None
    await gathered.recorder.store()
    assert gathered.targets() == ["tenants/acme/keys/x"]


async def test_a_damaged_log_keeps_no_other_tenants_denials_waiting(
    gathered: Denials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(event: AuditEvent) -> None:
        if event.scope == "tenants/globex":
            raise FailedPrecondition("AUDIT_LOG_DAMAGED", "changed from outside")

    monkeypatch.setattr(gathered, "check", damaged)
    for number in range(3):
        gathered.deny(f"a/{number}", tenant="acme")
        gathered.deny(f"g/{number}", tenant="globex")
    with pytest.raises(FailedPrecondition, match="changed from outside"):
        await gathered.recorder.store()
    assert gathered.targets("tenants/acme") == ["a/0", "a/1", "a/2"]
    assert gathered.lost == [3]
    assert gathered.writes == 1 + 6
    gathered.deny("a/3", tenant="acme")
    await gathered.recorder.store()
    assert gathered.targets("tenants/acme") == ["a/0", "a/1", "a/2", "a/3"]


async def test_a_database_that_goes_away_while_each_is_tried_alone_loses_none_and_doubles_none(
    gathered: Denials, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([None, RuntimeError("defect"), None, DOWN])

    def failing(_: AuditEvent) -> None:
        error = next(answers, None)
        if error is not None:
            raise error

    monkeypatch.setattr(gathered, "check", failing)
    names = [f"tenants/acme/keys/{number}" for number in range(3)]
    for name in names:
        gathered.deny(name)
    with pytest.raises(Unavailable):
        await gathered.recorder.store()
    assert gathered.targets() == names[:1]
    await gathered.recorder.store()
    assert gathered.targets() == names
    assert gathered.lost == []


async def test_one_tenant_that_tries_a_lot_crowds_out_nobody(
    gathered: Denials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denial_recorder, "MOST_WAITING_OF_CHAIN", 3)
    for number in range(5):
        gathered.deny(f"tenants/acme/keys/k{number}")
    gathered.deny("tenants/acme/keys/x", tenant="other")
    await gathered.recorder.store()
    assert len(gathered.targets()) == 3
    assert gathered.targets("tenants/other") == ["tenants/acme/keys/x"]
    assert gathered.lost == [2]
    # What was stored makes room.
    gathered.deny("tenants/acme/keys/later")
    await gathered.recorder.store()
    assert gathered.targets()[-1] == "tenants/acme/keys/later"


async def test_what_is_lost_is_said_in_the_log_unless_somebody_else_is_told() -> None:
    async def append(_: Sequence[AuditEvent]) -> None:
        raise FailedPrecondition("AUDIT_LOG_DAMAGED", "changed from outside")

    stream = io.BytesIO()
    telemetry = configure("test", stream=stream)
    try:
        recorder = DenialRecorder(append, StoppedClock(), new_uid=lambda: str(uuid.uuid4()))
        recorder.add(EVE, "globex", action="DeleteKey", target="tenants/acme/keys/x", reason="PERMISSION_DENIED")
        with pytest.raises(FailedPrecondition):
            await recorder.store()
    finally:
        telemetry.restore_logs()
    assert b"denials_lost" in stream.getvalue()
