"""Making a profile the active one of its user, or none."""

from __future__ import annotations

from libs.core.resource_names import Owner, ProfileName
from services.provider_config.domain.changes import Act, Changed, record
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.routing_look_up import get_preferences, get_profile
from services.provider_config.domain.update_preferences import store_preferences


def activate_profile(transaction: Transaction, name: ProfileName, *, uid: str, act: Act) -> Changed[Preferences]:
    """The preferences of the profile's user with it as the active one. `uid`: for preferences that are stored first.

    When it was so before, nothing is stored, and the revision is the present one. Raises NotFound `PROFILE_NOT_FOUND`,
    ResourceExhausted `SCOPE_FULL`, FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    get_profile(transaction, name)
    return _switch(transaction, name.owner, name, uid=uid, act=act)


def deactivate_profile(transaction: Transaction, user: Owner, *, uid: str, act: Act) -> Changed[Preferences]:
    """The preferences of a user without an active profile; else as `activate_profile`."""
    return _switch(transaction, user, None, uid=uid, act=act)


def _switch(
    transaction: Transaction, user: Owner, profile: ProfileName | None, *, uid: str, act: Act
) -> Changed[Preferences]:
    preferences = get_preferences(transaction, user)
    before = preferences.active_profile
    if before == profile:
        return Changed(preferences, transaction.revision(), stored=False)
    changed = preferences.switched(profile, uid=uid, now=act.now)
    store_preferences(transaction, preferences, changed)
    # Of both profiles, what they say of themselves changes with it.
    switched = [name for name in (before, profile) if name is not None]
    record(transaction, act, profile or before, user, {"active_profile": str(profile or "")})
    return Changed(changed, transaction.advance(changed.scope, changed.name, *switched))
