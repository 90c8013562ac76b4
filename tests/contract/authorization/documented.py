"""Who may call what, as the documentation has it: the table of RPCs, and the outcome of any call of one.

Nothing here comes from the code under test. A new RPC is one line in `RPCS`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.contract.authorization.callers import Caller, Peer, Person


class Kind(enum.Enum):
    """What an RPC does, and so who may call it."""

    READ_SHARED = "reads what a tenant shares with its users, and the platform with everybody"
    READ_TENANT = "reads what a tenant shares with its users"
    READ_PRIVATE = "reads what an owner keeps to itself"
    READ_AS_ADMIN = "reads what is for administrators"
    MANAGE = "changes what an owner has"
    MANAGE_AS_ADMIN = "changes what only administrators change"
    GENERATE = "acts for the caller's own tenant; names no resource"
    BEARER = "is the same for every bearer of a token; names no resource"
    OPERATE = "is for operators of the platform; names no resource"
    ROUTER = "is for the router by its certificate"
    PROVIDER_CONFIG = "is for provider_config by its certificate"
    ROUTER_AND_PROVIDER_CONFIG = "is for the router and provider_config by their certificates"


class Where(enum.Enum):
    """Whose resource a call names, seen by its caller."""

    PLATFORM = enum.auto()
    TENANT = enum.auto()
    SELF = enum.auto()
    COLLEAGUE = enum.auto()
    ELSEWHERE = enum.auto()


@dataclass(frozen=True, slots=True)
class Rpc:
    """One line of the table. `field` names the resource; `fresh`: asks for fresh MFA where the deployment does."""

    kind: Kind
    field: str | None = None
    fresh: bool = False


_KEY = "/gatehouse.keyvault.v1.KeyService/"
_ACCESS = "/gatehouse.keyvault.v1.KeyAccessService/"
_MAINTENANCE = "/gatehouse.keyvault.v1.KeyMaintenanceService/"
_AUDIT = "/gatehouse.keyvault.v1.AuditService/"
_PROVIDER = "/gatehouse.providerconfig.v1.ProviderService/"
_MODEL = "/gatehouse.providerconfig.v1.ModelService/"
_ROUTE = "/gatehouse.providerconfig.v1.RouteService/"
_PREFERENCE = "/gatehouse.providerconfig.v1.PreferenceService/"
_PROFILE = "/gatehouse.providerconfig.v1.ProfileService/"
_CONFIG_AUDIT = "/gatehouse.providerconfig.v1.AuditService/"
_SNAPSHOT = "/gatehouse.providerconfig.v1.SnapshotService/"
_GENERATION = "/gatehouse.router.v1.GenerationService/"
_HEALTH = "/gatehouse.router.v1.ProviderHealthService/"
_PROBE = "/gatehouse.router.v1.ProbeService/"
_LEDGER = "/gatehouse.usage.v1.LedgerService/"
_USAGE = "/gatehouse.usage.v1.UsageService/"
_QUOTA = "/gatehouse.usage.v1.QuotaService/"

RPCS: Mapping[str, Rpc] = {
    _KEY + "CreateKey": Rpc(Kind.MANAGE, "parent", fresh=True),
    _KEY + "GetKey": Rpc(Kind.READ_PRIVATE, "name"),
    _KEY + "ListKeys": Rpc(Kind.READ_PRIVATE, "parent"),
    _KEY + "UpdateKey": Rpc(Kind.MANAGE, "key.name"),
    _KEY + "RotateKey": Rpc(Kind.MANAGE, "name", fresh=True),
    _KEY + "RollbackKey": Rpc(Kind.MANAGE, "name", fresh=True),
    _KEY + "DisableKey": Rpc(Kind.MANAGE, "name"),
    _KEY + "EnableKey": Rpc(Kind.MANAGE, "name"),
    _KEY + "DestroyKeyVersion": Rpc(Kind.MANAGE, "name", fresh=True),
    _KEY + "DeleteKey": Rpc(Kind.MANAGE, "name", fresh=True),
    _KEY + "ListKeyNotifications": Rpc(Kind.READ_PRIVATE, "parent"),
    _ACCESS + "AccessKeys": Rpc(Kind.ROUTER),
    _ACCESS + "ReportKeyOutcomes": Rpc(Kind.ROUTER),
    _ACCESS + "CheckKeys": Rpc(Kind.ROUTER_AND_PROVIDER_CONFIG),
    _MAINTENANCE + "RewrapKeys": Rpc(Kind.OPERATE),
    _MAINTENANCE + "GetRewrapProgress": Rpc(Kind.OPERATE),
    _AUDIT + "ListAuditEvents": Rpc(Kind.READ_AS_ADMIN, "parent"),
    _AUDIT + "ExportAuditEvents": Rpc(Kind.READ_AS_ADMIN, "parent", fresh=True),
    _AUDIT + "VerifyAuditLog": Rpc(Kind.READ_AS_ADMIN, "parent"),
    _AUDIT + "ListKeyUse": Rpc(Kind.READ_PRIVATE, "parent"),
    _PROVIDER + "CreateProvider": Rpc(Kind.MANAGE, "parent"),
    _PROVIDER + "GetProvider": Rpc(Kind.READ_SHARED, "name"),
    _PROVIDER + "ListProviders": Rpc(Kind.READ_SHARED, "parent"),
    _PROVIDER + "UpdateProvider": Rpc(Kind.MANAGE, "provider.name"),
    _PROVIDER + "DeleteProvider": Rpc(Kind.MANAGE, "name"),
    _PROVIDER + "ListProviderTypes": Rpc(Kind.BEARER),
    _PROVIDER + "TestProvider": Rpc(Kind.MANAGE, "provider.name"),
    _PROVIDER + "ListProviderVersions": Rpc(Kind.READ_TENANT, "name"),
    _PROVIDER + "RollbackProvider": Rpc(Kind.MANAGE, "name"),
    _MODEL + "CreateModel": Rpc(Kind.MANAGE, "parent"),
    _MODEL + "GetModel": Rpc(Kind.READ_SHARED, "name"),
    _MODEL + "ListModels": Rpc(Kind.READ_SHARED, "parent"),
    _MODEL + "UpdateModel": Rpc(Kind.MANAGE, "model.name"),
    _MODEL + "DeleteModel": Rpc(Kind.MANAGE, "name"),
    _MODEL + "SyncModels": Rpc(Kind.MANAGE, "parent"),
    _ROUTE + "CreateRoute": Rpc(Kind.MANAGE_AS_ADMIN, "parent"),
    _ROUTE + "GetRoute": Rpc(Kind.READ_TENANT, "name"),
    _ROUTE + "ListRoutes": Rpc(Kind.READ_TENANT, "parent"),
    _ROUTE + "UpdateRoute": Rpc(Kind.MANAGE_AS_ADMIN, "route.name"),
    _ROUTE + "DeleteRoute": Rpc(Kind.MANAGE_AS_ADMIN, "name"),
    _ROUTE + "ListRouteVersions": Rpc(Kind.READ_TENANT, "name"),
    _ROUTE + "RollbackRoute": Rpc(Kind.MANAGE_AS_ADMIN, "name"),
    _ROUTE + "GetRoutingPolicy": Rpc(Kind.READ_TENANT, "parent"),
    _ROUTE + "UpdateRoutingPolicy": Rpc(Kind.MANAGE_AS_ADMIN, "parent"),
    _PREFERENCE + "GetPreferences": Rpc(Kind.READ_PRIVATE, "parent"),
    _PREFERENCE + "UpdatePreferences": Rpc(Kind.MANAGE, "parent"),
    _PROFILE + "CreateProfile": Rpc(Kind.MANAGE, "parent"),
    _PROFILE + "GetProfile": Rpc(Kind.READ_PRIVATE, "name"),
    _PROFILE + "ListProfiles": Rpc(Kind.READ_PRIVATE, "parent"),
    _PROFILE + "UpdateProfile": Rpc(Kind.MANAGE, "profile.name"),
    _PROFILE + "DeleteProfile": Rpc(Kind.MANAGE, "name"),
    _PROFILE + "ActivateProfile": Rpc(Kind.MANAGE, "name"),
    _PROFILE + "DeactivateProfile": Rpc(Kind.MANAGE, "parent"),
    _CONFIG_AUDIT + "ListAuditEvents": Rpc(Kind.READ_AS_ADMIN, "parent"),
    _CONFIG_AUDIT + "ExportAuditEvents": Rpc(Kind.READ_AS_ADMIN, "parent", fresh=True),
    _CONFIG_AUDIT + "VerifyAuditLog": Rpc(Kind.READ_AS_ADMIN, "parent"),
    _SNAPSHOT + "WatchSnapshots": Rpc(Kind.ROUTER),
    _GENERATION + "Generate": Rpc(Kind.GENERATE),
    _GENERATION + "StreamGenerate": Rpc(Kind.GENERATE),
    _GENERATION + "Embed": Rpc(Kind.GENERATE),
    _GENERATION + "ExplainRoute": Rpc(Kind.GENERATE),
    _GENERATION + "EstimateCost": Rpc(Kind.GENERATE),
    _GENERATION + "ListModels": Rpc(Kind.GENERATE),
    _HEALTH + "ListProviderHealth": Rpc(Kind.GENERATE),
    _PROBE + "ProbeProvider": Rpc(Kind.PROVIDER_CONFIG),
    _LEDGER + "ReserveUsage": Rpc(Kind.ROUTER),
    _LEDGER + "SettleUsage": Rpc(Kind.ROUTER),
    _LEDGER + "ReleaseUsage": Rpc(Kind.ROUTER),
    _USAGE + "ListUsageRecords": Rpc(Kind.READ_TENANT, "parent"),
    _USAGE + "GetUsageStats": Rpc(Kind.READ_TENANT, "parent"),
    _USAGE + "GetExperimentStats": Rpc(Kind.READ_AS_ADMIN, "name"),
    _QUOTA + "CreateQuota": Rpc(Kind.MANAGE_AS_ADMIN, "parent"),
    _QUOTA + "GetQuota": Rpc(Kind.READ_TENANT, "name"),
    _QUOTA + "ListQuotas": Rpc(Kind.READ_TENANT, "parent"),
    _QUOTA + "UpdateQuota": Rpc(Kind.MANAGE_AS_ADMIN, "quota.name"),
    _QUOTA + "DeleteQuota": Rpc(Kind.MANAGE_AS_ADMIN, "name"),
    _QUOTA + "GetQuotaState": Rpc(Kind.READ_TENANT, "name"),
}

_EVERYWHERE = frozenset(Where)
_OWN = frozenset({Where.TENANT, Where.SELF, Where.COLLEAGUE})

# Kind -> role -> whose resources it reaches. A role that is missing reaches none; roles add up.
_REACH: Mapping[Kind, Mapping[str, frozenset[Where]]] = {
    Kind.READ_SHARED: {
        "member": frozenset({Where.PLATFORM, Where.TENANT, Where.SELF}),
        "service": frozenset({Where.PLATFORM, Where.TENANT, Where.SELF}),
        "tenant_admin": _OWN | {Where.PLATFORM},
        "super_admin": _EVERYWHERE,
    },
    Kind.READ_TENANT: {
        "member": frozenset({Where.TENANT, Where.SELF}),
        "service": frozenset({Where.TENANT, Where.SELF}),
        "tenant_admin": _OWN,
        "super_admin": _EVERYWHERE,
    },
    Kind.READ_PRIVATE: {
        "member": frozenset({Where.SELF}),
        "service": frozenset({Where.SELF}),
        "tenant_admin": _OWN,
        "super_admin": _EVERYWHERE,
    },
    Kind.READ_AS_ADMIN: {"tenant_admin": _OWN, "super_admin": _EVERYWHERE},
    Kind.MANAGE: {"member": frozenset({Where.SELF}), "tenant_admin": _OWN, "super_admin": _EVERYWHERE},
    Kind.MANAGE_AS_ADMIN: {"tenant_admin": _OWN, "super_admin": _EVERYWHERE},
}

# Kind -> the services that may call, by their certificates.
_SERVICES: Mapping[Kind, frozenset[str]] = {
    Kind.ROUTER: frozenset({"router"}),
    Kind.PROVIDER_CONFIG: frozenset({"provider-config"}),
    Kind.ROUTER_AND_PROVIDER_CONFIG: frozenset({"router", "provider-config"}),
}

RAN = "ran"
UNAUTHENTICATED = "unauthenticated"
DENIED = "denied"
FRESH = "must authenticate afresh"
NO_MESSAGE = "wrong request"


def wrong(field: str) -> str:
    """The outcome of a call whose `field` holds no resource name."""
    return f"wrong {field}"


def service_of(caller: Caller) -> str | None:
    """The service a certificate proves."""
    if isinstance(caller, Person) or caller.transport != "ssl" or len(caller.uris) != 1:
        return None
    match = re.fullmatch(r"spiffe://gatehouse/([a-z][a-z-]*)", caller.uris[0])
    return match[1] if match else None


def outcome(rpc: Rpc | None, caller: Caller, resource: str | None, *, demands_mfa: bool) -> str:
    """How the call ends. `rpc` None: a method nobody wrote a rule for. `resource`: what stands in the RPC's field."""
    if not _is_established(caller):
        return UNAUTHENTICATED
    if rpc is None:
        return DENIED
    if isinstance(caller, Peer):
        return RAN if service_of(caller) in _SERVICES.get(rpc.kind, ()) else DENIED
    if not _may(rpc, caller):
        return DENIED
    refused = _refused(rpc, caller, resource or "") if rpc.field is not None else None
    return refused or (FRESH if rpc.fresh and demands_mfa and not caller.mfa else RAN)


def _refused(rpc: Rpc, caller: Person, resource: str) -> str | None:
    where = _where(caller, resource)
    if where is None:
        return wrong(str(rpc.field))
    return None if any(where in _REACH[rpc.kind].get(role, ()) for role in caller.roles) else DENIED


def _is_established(caller: Caller) -> bool:
    if isinstance(caller, Peer):
        return service_of(caller) is not None
    return caller.tenant is not None or "super_admin" in caller.roles


def _may(rpc: Rpc, caller: Person) -> bool:
    """Whether the roles are any good, whatever the resource."""
    match rpc.kind:
        case Kind.ROUTER | Kind.PROVIDER_CONFIG | Kind.ROUTER_AND_PROVIDER_CONFIG:
            return False
        case Kind.OPERATE:
            return "super_admin" in caller.roles
        case Kind.BEARER:
            return bool(caller.roles)
        case Kind.GENERATE:
            return bool(caller.roles) and caller.tenant is not None
        case _:
            return not caller.roles.isdisjoint(_REACH[rpc.kind])


def _where(caller: Person, name: str) -> Where | None:
    """None for what is no resource name: an owner, then pairs of collection and id."""
    if len(name) > 512:
        return None
    first, *rest = name.split("/")
    if first == "platform":
        return Where.PLATFORM if _are_pairs(rest) else None
    if first != "tenants" or not rest or not _are_pairs(["tenants", *rest]):
        return None
    tenant, *rest = rest
    user = rest[1] if rest[:1] == ["users"] else None
    if tenant != caller.tenant:
        return Where.ELSEWHERE
    if user is None:
        return Where.TENANT
    return Where.SELF if user == caller.user else Where.COLLEAGUE


def _are_pairs(parts: list[str]) -> bool:
    collections, ids = parts[::2], parts[1::2]
    return len(collections) == len(ids) and all(map(_is_collection, collections)) and all(map(_is_id, ids))


def _is_collection(part: str) -> bool:
    return part.isascii() and part.isalpha() and part.islower()


def _is_id(part: str) -> bool:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    return 1 <= len(part) <= 63 and set(part) <= allowed and part[0] not in "._-"
