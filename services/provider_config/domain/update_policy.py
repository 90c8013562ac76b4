"""Changing the policy of a tenant."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.resource_names import Owner
from services.provider_config.domain.changes import Act, Changed, check_etag, record
from services.provider_config.domain.policy import PlatformFallback, RoutingPolicy
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.routing_look_up import get_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """A checked request; `platform_fallback` of None stays as it is. `uid`: for a policy that is stored first."""

    tenant: Owner
    platform_fallback: PlatformFallback | None
    etag: str = ""
    uid: str
    act: Act


def update_policy(transaction: Transaction, command: UpdatePolicy) -> Changed[RoutingPolicy]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises Aborted `ETAG_MISMATCH`, FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    policy = get_policy(transaction, command.tenant)
    check_etag(policy, command.etag)
    wanted = command.platform_fallback
    if wanted is None or wanted is policy.platform_fallback:
        return Changed(policy, transaction.revision(), stored=False)
    changed = policy.changed(wanted, uid=command.uid, now=command.act.now)
    transaction.policies.put(changed)
    details = {"platform_fallback": str(wanted), "version": str(changed.version)}
    record(transaction, command.act, policy.name, policy.tenant, details)
    return Changed(changed, transaction.advance(policy.tenant, policy.name))
