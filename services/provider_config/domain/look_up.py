"""Reading single resources and pages of them."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.resource_names import ModelName, Owner, ProviderName
from services.provider_config.domain.errors import model_not_found, provider_not_found
from services.provider_config.domain.model import Model
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider


def get_provider(transaction: Transaction, name: ProviderName) -> Provider:
    """The provider. Raises NotFound `PROVIDER_NOT_FOUND`."""
    provider = transaction.providers.get(name)
    if provider is None:
        raise provider_not_found(name)
    return provider


def get_model(transaction: Transaction, name: ModelName) -> Model:
    """The model. Raises NotFound `MODEL_NOT_FOUND`."""
    model = transaction.models.get(name)
    if model is None:
        raise model_not_found(name)
    return model


def list_providers(transaction: Transaction, owner: Owner, *, after: str | None, size: int) -> Sequence[Provider]:
    """A page of the providers of exactly `owner`, by id, and one more when there is a next page."""
    return transaction.providers.page(owner, after=after, limit=size + 1)


def list_models(transaction: Transaction, name: ProviderName, *, after: str | None, size: int) -> Sequence[Model]:
    """A page of a provider's models, by id, and one more when there is a next page.

    Raises NotFound `PROVIDER_NOT_FOUND`.
    """
    return transaction.models.page(get_provider(transaction, name), after=after, limit=size + 1)
