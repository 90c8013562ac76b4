"""THE authorization decision: one table, one function, denied by default."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType

from libs.core.errors import PermissionDenied
from libs.core.resource_names import Owner
from libs.identity.caller import ALL_ROLES, Caller, Role
from libs.identity.freshness import Freshness

DENIAL = "you may not do this, or the resource does not exist"


class Access(enum.Enum):
    """What a call does to the resource it names, and so whose resources it may name.

    | access       | platform    | own tenant   | own user | others of the tenant | other tenants |
    |--------------|-------------|--------------|----------|----------------------|---------------|
    | READ_SHARED  | anyone      | anyone       | itself   | tenant admin         | super admin   |
    | READ_TENANT  | super admin | anyone       | itself   | tenant admin         | super admin   |
    | READ_PRIVATE | super admin | tenant admin | itself   | tenant admin         | super admin   |
    | MANAGE       | super admin | tenant admin | member   | tenant admin         | super admin   |

    "Anyone" and "itself" are those with a role of the rule.
    """

    NONE = "none"
    """No resource: the roles decide alone."""
    ACT = "act"
    """No resource either, but the caller acts for its own tenant and must have one."""
    READ_SHARED = "read_shared"
    READ_TENANT = "read_tenant"
    READ_PRIVATE = "read_private"
    MANAGE = "manage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may call a method. Empty, it is met by nobody.

    `services` are peers known by certificate; `roles` are bearers of tokens; neither stands in for the other.
    `resource` is the request's field that names the resource, dotted (`provider.name`). `fresh_mfa` marks what a
    stolen token must not be enough for: where the deployment demands it, the bearer must have authenticated just now
    with a second factor.
    """

    services: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    resource: str | None = None
    access: Access = Access.NONE
    fresh_mfa: bool = False

    def __post_init__(self) -> None:
        if (self.resource is not None) != (self.access not in (Access.NONE, Access.ACT)):
            raise ValueError("a rule with a resource says how it is accessed, and the other way round")
        if self.fresh_mfa and self.services:
            raise ValueError("a service has no second factor")

    def resource_of(self, request: object) -> str | None:
        """The resource name inside `request`, None when the method has none."""
        if self.resource is None:
            return None
        name = attrgetter(self.resource)(request)
        return name if isinstance(name, str) else None


def authorize(method: str, caller: Caller, resource_name: str | None, freshness: Freshness | None) -> None:
    """Return if `caller` may call `method` (full name, `/package.Service/Method`) on `resource_name`.

    `freshness` is what the deployment demands of rules with `fresh_mfa`, None for nothing. Raises PermissionDenied,
    always with the same reason and text, so that nothing is learned from it; InvalidArgument naming the field when a
    caller who might be allowed sends a name that is none; and Unauthenticated `FRESH_AUTHENTICATION_REQUIRED`, which
    only a caller gets to see who may do it otherwise.
    """
    rule = PERMISSIONS.get(method)
    if rule is None or not _allowed(rule, caller, resource_name):
        raise PermissionDenied("PERMISSION_DENIED", DENIAL)
    if rule.fresh_mfa and freshness is not None and not freshness.is_met_by(caller):
        raise freshness.challenge()


def resource_named(method: str, request: object) -> str | None:
    """The resource name inside `request` that `method` is authorized by, as it was sent; None when it has none."""
    rule = PERMISSIONS.get(method)
    return None if rule is None else rule.resource_of(request)


def narrowed(caller: Caller, parent: Owner) -> Owner:
    """The part of `parent` whose usage records `caller` sees: a member asking about its tenant sees its own.

    For servicers behind a READ_TENANT rule, after `authorize`.
    """
    if parent.tenant is None or parent.user is not None or not caller.roles.isdisjoint(_ADMINS):
        return parent
    return caller.owner


def _allowed(rule: Rule, caller: Caller, resource_name: str | None) -> bool:
    if caller.service is not None:
        return caller.service in rule.services
    if rule.roles.isdisjoint(caller.roles):
        return False
    if rule.resource is None:
        return rule.access is Access.NONE or caller.tenant is not None
    if resource_name is None:
        return False
    return _reaches(caller, rule.access, Owner.of(resource_name, field=rule.resource))


def _reaches(caller: Caller, access: Access, owner: Owner) -> bool:
    if Role.SUPER_ADMIN in caller.roles:
        return True
    if caller.tenant is None or owner.tenant != caller.tenant:
        return owner.is_platform and access is Access.READ_SHARED
    if Role.TENANT_ADMIN in caller.roles:
        return True
    if owner.user is None:
        return access is Access.READ_SHARED or access is Access.READ_TENANT
    return owner.user == caller.user


_ADMINS = frozenset({Role.SUPER_ADMIN, Role.TENANT_ADMIN})
_MANAGERS = _ADMINS | {Role.MEMBER}

_ROUTER_ONLY = Rule(services=frozenset({"router"}))
_PROVIDER_CONFIG_ONLY = Rule(services=frozenset({"provider-config"}))
_ROUTER_AND_PROVIDER_CONFIG = Rule(services=frozenset({"router", "provider-config"}))
_OPERATOR = Rule(roles=frozenset({Role.SUPER_ADMIN}))
_ANYONE = Rule(roles=ALL_ROLES)
_TENANT_CALLER = Rule(roles=ALL_ROLES, access=Access.ACT)


def _read_shared(resource: str) -> Rule:
    return Rule(roles=ALL_ROLES, resource=resource, access=Access.READ_SHARED)


def _read_tenant(resource: str) -> Rule:
    return Rule(roles=ALL_ROLES, resource=resource, access=Access.READ_TENANT)


def _read_private(resource: str) -> Rule:
    return Rule(roles=ALL_ROLES, resource=resource, access=Access.READ_PRIVATE)


def _manage(resource: str, *, fresh_mfa: bool = False) -> Rule:
    return Rule(roles=_MANAGERS, resource=resource, access=Access.MANAGE, fresh_mfa=fresh_mfa)


def _manage_as_admin(resource: str) -> Rule:
    return Rule(roles=_ADMINS, resource=resource, access=Access.MANAGE)


def _read_as_admin(resource: str, *, fresh_mfa: bool = False) -> Rule:
    return Rule(roles=_ADMINS, resource=resource, access=Access.READ_PRIVATE, fresh_mfa=fresh_mfa)


PERMISSIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "/gatehouse.keyvault.v1.KeyService/CreateKey": _manage("parent", fresh_mfa=True),
        "/gatehouse.keyvault.v1.KeyService/GetKey": _read_private("name"),
        "/gatehouse.keyvault.v1.KeyService/ListKeys": _read_private("parent"),
        "/gatehouse.keyvault.v1.KeyService/RotateKey": _manage("name", fresh_mfa=True),
        "/gatehouse.keyvault.v1.KeyService/DeleteKey": _manage("name", fresh_mfa=True),
        "/gatehouse.keyvault.v1.KeyService/UpdateKey": _manage("key.name"),
        "/gatehouse.keyvault.v1.KeyService/RollbackKey": _manage("name", fresh_mfa=True),
        "/gatehouse.keyvault.v1.KeyService/DisableKey": _manage("name"),
        "/gatehouse.keyvault.v1.KeyService/EnableKey": _manage("name"),
        "/gatehouse.keyvault.v1.KeyService/DestroyKeyVersion": _manage("name", fresh_mfa=True),
        "/gatehouse.keyvault.v1.KeyService/ListKeyNotifications": _read_private("parent"),
        "/gatehouse.keyvault.v1.KeyAccessService/AccessKeys": _ROUTER_ONLY,
        "/gatehouse.keyvault.v1.KeyAccessService/ReportKeyOutcomes": _ROUTER_ONLY,
        "/gatehouse.keyvault.v1.KeyAccessService/CheckKeys": _ROUTER_AND_PROVIDER_CONFIG,
        "/gatehouse.keyvault.v1.KeyMaintenanceService/RewrapKeys": _OPERATOR,
        "/gatehouse.keyvault.v1.KeyMaintenanceService/GetRewrapProgress": _OPERATOR,
        "/gatehouse.keyvault.v1.AuditService/ListAuditEvents": _read_as_admin("parent"),
        "/gatehouse.keyvault.v1.AuditService/ExportAuditEvents": _read_as_admin("parent", fresh_mfa=True),
        "/gatehouse.keyvault.v1.AuditService/VerifyAuditLog": _read_as_admin("parent"),
        "/gatehouse.keyvault.v1.AuditService/ListKeyUse": _read_private("parent"),
        "/gatehouse.providerconfig.v1.ProviderService/CreateProvider": _manage("parent"),
        "/gatehouse.providerconfig.v1.ProviderService/GetProvider": _read_shared("name"),
        "/gatehouse.providerconfig.v1.ProviderService/ListProviders": _read_shared("parent"),
        "/gatehouse.providerconfig.v1.ProviderService/UpdateProvider": _manage("provider.name"),
        "/gatehouse.providerconfig.v1.ProviderService/DeleteProvider": _manage("name"),
        "/gatehouse.providerconfig.v1.ProviderService/ListProviderTypes": _ANYONE,
        "/gatehouse.providerconfig.v1.ProviderService/TestProvider": _manage("provider.name"),
        "/gatehouse.providerconfig.v1.ProviderService/ListProviderVersions": _read_tenant("name"),
        "/gatehouse.providerconfig.v1.ProviderService/RollbackProvider": _manage("name"),
        "/gatehouse.providerconfig.v1.ModelService/CreateModel": _manage("parent"),
        "/gatehouse.providerconfig.v1.ModelService/GetModel": _read_shared("name"),
        "/gatehouse.providerconfig.v1.ModelService/ListModels": _read_shared("parent"),
        "/gatehouse.providerconfig.v1.ModelService/UpdateModel": _manage("model.name"),
        "/gatehouse.providerconfig.v1.ModelService/DeleteModel": _manage("name"),
        "/gatehouse.providerconfig.v1.ModelService/SyncModels": _manage("parent"),
        "/gatehouse.providerconfig.v1.RouteService/CreateRoute": _manage_as_admin("parent"),
        "/gatehouse.providerconfig.v1.RouteService/GetRoute": _read_tenant("name"),
        "/gatehouse.providerconfig.v1.RouteService/ListRoutes": _read_tenant("parent"),
        "/gatehouse.providerconfig.v1.RouteService/UpdateRoute": _manage_as_admin("route.name"),
        "/gatehouse.providerconfig.v1.RouteService/DeleteRoute": _manage_as_admin("name"),
        "/gatehouse.providerconfig.v1.RouteService/ListRouteVersions": _read_tenant("name"),
        "/gatehouse.providerconfig.v1.RouteService/RollbackRoute": _manage_as_admin("name"),
        "/gatehouse.providerconfig.v1.RouteService/GetRoutingPolicy": _read_tenant("parent"),
        "/gatehouse.providerconfig.v1.RouteService/UpdateRoutingPolicy": _manage_as_admin("parent"),
        "/gatehouse.providerconfig.v1.PreferenceService/GetPreferences": _read_private("parent"),
        "/gatehouse.providerconfig.v1.PreferenceService/UpdatePreferences": _manage("parent"),
        "/gatehouse.providerconfig.v1.ProfileService/CreateProfile": _manage("parent"),
        "/gatehouse.providerconfig.v1.ProfileService/GetProfile": _read_private("name"),
        "/gatehouse.providerconfig.v1.ProfileService/ListProfiles": _read_private("parent"),
        "/gatehouse.providerconfig.v1.ProfileService/UpdateProfile": _manage("profile.name"),
        "/gatehouse.providerconfig.v1.ProfileService/DeleteProfile": _manage("name"),
        "/gatehouse.providerconfig.v1.ProfileService/ActivateProfile": _manage("name"),
        "/gatehouse.providerconfig.v1.ProfileService/DeactivateProfile": _manage("parent"),
        "/gatehouse.providerconfig.v1.AuditService/ListAuditEvents": _read_as_admin("parent"),
        "/gatehouse.providerconfig.v1.AuditService/ExportAuditEvents": _read_as_admin("parent", fresh_mfa=True),
        "/gatehouse.providerconfig.v1.AuditService/VerifyAuditLog": _read_as_admin("parent"),
        "/gatehouse.providerconfig.v1.SnapshotService/WatchSnapshots": _ROUTER_ONLY,
        "/gatehouse.router.v1.GenerationService/Generate": _TENANT_CALLER,
        "/gatehouse.router.v1.GenerationService/StreamGenerate": _TENANT_CALLER,
        "/gatehouse.router.v1.GenerationService/Embed": _TENANT_CALLER,
        "/gatehouse.router.v1.GenerationService/ExplainRoute": _TENANT_CALLER,
        "/gatehouse.router.v1.GenerationService/EstimateCost": _TENANT_CALLER,
        "/gatehouse.router.v1.GenerationService/ListModels": _TENANT_CALLER,
        "/gatehouse.router.v1.ProviderHealthService/ListProviderHealth": _TENANT_CALLER,
        "/gatehouse.router.v1.ProbeService/ProbeProvider": _PROVIDER_CONFIG_ONLY,
        "/gatehouse.usage.v1.LedgerService/ReserveUsage": _ROUTER_ONLY,
        "/gatehouse.usage.v1.LedgerService/SettleUsage": _ROUTER_ONLY,
        "/gatehouse.usage.v1.LedgerService/ReleaseUsage": _ROUTER_ONLY,
        "/gatehouse.usage.v1.UsageService/ListUsageRecords": _read_tenant("parent"),
        "/gatehouse.usage.v1.UsageService/GetUsageStats": _read_tenant("parent"),
        "/gatehouse.usage.v1.UsageService/GetExperimentStats": _read_as_admin("name"),
        "/gatehouse.usage.v1.QuotaService/CreateQuota": _manage_as_admin("parent"),
        "/gatehouse.usage.v1.QuotaService/GetQuota": _read_tenant("name"),
        "/gatehouse.usage.v1.QuotaService/ListQuotas": _read_tenant("parent"),
        "/gatehouse.usage.v1.QuotaService/UpdateQuota": _manage_as_admin("quota.name"),
        "/gatehouse.usage.v1.QuotaService/DeleteQuota": _manage_as_admin("name"),
        "/gatehouse.usage.v1.QuotaService/GetQuotaState": _read_tenant("name"),
    }
)

# Liveness and the API's own description: nothing of a tenant is in them.
UNAUTHENTICATED_METHODS = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)
