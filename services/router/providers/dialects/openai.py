"""OpenAI's own API: Chat Completions, and Responses where the model or the call needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.router.domain import features
from services.router.domain.errors import ProviderError
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    Media,
    Part,
    Reasoning,
    ToolResult,
)
from services.router.providers.base import NO_OPTIONS, EncodedRequest, Options
from services.router.providers.formats.chat_completions.dialect import ChatCompletionsDialect
from services.router.providers.formats.chat_completions.quirks import OPENAI_QUIRKS, VECTORS
from services.router.providers.formats.openai_embeddings import OpenAIEmbedder
from services.router.providers.formats.openai_models import facts_of
from services.router.providers.formats.openai_responses.errors import ERRORS
from services.router.providers.formats.openai_responses.request import FEATURES, encode_request
from services.router.providers.formats.openai_responses.stream import ResponsesAnswers

_ANSWERS = ResponsesAnswers()
_NO_THOUGHTS = (
    "thoughts left out of the answer: OpenAI takes seeds, stop texts, penalties and sound in Chat Completions only, "
    "which show none"
)
_URLS_OF_RESPONSES: frozenset[type[Media]] = frozenset({Image, Document})


class OpenAIDialect(ChatCompletionsDialect):
    """Two formats under one type; the option `api` (`auto`, `chat_completions`, `responses`) says which.

    `auto`: Responses for models that take nothing else, and for calls that gain by it: thoughts that come back, or go
    there again. Whatever only Chat Completions can carry (a seed, stop texts, penalties, sound) keeps a call there, so
    that what `features` promises holds: the model thinks as hard, but shows and keeps no thoughts, as a warning says.
    """

    __slots__ = ()

    def features(self, options: Options, provider_model_id: str) -> int:
        """Those of the format; in doubt those of Chat Completions, which carry all that Responses do."""
        found = super().features(options, provider_model_id)
        if _only_responses(options, provider_model_id):
            found = FEATURES | (found & VECTORS)
        return found if facts_of(provider_model_id).reasons else found & ~features.REASONING

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """Images, and with Responses documents."""
        if _speaks_responses(request, options, provider_model_id):
            return _URLS_OF_RESPONSES
        return super().takes_urls(request, options, provider_model_id)

    def encode(
        self,
        request: Generation,
        *,
        provider_model_id: str,
        output_limit: int | None,
        stream: bool,
        options: Options = NO_OPTIONS,
    ) -> EncodedRequest:
        """`POST {base_url}/responses` or `POST {base_url}/chat/completions`."""
        if not _speaks_responses(request, options, provider_model_id):
            encoded = super().encode(
                request,
                provider_model_id=provider_model_id,
                output_limit=output_limit,
                stream=stream,
                options=options,
            )
            if options.get("api", "auto") == "auto" and _asks_for_thoughts(request):
                return replace(encoded, warnings=(*encoded.warnings, _NO_THOUGHTS))
            return encoded
        body, warnings = encode_request(
            request, provider_model_id=provider_model_id, output_limit=output_limit, stream=stream
        )
        return EncodedRequest("/responses", body, _ANSWERS, warnings=warnings)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """By OpenAI's error codes, which both formats share, then by status."""
        return ERRORS.classify(status, headers, body)


def _only_responses(options: Options, provider_model_id: str) -> bool:
    api = options.get("api", "auto")
    return api == "responses" or (api != "chat_completions" and facts_of(provider_model_id).responses_only)


def _speaks_responses(request: Generation, options: Options, provider_model_id: str) -> bool:
    if _only_responses(options, provider_model_id):
        return True
    if options.get("api", "auto") != "auto" or _asks_for_chat(request):
        return False
    parts = [part for message in request.messages for part in message.parts]
    return not any(isinstance(part, Audio) for part in parts) and (
        _asks_for_thoughts(request) or any(_gains(part) for part in parts)
    )


def _asks_for_chat(request: Generation) -> bool:
    return (
        request.seed is not None
        or bool(request.stop)
        or request.frequency_penalty is not None
        or request.presence_penalty is not None
    )


def _asks_for_thoughts(request: Generation) -> bool:
    return request.reasoning is not None and request.reasoning.effort is not Effort.NONE


def _gains(part: Part) -> bool:
    """Thoughts that go back, documents that OpenAI can fetch, media that can stay with the tool they come from."""
    match part:
        case Reasoning():
            return part.signature is not None
        case Document():
            return part.url is not None
        case ToolResult():
            return any(isinstance(each, Image | Document) for each in part.parts)
        case _:
            return False


OPENAI = OpenAIDialect(
    id="openai",
    requires_key=True,
    quirks=OPENAI_QUIRKS,
    headers={"organization": "OpenAI-Organization", "project": "OpenAI-Project"},
    embedder=OpenAIEmbedder(base64=True),
)
