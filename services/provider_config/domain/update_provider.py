"""Changing a provider."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from libs.core.resource_names import ProviderName
from libs.core.validation import FieldChecks
from services.provider_config.domain.changes import Changed, check_etag, check_scope_size
from services.provider_config.domain.default_provider import yield_default
from services.provider_config.domain.errors import invalid_field
from services.provider_config.domain.look_up import get_provider
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.scope_size import provider_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateProvider:
    """A checked request: `fields` names what to take from `settings`.

    `type`: what the caller believes the type to be, which cannot be changed; empty when it says nothing.
    """

    name: ProviderName
    fields: AbstractSet[str]
    settings: ProviderSettings
    type: str = ""
    etag: str = ""
    now: datetime


def update_provider(transaction: Transaction, command: UpdateProvider) -> Changed[Provider]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises NotFound `PROVIDER_NOT_FOUND`, Aborted `ETAG_MISMATCH`, InvalidArgument.
    """
    provider = get_provider(transaction, command.name)
    check_etag(provider, command.etag)
    if command.type and command.type != provider.type:
        raise invalid_field("provider.type", f"cannot be changed, it is {provider.type}")
    settings = _merged(provider, command)
    if settings == provider.settings:
        return Changed(provider, transaction.revision())
    changed = provider.changed(settings, now=command.now)
    growth = provider_bytes(changed) - provider_bytes(provider)
    check_scope_size(transaction, provider.scope, grows_by=growth)
    if settings.is_default:
        yield_default(transaction, changed, now=command.now)
    transaction.providers.put(changed)
    return Changed(changed, transaction.advance(provider.scope))


def _merged(provider: Provider, command: UpdateProvider) -> ProviderSettings:
    merged = replace(provider.settings, **{field: getattr(command.settings, field) for field in command.fields})
    with FieldChecks() as check:
        return merged.completed(provider.provider_type, check)
