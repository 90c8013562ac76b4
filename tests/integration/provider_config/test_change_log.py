"""The service's own log says what changed, and nothing of requests that changed nothing."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from gatehouse.providerconfig.v1 import model_pb2, route_pb2
from gatehouse.providerconfig.v1 import model_service_pb2 as models_pb
from gatehouse.providerconfig.v1 import preference_service_pb2 as preferences_pb
from gatehouse.providerconfig.v1 import route_service_pb2 as routes_pb
from structlog.testing import capture_logs

from tests.integration.provider_config.conftest import Stack
from tests.integration.provider_config.routing_person import ANN, ROUTE, WORK, RoutingPerson, choice

_MAIN = "tenants/acme/providers/main"


async def _changed(*calls: Awaitable[Any]) -> list[tuple[str, int]]:
    """What the log says changed during the calls, with the revisions."""
    with capture_logs() as lines:
        for call in calls:
            await call
    return [(each["resource"], each["revision"]) for each in lines if each["event"] == "config_changed"]


async def test_changes_are_in_the_log_and_requests_that_change_nothing_are_not(stack: Stack) -> None:
    admin = RoutingPerson(await stack.start(), stack.token("acme", "ann", "tenant_admin"))
    await admin.provide("main")
    await admin.route("t", "main")
    await admin.profile()
    preferred = choice("main")
    model = models_pb.UpdateModelRequest(model=model_pb2.Model(name=f"{_MAIN}/models/m", display_name="M"))
    fallback = route_pb2.PLATFORM_FALLBACK_LAST
    policy = routes_pb.UpdateRoutingPolicyRequest(
        parent="tenants/acme", policy=route_pb2.RoutingPolicy(platform_fallback=fallback)
    )
    active = preferences_pb.ActivateProfileRequest(name=WORK)

    def calls() -> list[Awaitable[Any]]:
        return [
            admin.update(name=_MAIN, description="x"),
            admin("UpdateModel", model),
            admin.change_route(description="x"),
            admin("UpdateRoutingPolicy", policy),
            admin.prefer(preferred=preferred),
            admin("ActivateProfile", active),
        ]

    names = [_MAIN, f"{_MAIN}/models/m", ROUTE, "tenants/acme/policy", f"{ANN}/preferences", f"{ANN}/preferences"]
    found = await _changed(*calls())
    assert [name for name, _ in found] == names
    assert [revision for _, revision in found] == list(range(found[0][1], found[0][1] + len(names)))
    assert await _changed(*calls(), admin.route("u", "main", validate_only=True)) == []
