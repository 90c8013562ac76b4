"""What every change of a stored provider comes to."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.audit import MAX_DETAIL_LENGTH
from libs.core.resource_names import ProviderName
from services.provider_config.domain.changes import Act, Changed, check_scope_size, differing, record
from services.provider_config.domain.default_provider import yield_defaults
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.provider_versions import put_provider
from services.provider_config.domain.scope_size import provider_bytes


def change_provider(
    transaction: Transaction, provider: Provider, settings: ProviderSettings, act: Act, **details: str
) -> Changed[Provider]:
    """Store the next version, with `settings` that are completed and checked.

    When nothing differs, nothing is stored, and the revision is the present one. `details`: more for the audit log.
    Raises ResourceExhausted `SCOPE_FULL` and FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    if settings == provider.settings:
        return Changed(provider, transaction.revision(), stored=False)
    changed = provider.changed(settings, now=act.now)
    growth = provider_bytes(changed) - provider_bytes(provider)
    check_scope_size(transaction, provider.name.owner, grows_by=growth)
    yielded = yield_defaults(transaction, changed, act)
    put_provider(transaction, changed, act)
    details |= {"fields": differing(provider.settings, settings), "version": str(changed.version)}
    record(transaction, act, provider.name, provider.name.owner, details | taken_from(yielded))
    return Changed(changed, transaction.advance(provider.scope, provider.name, *yielded))


def taken_from(yielded: Sequence[ProviderName]) -> dict[str, str]:
    """A detail of `record`: the ids of the providers that are no longer the default of something."""
    if not yielded:
        return {}
    return {"defaults_taken_from": ",".join(name.provider for name in yielded)[:MAX_DETAIL_LENGTH]}
