"""A dialect made of Chat Completions and a server's quirks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.router.domain.errors import ProviderError
from services.router.domain.generation import Answer, Generation
from services.router.providers.base import NO_OPTIONS, EncodedRequest, Options, StreamDecoder
from services.router.providers.chat_completions.errors import classify_failure
from services.router.providers.chat_completions.models import decode_models
from services.router.providers.chat_completions.request import Quirks, encode_request
from services.router.providers.chat_completions.response import ChatStreamDecoder, decode_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletionsDialect:
    """A `base.Dialect`; see there for the methods. `headers` are the headers of options, by the option's name."""

    id: str
    requires_key: bool
    quirks: Quirks
    headers: Mapping[str, str] = field(default_factory=dict)

    def key_header(self, key: str) -> tuple[str, str]:
        """`Authorization: Bearer`."""
        return "Authorization", f"Bearer {key}"

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
        return EncodedRequest("/chat/completions", body)

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError."""
        return decode_answer(body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return ChatStreamDecoder()

    @property
    def models_path(self) -> str:
        """`GET {base_url}/models`."""
        return "/models"

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The ids under `data`. Raises ProviderError."""
        return decode_models(body)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """By OpenAI's error codes, then by status."""
        return classify_failure(status, headers, body)
