"""Deleting a provider."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.resource_names import ProviderName
from services.provider_config.domain.changes import Act, check_etag, record
from services.provider_config.domain.deletions import MOST_NAMED, Deleted, still_named
from services.provider_config.domain.errors import provider_in_use
from services.provider_config.domain.look_up import get_provider
from services.provider_config.domain.ports import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteProvider:
    """A checked request. `force`: delete it although something names it."""

    name: ProviderName
    etag: str = ""
    force: bool = False
    act: Act


def delete_provider(transaction: Transaction, command: DeleteProvider) -> Deleted:
    """Remove the provider with its models and versions.

    Raises NotFound `PROVIDER_NOT_FOUND`, Aborted `ETAG_MISMATCH`, FailedPrecondition `PROVIDER_IN_USE` or
    `AUDIT_LOG_DAMAGED`.
    """
    provider = get_provider(transaction, command.name)
    check_etag(provider, command.etag)
    users = transaction.users_of(provider.name, None)
    if users and not command.force:
        raise provider_in_use(provider.name, users)
    transaction.provider_versions.remove(provider.uid)
    transaction.providers.remove(provider)
    record(transaction, command.act, provider.name, provider.name.owner, still_named(users))
    return Deleted(
        revision=transaction.advance(provider.scope, provider.name), still_named_by=tuple(users[:MOST_NAMED])
    )
