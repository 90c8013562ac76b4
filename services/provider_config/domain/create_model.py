"""Creating a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from libs.core.resource_names import ModelName
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.changes import Act, Changed, check_scope_size, record
from services.provider_config.domain.errors import model_exists
from services.provider_config.domain.look_up import get_provider, type_of
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.model_price import check_price
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.provider_types import PROVIDER_TYPES, ProviderTypes
from services.provider_config.domain.scope_size import model_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateModel:
    """A checked request. `force`: take any price."""

    name: ModelName
    settings: ModelSettings
    uid: str
    act: Act
    force: bool = False
    validate_only: bool = False


def new_model(
    provider: Provider,
    name: ModelName,
    settings: ModelSettings,
    catalogue: Catalogue,
    *,
    uid: str,
    now: datetime,
    types: ProviderTypes = PROVIDER_TYPES,
) -> Model:
    """A model of `provider` that is not stored yet, with what the catalogue knows where nothing is set.

    Raises InvalidArgument when the provider's type is not among `types`.
    """
    provider_type = type_of(provider, types, field="parent")
    return Model(
        name=name,
        uid=uid,
        version=1,
        provider_type=provider.type,
        settings=settings.completed(name, provider_type, catalogue, server=provider.server),
        server=provider.server,
        create_time=now,
        update_time=now,
    )


def create_model(
    transaction: Transaction, command: CreateModel, catalogue: Catalogue, types: ProviderTypes = PROVIDER_TYPES
) -> Changed[Model]:
    """Store the model, with what the catalogue knows where nothing is set.

    Raises NotFound `PROVIDER_NOT_FOUND`, AlreadyExists `MODEL_EXISTS`, InvalidArgument, ResourceExhausted
    `SCOPE_FULL`, FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    provider = get_provider(transaction, command.name.provider)
    if transaction.models.get(command.name) is not None:
        raise model_exists(command.name)
    model = new_model(
        provider, command.name, command.settings, catalogue, uid=command.uid, now=command.act.now, types=types
    )
    if not command.force:
        check_price(model, catalogue)
    check_scope_size(transaction, provider.name.owner, grows_by=model_bytes(model))
    if command.validate_only:
        return Changed(model, 0, stored=False)
    transaction.models.add(model, provider)
    record(transaction, command.act, model.name, provider.name.owner)
    return Changed(model, transaction.advance(provider.scope, provider.name))
