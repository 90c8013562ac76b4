"""Deleting a model."""

from __future__ import annotations

from libs.core.resource_names import ModelName
from services.provider_config.domain.changes import check_etag
from services.provider_config.domain.look_up import get_model
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import scope_of


def delete_model(transaction: Transaction, name: ModelName, *, etag: str) -> int:
    """Remove the model; the revision at which routers know.

    Raises NotFound `MODEL_NOT_FOUND` and Aborted `ETAG_MISMATCH`.
    """
    model = get_model(transaction, name)
    check_etag(model, etag)
    transaction.models.remove(model)
    return transaction.advance(scope_of(name.provider.owner))
