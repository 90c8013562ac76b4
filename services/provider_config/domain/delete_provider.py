"""Deleting a provider."""

from __future__ import annotations

from libs.core.resource_names import ProviderName
from services.provider_config.domain.changes import check_etag
from services.provider_config.domain.look_up import get_provider
from services.provider_config.domain.ports import Transaction


def delete_provider(transaction: Transaction, name: ProviderName, *, etag: str) -> int:
    """Remove the provider with its models; the revision at which routers know.

    Raises NotFound `PROVIDER_NOT_FOUND` and Aborted `ETAG_MISMATCH`.
    """
    provider = get_provider(transaction, name)
    check_etag(provider, etag)
    transaction.providers.remove(provider)
    return transaction.advance(provider.scope)
