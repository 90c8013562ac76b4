"""Reading single resources and pages of them."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.provider_types import ProviderType
from libs.core.resource_names import ModelName, Owner, ProviderName
from services.provider_config.domain.errors import invalid_field, model_not_found, provider_not_found
from services.provider_config.domain.model import Model
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.provider_types import ProviderTypes


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


def type_of(provider: Provider, types: ProviderTypes, *, field: str) -> ProviderType:
    """The provider's type. Raises InvalidArgument about `field` when it is a plugin's that is not there any more."""
    found = types.get(provider.type)
    if found is None:
        raise invalid_field(
            field,
            f"is of a provider of the type {provider.type}, whose plugin is not installed or did not load; the log of "
            "the service's start says why",
        )
    return found


def list_providers(transaction: Transaction, owner: Owner, *, after: str | None, size: int) -> Sequence[Provider]:
    """A page of the providers of exactly `owner`, by id, and one more when there is a next page."""
    return transaction.providers.page(owner, after=after, limit=size + 1)


def list_models(transaction: Transaction, name: ProviderName, *, after: str | None, size: int) -> Sequence[Model]:
    """A page of a provider's models, by id, and one more when there is a next page.

    Raises NotFound `PROVIDER_NOT_FOUND`.
    """
    return transaction.models.page(get_provider(transaction, name), after=after, limit=size + 1)
