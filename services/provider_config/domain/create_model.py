"""Creating a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.core.resource_names import ModelName
from services.provider_config.domain.changes import Changed, check_scope_size
from services.provider_config.domain.errors import model_exists
from services.provider_config.domain.look_up import get_provider
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.scope_size import model_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateModel:
    """A checked request."""

    name: ModelName
    settings: ModelSettings
    uid: str
    now: datetime
    validate_only: bool = False


def create_model(transaction: Transaction, command: CreateModel) -> Changed[Model]:
    """Store the model.

    Raises NotFound `PROVIDER_NOT_FOUND`, AlreadyExists `MODEL_EXISTS`, ResourceExhausted `SCOPE_FULL`.
    """
    provider = get_provider(transaction, command.name.provider)
    if transaction.models.get(command.name) is not None:
        raise model_exists(command.name)
    model = Model(
        name=command.name,
        uid=command.uid,
        version=1,
        settings=command.settings.completed(command.name, provider.provider_type),
        create_time=command.now,
        update_time=command.now,
    )
    check_scope_size(transaction, provider.scope, grows_by=model_bytes(model))
    if command.validate_only:
        return Changed(model, 0)
    transaction.models.add(model, provider)
    return Changed(model, transaction.advance(provider.scope))
