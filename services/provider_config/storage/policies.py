"""Stored policies of tenants."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from libs.core.resource_names import Owner
from services.provider_config.domain.policy import PlatformFallback, RoutingPolicy
from services.provider_config.storage.tables import routing_policies


class SqlPolicies:
    """The policies as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, tenant: Owner) -> RoutingPolicy | None:
        """The policy of `tenant`; None as long as nobody changed it."""
        query = select(routing_policies).where(routing_policies.c.scope == str(tenant))
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return None
        return RoutingPolicy(
            tenant=tenant,
            uid=row.uid,
            version=row.version,
            platform_fallback=PlatformFallback(row.platform_fallback),
            update_time=row.update_time,
        )

    def put(self, policy: RoutingPolicy) -> None:
        """Store a policy, the first or a new version."""
        own = routing_policies.c.scope == str(policy.tenant)
        values = {
            "uid": policy.uid,
            "version": policy.version,
            "platform_fallback": str(policy.platform_fallback),
            "update_time": policy.update_time,
        }
        changed = self._connection.execute(update(routing_policies).where(own).values(**values))
        if not changed.rowcount:
            self._connection.execute(insert(routing_policies).values(scope=str(policy.tenant), **values))
