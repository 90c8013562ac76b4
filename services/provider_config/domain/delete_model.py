"""Deleting a model."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.resource_names import ModelName
from services.provider_config.domain.changes import Act, check_etag, record
from services.provider_config.domain.deletions import MOST_NAMED, Deleted, still_named
from services.provider_config.domain.errors import model_in_use
from services.provider_config.domain.look_up import get_model
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import scope_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteModel:
    """A checked request. `force`: delete it although something names it."""

    name: ModelName
    etag: str = ""
    force: bool = False
    act: Act


def delete_model(transaction: Transaction, command: DeleteModel) -> Deleted:
    """Remove the model.

    Raises NotFound `MODEL_NOT_FOUND`, Aborted `ETAG_MISMATCH`, FailedPrecondition `MODEL_IN_USE` or
    `AUDIT_LOG_DAMAGED`.
    """
    name = command.name
    model = get_model(transaction, name)
    check_etag(model, command.etag)
    users = transaction.users_of(name.provider, name.model)
    if users and not command.force:
        raise model_in_use(name, users)
    transaction.models.remove(model)
    record(transaction, command.act, name, name.provider.owner, still_named(users))
    return Deleted(
        revision=transaction.advance(scope_of(name.provider.owner), name.provider),
        still_named_by=tuple(users[:MOST_NAMED]),
    )
