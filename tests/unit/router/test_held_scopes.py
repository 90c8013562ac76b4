"""What a router holds, asks for, and believes."""

from __future__ import annotations

import pytest
from gatehouse.providerconfig.v1 import route_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from libs.core.errors import InvalidArgument
from services.router.clients import held_scopes
from services.router.clients.held_scopes import HeldScopes, Taken
from services.router.domain.configuration import Snapshot
from tests.unit.router.snapshot_messages import (
    ACME,
    delta,
    heartbeat,
    preferences,
    profile,
    provider,
    route,
    snapshot,
)


def scopes_on_a_stream(*tenants: str) -> HeldScopes:
    """Scopes that were asked for in one request."""
    scopes = HeldScopes(0.0)
    for tenant in tenants:
        scopes.want(tenant)
    scopes.begin_stream()
    asked(scopes)
    return scopes


def loaded(*tenants: str, revision: int = 5) -> HeldScopes:
    scopes = scopes_on_a_stream(*tenants)
    for scope in ("platform", *(f"tenants/{tenant}" for tenant in tenants)):
        scopes.take(snapshot(scope, revision, provider("a", scope=scope)))
    return scopes


def asked(scopes: HeldScopes) -> list[str]:
    """All that is asked for: `-scope` to forget, `scope@5` to resume, `scope` to watch."""
    found = []
    while (request := scopes.next_request()) is not None:
        found += [f"-{scope}" for scope in request.forget]
        found += [f"{each.scope}@{each.revision}" for each in request.resume]
        found += request.watch
    return found


def held(scopes: HeldScopes, tenant: str = "acme") -> Snapshot:
    configuration = scopes.configuration(tenant)
    assert configuration is not None
    return configuration.tenant


def ids(scopes: HeldScopes) -> list[str]:
    return [each.id for each in held(scopes).providers]


def test_a_tenant_is_asked_for_once_and_the_platform_first() -> None:
    scopes = HeldScopes(0.0)
    assert [scopes.want("acme"), scopes.want("acme"), scopes.want("other")] == [True, False, True]
    scopes.begin_stream()
    assert asked(scopes) == ["platform", "tenants/acme", "tenants/other"]
    assert asked(scopes) == []


def test_a_tenant_is_held_once_both_its_snapshot_and_the_platform_s_have_come() -> None:
    scopes = scopes_on_a_stream("acme")
    scopes.take(snapshot(ACME, 5, provider("a")))
    assert (scopes.configuration("acme"), scopes.has_platform) == (None, False)
    scopes.take(snapshot("platform", 6))
    configuration = scopes.configuration("acme")
    assert configuration is not None
    assert (configuration.revision, ids(scopes)) == (6, ["a"])


def test_a_change_of_the_platform_reaches_every_tenant() -> None:
    scopes = loaded("acme", "other")
    scopes.take(delta("platform", 5, 6, provider("b", scope="platform")))
    for tenant in ("acme", "other"):
        configuration = scopes.configuration(tenant)
        assert configuration is not None
        assert [each.id for each in configuration.platform.providers] == ["a", "b"]


def test_a_change_replaces_adds_and_removes_by_name_and_leaves_the_rest_alone() -> None:
    scopes = scopes_on_a_stream("acme")
    scopes.take(snapshot("platform", 1))
    last = route_pb2.RoutingPolicy(platform_fallback=route_pb2.PLATFORM_FALLBACK_LAST)
    scopes.take(
        snapshot(
            ACME, 5, provider("a"), provider("b", "m"), provider("c"), routes=[route("x", "a"), route("default", "b")],
            preferences=[preferences("ann", "a"), preferences("bob", "b")],
            profiles=[profile("ann", "work", "a"), profile("ann", "home", "b")], policy=last,
        )
    )  # fmt: skip
    before = held(scopes)
    scopes.take(
        delta(
            ACME, 5, 6, provider("a", "n"), provider("d"), routes=[route("x", "d")],
            preferences=[preferences("bob", "d")], profiles=[profile("ann", "work", "d")],
            deleted=[f"{ACME}/providers/c", f"{ACME}/routes/default", f"{ACME}/users/ann/profiles/home",
                     f"{ACME}/users/ann/preferences"],
        )
    )  # fmt: skip
    now = held(scopes)
    assert {each.id: sorted(each.models) for each in now.providers} == {"a": ["n"], "b": ["m"], "d": []}
    assert {task: each.targets[0].provider for task, each in now.routes.items()} == {"x": f"{ACME}/providers/d"}
    assert list(now.preferences) == ["bob"]
    assert list(now.profiles) == [f"{ACME}/users/ann/profiles/work"]
    assert now.policy.platform_last
    # A call that began before goes on with what it had.
    assert [each.id for each in before.providers] == ["a", "b", "c"]
    never = route_pb2.RoutingPolicy(platform_fallback=route_pb2.PLATFORM_FALLBACK_NEVER)
    scopes.take(delta(ACME, 6, 7, policy=never))
    assert not held(scopes).policy.platform_last


def test_a_change_of_something_else_than_what_is_held_asks_for_the_whole() -> None:
    scopes = loaded("acme")
    assert scopes.take(delta(ACME, 6, 7, provider("b"))) is Taken.ASKED_ANEW
    assert asked(scopes) == [f"-{ACME}", ACME]
    assert ids(scopes) == ["a"]
    assert scopes.take(delta(ACME, 7, 8, provider("c"))) is Taken.IGNORED
    scopes.take(snapshot(ACME, 8, provider("b"), provider("c")))
    scopes.take(delta(ACME, 8, 9, provider("d")))
    assert ids(scopes) == ["b", "c", "d"]


def test_what_cannot_be_read_keeps_what_was_held_until_it_can() -> None:
    scopes = loaded("acme")
    wrong = pb.ProviderSnapshot()
    for news in (snapshot(ACME, 6, wrong), delta(ACME, 5, 7, wrong)):
        with pytest.raises(InvalidArgument):
            scopes.take(news)
    assert (held(scopes).revision, ids(scopes)) == (5, ["a"])
    # The service believes it to be at revision 7: the next change asks for all.
    assert scopes.take(delta(ACME, 7, 8, provider("b"))) is Taken.ASKED_ANEW
    with pytest.raises(InvalidArgument):
        scopes.take(snapshot(ACME, 8, wrong))
    assert scopes.take(delta(ACME, 8, 9, provider("b"))) is Taken.ASKED_ANEW
    scopes.take(snapshot(ACME, 9, provider("b")))
    assert ids(scopes) == ["b"]


def test_a_tenant_whose_first_snapshot_cannot_be_read_is_asked_for_again_when_it_changes() -> None:
    scopes = scopes_on_a_stream("acme")
    scopes.take(snapshot("platform", 1))
    with pytest.raises(InvalidArgument):
        scopes.take(snapshot(ACME, 5, pb.ProviderSnapshot()))
    assert scopes.take(delta(ACME, 5, 6)) is Taken.ASKED_ANEW
    assert asked(scopes) == [f"-{ACME}", ACME]


@pytest.mark.parametrize("whole", [True, False])
def test_a_revision_whose_content_cannot_be_read_is_not_reached(whole: bool) -> None:
    scopes = loaded("acme", revision=5)
    scopes.take_heartbeat(heartbeat(6, 1))
    wrong = pb.ProviderSnapshot()
    with pytest.raises(InvalidArgument):
        scopes.take(snapshot(ACME, 7, wrong) if whole else delta(ACME, 5, 7, wrong))
    scopes.take_heartbeat(heartbeat(7, 1))
    assert (scopes.has_reached("acme", 6), scopes.has_reached("acme", 7)) == (True, False)
    scopes.take(snapshot(ACME, 8))
    scopes.take_heartbeat(heartbeat(9, 1))
    assert scopes.has_reached("acme", 9)


def test_a_revision_is_not_reached_while_the_whole_is_asked_for_anew() -> None:
    scopes = loaded("acme", revision=5)
    assert scopes.take(delta(ACME, 6, 7)) is Taken.ASKED_ANEW
    scopes.take_heartbeat(heartbeat(7, 1))
    assert not scopes.has_reached("acme", 7)
    asked(scopes)
    scopes.take(snapshot(ACME, 7))
    assert scopes.has_reached("acme", 7)


def test_a_new_stream_goes_on_from_what_is_held() -> None:
    scopes = loaded("acme", revision=5)
    scopes.want("new")
    scopes.begin_stream()
    assert asked(scopes) == ["platform@5", "tenants/acme@5", "tenants/new"]
    scopes.take(delta(ACME, 5, 9, provider("b")))
    assert ids(scopes) == ["a", "b"]


def test_a_revision_is_reached_when_a_heartbeat_knows_of_the_request() -> None:
    scopes = loaded("acme", revision=5)
    assert scopes.has_reached("acme", 5)
    assert not scopes.has_reached("acme", 6)
    scopes.take_heartbeat(heartbeat(6, 0))
    assert not scopes.has_reached("acme", 6)
    scopes.take_heartbeat(heartbeat(6, 1))
    assert scopes.has_reached("acme", 6)
    assert not scopes.has_reached("other", 1)


def test_a_tenant_asked_for_later_is_not_covered_by_heartbeats_from_before() -> None:
    scopes = loaded("acme", revision=5)
    scopes.want("late")
    assert asked(scopes) == ["tenants/late"]
    scopes.take_heartbeat(heartbeat(9, 1))
    scopes.take(snapshot("tenants/late", 7))
    assert scopes.has_reached("late", 7)
    assert not scopes.has_reached("late", 8)
    scopes.take_heartbeat(heartbeat(9, 2))
    assert scopes.has_reached("late", 9)


def test_the_revision_needs_the_platform_too() -> None:
    scopes = scopes_on_a_stream("acme")
    scopes.take(snapshot("platform", 3))
    scopes.take(snapshot(ACME, 6))
    assert scopes.has_reached("acme", 3)
    assert not scopes.has_reached("acme", 4)


def test_after_a_reconnect_heartbeats_count_only_for_what_was_named_again() -> None:
    scopes = loaded("acme", revision=5)
    scopes.take_heartbeat(heartbeat(8, 1))
    scopes.begin_stream()
    # What was reached stays reached: the service may be away for long.
    assert scopes.has_reached("acme", 8)
    asked(scopes)
    scopes.take_heartbeat(heartbeat(11, 0))
    assert not scopes.has_reached("acme", 9)
    before = scopes.is_current
    scopes.take_heartbeat(heartbeat(11, 1))
    assert scopes.has_reached("acme", 11)
    assert (before, scopes.is_current, scopes.revision) == (False, True, 11)


def test_many_scopes_go_out_in_several_requests_and_are_current_when_all_were_heard() -> None:
    scopes = scopes_on_a_stream(*(f"t{number}" for number in range(2500)))
    scopes.take_heartbeat(heartbeat(1, 2))
    before = scopes.is_current
    scopes.take_heartbeat(heartbeat(1, 3))
    assert (before, scopes.is_current) == (False, True)


def test_no_request_names_more_than_the_contract_allows() -> None:
    tenants = [f"t{number}" for number in range(1500)]
    scopes = loaded(*tenants)
    for tenant in tenants:
        scopes.take(delta(f"tenants/{tenant}", 99, 100))
    counts = []
    while (request := scopes.next_request()) is not None:
        counts.append((len(request.forget), len(request.watch)))
    assert counts == [(1000, 1000), (500, 500)]


def test_tenants_without_calls_are_forgotten_and_the_service_told() -> None:
    scopes = loaded("idle", "busy")
    scopes.now = 60.0
    assert scopes.configuration("busy") is not None
    scopes.now = 100.0
    assert scopes.forget_idle(90.0, at_most=10) == 1
    assert asked(scopes) == ["-tenants/idle"]
    assert (scopes.configuration("idle"), len(scopes)) == (None, 1)
    assert scopes.take(delta("tenants/idle", 5, 6)) is Taken.IGNORED
    assert scopes.has_platform


def test_a_sweep_forgets_a_bounded_number_of_tenants_and_all_in_the_end() -> None:
    scopes = loaded(*(f"t{number}" for number in range(25)))
    scopes.now = 100.0
    assert scopes.configuration("t3") is not None
    assert [scopes.forget_idle(90.0, at_most=10) for _ in range(4)] == [10, 10, 4, 0]
    assert len(scopes) == 1


def test_of_too_many_tenants_the_one_not_used_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_scopes, "MOST_TENANTS", 3)
    scopes = loaded("a", "b", "c")
    scopes.want("a")
    assert scopes.configuration("b") is not None
    scopes.want("d")
    assert len(scopes) == 3
    assert scopes.configuration("c") is None
    assert asked(scopes) == ["-tenants/c", "tenants/d"]


def test_a_tenant_forgotten_before_it_was_asked_for_is_not_told_of() -> None:
    scopes = HeldScopes(0.0)
    scopes.begin_stream()
    asked(scopes)
    scopes.want("acme")
    scopes.now = 100.0
    scopes.forget_idle(90.0, at_most=10)
    assert asked(scopes) == []


def test_a_forgotten_tenant_that_is_wanted_again_is_loaded_again() -> None:
    scopes = loaded("acme")
    scopes.now = 100.0
    scopes.forget_idle(90.0, at_most=10)
    scopes.want("acme")
    # The service still watches it: told to forget it first, it sends the whole.
    assert asked(scopes) == [f"-{ACME}", ACME]
    assert scopes.take(delta(ACME, 5, 6, provider("late"))) is Taken.IGNORED
    scopes.take(snapshot(ACME, 7, provider("b")))
    assert ids(scopes) == ["b"]


def test_equal_models_of_different_tenants_are_one_object() -> None:
    scopes = loaded("acme", "other")
    for tenant in ("acme", "other"):
        scopes.take(snapshot(f"tenants/{tenant}", 6, provider("a", "m", "n", scope=f"tenants/{tenant}")))
    assert held(scopes, "acme").providers[0].models is held(scopes, "other").providers[0].models
