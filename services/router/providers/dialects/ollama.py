"""Ollama, on a machine of one's own or as a service."""

from __future__ import annotations

from collections.abc import Mapping

from services.router.domain import features
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Generation, Media
from services.router.providers.base import NO_HEADERS, NO_OPTIONS, Embedder, EncodedRequest, Options, TokenRequest
from services.router.providers.formats.ollama_chat.embeddings import OllamaEmbedder
from services.router.providers.formats.ollama_chat.errors import ERRORS
from services.router.providers.formats.ollama_chat.models import decode_models
from services.router.providers.formats.ollama_chat.request import encode_request, misplaces_images
from services.router.providers.formats.ollama_chat.response import OllamaAnswers, next_call_number

_FEATURES = (
    features.STREAMING
    | features.TOOLS
    | features.JSON_SCHEMA
    | features.IMAGES
    | features.REASONING
    | features.EMBEDDINGS
    | features.SAMPLING
    | features.JSON
    | features.STOP
    | features.SEED
    | features.TOP_K
    | features.PENALTIES
    | features.DIMENSIONS
)

_MISPLACED_IMAGES = (
    "the places of images within a text left out: Ollama shows all images of a message, in order, before its text",
)


class OllamaDialect:
    """A `base.Dialect`; see there for the methods.

    Options: `num_ctx`, the context that models are loaded with; `keep_alive`, how long they stay; `think`, whether they
    think when a call does not say.
    """

    id = "ollama"
    requires_key = False

    def __init__(self) -> None:
        self._embedder = OllamaEmbedder()

    def features(self, options: Options, provider_model_id: str) -> int:
        """What the format carries: no choice of tools, and nothing about parallel calls."""
        return _FEATURES

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """None: it fetches nothing."""
        return frozenset()

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """`Authorization: Bearer`, for ollama.com and for proxies in front of a server."""
        return {"Authorization": f"Bearer {key}"}

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """None: keys are sent as they are."""
        return None

    def option_headers(self, options: Options) -> Mapping[str, str]:
        """None."""
        return NO_HEADERS

    def encode(
        self,
        request: Generation,
        *,
        provider_model_id: str,
        output_limit: int | None,
        stream: bool,
        options: Options = NO_OPTIONS,
    ) -> EncodedRequest:
        """`POST {base_url}/api/chat`."""
        body = encode_request(
            request,
            provider_model_id=provider_model_id,
            output_limit=output_limit,
            stream=stream,
            options=options,
        )
        answers = OllamaAnswers(
            hide_reasoning=request.reasoning is not None and request.reasoning.hide,
            first_call=next_call_number(request.messages) if request.tools else 0,
        )
        warnings = _MISPLACED_IMAGES if misplaces_images(request.messages) else ()
        return EncodedRequest("/api/chat", body, answers, warnings=warnings)

    @property
    def embedder(self) -> Embedder | None:
        """`/api/embed`."""
        return self._embedder

    def models_path(self, options: Options) -> str:
        """`GET {base_url}/api/tags`."""
        return "/api/tags"

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The names, those of the tag `latest` also without it."""
        return decode_models(body)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """By the status and the words of the message."""
        return ERRORS.classify(status, headers, body)


OLLAMA = OllamaDialect()
