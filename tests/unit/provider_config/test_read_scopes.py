"""What a router may ask for."""

from __future__ import annotations

import pytest
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from libs.core.errors import InvalidArgument
from libs.core.resource_names import Owner
from services.provider_config.api.read_scopes import ScopesAsked, scopes_in


def test_what_a_router_holds_is_read_with_its_revision() -> None:
    request = pb.WatchSnapshotsRequest(
        resume=[pb.HeldScope(scope="platform", revision=7), pb.HeldScope(scope="tenants/acme")]
    )
    assert scopes_in(request) == ScopesAsked(forget=[], resume={Owner(): 7, Owner("acme"): 0}, watch=[])


@pytest.mark.parametrize(
    ("resume", "fields"),
    [
        ([pb.HeldScope(scope="tenants/acme", revision=-1)], ["resume[0].revision"]),
        ([pb.HeldScope(), pb.HeldScope(scope="tenants/acme/users/ann")], ["resume[0].scope", "resume[1].scope"]),
        ([pb.HeldScope(scope="platform")] * 1001, ["resume"]),
    ],
)
def test_what_a_router_cannot_hold_is_named(resume: list[pb.HeldScope], fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        scopes_in(pb.WatchSnapshotsRequest(resume=resume))
    assert [violation.field for violation in caught.value.field_violations] == fields
