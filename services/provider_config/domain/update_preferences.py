"""Changing the preferences of a user."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from services.provider_config.domain.changes import Act, Changed, check_etag, check_scope_size, differing, record
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.preference_choices import Wanted, settle
from services.provider_config.domain.preference_keys import KeyFindings
from services.provider_config.domain.routing_look_up import get_preferences
from services.provider_config.domain.routing_size import preferences_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePreferences:
    """A checked request: `fields` names what to take from `wanted`. `uid`: for preferences that are stored first."""

    wanted: Wanted
    fields: AbstractSet[str]
    etag: str = ""
    uid: str
    act: Act


def update_preferences(
    transaction: Transaction, keys: KeyFindings, *, command: UpdatePreferences
) -> Changed[Preferences]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises Aborted `ETAG_MISMATCH`, InvalidArgument and KeysNotAsked as `settle` does, ResourceExhausted `SCOPE_FULL`,
    FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    preferences = get_preferences(transaction, command.wanted.user)
    check_etag(preferences, command.etag)
    settled = settle(transaction, command.wanted, keys)
    settings = replace(preferences.settings, **{field: getattr(settled, field) for field in command.fields})
    if settings == preferences.settings:
        return Changed(preferences, transaction.revision(), stored=False)
    changed = preferences.changed(settings, uid=command.uid, now=command.act.now)
    details = {"fields": differing(preferences.settings, settings), "version": str(changed.version)}
    store_preferences(transaction, preferences, changed)
    record(transaction, command.act, preferences.name, preferences.user, details)
    return Changed(changed, transaction.advance(preferences.scope, preferences.name))


def store_preferences(transaction: Transaction, before: Preferences, changed: Preferences) -> None:
    """Store the next version of preferences. Raises ResourceExhausted `SCOPE_FULL`."""
    growth = preferences_bytes(changed) - (preferences_bytes(before) if before.version else 0)
    check_scope_size(transaction, changed.user, grows_by=growth)
    transaction.preferences.put(changed)
