"""How the decision is made. Who may do what is spelled out, for every RPC, in `tests/contract/authorization`."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import GatehouseError, InvalidArgument, PermissionDenied, Unauthenticated
from libs.core.resource_names import ID_PATTERN, KeyName, ModelName, Owner, ProviderName
from libs.identity import permissions
from libs.identity.caller import Caller, Role
from libs.identity.freshness import Freshness
from libs.identity.permissions import (
    DENIAL,
    PERMISSIONS,
    UNAUTHENTICATED_METHODS,
    Access,
    Rule,
    authorize,
    narrowed,
    resource_named,
)


def bearer(*roles: Role, tenant: str | None = "acme", user: str = "ann") -> Caller:
    return Caller(tenant=tenant, user=user, roles=frozenset(roles))


CALLERS = {
    "member": bearer(Role.MEMBER),
    "service": bearer(Role.SERVICE),
    "tenant_admin": bearer(Role.TENANT_ADMIN),
    "super_admin": bearer(Role.SUPER_ADMIN, tenant=None),
    "nobody": bearer(),
    "router": Caller(service="router"),
    "key-vault": Caller(service="key-vault"),
    "usage-accounting": Caller(service="usage-accounting"),
}
OWNERS = {
    "platform": "platform",
    "tenant": "tenants/acme",
    "self": "tenants/acme/users/ann",
    "colleague": "tenants/acme/users/bob",
    "rival": "tenants/rival",
    "rivals_ann": "tenants/rival/users/ann",
}
KEY = "/gatehouse.keyvault.v1.KeyService/"
PROVIDER = "/gatehouse.providerconfig.v1.ProviderService/"
QUOTA = "/gatehouse.usage.v1.QuotaService/"
ACCESS_KEYS = "/gatehouse.keyvault.v1.KeyAccessService/AccessKeys"


def allowed(method: str, caller: Caller, resource: str | None) -> bool:
    try:
        authorize(method, caller, resource, None)
    except PermissionDenied:
        return False
    return True


def test_what_is_open_to_the_unauthenticated_is_nothing_of_the_api() -> None:
    assert not UNAUTHENTICATED_METHODS & set(PERMISSIONS)
    assert all("gatehouse" not in method for method in UNAUTHENTICATED_METHODS)


def test_a_user_called_like_a_service_is_still_a_user() -> None:
    assert allowed(ACCESS_KEYS, CALLERS["router"], None)
    assert not allowed(ACCESS_KEYS, bearer(*Role, user="router"), None)


@pytest.mark.parametrize(
    "method",
    [
        "/gatehouse.keyvault.v1.KeyService/RevealKey",
        "/gatehouse.keyvault.v1.KeyService/createkey",
        "gatehouse.keyvault.v1.KeyService/CreateKey",
        "/gatehouse.keyvault.v1.KeyService/CreateKey/",
        "//gatehouse.keyvault.v1.KeyService/CreateKey",
        "/grpc.health.v1.Health/Check",
        "",
    ],
)
def test_a_method_that_is_not_listed_is_denied_to_all(method: str) -> None:
    for caller in (*CALLERS.values(), bearer(*Role), bearer(*Role, tenant=None)):
        for resource in (None, *OWNERS.values()):
            assert not allowed(method, caller, resource)


def test_an_empty_rule_is_met_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "PERMISSIONS", {"/x/Y": Rule()})
    assert not any(allowed("/x/Y", caller, None) for caller in (*CALLERS.values(), bearer(*Role)))


def test_every_denial_reads_the_same() -> None:
    member = CALLERS["member"]
    denials = []
    for method, caller, resource in (
        ("/no.such/Method", member, None),
        (KEY + "GetKey", member, "tenants/rival/keys/k"),
        (KEY + "GetKey", member, "tenants/nowhere/keys/k"),
        (KEY + "GetKey", CALLERS["nobody"], "tenants/acme/keys/k"),
        (KEY + "GetKey", CALLERS["router"], "tenants/acme/keys/k"),
        (QUOTA + "CreateQuota", member, "not a name at all"),
        (ACCESS_KEYS, member, None),
    ):
        with pytest.raises(PermissionDenied) as caught:
            authorize(method, caller, resource, None)
        error = caught.value
        denials.append((error.reason, error.message, dict(error.metadata), error.domain, error.retry_delay_s))
    assert set(map(str, denials)) == {str(("PERMISSION_DENIED", DENIAL, {}, None, None))}


@pytest.mark.parametrize(
    "name",
    ["", "tenants/", "tenants/acme/", "tenants/acme/../rival/keys/k", "tenants/ACME/keys/k", "tenants/acme\n",
     "/tenants/acme", "tenants/acme//keys/k", "tenants/acme/keys/../../rival", "tenants/%61cme/keys/k", "x" * 600],
)  # fmt: skip
def test_a_name_that_is_none_is_named_as_the_wrong_field(name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        authorize(PROVIDER + "UpdateProvider", CALLERS["member"], name, None)
    assert [violation.field for violation in caught.value.field_violations] == ["provider.name"]


def test_a_rule_with_a_resource_is_not_met_without_one() -> None:
    assert not allowed(KEY + "GetKey", CALLERS["super_admin"], None)


def test_a_bearer_outside_every_tenant_reaches_no_tenant() -> None:
    stray = Caller(tenant=None, user="ann", roles=frozenset({Role.MEMBER, Role.TENANT_ADMIN}))
    reached = {owner for owner, name in OWNERS.items() if allowed(KEY + "ListKeys", stray, name)}
    assert reached == set()


IDS = st.from_regex(ID_PATTERN, fullmatch=True)
OWNER_VALUES = st.one_of(st.just(Owner()), st.builds(Owner, IDS), st.builds(Owner, IDS, IDS))


@given(owner=OWNER_VALUES, first=IDS, second=IDS)
def test_the_authorized_owner_is_the_one_the_servicer_parses(owner: Owner, first: str, second: str) -> None:
    provider = ProviderName(owner, first)
    for name in (owner, KeyName(owner, first), provider, ModelName(provider, second)):
        assert Owner.of(str(name)) == owner


PIECES = st.sampled_from(
    ["tenants", "acme", "rival", "users", "ann", "bob", "keys", "k", "platform", "..", ".", "", "%2e%2e", "providers"]
)


@given(pieces=st.lists(PIECES, max_size=8), separator=st.sampled_from(["/", "//", "\\", "/ "]))
def test_no_forged_name_reaches_another_tenant(pieces: list[str], separator: str) -> None:
    name = separator.join(pieces)
    for method, rule in PERMISSIONS.items():
        for who in ("member", "service", "tenant_admin"):
            try:
                authorize(method, CALLERS[who], name, None)
            except GatehouseError:
                continue
            own = name == "tenants/acme" or name.startswith("tenants/acme/")
            shared = name.split("/")[0] == "platform" and rule.access is Access.READ_SHARED
            assert rule.resource is None or own or shared


@dataclass
class Request:
    name: str = "tenants/acme/keys/k"
    provider: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="tenants/acme/providers/p"))


def test_the_rule_finds_the_resource_in_the_request() -> None:
    assert resource_named(KEY + "GetKey", Request()) == "tenants/acme/keys/k"
    assert resource_named(PROVIDER + "UpdateProvider", Request()) == "tenants/acme/providers/p"
    assert resource_named("/gatehouse.router.v1.GenerationService/Generate", Request()) is None
    assert resource_named(KEY + "GetKey", SimpleNamespace(name=b"x")) is None
    assert resource_named("/no.such/Method", Request()) is None


def test_a_rule_says_both_resource_and_access_or_neither() -> None:
    with pytest.raises(ValueError, match="how it is accessed"):
        Rule(resource="name")
    with pytest.raises(ValueError, match="how it is accessed"):
        Rule(access=Access.MANAGE)


def test_a_rule_for_services_asks_for_no_second_factor() -> None:
    with pytest.raises(ValueError, match="no second factor"):
        Rule(services=frozenset({"router"}), fresh_mfa=True)


def test_who_may_not_is_not_told_that_signing_in_again_would_help() -> None:
    demanded = Freshness(max_age_s=300)
    for caller, resource in (
        (CALLERS["service"], "tenants/acme/users/ann/keys/k"),
        (CALLERS["member"], "tenants/acme/keys/k"),
        (CALLERS["tenant_admin"], "tenants/rival/keys/k"),
        (CALLERS["router"], "tenants/acme/keys/k"),
    ):
        with pytest.raises(PermissionDenied, match=DENIAL):
            authorize(KEY + "DeleteKey", caller, resource, demanded)
    with pytest.raises(InvalidArgument):
        authorize(KEY + "DeleteKey", CALLERS["member"], "nonsense", demanded)


def test_a_second_factor_is_asked_for_only_where_the_deployment_demands_it() -> None:
    member, own = CALLERS["member"], "tenants/acme/users/ann/keys/k"
    demanded = Freshness(max_age_s=300)
    authorize(KEY + "DeleteKey", member, own, None)
    authorize(KEY + "GetKey", member, own, demanded)
    with pytest.raises(Unauthenticated) as caught:
        authorize(KEY + "DeleteKey", member, own, demanded)
    assert caught.value.reason == "FRESH_AUTHENTICATION_REQUIRED"


def test_a_member_sees_only_its_own_part_of_the_tenants_usage() -> None:
    tenant = Owner("acme")
    assert narrowed(CALLERS["member"], tenant) == Owner("acme", "ann")
    assert narrowed(CALLERS["service"], tenant) == Owner("acme", "ann")
    assert narrowed(CALLERS["member"], Owner("acme", "ann")) == Owner("acme", "ann")
    assert narrowed(CALLERS["tenant_admin"], tenant) == tenant
    assert narrowed(CALLERS["super_admin"], Owner("rival")) == Owner("rival")
    assert narrowed(CALLERS["super_admin"], Owner()) == Owner()
