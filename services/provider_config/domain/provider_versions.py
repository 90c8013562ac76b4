"""What a provider was, and going back to it."""

from __future__ import annotations

from collections.abc import Iterator

from libs.core.resource_names import ProviderName
from services.provider_config.domain.changes import Act
from services.provider_config.domain.errors import version_not_found
from services.provider_config.domain.look_up import get_provider
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.versions import Version, newest_first


def add_provider(transaction: Transaction, provider: Provider, act: Act) -> None:
    """Store a new provider and its first version. Raises AlreadyExists `PROVIDER_EXISTS`."""
    transaction.providers.add(provider)
    _keep(transaction, provider, act)


def put_provider(transaction: Transaction, provider: Provider, act: Act) -> None:
    """Store a new version of a provider."""
    transaction.providers.put(provider)
    _keep(transaction, provider, act)


def _keep(transaction: Transaction, provider: Provider, act: Act) -> None:
    version = Version(
        version=provider.version, changed_by=act.author.actor, change_time=act.now, settings=provider.settings
    )
    transaction.provider_versions.add(provider.uid, version)


def provider_versions(
    transaction: Transaction, name: ProviderName, *, before: int | None
) -> tuple[Provider, Iterator[Version[ProviderSettings]]]:
    """The provider, and its versions before the number `before`, newest first, read as they are taken.

    Raises NotFound `PROVIDER_NOT_FOUND`.
    """
    provider = get_provider(transaction, name)
    return provider, newest_first(transaction.provider_versions, provider.uid, before=before)


def get_provider_version(transaction: Transaction, name: ProviderName, version: int) -> Version[ProviderSettings]:
    """What the provider was. Raises NotFound `PROVIDER_NOT_FOUND` or `VERSION_NOT_FOUND`."""
    found = transaction.provider_versions.get(get_provider(transaction, name).uid, version)
    if found is None:
        raise version_not_found(name, version)
    return found
