"""The matrix is worth its time: it finds every safeguard that is taken out of the code."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from libs.identity import peers, permissions
from libs.rpc import chain as chain_module
from tests.contract.authorization.callers import Tokens
from tests.contract.authorization.cases import cases
from tests.contract.authorization.differences import differences
from tests.identities import Identities


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old` in the source gives way to `new`; the cases of `method` show it."""

    old: str
    new: str
    method: str


_KEY = "/gatehouse.keyvault.v1.KeyService/"
_ACCESS_KEYS = "/gatehouse.keyvault.v1.KeyAccessService/AccessKeys"
_PROVIDER = "/gatehouse.providerconfig.v1.ProviderService/"
_QUOTA = "/gatehouse.usage.v1.QuotaService/"

PERMISSION_MUTATIONS = {
    "the tenants are not compared": Mutation("owner.tenant != caller.tenant", "False", _KEY + "GetKey"),
    "the users are not compared": Mutation("owner.user == caller.user", "True", _KEY + "GetKey"),
    "the platform is open": Mutation("is_platform and access is Access.READ_SHARED", "is_platform", _KEY + "GetKey"),
    "the platform is closed": Mutation(
        "owner.is_platform and access is Access.READ_SHARED", "False", _PROVIDER + "GetProvider"
    ),
    "READ_PRIVATE is as wide as READ_TENANT": Mutation(
        "or access is Access.READ_TENANT", "or access in {Access.READ_TENANT, Access.READ_PRIVATE}", _KEY + "GetKey"
    ),
    "READ_TENANT is as narrow as READ_PRIVATE": Mutation(
        "or access is Access.READ_TENANT", "or False", _QUOTA + "GetQuota"
    ),
    "roles do not matter": Mutation("rule.roles.isdisjoint(caller.roles)", "False", _KEY + "UpdateKey"),
    "tenant admins are operators": Mutation(
        "Role.SUPER_ADMIN in caller.roles", "not caller.roles.isdisjoint(_ADMINS)", _KEY + "GetKey"
    ),
    "members are tenant admins": Mutation(
        "Role.TENANT_ADMIN in caller.roles", "Role.MEMBER in caller.roles", _KEY + "GetKey"
    ),
    "services manage": Mutation("_ADMINS | {Role.MEMBER}", "ALL_ROLES", _KEY + "UpdateKey"),
    "operators are tenant admins": Mutation(
        "Rule(roles=frozenset({Role.SUPER_ADMIN}))",
        "Rule(roles=_ADMINS)",
        "/gatehouse.keyvault.v1.KeyMaintenanceService/RewrapKeys",
    ),
    "calls need no tenant": Mutation(
        "rule.access is Access.NONE or caller.tenant is not None",
        "True",
        "/gatehouse.router.v1.GenerationService/Generate",
    ),
    "every service is the router": Mutation("caller.service in rule.services", "bool(rule.services)", _ACCESS_KEYS),
    "key-vault is the router too": Mutation(
        'frozenset({"router"})', 'frozenset({"router", "key-vault"})', _ACCESS_KEYS
    ),
    "a certificate is as good as a token": Mutation(
        "return caller.service in rule.services", "return True", _KEY + "GetKey"
    ),
    "one rule is loosened": Mutation(
        'KeyService/GetKey": _read_private(', 'KeyService/GetKey": _read_shared(', _KEY + "GetKey"
    ),
    "members change one thing of administrators": Mutation(
        'QuotaService/DeleteQuota": _manage_as_admin(', 'QuotaService/DeleteQuota": _manage(', _QUOTA + "DeleteQuota"
    ),
    "one rule reads another field": Mutation(
        '"/gatehouse.providerconfig.v1.ProviderService/UpdateProvider": _manage("provider.name")',
        '"/gatehouse.providerconfig.v1.ProviderService/UpdateProvider": _manage("provider.key")',
        _PROVIDER + "UpdateProvider",
    ),
    "one rule forgets fresh MFA": Mutation(
        'KeyService/DeleteKey": _manage("name", fresh_mfa=True)',
        'KeyService/DeleteKey": _manage("name")',
        _KEY + "DeleteKey",
    ),
    "fresh MFA is never asked for": Mutation("not freshness.is_met_by(caller)", "False", _KEY + "CreateKey"),
    "everything asks for fresh MFA": Mutation("rule.fresh_mfa and freshness", "freshness", _KEY + "GetKey"),
}
PEER_MUTATIONS = {
    "any trust domain will do": Mutation(
        'prefix == f"spiffe://{trust_domain}" and is_id(service)', "is_id(service)", _ACCESS_KEYS
    ),
    "the first URI will do": Mutation("len(uris) != 1", "not uris", _ACCESS_KEYS),
    "the transport does not matter": Mutation('!= (b"ssl",)', "== ()", _ACCESS_KEYS),
    "other names count as well": Mutation('"peer_uri"', '"x509_subject_alternative_name"', _ACCESS_KEYS),
}


def mutated(module: ModuleType, mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A copy of `module` with the mutation in its source."""
    source = inspect.getsource(module)
    found = source.count(mutation.old)
    assert found == 1, f"adapt this mutation: {mutation.old!r} stands {found} times in {module.__name__}"
    copy = ModuleType(f"{module.__name__}_mutated")
    # Dataclasses look their own module up.
    monkeypatch.setitem(sys.modules, copy.__name__, copy)
    exec(compile(source.replace(mutation.old, mutation.new), copy.__name__, "exec"), copy.__dict__)
    return copy


async def finds_something(method: str, identities: Identities, tokens: Tokens) -> bool:
    async for _ in differences(cases(method), identities, tokens):
        return True
    return False


@pytest.mark.parametrize("name", PERMISSION_MUTATIONS)
async def test_a_safeguard_taken_out_of_the_permissions_is_found(
    name: str, identities: Identities, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation = PERMISSION_MUTATIONS[name]
    copy = mutated(permissions, mutation, monkeypatch)
    monkeypatch.setattr(chain_module, "authorize", copy.authorize)
    monkeypatch.setattr(chain_module, "resource_named", copy.resource_named)
    assert await finds_something(mutation.method, identities, tokens)


@pytest.mark.parametrize("name", PEER_MUTATIONS)
async def test_a_safeguard_taken_out_of_the_certificates_is_found(
    name: str, identities: Identities, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation = PEER_MUTATIONS[name]
    monkeypatch.setattr(chain_module, "peer_service", mutated(peers, mutation, monkeypatch).peer_service)
    assert await finds_something(mutation.method, identities, tokens)
