"""A model that a configured provider serves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from libs.core.resource_names import ModelName
from services.provider_config.domain.etag import etag_of
from services.provider_config.domain.provider_types import Capabilities, ProviderType


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

    An empty `provider_model_id` becomes the model's id, and `capabilities` of None those of the provider's type,
    when the model is stored.
    """

    display_name: str = ""
    provider_model_id: str = ""
    enabled: bool = True
    context_tokens: int = 0
    max_output_tokens: int = 0
    capabilities: Capabilities | None = None
    price: ModelPrice | None = None

    def completed(self, name: ModelName, provider_type: ProviderType) -> ModelSettings:
        """With defaults where nothing is set."""
        return replace(
            self,
            provider_model_id=self.provider_model_id or name.model,
            capabilities=self.capabilities or provider_type.capabilities,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as stored. `version` counts its changes from 1; times are UTC."""

    name: ModelName
    uid: str
    version: int
    settings: ModelSettings
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen."""
        return etag_of(self.uid, self.version)

    def changed(self, settings: ModelSettings, *, now: datetime) -> Model:
        """The next version, with `settings`."""
        return replace(self, settings=settings, version=self.version + 1, update_time=now)
