"""Who may do what: the whole matrix, spelled out independently of the table's own helpers."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import GatehouseError, InvalidArgument, PermissionDenied
from libs.core.resource_names import ID_PATTERN, KeyName, ModelName, Owner, ProviderName
from libs.identity import permissions
from libs.identity.caller import Caller, Role
from libs.identity.permissions import (
    DENIAL,
    PERMISSIONS,
    UNAUTHENTICATED_METHODS,
    Access,
    Rule,
    authorize,
    narrowed,
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
EVERYWHERE = frozenset(OWNERS)
OWN_TENANT = frozenset({"tenant", "self", "colleague"})

# kind of method -> caller -> the owners it reaches; a caller that is not listed reaches none.
Reach = Mapping[str, AbstractSet[str]]

READ_SHARED: Reach = {
    "member": {"platform", "tenant", "self"},
    "service": {"platform", "tenant", "self"},
    "tenant_admin": OWN_TENANT | {"platform"},
    "super_admin": EVERYWHERE,
}
READ_TENANT: Reach = {
    "member": {"tenant", "self"},
    "service": {"tenant", "self"},
    "tenant_admin": OWN_TENANT,
    "super_admin": EVERYWHERE,
}
READ_PRIVATE: Reach = {"member": {"self"}, "service": {"self"}, "tenant_admin": OWN_TENANT, "super_admin": EVERYWHERE}
MANAGE: Reach = {"member": {"self"}, "tenant_admin": OWN_TENANT, "super_admin": EVERYWHERE}
MANAGE_AS_ADMIN: Reach = {"tenant_admin": OWN_TENANT, "super_admin": EVERYWHERE}

KEY = "/gatehouse.keyvault.v1.KeyService/"
PROVIDER = "/gatehouse.providerconfig.v1.ProviderService/"
MODEL = "/gatehouse.providerconfig.v1.ModelService/"
USAGE = "/gatehouse.usage.v1.UsageService/"
QUOTA = "/gatehouse.usage.v1.QuotaService/"

# method -> (field, suffix that makes a resource name of an owner, who reaches what)
ON_RESOURCES: dict[str, tuple[str, str, Reach]] = {
    KEY + "CreateKey": ("parent", "", MANAGE),
    KEY + "GetKey": ("name", "/keys/k", READ_PRIVATE),
    KEY + "ListKeys": ("parent", "", READ_PRIVATE),
    KEY + "RotateKey": ("name", "/keys/k", MANAGE),
    KEY + "DeleteKey": ("name", "/keys/k", MANAGE),
    PROVIDER + "CreateProvider": ("parent", "", MANAGE),
    PROVIDER + "GetProvider": ("name", "/providers/p", READ_SHARED),
    PROVIDER + "ListProviders": ("parent", "", READ_SHARED),
    PROVIDER + "UpdateProvider": ("provider.name", "/providers/p", MANAGE),
    PROVIDER + "DeleteProvider": ("name", "/providers/p", MANAGE),
    MODEL + "CreateModel": ("parent", "/providers/p", MANAGE),
    MODEL + "GetModel": ("name", "/providers/p/models/m", READ_SHARED),
    MODEL + "ListModels": ("parent", "/providers/p", READ_SHARED),
    MODEL + "UpdateModel": ("model.name", "/providers/p/models/m", MANAGE),
    MODEL + "DeleteModel": ("name", "/providers/p/models/m", MANAGE),
    USAGE + "ListUsageRecords": ("parent", "", READ_TENANT),
    USAGE + "GetUsageStats": ("parent", "", READ_TENANT),
    QUOTA + "CreateQuota": ("parent", "", MANAGE_AS_ADMIN),
    QUOTA + "GetQuota": ("name", "/quotas/q", READ_TENANT),
    QUOTA + "ListQuotas": ("parent", "", READ_TENANT),
    QUOTA + "UpdateQuota": ("quota.name", "/quotas/q", MANAGE_AS_ADMIN),
    QUOTA + "DeleteQuota": ("name", "/quotas/q", MANAGE_AS_ADMIN),
    QUOTA + "GetQuotaState": ("name", "/quotas/q", READ_TENANT),
}
ROUTER_ONLY = {
    "/gatehouse.keyvault.v1.KeyAccessService/AccessKeys",
    "/gatehouse.providerconfig.v1.SnapshotService/WatchSnapshots",
    "/gatehouse.usage.v1.LedgerService/ReserveUsage",
    "/gatehouse.usage.v1.LedgerService/SettleUsage",
    "/gatehouse.usage.v1.LedgerService/ReleaseUsage",
}
TENANT_CALLERS = {
    "/gatehouse.router.v1.GenerationService/Generate",
    "/gatehouse.router.v1.GenerationService/StreamGenerate",
    "/gatehouse.router.v1.GenerationService/ExplainRoute",
}
ANY_BEARER = {PROVIDER + "ListProviderTypes"}


def allowed(method: str, caller: Caller, resource: str | None) -> bool:
    try:
        authorize(method, caller, resource)
    except PermissionDenied:
        return False
    return True


def test_the_table_lists_exactly_the_known_methods() -> None:
    assert {*ON_RESOURCES, *ROUTER_ONLY, *TENANT_CALLERS, *ANY_BEARER} == set(PERMISSIONS)
    assert not UNAUTHENTICATED_METHODS & set(PERMISSIONS)
    assert all("gatehouse" not in method for method in UNAUTHENTICATED_METHODS)


@pytest.mark.parametrize("method", ON_RESOURCES)
def test_each_caller_reaches_exactly_its_owners(method: str) -> None:
    field_name, suffix, reach = ON_RESOURCES[method]
    assert PERMISSIONS[method].resource == field_name
    for who, caller in CALLERS.items():
        reached = {owner for owner, name in OWNERS.items() if allowed(method, caller, name + suffix)}
        assert reached == set(reach.get(who, set())), who


@pytest.mark.parametrize("method", sorted(ROUTER_ONLY))
def test_only_the_router_calls_the_inner_methods(method: str) -> None:
    assert {who for who, caller in CALLERS.items() if allowed(method, caller, None)} == {"router"}
    everything = bearer(*Role)
    assert not allowed(method, everything, None)
    # A user called like the service is still a user.
    assert not allowed(method, bearer(*Role, user="router"), None)


@pytest.mark.parametrize("method", sorted(TENANT_CALLERS))
def test_generation_needs_a_tenant_and_a_role(method: str) -> None:
    assert {who for who, caller in CALLERS.items() if allowed(method, caller, None)} == {
        "member",
        "service",
        "tenant_admin",
    }
    assert allowed(method, bearer(Role.SUPER_ADMIN, tenant="acme"), None)


def test_provider_types_are_for_every_bearer() -> None:
    who_may = {who for who, caller in CALLERS.items() if allowed(PROVIDER + "ListProviderTypes", caller, None)}
    assert who_may == {"member", "service", "tenant_admin", "super_admin"}


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
        (next(iter(ROUTER_ONLY)), member, None),
    ):
        with pytest.raises(PermissionDenied) as caught:
            authorize(method, caller, resource)
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
        authorize(PROVIDER + "UpdateProvider", CALLERS["member"], name)
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
    for method, (_, _, reach) in ON_RESOURCES.items():
        for who in ("member", "service", "tenant_admin"):
            try:
                authorize(method, CALLERS[who], name)
            except GatehouseError:
                continue
            own = name == "tenants/acme" or name.startswith("tenants/acme/")
            assert own or (name.split("/")[0] == "platform" and "platform" in reach.get(who, ()))


@dataclass
class Request:
    name: str = "tenants/acme/keys/k"
    provider: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="tenants/acme/providers/p"))


def test_the_rule_finds_the_resource_in_the_request() -> None:
    assert PERMISSIONS[KEY + "GetKey"].resource_of(Request()) == "tenants/acme/keys/k"
    assert PERMISSIONS[PROVIDER + "UpdateProvider"].resource_of(Request()) == "tenants/acme/providers/p"
    assert PERMISSIONS["/gatehouse.router.v1.GenerationService/Generate"].resource_of(Request()) is None
    assert PERMISSIONS[KEY + "GetKey"].resource_of(SimpleNamespace(name=b"x")) is None


def test_a_rule_says_both_resource_and_access_or_neither() -> None:
    with pytest.raises(ValueError, match="how it is accessed"):
        Rule(resource="name")
    with pytest.raises(ValueError, match="how it is accessed"):
        Rule(access=Access.MANAGE)


def test_a_member_sees_only_its_own_part_of_the_tenants_usage() -> None:
    tenant = Owner("acme")
    assert narrowed(CALLERS["member"], tenant) == Owner("acme", "ann")
    assert narrowed(CALLERS["service"], tenant) == Owner("acme", "ann")
    assert narrowed(CALLERS["member"], Owner("acme", "ann")) == Owner("acme", "ann")
    assert narrowed(CALLERS["tenant_admin"], tenant) == tenant
    assert narrowed(CALLERS["super_admin"], Owner("rival")) == Owner("rival")
    assert narrowed(CALLERS["super_admin"], Owner()) == Owner()
