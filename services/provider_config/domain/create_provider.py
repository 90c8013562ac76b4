"""Creating a provider."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.resource_names import ProviderName
from services.provider_config.domain.change_provider import taken_from
from services.provider_config.domain.changes import Act, Changed, check_scope_size, record
from services.provider_config.domain.default_provider import yield_defaults
from services.provider_config.domain.errors import provider_exists, too_many_providers
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import MAX_PROVIDERS, Provider, ProviderSettings
from services.provider_config.domain.provider_versions import add_provider
from services.provider_config.domain.scope_size import provider_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProvider:
    """A checked request; `settings` are completed."""

    name: ProviderName
    type: str
    settings: ProviderSettings
    uid: str
    act: Act
    validate_only: bool = False


def create_provider(transaction: Transaction, command: CreateProvider) -> Changed[Provider]:
    """Store the provider; what it is the default of, it takes from the owner's others.

    Raises AlreadyExists `PROVIDER_EXISTS`, ResourceExhausted `TOO_MANY_PROVIDERS` and `SCOPE_FULL`, and
    FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    if transaction.providers.get(command.name) is not None:
        raise provider_exists(command.name)
    if transaction.providers.count(command.name.owner) >= MAX_PROVIDERS:
        raise too_many_providers(command.name.owner, MAX_PROVIDERS)
    provider = Provider(
        name=command.name,
        uid=command.uid,
        version=1,
        type=command.type,
        settings=command.settings,
        created_by=command.act.author.actor,
        create_time=command.act.now,
        update_time=command.act.now,
    )
    check_scope_size(transaction, provider.name.owner, grows_by=provider_bytes(provider))
    if command.validate_only:
        return Changed(provider, 0, stored=False)
    yielded = yield_defaults(transaction, provider, command.act)
    add_provider(transaction, provider, command.act)
    details = {"type": provider.type, **taken_from(yielded)}
    record(transaction, command.act, provider.name, provider.name.owner, details)
    return Changed(provider, transaction.advance(provider.scope, provider.name, *yielded))
