"""Which models of providers can serve."""

from __future__ import annotations

from collections.abc import Iterable

from libs.core.resource_names import ModelName
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider


class ServingModels:
    """What is to be known of `wanted`, pairs of a provider and a model's id, empty for its default; read together."""

    def __init__(self, transaction: Transaction, wanted: Iterable[tuple[Provider, str]]) -> None:
        pairs = list(wanted)
        names = (_chosen(provider, model) for provider, model in pairs)
        self._stored = transaction.models.called({name for name in names if name is not None})
        open_ones = {provider.name: provider for provider, model in pairs if _chosen(provider, model) is None}
        self._with_enabled = transaction.models.with_enabled(open_ones.values())

    def problem(self, provider: Provider, model: str) -> str | None:
        """Why `provider` cannot serve with its model `model`, or its default one when that is empty; None when it can.

        For one of the pairs only.
        """
        name = _chosen(provider, model)
        if name is None:
            found = provider.name in self._with_enabled
            return None if found else f"cannot be left open: {provider.name} has no model that is enabled"
        stored = self._stored.get(name)
        if stored is not None and stored.settings.enabled:
            return None
        state = "does not exist" if stored is None else "is not enabled"
        if model:
            return f"must exist and be enabled: {name} {state}"
        return f"is required: the default model {name} {state}"


def _chosen(provider: Provider, model: str) -> ModelName | None:
    chosen = model or provider.settings.default_model
    return ModelName(provider.name, chosen) if chosen else None
