"""A plugin's dialect behind its guard."""

from __future__ import annotations

from collections.abc import Mapping

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
        try:
            with self._guard("features", sent=False):
                found = self._dialect.features(options, provider_model_id)
                if not isinstance(found, int):
                    raise WrongValueError(f"features that are a {type(found).__name__}")
        except ProviderError:
            return 0
        return found & features.ALL

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """As the plugin's."""
        try:
            with self._guard("takes_urls", sent=False):
                return frozenset(self._dialect.takes_urls(request, options, provider_model_id))
        except ProviderError:
            return frozenset()

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """As the plugin's."""
        with self._guard("key_headers", sent=False):
            return checked_headers(self._dialect.key_headers(key, options))

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """As the plugin's."""
        with self._guard("token_request", sent=False):
            return checked_token_request(self._dialect.token_request(key, options, now=now))

    def option_headers(self, options: Options) -> Mapping[str, str]:
        """As the plugin's."""
        with self._guard("option_headers", sent=False):
            return checked_headers(self._dialect.option_headers(options))

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
        with self._guard("encode", sent=False):
            found = self._dialect.encode(
                request,
                provider_model_id=provider_model_id,
                output_limit=output_limit,
                stream=stream,
                options=options,
            )
            if not isinstance(found, EncodedRequest):
                raise WrongValueError(f"a {type(found).__name__}, no EncodedRequest")
            return EncodedRequest(
                checked_path(found.path),
                checked_body(found.body),
                GuardedAnswers(found.answers, self._guard),
                checked_headers(found.headers),
            )

    @property
    def embedder(self) -> Embedder | None:
        """As the plugin's, guarded too."""
        with self._guard("embedder", sent=False):
            found = self._dialect.embedder
        return None if found is None else GuardedEmbedder(found, self._guard)

    def models_path(self, options: Options) -> str:
        """As the plugin's."""
        with self._guard("models_path", sent=False):
            return checked_path(self._dialect.models_path(options))

    def decode_models(self, body: bytes) -> frozenset[str]:
        """As the plugin's."""
        with self._guard("decode_models", sent=True):
            return checked_ids(self._dialect.decode_models(body))

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """As the plugin's; where it fails, an error of the provider with this status."""
        try:
            with self._guard("classify", sent=False):
                return self._guard.error(self._dialect.classify(status, headers, body))
        except ProviderError:
            return ProviderError(Reason.PROVIDER_ERROR, status=status)
