"""What a dialect is: pure functions between a call and a provider's wire format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Answer, Generation, Media, ProviderEvent

Options = Mapping[str, object]
"""What only one type of provider knows; its schema was enforced when the provider was saved."""

NO_OPTIONS: Options = MappingProxyType({})
NO_HEADERS: Mapping[str, str] = MappingProxyType({})

FROM_ORIGIN = "^"
"""What a path begins with that is no continuation of a provider's base URL."""

_LONGEST_NAME = 60


class ByteReader(Protocol):
    """Cuts the bytes of a stream into events, whatever the chunks they come in; made anew for each stream.

    Raises ProviderError for an event that is too long.
    """

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that `chunk` completes."""
        ...

    def end(self) -> list[bytes]:
        """The bytes have ended: what is left, whole or cut."""
        ...


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """How the events of a stream are told apart; `content_type` is what a stream is asked for and known by."""

    content_type: str
    reader: Callable[[], ByteReader]


class StreamDecoder(Protocol):
    """Turns the events of one streamed answer into ours; made anew for each stream."""

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one event of the stream means; empty when it means nothing.

        The answer's end comes as Finished, once, when the provider has said all it has to say. Raises ProviderError
        for an event that is an error or malformed.
        """
        ...

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended. Raises ProviderError when the answer has not."""
        ...


class AnswerFormat(Protocol):
    """How the answers to one kind of request are read. Stateless."""

    @property
    def stream_format(self) -> StreamFormat:
        """How the events of a streamed answer are told apart."""
        ...

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError when it is none."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one streamed answer."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A request in a provider's own words.

    `path`, percent-encoded where it has to be, is appended to the provider's base URL; `answers` reads what comes
    back; `headers` are those that only this request needs.

    `warnings` tell the caller what the provider does not get, or gets changed or as something weaker, because of the
    rest of the request: whatever may make the answer another one than was asked for. What comes to the same needs none:
    other ids and names, the nearest step of effort, bounds of a schema said in words, a word where the format insists
    on one. (What a provider never takes, `features` tells.) They are at most 16 lines of at most 400 characters, with
    nothing of the caller's in them.
    """

    path: str
    body: bytes
    answers: AnswerFormat
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    warnings: tuple[str, ...] = ()


def the_model(provider_model_id: str) -> str:
    """A model as warnings name it."""
    return f"the model {provider_model_id[:_LONGEST_NAME]!r}"


@dataclass(frozen=True, slots=True)
class EncodedEmbedding:
    """A request for vectors in a provider's own words; see EncodedRequest."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)


class Embedder(Protocol):
    """The part of a dialect that turns texts into vectors. Stateless."""

    def encode(self, request: Embedding, *, provider_model_id: str, options: Options = NO_OPTIONS) -> EncodedEmbedding:
        """The request in this dialect."""
        ...

    def decode(self, body: bytes, count: int) -> Vectors:
        """The answer to `count` inputs. Raises ProviderError when it is none, or has another number of vectors."""
        ...


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request that turns a key into an access token, for providers that take no key itself.

    `issuer` names the endpoint among those that the operator allows (`google`, `entra`); `path` is appended to its
    URL; `form` is sent URL-encoded. Where making the form costs something, such as a signature, it is a function: it is
    called only when no token for the key is at hand, and may raise ProviderError `PROVIDER_KEY_REJECTED`.
    """

    issuer: str
    path: str
    form: Mapping[str, str] | Callable[[], Mapping[str, str]] = field(repr=False)


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

    def features(self, options: Options, provider_model_id: str) -> int:
        """What can be carried to this model: bits of `domain.features`. The rest is refused or left out first.

        Asked for each target of a call: it must cost no more than a look into a table.
        """
        ...

    def takes_urls(self, request: Generation, options: Options, provider_model_id: str) -> frozenset[type[Media]]:
        """The kinds of media that the provider fetches by URL itself; the others come to `encode` as bytes.

        `request` is what is encoded next but for these media, so that a type with several formats can choose by it.
        """
        ...

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """The headers that carry the key. An access token that was got for it is a bearer token and not asked about."""
        ...

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """How to get an access token for `key`; None where the key itself is sent. `now`: seconds since 1970.

        Raises ProviderError `PROVIDER_KEY_REJECTED` for a key that is not of the kind the options ask for.
        """
        ...

    def option_headers(self, options: Options) -> Mapping[str, str]:
        """The headers that every request to a provider with these options needs."""
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
        """The request in this dialect, with a provider's options. It asks for nothing that `features` lacks."""
        ...

    @property
    def embedder(self) -> Embedder | None:
        """The part that turns texts into vectors; None where the provider has none."""
        ...

    def models_path(self, options: Options) -> str:
        """Where a GET reads the provider's list of models, free of charge; appended to its base URL.

        After `FROM_ORIGIN` comes a path that is appended to the base URL's origin, for lists that live elsewhere.
        """
        ...

    def decode_models(self, body: bytes) -> frozenset[str]:
        """The ids in a list of models. Raises ProviderError `PROVIDER_BAD_RESPONSE` when it is none."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What a failed response means. Never raises; `body` may be anything."""
        ...
