"""Stored models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, tuple_, update

from libs.core.provider_types import Capabilities
from libs.core.resource_names import ModelName, Owner, ProviderName
from libs.storage.conflicts import on_duplicate
from services.provider_config.domain.errors import model_exists
from services.provider_config.domain.model import Model, ModelPrice, ModelSettings
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.scope_size import model_bytes
from services.provider_config.storage.tables import models, providers

# Each has a column of its name.
_CAPABILITIES = tuple(each.name for each in fields(Capabilities))


class SqlModels:
    """The models as one transaction sees them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: ModelName) -> Model | None:
        """The model called `name`."""
        query = (
            select(models, providers.c.type, providers.c.options)
            .join(providers, providers.c.uid == models.c.provider_uid)
            .where(
                providers.c.owner == str(name.provider.owner),
                providers.c.id == name.provider.provider,
                models.c.id == name.model,
            )
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _model(row, name.provider, row.type, row.options)

    def called(self, names: Collection[ModelName]) -> Mapping[ModelName, Model]:
        """Those of the models called `names` that there are."""
        if not names:
            return {}
        triples = [(str(name.provider.owner), name.provider.provider, name.model) for name in names]
        query = (
            select(
                models, providers.c.type, providers.c.options, providers.c.owner, providers.c.id.label("provider_id")
            )
            .join(providers, providers.c.uid == models.c.provider_uid)
            .where(tuple_(providers.c.owner, providers.c.id, models.c.id).in_(triples))
        )
        found = (
            _model(row, ProviderName(Owner.parse(row.owner), row.provider_id), row.type, row.options)
            for row in self._connection.execute(query)
        )
        return {model.name: model for model in found}

    def with_enabled(self, providers: Collection[Provider]) -> AbstractSet[ProviderName]:
        """The names of those of `providers` that have any model that is enabled."""
        names = {provider.uid: provider.name for provider in providers}
        if not names:
            return set()
        query = select(models.c.provider_uid).where(models.c.provider_uid.in_(names), models.c.enabled).distinct()
        return {names[uid] for uid in self._connection.scalars(query)}

    def page(self, provider: Provider, *, after: str | None, limit: int) -> Sequence[Model]:
        """Up to `limit` models of `provider`, by id, those after the id `after`."""
        query = select(models).where(models.c.provider_uid == provider.uid).order_by(models.c.id).limit(limit)
        if after is not None:
            query = query.where(models.c.id > after)
        return [
            _model(row, provider.name, provider.type, provider.settings.options)
            for row in self._connection.execute(query)
        ]

    def of_scope(self, scope: Owner, names: Mapping[str, ProviderName]) -> Mapping[str, Sequence[Model]]:
        """The models of all providers of `scope`, by id, under the uid of their provider; `names` are theirs."""
        query = (
            select(models, providers.c.type, providers.c.options)
            .join(providers, providers.c.uid == models.c.provider_uid)
            .where(providers.c.scope == str(scope))
            .order_by(models.c.id)
        )
        found: dict[str, list[Model]] = {}
        for row in self._connection.execute(query):
            found.setdefault(row.provider_uid, []).append(_model(row, names[row.provider_uid], row.type, row.options))
        return found

    def add(self, model: Model, provider: Provider) -> None:
        """Store a new model of `provider`. Raises AlreadyExists `MODEL_EXISTS`."""
        with on_duplicate(model_exists(model.name)):
            self._connection.execute(insert(models).values(_row(model, provider)))

    def add_all(self, new: Sequence[Model], provider: Provider) -> None:
        """Store new models of `provider`, of which none is there yet."""
        if new:
            self._connection.execute(insert(models), [_row(model, provider) for model in new])

    def put(self, model: Model) -> None:
        """Store a new version of a model."""
        self._connection.execute(update(models).where(models.c.uid == model.uid).values(**_values(model)))

    def remove(self, model: Model) -> None:
        """Remove a model."""
        self._connection.execute(delete(models).where(models.c.uid == model.uid))


def _row(model: Model, provider: Provider) -> dict[str, Any]:
    identity = {"uid": model.uid, "provider_uid": provider.uid, "id": model.name.model}
    return identity | _values(model)


def _values(model: Model) -> dict[str, Any]:
    settings = model.settings
    capabilities = settings.capabilities or Capabilities()
    price = settings.price
    return {
        "version": model.version,
        "display_name": settings.display_name,
        "provider_model_id": settings.provider_model_id,
        "enabled": settings.enabled,
        "context_tokens": settings.context_tokens or 0,
        "max_output_tokens": settings.max_output_tokens or 0,
        **{name: getattr(capabilities, name) for name in _CAPABILITIES},
        "input_pico_usd": price and price.input,
        "output_pico_usd": price and price.output,
        "cache_read_pico_usd": price and price.cache_read,
        "cache_write_pico_usd": price and price.cache_write,
        "reasoning_pico_usd": price and price.reasoning,
        "create_time": model.create_time,
        "update_time": model.update_time,
        "snapshot_bytes": model_bytes(model),
    }


def _model(row: Row[Any], provider: ProviderName, provider_type: str, options: Mapping[str, Any]) -> Model:
    return Model(
        name=ModelName(provider, row.id),
        uid=row.uid,
        version=row.version,
        provider_type=provider_type,
        settings=ModelSettings(
            display_name=row.display_name,
            provider_model_id=row.provider_model_id,
            enabled=row.enabled,
            context_tokens=row.context_tokens,
            max_output_tokens=row.max_output_tokens,
            capabilities=Capabilities(**{name: getattr(row, name) for name in _CAPABILITIES}),
            price=_price(row),
        ),
        create_time=row.create_time,
        update_time=row.update_time,
        server=str(options.get("server") or ""),
    )


def _price(row: Row[Any]) -> ModelPrice | None:
    if row.input_pico_usd is None:
        return None
    return ModelPrice(
        input=row.input_pico_usd,
        output=row.output_pico_usd,
        cache_read=row.cache_read_pico_usd,
        cache_write=row.cache_write_pico_usd,
        reasoning=row.reasoning_pico_usd,
    )
