"""All that is known of a model, from every source."""

from __future__ import annotations

from dataclasses import dataclass

from libs.catalogue.genai_catalogue import GenaiCatalogue
from libs.catalogue.known_models import KnownModels
from libs.core.clock import Clock
from libs.core.money import TokenPrices


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model; None: nobody says. `capabilities`: field names of the API's `Capabilities`."""

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] | None = None


class ModelCatalogue:
    """Answers from memory; making one reads the data, which takes a quarter of a second."""

    def __init__(self, clock: Clock) -> None:
        self._known = KnownModels()
        self._genai = GenaiCatalogue(clock)

    def facts(self, provider_type: str, provider_model_id: str) -> ModelFacts:
        """Sizes and abilities of a model by the id its provider knows it by: our own table's word before others'."""
        known = self._known.find(provider_type, provider_model_id)
        context_tokens = known.context_tokens if known is not None else None
        if context_tokens is None:
            context_tokens = self._genai.context_tokens(provider_type, provider_model_id)
        return ModelFacts(
            context_tokens=context_tokens,
            max_output_tokens=known.max_output_tokens if known is not None else None,
            capabilities=known.capabilities if known is not None else None,
        )

    def price(self, provider_type: str, provider_model_id: str) -> TokenPrices | None:
        """What a token costs now, in calls short enough for the lowest tier; None when nobody published it."""
        return self._genai.find(provider_type, provider_model_id, input_tokens=0)
