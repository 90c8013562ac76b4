"""Stored providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from libs.core.resource_names import KeyName, Owner, ProviderName
from libs.storage.conflicts import on_duplicate
from services.provider_config.domain.errors import provider_exists
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.scope_size import provider_bytes
from services.provider_config.storage.tables import models, providers


class SqlProviders:
    """The providers as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: ProviderName) -> Provider | None:
        """The provider called `name`."""
        query = select(providers).where(providers.c.owner == str(name.owner), providers.c.id == name.provider)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _provider(row)

    def page(self, owner: Owner, *, after: str | None, limit: int) -> Sequence[Provider]:
        """Up to `limit` providers of exactly `owner`, by id, those after the id `after`."""
        query = select(providers).where(providers.c.owner == str(owner)).order_by(providers.c.id).limit(limit)
        if after is not None:
            query = query.where(providers.c.id > after)
        return [_provider(row) for row in self._connection.execute(query)]

    def of_scope(self, scope: Owner) -> Sequence[Provider]:
        """All providers of a tenant and its users, or of the platform; in no order."""
        query = select(providers).where(providers.c.scope == str(scope))
        return [_provider(row) for row in self._connection.execute(query)]

    def default_of(self, owner: Owner) -> Provider | None:
        """The one provider of `owner` that has `is_default`."""
        query = select(providers).where(providers.c.owner == str(owner), providers.c.is_default)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _provider(row)

    def add(self, provider: Provider) -> None:
        """Store a new provider. Raises AlreadyExists `PROVIDER_EXISTS`."""
        identity = {"uid": provider.uid, "owner": str(provider.name.owner), "id": provider.name.provider}
        with on_duplicate(provider_exists(provider.name)):
            self._connection.execute(insert(providers).values(**identity, **_values(provider)))

    def put(self, provider: Provider) -> None:
        """Store a new version of a provider."""
        self._connection.execute(update(providers).where(providers.c.uid == provider.uid).values(**_values(provider)))

    def remove(self, provider: Provider) -> None:
        """Remove a provider and its models."""
        self._connection.execute(delete(models).where(models.c.provider_uid == provider.uid))
        self._connection.execute(delete(providers).where(providers.c.uid == provider.uid))


def _values(provider: Provider) -> dict[str, Any]:
    settings = provider.settings
    return {
        "version": provider.version,
        "scope": str(provider.scope),
        "type": provider.type,
        "display_name": settings.display_name,
        "description": settings.description,
        "base_url": settings.base_url,
        "key": settings.key.key if settings.key else None,
        "default_model": settings.default_model,
        "active": settings.active,
        "is_default": settings.is_default,
        "priority": settings.priority,
        "labels": dict(settings.labels),
        "created_by": provider.created_by,
        "create_time": provider.create_time,
        "update_time": provider.update_time,
        "snapshot_bytes": provider_bytes(provider),
    }


def _provider(row: Row[Any]) -> Provider:
    owner = Owner.parse(row.owner)
    return Provider(
        name=ProviderName(owner, row.id),
        uid=row.uid,
        version=row.version,
        type=row.type,
        settings=ProviderSettings(
            display_name=row.display_name,
            description=row.description,
            base_url=row.base_url,
            key=KeyName(owner, row.key) if row.key is not None else None,
            default_model=row.default_model,
            active=row.active,
            is_default=row.is_default,
            priority=row.priority,
            labels=row.labels,
        ),
        created_by=row.created_by,
        create_time=row.create_time,
        update_time=row.update_time,
    )
