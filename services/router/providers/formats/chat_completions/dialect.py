"""A dialect made of Chat Completions and a server's quirks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.router.domain import features
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Generation, Image, Media
from services.router.providers.base import NO_OPTIONS, Embedder, EncodedRequest, Options, TokenRequest
from services.router.providers.formats.chat_completions.errors import ERRORS
from services.router.providers.formats.chat_completions.models import decode_models
from services.router.providers.formats.chat_completions.request import Quirks, encode_request
from services.router.providers.formats.chat_completions.response import ChatAnswers

_FEATURES = (
    features.STREAMING
    | features.TOOLS
    | features.JSON_SCHEMA
    | features.IMAGES
    | features.SAMPLING
    | features.JSON
    | features.TOOL_CHOICE
    | features.PARALLEL_TOOL_CALLS
    | features.STOP
    | features.SEED
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletionsDialect:
    """A `base.Dialect`; see there for the methods. `headers` are the headers of options, by the option's name."""

    id: str
    requires_key: bool
    quirks: Quirks
    headers: Mapping[str, str] = field(default_factory=dict)

    def features(self, options: Options, provider_model_id: str) -> int:
        """What the format carries."""
        return _FEATURES

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """Images only."""
        return frozenset({Image})

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """`Authorization: Bearer`."""
        return {"Authorization": f"Bearer {key}"}

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """None: keys are sent as they are."""
        return None

    def option_headers(self, options: Options) -> Mapping[str, str]:
        """One for each option that is a header."""
        return {
            header: value
            for option, header in self.headers.items()
            if isinstance(value := options.get(option), str) and value
        }

    def encode(
        self,
        request: Generation,
        *,
        provider_model_id: str,
        output_limit: int | None,
        stream: bool,
        options: Options = NO_OPTIONS,
    ) -> EncodedRequest:
        """`POST {base_url}/chat/completions`."""
        body = encode_request(
            request,
            self.quirks.of(options) if options else self.quirks,
            provider_model_id=provider_model_id,
            output_limit=output_limit,
            stream=stream,
        )
        return EncodedRequest("/chat/completions", body, ChatAnswers())

    @property
    def embedder(self) -> Embedder | None:
        """None yet."""
        return None

    def models_path(self, options: Options) -> str:
        """`GET {base_url}/models`."""
        return "/models"

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The ids under `data`. Raises ProviderError."""
        return decode_models(body)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """By OpenAI's error codes, then by status."""
        return ERRORS.classify(status, headers, body)
