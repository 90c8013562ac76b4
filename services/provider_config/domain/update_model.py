"""Changing a model."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from libs.core.resource_names import ModelName
from services.provider_config.domain.changes import Changed, check_etag, check_scope_size
from services.provider_config.domain.look_up import get_model, get_provider
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.scope_size import model_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateModel:
    """A checked request: `fields` names what to take from `settings`."""

    name: ModelName
    fields: AbstractSet[str]
    settings: ModelSettings
    etag: str = ""
    now: datetime


def update_model(transaction: Transaction, command: UpdateModel) -> Changed[Model]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises NotFound `MODEL_NOT_FOUND`, Aborted `ETAG_MISMATCH`, ResourceExhausted `SCOPE_FULL`.
    """
    model = get_model(transaction, command.name)
    provider = get_provider(transaction, command.name.provider)
    check_etag(model, command.etag)
    merged = replace(model.settings, **{field: getattr(command.settings, field) for field in command.fields})
    settings = merged.completed(model.name, provider.provider_type)
    if settings == model.settings:
        return Changed(model, transaction.revision())
    changed = model.changed(settings, now=command.now)
    growth = model_bytes(changed) - model_bytes(model)
    check_scope_size(transaction, provider.scope, grows_by=growth)
    transaction.models.put(changed)
    return Changed(changed, transaction.advance(provider.scope))
