"""At most one provider of an owner is its default, and at most one is the default of each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from libs.core.resource_names import ProviderName
from services.provider_config.domain.changes import Act
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.provider_versions import put_provider


def yield_defaults(transaction: Transaction, heir: Provider, act: Act) -> Sequence[ProviderName]:
    """Take what `heir` is the default of from the other providers of its owner; it then stores itself with it.

    Whose it was, by name.
    """
    holders = [each for each in _holders(transaction, heir) if each.uid != heir.uid]
    for holder in holders:
        has = holder.settings
        settings = replace(
            has,
            is_default=has.is_default and not heir.settings.is_default,
            default_for_tasks=tuple(
                task for task in has.default_for_tasks if task not in heir.settings.default_for_tasks
            ),
        )
        put_provider(transaction, holder.changed(settings, now=act.now), act)
    return [holder.name for holder in holders]


def _holders(transaction: Transaction, heir: Provider) -> Sequence[Provider]:
    owner, settings = heir.name.owner, heir.settings
    found = {each.name: each for each in transaction.providers.defaults_of_tasks(owner, settings.default_for_tasks)}
    default = transaction.providers.default_of(owner) if settings.is_default else None
    if default is not None:
        found[default.name] = default
    return [found[name] for name in sorted(found)]
