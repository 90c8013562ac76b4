"""A dialect made of Chat Completions and a server's quirks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from services.router.domain.errors import ProviderError
from services.router.domain.generation import Generation, Image, Media
from services.router.providers.base import NO_HEADERS, NO_OPTIONS, Embedder, EncodedRequest, Options, TokenRequest
from services.router.providers.formats.chat_completions.errors import ERRORS
from services.router.providers.formats.chat_completions.models import decode_models
from services.router.providers.formats.chat_completions.quirks import Quirks
from services.router.providers.formats.chat_completions.request import encode_request
from services.router.providers.formats.chat_completions.warnings import warnings_of
from services.router.providers.reading.error_table import ErrorTable

_CLOSE: Mapping[str, str] = MappingProxyType({"Connection": "close"})
_IMAGES: frozenset[type[Media]] = frozenset({Image})
_NO_MEDIA: frozenset[type[Media]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletionsDialect:
    """A `base.Dialect`; see there for the methods.

    `servers`: the quirks of the servers that the option `server` names; `quirks` of all others. `headers`: the headers
    of options, by the option's name.
    """

    id: str
    requires_key: bool
    quirks: Quirks
    servers: Mapping[str, Quirks] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    errors: ErrorTable = field(default_factory=lambda: ERRORS)
    embedder: Embedder | None = None

    def quirks_of(self, options: Options) -> Quirks:
        """Those of the server that the options name."""
        return self.servers.get(str(options.get("server")), self.quirks) if options else self.quirks

    def features(self, options: Options, provider_model_id: str) -> int:
        """What the server can be asked for."""
        quirks = self.quirks_of(options)
        return quirks.features | quirks.vectors if self.embedder is not None else quirks.features

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """Images at most: sound and files come as bytes."""
        return _IMAGES if self.quirks_of(options).image_urls else _NO_MEDIA

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

    def path(self, provider_model_id: str, options: Options) -> str:
        """Where calls are posted, appended to the provider's base URL."""
        return "/chat/completions"

    def encode(
        self,
        request: Generation,
        *,
        provider_model_id: str,
        output_limit: int | None,
        stream: bool,
        options: Options = NO_OPTIONS,
    ) -> EncodedRequest:
        """The request. Raises ProviderError for audio of a kind that the server does not take."""
        quirks = self.quirks_of(options)
        body = encode_request(
            request,
            quirks,
            provider_model_id=provider_model_id,
            output_limit=output_limit,
            stream=stream,
            options=options,
        )
        path, warnings = self.path(provider_model_id, options), warnings_of(request, quirks, provider_model_id)
        headers = _CLOSE if stream and quirks.closes_streams else NO_HEADERS
        return EncodedRequest(path, body, quirks.answers, headers, warnings)

    def models_path(self, options: Options) -> str:
        """`GET {base_url}/models`."""
        return "/models"

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The ids under `data`. Raises ProviderError."""
        return decode_models(body)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """By the error table."""
        return self.errors.classify(status, headers, body)
