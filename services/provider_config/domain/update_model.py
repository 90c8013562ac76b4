"""Changing a model."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from libs.core.resource_names import ModelName
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.changes import Act, Changed, check_etag, check_scope_size, differing, record
from services.provider_config.domain.look_up import get_model, get_provider, type_of
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.model_price import check_price, price_may_differ
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider_types import PROVIDER_TYPES, ProviderTypes
from services.provider_config.domain.scope_size import model_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateModel:
    """A checked request: `fields` names what to take from `settings`. `force`: take any price."""

    name: ModelName
    fields: AbstractSet[str]
    settings: ModelSettings
    etag: str = ""
    act: Act
    force: bool = False


def update_model(
    transaction: Transaction, command: UpdateModel, catalogue: Catalogue, types: ProviderTypes = PROVIDER_TYPES
) -> Changed[Model]:
    """Store the next version. When nothing differs, nothing is stored, and the revision is the present one.

    Raises NotFound `MODEL_NOT_FOUND`, Aborted `ETAG_MISMATCH`, InvalidArgument, ResourceExhausted `SCOPE_FULL`,
    FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    model = get_model(transaction, command.name)
    provider = get_provider(transaction, command.name.provider)
    check_etag(model, command.etag)
    merged = replace(model.settings, **{field: getattr(command.settings, field) for field in command.fields})
    settings = merged.completed(
        model.name, type_of(provider, types, field="model.name"), catalogue, server=provider.server
    )
    if settings == model.settings:
        return Changed(model, transaction.revision(), stored=False)
    changed = model.changed(settings, now=command.act.now)
    if price_may_differ(model.settings, settings) and not command.force:
        check_price(changed, catalogue)
    growth = model_bytes(changed) - model_bytes(model)
    check_scope_size(transaction, provider.name.owner, grows_by=growth)
    transaction.models.put(changed)
    details = {"fields": differing(model.settings, settings), "version": str(changed.version)}
    record(transaction, command.act, model.name, provider.name.owner, details)
    return Changed(changed, transaction.advance(provider.scope, provider.name))
