"""Deleting a profile."""

from __future__ import annotations

from libs.core.resource_names import ProfileName
from services.provider_config.domain.changes import Act, check_etag, record
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.routing_look_up import get_preferences, get_profile


def delete_profile(transaction: Transaction, name: ProfileName, *, etag: str, act: Act) -> int:
    """Remove the profile; if it was active, none is. The revision at which routers know.

    Raises NotFound `PROFILE_NOT_FOUND`, Aborted `ETAG_MISMATCH` and FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    profile = get_profile(transaction, name)
    check_etag(profile, etag)
    changed: list[object] = [name]
    preferences = get_preferences(transaction, name.owner)
    if preferences.active_profile == name:
        transaction.preferences.put(preferences.switched(None, uid=preferences.uid, now=act.now))
        changed.append(preferences.name)
    transaction.profiles.remove(profile)
    record(transaction, act, name, name.owner)
    return transaction.advance(profile.scope, *changed)
