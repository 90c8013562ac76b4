"""Anthropic's own API: Claude by Messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.router.domain import features
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Document, Generation, Image, Media, ToolResult
from services.router.providers.base import NO_OPTIONS, Embedder, EncodedRequest, Options, TokenRequest
from services.router.providers.formats.anthropic_messages import models
from services.router.providers.formats.anthropic_messages.errors import ERRORS
from services.router.providers.formats.anthropic_messages.model_families import Family, Thinking, family_of
from services.router.providers.formats.anthropic_messages.request import encode_request
from services.router.providers.formats.anthropic_messages.response import MessagesAnswers

# The version that every model and every Messages server knows. The next one, 2026-10-21, takes the sampling parameters
# away from the models that still have them, and gives nothing in return that is used here.
_VERSION = "2023-06-01"

# No mode gives JSON without a schema, and nothing seeds or penalises.
_FEATURES = (
    features.STREAMING
    | features.TOOLS
    | features.JSON_SCHEMA
    | features.IMAGES
    | features.DOCUMENTS
    | features.PARALLEL_TOOL_CALLS
    | features.STOP
    | features.SERVICE_TIER
    | features.END_USER
)
_IMAGES_ONLY: frozenset[type[Media]] = frozenset({Image})
_IMAGES_AND_PDFS: frozenset[type[Media]] = frozenset({Image, Document})


class AnthropicDialect:
    """A `base.Dialect`; see there for the methods. Options: `beta`, `thinking`."""

    id = "anthropic"
    requires_key = True

    def features(self, options: Options, provider_model_id: str) -> int:
        """What the format carries, and what the model's family lacks."""
        family = _family(options, provider_model_id)
        mask = _FEATURES
        if family.thinking is not Thinking.NONE:
            mask |= features.REASONING
        if family.sampling:
            mask |= features.SAMPLING | features.TOP_K
        if family.forced_tools:
            mask |= features.TOOL_CHOICE
        return mask

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """Images, and documents as long as all of them are PDFs."""
        return _IMAGES_ONLY if any(map(_is_text_by_url, _media(request))) else _IMAGES_AND_PDFS

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """`x-api-key`."""
        return {"x-api-key": key}

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """None: keys are sent as they are."""
        return None

    def option_headers(self, options: Options) -> Mapping[str, str]:
        """The version of the API, and the betas that the provider's options name."""
        beta = options.get("beta")
        if isinstance(beta, str) and beta:
            return {"anthropic-version": _VERSION, "anthropic-beta": beta}
        return {"anthropic-version": _VERSION}

    def encode(
        self,
        request: Generation,
        *,
        provider_model_id: str,
        output_limit: int | None,
        stream: bool,
        options: Options = NO_OPTIONS,
    ) -> EncodedRequest:
        """`POST {base_url}/v1/messages`."""
        encoded = encode_request(
            request,
            _family(options, provider_model_id),
            provider_model_id=provider_model_id,
            output_limit=output_limit,
            stream=stream,
        )
        answers = MessagesAnswers(encoded.answer_tool, provider_model_id)
        return EncodedRequest("/v1/messages", encoded.body, answers, warnings=encoded.warnings)

    @property
    def embedder(self) -> Embedder | None:
        """None: there are no models for it."""
        return None

    def models_path(self, options: Options) -> str:
        """`GET {base_url}/v1/models`."""
        return models.PATH

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The ids under `data`. Raises ProviderError."""
        return models.decode_models(body)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """By the type of the error and its words, then by status."""
        return ERRORS.classify(status, headers, body)


def _is_text_by_url(media: Media) -> bool:
    return media.url is not None and media.media_type == "text/plain"


def _media(request: Generation) -> Iterator[Media]:
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Media):
                yield part
            elif isinstance(part, ToolResult):
                yield from (piece for piece in part.parts if isinstance(piece, Media))


def _family(options: Options, provider_model_id: str) -> Family:
    return family_of(provider_model_id, options.get("thinking"))


ANTHROPIC = AnthropicDialect()
