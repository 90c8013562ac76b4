"""Stored preferences of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from libs.core.resource_names import Owner, ProfileName
from services.provider_config.domain.preference import Preferences, PreferenceSettings
from services.provider_config.domain.routing_size import preferences_bytes
from services.provider_config.storage.choice_bodies import choices_body, preferred_in, tasks_in
from services.provider_config.storage.provider_references import set_references
from services.provider_config.storage.tables import preferences as table


class SqlPreferenceSets:
    """The preferences as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, user: Owner) -> Preferences | None:
        """The preferences of `user`; None as long as nobody changed them."""
        row = self._connection.execute(select(table).where(table.c.owner == str(user))).one_or_none()
        return None if row is None else _preferences(row)

    def of_scope(self, scope: Owner) -> Sequence[Preferences]:
        """Those of all users of a tenant, by name; the platform has none."""
        rows = self._connection.execute(select(table).where(table.c.scope == str(scope)))
        return sorted(map(_preferences, rows), key=lambda each: each.name)

    def put(self, preferences: Preferences) -> None:
        """Store preferences, the first or a new version."""
        values = _values(preferences)
        changed = self._connection.execute(update(table).where(table.c.owner == str(preferences.user)).values(**values))
        if not changed.rowcount:
            identity = {"owner": str(preferences.user), "scope": str(preferences.scope), "uid": preferences.uid}
            self._connection.execute(insert(table).values(**identity, **values))
        choices = (choice for _, choice in preferences.settings.every_choice())
        set_references(self._connection, preferences.name, ((each.provider, each.model) for each in choices))


def _values(preferences: Preferences) -> dict[str, Any]:
    active = preferences.active_profile
    return {
        "version": preferences.version,
        "settings": choices_body(preferences.settings.preferred, preferences.settings.tasks),
        "active_profile": None if active is None else active.profile,
        "update_time": preferences.update_time,
        "snapshot_bytes": preferences_bytes(preferences),
    }


def _preferences(row: Row[Any]) -> Preferences:
    user = Owner.parse(row.owner)
    active = row.active_profile
    return Preferences(
        user=user,
        uid=row.uid,
        version=row.version,
        settings=PreferenceSettings(preferred=preferred_in(row.settings), tasks=tasks_in(row.settings)),
        active_profile=None if active is None else ProfileName(user.tenant or "", user.user or "", active),
        update_time=row.update_time,
    )
