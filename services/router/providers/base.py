"""What a dialect is: pure functions between a call and a provider's wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from services.router.domain.errors import ProviderError
from services.router.domain.generation import Answer, Generation, ProviderEvent

Options = Mapping[str, object]
"""What only one type of provider knows; its schema was enforced when the provider was saved."""

NO_OPTIONS: Options = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A request in a provider's own words; `path` is appended to the provider's base URL."""

    path: str
    body: bytes


class StreamDecoder(Protocol):
    """Turns the events of one streamed answer into ours; made anew for each stream."""

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one server-sent event means; empty when it means nothing.

        The answer's end comes as Finished, once, when the provider has said all it has to say. Raises ProviderError
        for an event that is an error or malformed.
        """
        ...

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended. Raises ProviderError when the answer has not."""
        ...


class Dialect(Protocol):
    """One provider's wire format. Stateless; nothing here does I/O."""

    @property
    def id(self) -> str:
        """The provider type it serves (`Provider.type`)."""
        ...

    @property
    def requires_key(self) -> bool:
        """Whether a provider of this type cannot be called without a key."""
        ...

    def key_header(self, key: str) -> tuple[str, str]:
        """The header that carries the key."""
        ...

    def option_headers(self, options: Options) -> Mapping[str, str]:
        """The headers that a provider's options ask for."""
        ...

    def encode(
        self,
        request: Generation,
        *,
        provider_model_id: str,
        output_limit: int | None,
        stream: bool,
        options: Options = NO_OPTIONS,
    ) -> EncodedRequest:
        """The request in this dialect, with a provider's options."""
        ...

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError when it is none."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed answer."""
        ...

    @property
    def models_path(self) -> str:
        """Where a GET reads the provider's list of models, free of charge; appended to its base URL."""
        ...

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The ids in a list of models. Raises ProviderError `PROVIDER_BAD_RESPONSE` when it is none."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What a failed response means. Never raises; `body` may be anything."""
        ...
