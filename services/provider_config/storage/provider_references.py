"""Which routes, preferences and profiles name a provider or a model of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select

from libs.core.resource_names import ProviderName
from services.provider_config.storage.tables import provider_references


def set_references(connection: Connection, resource: object, named: Iterable[tuple[ProviderName, str]]) -> None:
    """Remember what `resource` names: providers, each with a model's id, empty where it names only the provider."""
    remove_references(connection, resource)
    pairs = sorted({(str(provider), model) for provider, model in named})
    rows = [{"resource": str(resource), "provider": provider, "model": model} for provider, model in pairs]
    if rows:
        connection.execute(insert(provider_references), rows)


def remove_references(connection: Connection, resource: object) -> None:
    """Forget what `resource` named."""
    connection.execute(delete(provider_references).where(provider_references.c.resource == str(resource)))


def users_of(connection: Connection, provider: ProviderName, model: str | None = None) -> Sequence[str]:
    """The names of all that name `provider`, or its model `model`; by name."""
    references = provider_references
    query = select(references.c.resource).where(references.c.provider == str(provider)).distinct()
    if model is not None:
        query = query.where(references.c.model == model)
    return sorted(connection.scalars(query))
