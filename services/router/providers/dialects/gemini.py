"""Google's Gemini API, and Gemini on Vertex AI.

Both speak the same format below their base URLs: the Gemini API's, `https://generativelanguage.googleapis.com/v1beta`,
takes an API key; Vertex AI's, with a service account's key and the option `auth: service_account`, is
`https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/publishers/google`.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.router.domain import features
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Audio, Document, Generation, Image, Media
from services.router.providers.base import (
    FROM_ORIGIN,
    NO_HEADERS,
    NO_OPTIONS,
    Embedder,
    EncodedRequest,
    Options,
    TokenRequest,
)
from services.router.providers.formats.gemini_content import service_account
from services.router.providers.formats.gemini_content.embeddings import GeminiEmbedder
from services.router.providers.formats.gemini_content.errors import ERRORS
from services.router.providers.formats.gemini_content.model_names import model_path
from services.router.providers.formats.gemini_content.models import decode_models
from services.router.providers.formats.gemini_content.request import encode_request, renamed_functions
from services.router.providers.formats.gemini_content.response import GeminiAnswers
from services.router.providers.formats.gemini_content.thinking import family_of

# How many tools are called in a turn is the model's own affair, and whom a call is made for is not asked.
_FEATURES = features.ALL & ~(features.PARALLEL_TOOL_CALLS | features.END_USER)
_URLS: frozenset[type[Media]] = frozenset({Image, Audio, Document})
_ANSWERS = GeminiAnswers()


class GeminiDialect:
    """A `base.Dialect`; see there for the methods."""

    id = "gemini"
    requires_key = True

    def features(self, options: Options, provider_model_id: str) -> int:
        """What the format carries, and what the model's family lacks."""
        family = family_of(provider_model_id, options)
        mask = _FEATURES
        if not family.thinks:
            mask &= ~features.REASONING
        if not family.penalties:
            mask &= ~features.PENALTIES
        return mask

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """All kinds."""
        return _URLS

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """`x-goog-api-key`: in a URL, which Google takes too, keys end up in logs."""
        return {"x-goog-api-key": key}

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """For the key of a service account, which is known by what it is."""
        if service_account.looks_like_one(key):
            return service_account.token_request(key, now=now)
        if options.get("auth") == "service_account":
            raise ProviderError(Reason.PROVIDER_KEY_REJECTED)
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
        """`POST {base_url}/models/{model}:generateContent`, for a stream `:streamGenerateContent?alt=sse`."""
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        body, warnings = encode_request(
            request, provider_model_id=provider_model_id, output_limit=output_limit, options=options
        )
        names = renamed_functions(request)
        answers = GeminiAnswers(names) if names else _ANSWERS
        return EncodedRequest(f"{model_path(provider_model_id)}:{method}", body, answers, warnings=warnings)

    @property
    def embedder(self) -> Embedder | None:
        """`batchEmbedContents`."""
        return _EMBEDDER

    def models_path(self, options: Options) -> str:
        """`GET {base_url}/models`, all on one page. Vertex AI lists Google's models for all projects together."""
        if options.get("auth") == "service_account":
            return f"{FROM_ORIGIN}/v1beta1/publishers/google/models?pageSize=1000"
        return "/models?pageSize=1000"

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The ids without `models/`. Raises ProviderError."""
        return decode_models(body)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """By the reasons among the details, by words, then by status."""
        return ERRORS.classify(status, headers, body)


_EMBEDDER = GeminiEmbedder()
GEMINI = GeminiDialect()
