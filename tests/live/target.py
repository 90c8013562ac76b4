"""The endpoint under test, as the environment names it."""

from __future__ import annotations

import difflib
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson
from jsonschema import Draft202012Validator

from libs.core.endpoints import AllowedEndpoint, EndpointRules, host_and_port
from libs.core.secret import Secret
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.router.providers.base import Dialect
from services.router.providers.http.access_tokens import PUBLIC_ISSUERS
from services.router.providers.registry import DIALECTS

TYPE, URL, KEY, MODEL = "GATEHOUSE_LIVE_TYPE", "GATEHOUSE_LIVE_URL", "GATEHOUSE_LIVE_KEY", "GATEHOUSE_LIVE_MODEL"
OPTIONS, EMBEDDING_MODEL = "GATEHOUSE_LIVE_OPTIONS", "GATEHOUSE_LIVE_EMBEDDING_MODEL"
SKIP, WORDS = "GATEHOUSE_LIVE_SKIP", "GATEHOUSE_LIVE_WORDS"
EVERYWHERE = "*"
"""In `GATEHOUSE_LIVE_WORDS`: for every question."""

_EXAMPLE = (
    f"for example: make test-live {TYPE}=openai_compatible {URL}=http://localhost:8080/v1 {MODEL}=qwen3 "
    f'{OPTIONS}=\'{{"server":"llama_cpp"}}\''
)


class BadTarget(ValueError):
    """The environment does not say what to test; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTarget:
    """What is tested. `words`: what is put behind the questions of a feature, by its name."""

    type: str
    base_url: str
    model: str
    embedding_model: str = ""
    key: Secret | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def dialect(self) -> Dialect:
        """How it is spoken to."""
        return DIALECTS[self.type]

    @property
    def origin(self) -> str:
        """Scheme, host and port of its base URL."""
        scheme, _, rest = self.base_url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    @property
    def rules(self) -> EndpointRules:
        """Lets calls go to the host that was named, wherever it is."""
        return _rules(self.base_url)

    def addresses(self) -> dict[tuple[str, int], tuple[str, ...]]:
        """The hosts a run may call, and where each is from now on. Raises BadTarget."""
        places = [host_and_port(self.base_url)]
        if self.key is not None and self.key.reveal().lstrip().startswith(b"{"):
            # Such keys are exchanged for access tokens first.
            places += [host_and_port(each) for each in PUBLIC_ISSUERS.values()]
        return {place: _resolved(*place) for place in places}


def read_target(environment: Mapping[str, str], names: Iterable[str]) -> LiveTarget:
    """The target that the environment names; `names` are the features there are. Raises BadTarget."""
    known = sorted(names)
    type_id = _required(environment, TYPE, f"a provider type: {', '.join(PROVIDER_TYPES)}")
    if type_id not in PROVIDER_TYPES:
        raise BadTarget(f"{TYPE}={type_id} is no provider type; there are {', '.join(PROVIDER_TYPES)}")
    described = PROVIDER_TYPES[type_id]
    model = _required(environment, MODEL, "the provider's own id of the model to test")
    base_url = environment.get(URL, "") or described.default_base_url
    if not base_url:
        raise BadTarget(f"set {URL}: providers of type {type_id} have no address that is the same for all; {_EXAMPLE}")
    key = environment.get(KEY, "").strip()
    if described.requires_key and not key:
        raise BadTarget(f"set {KEY}: {described.display_name} answers nobody without a key")
    problem = _rules(base_url).url_problem(base_url)
    if problem is not None:
        raise BadTarget(f"{URL} {problem}")
    return LiveTarget(
        type=type_id,
        base_url=base_url.rstrip("/"),
        model=model,
        embedding_model=environment.get(EMBEDDING_MODEL, ""),
        key=Secret(key.encode()) if key else None,
        options=_options(environment.get(OPTIONS, ""), type_id),
        skipped=_skipped(environment.get(SKIP, ""), known),
        words=_words(environment.get(WORDS, ""), known),
    )


def _required(environment: Mapping[str, str], name: str, what: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise BadTarget(f"set {name} to {what}; {_EXAMPLE}")
    return value


def _rules(base_url: str) -> EndpointRules:
    try:
        host, port = host_and_port(base_url)
        bracketed = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return EndpointRules(allow_loopback=True, allowed=(AllowedEndpoint.parse(bracketed),))
    except (ValueError, KeyError):
        # What is wrong with the URL is said when it is judged.
        return EndpointRules(allow_loopback=True)


def _resolved(host: str, port: int) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise BadTarget(f"{host} of {URL} has no address: {error.strerror}") from None
    return tuple(dict.fromkeys(str(ipaddress.ip_address(where[0])) for *_, where in found))


def _object(text: str, name: str, example: str) -> dict[str, object]:
    try:
        value = orjson.loads(text or "{}")
    except orjson.JSONDecodeError as error:
        raise BadTarget(f"{name} is no JSON ({error}); for example: {name}='{example}'") from None
    if not isinstance(value, dict):
        raise BadTarget(f"{name} is no JSON object; for example: {name}='{example}'")
    return value


def _options(text: str, type_id: str) -> dict[str, object]:
    options = _object(text, OPTIONS, '{"server":"llama_cpp"}')
    described = PROVIDER_TYPES[type_id]
    for error in Draft202012Validator(dict(described.options_schema)).iter_errors(options):
        known = f"the options of {type_id} are {', '.join(described.options) or 'none'}"
        raise BadTarget(f"{OPTIONS} does not fit: {error.message}; {known}")
    return options


def _skipped(text: str, known: list[str]) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    for name in sorted(names):
        _check_name(name, known, SKIP)
    return names


def _words(text: str, known: list[str]) -> dict[str, str]:
    words = _object(text, WORDS, '{"*": "/no_think"}')
    for name, value in words.items():
        if name != EVERYWHERE:
            _check_name(name, known, WORDS)
        if not isinstance(value, str):
            raise BadTarget(f"{WORDS} must hold a text for {name}")
    return {name: str(value) for name, value in words.items()}


def _check_name(name: str, known: list[str], where: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise BadTarget(f"{where}: nothing is called {name!r}; {meant}There are {', '.join(known)}")
