"""Creating a provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.core.resource_names import ProviderName
from services.provider_config.domain.changes import Changed, check_scope_size
from services.provider_config.domain.default_provider import yield_default
from services.provider_config.domain.errors import provider_exists
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.scope_size import provider_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProvider:
    """A checked request; `settings` are completed."""

    name: ProviderName
    type: str
    settings: ProviderSettings
    created_by: str
    uid: str
    now: datetime
    validate_only: bool = False


def create_provider(transaction: Transaction, command: CreateProvider) -> Changed[Provider]:
    """Store the provider; as default, it takes that from the owner's other one.

    Raises AlreadyExists `PROVIDER_EXISTS` and ResourceExhausted `SCOPE_FULL`.
    """
    if transaction.providers.get(command.name) is not None:
        raise provider_exists(command.name)
    provider = Provider(
        name=command.name,
        uid=command.uid,
        version=1,
        type=command.type,
        settings=command.settings,
        created_by=command.created_by,
        create_time=command.now,
        update_time=command.now,
    )
    check_scope_size(transaction, provider.scope, grows_by=provider_bytes(provider))
    if command.validate_only:
        return Changed(provider, 0)
    if provider.settings.is_default:
        yield_default(transaction, provider, now=command.now)
    transaction.providers.add(provider)
    return Changed(provider, transaction.advance(provider.scope))
