"""A model that a configured provider serves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from libs.core.provider_types import Capabilities, ProviderType, catalogue_type
from libs.core.resource_names import ModelName
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.etag import etag_of

# In the names of nearly all models that turn texts into vectors: text-embedding-3-small, nomic-embed-text.
_VECTORS = "embed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """Micro-USD per million tokens, which is pico-USD per token. None: as in `model.proto`."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What can be changed of a model; names and bounds as in `model.proto`.

    When the model is stored, an empty `provider_model_id` becomes the model's id, and a size or `capabilities` of None
    what is known of it; of a stored model none of them is None.
    """

    display_name: str = ""
    provider_model_id: str = ""
    enabled: bool = True
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: Capabilities | None = None
    price: ModelPrice | None = None

    def completed(
        self, name: ModelName, provider_type: ProviderType, catalogue: Catalogue, *, server: object = None
    ) -> ModelSettings:
        """With defaults where nothing is set; `server` is the option of that name of its provider."""
        provider_model_id = self.provider_model_id or name.model
        known = catalogue.facts(catalogue_type(provider_type.id, server), provider_model_id)
        capabilities = self.capabilities
        if capabilities is None:
            abilities = known.capabilities
            named = Capabilities.named(abilities) if abilities is not None else None
            capabilities = named or _likely(provider_model_id, provider_type.capabilities)
        return replace(
            self,
            provider_model_id=provider_model_id,
            context_tokens=_first(self.context_tokens, known.context_tokens),
            max_output_tokens=_first(self.max_output_tokens, known.max_output_tokens),
            capabilities=capabilities,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as stored. `version` counts its changes from 1; times are UTC.

    `provider_type` and the option `server` are its provider's.
    """

    name: ModelName
    uid: str
    version: int
    provider_type: str
    settings: ModelSettings
    create_time: datetime
    update_time: datetime
    server: str = ""

    @property
    def listed_as(self) -> str:
        """The type that a catalogue knows it under."""
        return catalogue_type(self.provider_type, self.server)

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen."""
        return etag_of(self.uid, self.version)

    def changed(self, settings: ModelSettings, *, now: datetime) -> Model:
        """The next version, with `settings`."""
        return replace(self, settings=settings, version=self.version + 1, update_time=now)


def _first(given: int | None, known: int | None) -> int:
    """What was given, else what is known, else 0, which means unknown."""
    return given if given is not None else known or 0


def _likely(provider_model_id: str, carried: Capabilities) -> Capabilities:
    """What a model can do of which nothing is known: all that its type carries, of one of the two kinds of models."""
    if carried.embeddings and _VECTORS in provider_model_id.lower():
        return Capabilities(embeddings=True)
    return replace(carried, embeddings=False)
