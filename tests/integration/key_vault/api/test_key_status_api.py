"""How providers took keys: reported by the router, seen by the owner."""

from __future__ import annotations

import time
from typing import Any

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.integration.key_vault.api.served_key_vault import NAME, OTHER_CANARY, ServedKeyVault, error_of

WORKING = key_pb2.KEY_CONDITION_WORKING
REJECTED = key_pb2.KEY_CONDITION_REJECTED
EXHAUSTED = key_pb2.KEY_CONDITION_EXHAUSTED


def at(second: float) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromMicroseconds(int((START + second) * 1e6))
    return timestamp


# Set anew for each test.
START = 0.0


@pytest.fixture(autouse=True)
def start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far enough ahead to lie after what the test does before, near enough to be taken for another clock's time."""
    monkeypatch.setattr(request.module, "START", time.time() + 200)


def outcome(used: float, *, name: str = NAME, version: int = 1, **times: float) -> access_pb.KeyOutcome:
    given: dict[str, Any] = {f"last_{what}_time": at(second) for what, second in times.items()}
    return access_pb.KeyOutcome(name=name, version=version, last_use_time=at(used), **given)


async def report(served: ServedKeyVault, *outcomes: access_pb.KeyOutcome) -> None:
    await served.access.ReportKeyOutcomes(access_pb.ReportKeyOutcomesRequest(outcomes=outcomes), timeout=10)


async def notifications(served: ServedKeyVault, parent: str = "tenants/acme") -> list[tuple[int, int]]:
    request = pb.ListKeyNotificationsRequest(parent=parent)
    response = await served.keys.ListKeyNotifications(request, metadata=served.admin)
    return [(each.version, each.type) for each in response.notifications]


async def test_a_refused_key_turns_rejected_once_tells_its_owner_once_and_recovers_by_a_success(
    served: ServedKeyVault,
) -> None:
    await served.create()
    assert (await served.get()).status.condition == key_pb2.KEY_CONDITION_UNSPECIFIED
    await report(served, outcome(1, success=1))
    status = (await served.get()).status
    assert (status.condition, status.last_success_time) == (WORKING, at(1))

    for _ in range(3):
        await report(served, outcome(3, rejection=3), outcome(4, rejection=4))
    status = (await served.get()).status
    assert (status.condition, status.last_rejection_time) == (REJECTED, at(4))
    assert await notifications(served) == [(1, key_pb2.KEY_NOTIFICATION_TYPE_REJECTED)]
    assert b"key_notification" in served.log.getvalue()
    listing = pb.ListKeysRequest(parent="tenants/acme", condition=REJECTED)
    assert [key.name for key in (await served.keys.ListKeys(listing, metadata=served.admin)).keys] == [NAME]

    # A call that was under way when the key was refused proves nothing.
    await report(served, outcome(3.5, success=3.5))
    assert (await served.get()).status.condition == REJECTED
    await report(served, outcome(5, success=5))
    assert (await served.get()).status.condition == WORKING
    assert [kind for _, kind in await notifications(served)] == [
        key_pb2.KEY_NOTIFICATION_TYPE_RECOVERED,
        key_pb2.KEY_NOTIFICATION_TYPE_REJECTED,
    ]
    # It flaps: its owner knows.
    await report(served, outcome(6, rejection=6))
    assert (await served.get()).status.condition == REJECTED
    assert len(await notifications(served)) == 2


async def test_a_new_version_begins_without_a_record_and_an_old_one_speaks_only_for_itself(
    served: ServedKeyVault,
) -> None:
    await served.create()
    await report(served, outcome(1, rejection=1))
    await served.keys.RotateKey(pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode()), metadata=served.admin)
    status = (await served.get()).status
    assert (status.condition, status.last_use_time) == (key_pb2.KEY_CONDITION_UNSPECIFIED, at(1))
    assert not status.HasField("last_rejection_time")
    await report(served, outcome(2, rejection=2), outcome(3, version=2, success=3))
    status = (await served.get()).status
    assert (status.condition, status.last_use_time) == (WORKING, at(3))


async def test_an_account_without_credit_shows_as_exhausted(served: ServedKeyVault) -> None:
    await served.create()
    await report(served, outcome(1, success=1, exhaustion=2))
    assert (await served.get()).status.condition == EXHAUSTED
    assert await notifications(served) == [(1, key_pb2.KEY_NOTIFICATION_TYPE_EXHAUSTED)]


async def test_reports_about_keys_that_are_gone_are_dropped(served: ServedKeyVault) -> None:
    await served.create()
    await report(served, outcome(1, name="tenants/acme/keys/gone", success=1), outcome(1, success=1))
    assert (await served.get()).status.condition == WORKING


async def test_notifications_are_for_the_owner_alone(served: ServedKeyVault) -> None:
    await served.create("own", parent="tenants/acme/users/bob")
    await report(served, outcome(1, name="tenants/acme/users/bob/keys/own", rejection=1))
    assert len(await notifications(served)) == 1
    assert len(await notifications(served, "tenants/acme/users/bob")) == 1
    assert await notifications(served, "tenants/acme/users/eve") == []
    request = pb.ListKeyNotificationsRequest(parent="tenants/acme")
    bob = served.identities.bearer("member", user="bob")
    assert (await error_of(served.keys.ListKeyNotifications(request, metadata=bob))).reason == "PERMISSION_DENIED"


async def test_only_the_router_reports(world: ServedKeyVault) -> None:
    stranger = await world.stranger("usage-accounting")
    request = access_pb.ReportKeyOutcomesRequest(outcomes=[outcome(1, rejection=1)])
    assert (await error_of(stranger.ReportKeyOutcomes(request))).reason == "PERMISSION_DENIED"
    wrong = access_pb.ReportKeyOutcomesRequest(outcomes=[access_pb.KeyOutcome(name=NAME)])
    error = await error_of(world.access.ReportKeyOutcomes(wrong))
    assert [each.field for each in error.field_violations] == ["outcomes[0].version", "outcomes[0].last_use_time"]
