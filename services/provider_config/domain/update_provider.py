"""Changing a provider, to what a caller says or to what it was."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from libs.core.resource_names import ProviderName
from libs.core.validation import FieldChecks
from services.provider_config.domain.change_provider import change_provider
from services.provider_config.domain.changes import Act, Changed, check_etag
from services.provider_config.domain.errors import invalid_field
from services.provider_config.domain.look_up import get_provider, type_of
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.provider_rules import ProviderRules
from services.provider_config.domain.provider_versions import get_provider_version


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateProvider:
    """A checked request: `fields` names what to take from `settings`, but for a key of None, which keeps the present.

    `remove_key`: go on without a key. `type`: what the caller believes the type to be, which cannot be changed; empty
    when it says nothing.
    """

    name: ProviderName
    fields: AbstractSet[str]
    settings: ProviderSettings
    remove_key: bool = False
    type: str = ""
    etag: str = ""
    act: Act


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackProvider:
    """A checked request."""

    name: ProviderName
    version: int
    etag: str = ""
    act: Act


def update_provider(transaction: Transaction, command: UpdateProvider, rules: ProviderRules) -> Changed[Provider]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises NotFound `PROVIDER_NOT_FOUND`, Aborted `ETAG_MISMATCH`, InvalidArgument, ResourceExhausted `SCOPE_FULL`,
    FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    provider = get_provider(transaction, command.name)
    check_etag(provider, command.etag)
    if command.type and command.type != provider.type:
        raise invalid_field("provider.type", f"cannot be changed, it is {provider.type}")
    provider_type = type_of(provider, rules.types, field="provider.type")
    with FieldChecks() as check:
        settings = rules.completed(_merged(provider, command), provider_type, check)
    return change_provider(transaction, provider, settings, command.act)


def rollback_provider(transaction: Transaction, command: RollbackProvider, rules: ProviderRules) -> Changed[Provider]:
    """Store what the provider was at an earlier version as the next one, if the rules still allow it.

    As `update_provider` for the rest; also raises NotFound `VERSION_NOT_FOUND`.
    """
    provider = get_provider(transaction, command.name)
    check_etag(provider, command.etag)
    earlier = get_provider_version(transaction, command.name, command.version)
    provider_type = type_of(provider, rules.types, field="name")
    with FieldChecks() as check:
        settings = rules.completed(earlier.settings, provider_type, check)
        rules.check_address(settings.base_url, check)
    return change_provider(transaction, provider, settings, command.act, restored_version=str(command.version))


def _merged(provider: Provider, command: UpdateProvider) -> ProviderSettings:
    fields = set(command.fields)
    if command.settings.key is None:
        fields.discard("key")
    merged = replace(provider.settings, **{field: getattr(command.settings, field) for field in fields})
    return replace(merged, key=None) if command.remove_key else merged
