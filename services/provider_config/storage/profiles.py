"""Stored profiles of users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, select, update

from libs.core.resource_names import Owner, ProfileName, ProviderName
from libs.storage.conflicts import on_duplicate
from services.provider_config.domain.profile import Profile, ProfileSettings
from services.provider_config.domain.routing_errors import profile_exists
from services.provider_config.domain.routing_size import profile_bytes
from services.provider_config.storage.choice_bodies import choices_body, preferred_in, tasks_in
from services.provider_config.storage.provider_references import remove_references, set_references
from services.provider_config.storage.tables import preferences, profiles


class SqlProfiles:
    """The profiles as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: ProfileName) -> Profile | None:
        """The profile called `name`."""
        query = _select().where(profiles.c.owner == str(name.owner), profiles.c.id == name.profile)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _profile(row)

    def page(self, user: Owner, *, after: str | None, limit: int) -> Sequence[Profile]:
        """Up to `limit` profiles of `user`, by id, those after the id `after`."""
        query = _select().where(profiles.c.owner == str(user)).order_by(profiles.c.id).limit(limit)
        if after is not None:
            query = query.where(profiles.c.id > after)
        return [_profile(row) for row in self._connection.execute(query)]

    def of_scope(self, scope: Owner) -> Sequence[Profile]:
        """Those of all users of a tenant, by name; the platform has none."""
        rows = self._connection.execute(_select().where(profiles.c.scope == str(scope)))
        return sorted(map(_profile, rows), key=lambda each: str(each.name))

    def count(self, user: Owner) -> int:
        """How many `user` has."""
        query = select(func.count()).select_from(profiles).where(profiles.c.owner == str(user))
        return int(self._connection.scalars(query).one())

    def add(self, profile: Profile) -> None:
        """Store a new profile. Raises AlreadyExists `PROFILE_EXISTS`."""
        identity = {
            "uid": profile.uid,
            "owner": str(profile.name.owner),
            "scope": str(profile.scope),
            "id": profile.name.profile,
        }
        with on_duplicate(profile_exists(profile.name)):
            self._connection.execute(insert(profiles).values(**identity, **_values(profile)))
        set_references(self._connection, profile.name, _named(profile.settings))

    def put(self, profile: Profile) -> None:
        """Store a new version of a profile."""
        self._connection.execute(update(profiles).where(profiles.c.uid == profile.uid).values(**_values(profile)))
        set_references(self._connection, profile.name, _named(profile.settings))

    def remove(self, profile: Profile) -> None:
        """Remove a profile."""
        remove_references(self._connection, profile.name)
        self._connection.execute(delete(profiles).where(profiles.c.uid == profile.uid))


def _select() -> Select[Any]:
    """Profiles, each with whether it is its user's active one."""
    own = and_(preferences.c.owner == profiles.c.owner, preferences.c.active_profile == profiles.c.id)
    return select(profiles, preferences.c.owner.is_not(None).label("active")).outerjoin(preferences, own)


def _named(settings: ProfileSettings) -> Iterator[tuple[ProviderName, str]]:
    for provider in settings.providers:
        yield provider, ""
    for _, choice in settings.every_choice():
        yield choice.provider, choice.model


def _values(profile: Profile) -> dict[str, Any]:
    settings = profile.settings
    return {
        "version": profile.version,
        "settings": {
            "display_name": settings.display_name,
            "description": settings.description,
            "providers": list(map(str, settings.providers)),
            **choices_body(settings.preferred, settings.tasks),
        },
        "create_time": profile.create_time,
        "update_time": profile.update_time,
        "snapshot_bytes": profile_bytes(profile),
    }


def _profile(row: Row[Any]) -> Profile:
    owner = Owner.parse(row.owner)
    body = row.settings
    return Profile(
        name=ProfileName(owner.tenant or "", owner.user or "", row.id),
        uid=row.uid,
        version=row.version,
        settings=ProfileSettings(
            display_name=body["display_name"],
            description=body["description"],
            providers=tuple(map(ProviderName.parse, body["providers"])),
            preferred=preferred_in(body),
            tasks=tasks_in(body),
        ),
        active=bool(row.active),
        create_time=row.create_time,
        update_time=row.update_time,
    )
