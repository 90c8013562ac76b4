"""Stored providers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, tuple_, update

from libs.core.resource_names import KeyName, Owner, ProviderName
from libs.storage.conflicts import on_duplicate
from services.provider_config.domain.errors import provider_exists
from services.provider_config.domain.provider import Provider, ProviderSettings, ProviderTest
from services.provider_config.domain.scope_size import provider_bytes
from services.provider_config.storage import provider_json as as_json
from services.provider_config.storage.tables import models, providers, task_defaults


class SqlProviders:
    """The providers as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: ProviderName) -> Provider | None:
        """The provider called `name`."""
        query = select(providers).where(providers.c.owner == str(name.owner), providers.c.id == name.provider)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _provider(row)

    def called(self, names: Collection[ProviderName]) -> Mapping[ProviderName, Provider]:
        """Those of the providers called `names` that there are."""
        if not names:
            return {}
        pairs = [(str(name.owner), name.provider) for name in names]
        query = select(providers).where(tuple_(providers.c.owner, providers.c.id).in_(pairs))
        found = map(_provider, self._connection.execute(query))
        return {provider.name: provider for provider in found}

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

    def count(self, owner: Owner) -> int:
        """How many exactly `owner` has."""
        query = select(func.count()).select_from(providers).where(providers.c.owner == str(owner))
        return int(self._connection.scalars(query).one())

    def default_of(self, owner: Owner) -> Provider | None:
        """The one provider of `owner` that has `is_default`."""
        query = select(providers).where(providers.c.owner == str(owner), providers.c.is_default)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _provider(row)

    def defaults_of_tasks(self, owner: Owner, tasks: Collection[str]) -> Sequence[Provider]:
        """The providers of `owner` that are the default for any of `tasks`."""
        if not tasks:
            return []
        holders = select(task_defaults.c.provider_uid).where(
            task_defaults.c.owner == str(owner), task_defaults.c.task.in_(tasks)
        )
        query = select(providers).where(providers.c.uid.in_(holders))
        return [_provider(row) for row in self._connection.execute(query)]

    def add(self, provider: Provider) -> None:
        """Store a new provider. Raises AlreadyExists `PROVIDER_EXISTS`."""
        identity = {"uid": provider.uid, "owner": str(provider.name.owner), "id": provider.name.provider}
        with on_duplicate(provider_exists(provider.name)):
            self._connection.execute(insert(providers).values(**identity, **_values(provider)))
        self._claim_tasks(provider)

    def put(self, provider: Provider) -> None:
        """Store a new version of a provider, but for its `last_test`."""
        self._connection.execute(update(providers).where(providers.c.uid == provider.uid).values(**_values(provider)))
        self._drop_tasks(provider)
        self._claim_tasks(provider)

    def put_test(self, provider: Provider, test: ProviderTest) -> None:
        """Store what a test of a provider found; for everybody but its readers that is no change."""
        values = {"last_test": as_json.encode_test(test)}
        self._connection.execute(update(providers).where(providers.c.uid == provider.uid).values(**values))

    def remove(self, provider: Provider) -> None:
        """Remove a provider and its models."""
        self._drop_tasks(provider)
        self._connection.execute(delete(models).where(models.c.provider_uid == provider.uid))
        self._connection.execute(delete(providers).where(providers.c.uid == provider.uid))

    def _claim_tasks(self, provider: Provider) -> None:
        rows = [
            {"owner": str(provider.name.owner), "task": task, "provider_uid": provider.uid}
            for task in provider.settings.default_for_tasks
        ]
        if rows:
            self._connection.execute(insert(task_defaults), rows)

    def _drop_tasks(self, provider: Provider) -> None:
        self._connection.execute(delete(task_defaults).where(task_defaults.c.provider_uid == provider.uid))


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
        "weight": settings.weight,
        "default_for_tasks": list(settings.default_for_tasks),
        "limits": as_json.encode_limits(settings.limits),
        "timeouts": as_json.encode_timeouts(settings.timeouts),
        "max_retries": settings.max_retries,
        "default_temperature": settings.default_temperature,
        "default_max_output_tokens": settings.default_max_output_tokens,
        "options": dict(settings.options),
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
            weight=row.weight,
            default_for_tasks=tuple(row.default_for_tasks),
            limits=as_json.decode_limits(row.limits),
            timeouts=as_json.decode_timeouts(row.timeouts),
            max_retries=row.max_retries,
            default_temperature=row.default_temperature,
            default_max_output_tokens=row.default_max_output_tokens,
            options=row.options,
            labels=row.labels,
        ),
        created_by=row.created_by,
        create_time=row.create_time,
        update_time=row.update_time,
        last_test=as_json.decode_test(row.last_test) if row.last_test is not None else None,
    )
