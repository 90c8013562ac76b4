"""A plugin's dialect behind its guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.core.provider_types import ProviderType
from services.router.domain import features
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Generation, Media
from services.router.providers.base import (
    NO_OPTIONS,
    Dialect,
    Embedder,
    EncodedRequest,
    Options,
    TokenRequest,
)
from services.router.providers.guarded.answers import GuardedAnswers, GuardedEmbedder
from services.router.providers.guarded.guard import Guard
from services.router.providers.guarded.values import (
    WrongValueError,
    checked_body,
    checked_headers,
    checked_ids,
    checked_path,
    checked_token_request,
    checked_warnings,
    copied_options,
)


class GuardedDialect:
    """A `base.Dialect` that raises ProviderError and nothing else, and returns what it should.

    What is asked before there is an attempt, its features and whether it takes URLs, is none when the plugin fails.
    """

    __slots__ = ("_dialect", "_guard", "_type")

    def __init__(self, dialect: Dialect, described: ProviderType, guard: Guard) -> None:
        self._dialect = dialect
        self._type = described
        self._guard = guard

    @property
    def id(self) -> str:
        """As its type says."""
        return self._type.id

    @property
    def requires_key(self) -> bool:
        """As its type says."""
        return self._type.requires_key

    def features(self, options: Options, provider_model_id: str) -> int:
        """As the plugin's, of the bits that there are."""

        def look_up() -> int:
            found: Any = self._dialect.features(copied_options(options), provider_model_id)
            if not isinstance(found, int):
                raise WrongValueError(f"features that are a {type(found).__name__}")
            if found & features.EMBEDDINGS and self._dialect.embedder is None:
                raise WrongValueError("embeddings among its features, and no embedder")
            return found & features.ALL

        try:
            return self._guard("features", look_up, sent=False)
        except ProviderError:
            return 0

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """As the plugin's."""

        def look_up() -> frozenset[type[Media]]:
            return frozenset(self._dialect.takes_urls(request, copied_options(options), provider_model_id))

        try:
            return self._guard("takes_urls", look_up, sent=False)
        except ProviderError:
            return frozenset()

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """As the plugin's."""
        return self._guard(
            "key_headers", lambda: checked_headers(self._dialect.key_headers(key, copied_options(options))), sent=False
        )

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """As the plugin's."""
        return self._guard(
            "token_request",
            lambda: checked_token_request(self._dialect.token_request(key, copied_options(options), now=now)),
            sent=False,
        )

    def option_headers(self, options: Options) -> Mapping[str, str]:
        """As the plugin's."""
        return self._guard(
            "option_headers", lambda: checked_headers(self._dialect.option_headers(copied_options(options))), sent=False
        )

    def encode(
        self,
        request: Generation,
        *,
        provider_model_id: str,
        output_limit: int | None,
        stream: bool,
        options: Options = NO_OPTIONS,
    ) -> EncodedRequest:
        """As the plugin's, its answers guarded too."""

        def encode() -> EncodedRequest:
            found: Any = self._dialect.encode(
                request,
                provider_model_id=provider_model_id,
                output_limit=output_limit,
                stream=stream,
                options=copied_options(options),
            )
            if not isinstance(found, EncodedRequest):
                raise WrongValueError(f"a {type(found).__name__}, no EncodedRequest")
            return EncodedRequest(
                checked_path(found.path),
                checked_body(found.body),
                GuardedAnswers(found.answers, self._guard),
                checked_headers(found.headers),
                checked_warnings(found.warnings),
            )

        return self._guard("encode", encode, sent=False)

    @property
    def embedder(self) -> Embedder | None:
        """As the plugin's, guarded too."""
        found = self._guard("embedder", lambda: self._dialect.embedder, sent=False)
        return None if found is None else GuardedEmbedder(found, self._guard)

    def models_path(self, options: Options) -> str:
        """As the plugin's."""
        return self._guard(
            "models_path", lambda: checked_path(self._dialect.models_path(copied_options(options))), sent=False
        )

    def decode_models(self, body: bytes) -> frozenset[str]:
        """As the plugin's."""
        return self._guard("decode_models", lambda: checked_ids(self._dialect.decode_models(body)), sent=True)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """As the plugin's; where it fails, an error of the provider with this status."""
        try:
            return self._guard(
                "classify", lambda: self._guard.error(self._dialect.classify(status, headers, body)), sent=False
            )
        except ProviderError:
            return ProviderError(Reason.PROVIDER_ERROR, status=status)
