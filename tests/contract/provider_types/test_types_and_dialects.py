"""What provider_config says of the types of providers is what the router's dialects do. The two import nothing of each
other, so only this holds them together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from libs.core.provider_types import ProviderType
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError
from services.router.domain.features import CAPABILITY_NAMES, names_of
from services.router.domain.generation import (
    Effort,
    Generation,
    Message,
    ReasoningRequest,
    Role,
    Text,
    Tool,
    ToolChoiceMode,
)
from services.router.providers.base import Dialect
from services.router.providers.dialects.compatible_servers import SERVERS
from services.router.providers.registry import DIALECTS

_CAPABILITIES = (1 << len(CAPABILITY_NAMES)) - 1
_MODELS = ("", "some-model")
_KEYS = ("plain-key", '{"tenant_id":"t","client_id":"c","client_secret":"s"}')
_QUESTION = Generation(messages=(Message(role=Role.USER, parts=(Text("Hello?"),)),), max_output_tokens=5)
_QUESTIONS = (
    _QUESTION,
    Generation(messages=_QUESTION.messages, reasoning=ReasoningRequest(budget_tokens=1024, effort=None)),
    *(Generation(messages=_QUESTION.messages, reasoning=ReasoningRequest(effort=effort)) for effort in Effort),
    Generation(
        messages=_QUESTION.messages,
        tools=(Tool(name="t", description="", parameters_json='{"type":"object"}'),),
        tool_choice=ToolChoiceMode.REQUIRED,
        seed=1,
    ),
)


class _Watched(dict[str, object]):
    """Options that remember which of them were looked at."""

    def __init__(self, options: Mapping[str, object]) -> None:
        super().__init__(options)
        self.seen: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> object:
        self.seen.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.seen.add(str(key))
        return super().__contains__(key)

    def __bool__(self) -> bool:
        # Those without any option may be passed over whole.
        return True


def _everything(dialect: Dialect, options: Mapping[str, object]) -> list[object]:
    """All that a dialect says that depends on its options."""
    said: list[object] = [dialect.option_headers(options), dialect.models_path(options)]
    for key in _KEYS:
        said.append(dialect.key_headers(key, options))
        try:
            said.append(dialect.token_request(key, options, now=0.0) is None)
        except ProviderError as error:
            said.append(error.reason)
    for model in _MODELS:
        said.append(dialect.features(options, model))
        said += [dialect.takes_urls(question, options, model) for question in _QUESTIONS]
    for question, stream in itertools.product(_QUESTIONS, (False, True)):
        encoded = dialect.encode(
            question, provider_model_id="some-model", output_limit=5, stream=stream, options=options
        )
        said += [encoded.path, encoded.body, encoded.headers]
    if dialect.embedder is not None:
        request = Embedding(inputs=("Hello",), dimensions=4)
        encoded_texts = dialect.embedder.encode(request, provider_model_id="some-model", options=options)
        said += [encoded_texts.path, encoded_texts.body, encoded_texts.headers]
    return said


def _values(schema: Mapping[str, Any]) -> list[Any]:
    """Values of an option that are not the default."""
    return [each for each in schema.get("enum", schema.get("examples", ["x-1"])) if each != schema.get("default")]


def _alternatives(provider_type: ProviderType) -> Iterator[dict[str, Any]]:
    """No options, and each of them with each of its values."""
    yield {}
    for name, schema in provider_type.options.items():
        for value in _values(schema):
            yield {name: value}


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@pytest.fixture
def described(dialect: Dialect) -> ProviderType:
    return PROVIDER_TYPES[dialect.id]


def test_every_type_is_spoken_and_every_dialect_is_a_type() -> None:
    assert sorted(DIALECTS) == sorted(PROVIDER_TYPES)


def test_both_say_the_same_of_keys(dialect: Dialect, described: ProviderType) -> None:
    assert dialect.requires_key is described.requires_key


def test_a_type_carries_what_its_dialect_does_in_one_way_or_another(dialect: Dialect, described: ProviderType) -> None:
    carried = 0
    for options, model in itertools.product(_alternatives(described), _MODELS):
        carried |= dialect.features(options, model)
    said = [name for name in CAPABILITY_NAMES if getattr(described.capabilities, name)]
    assert list(names_of(carried & _CAPABILITIES)) == said


def test_a_dialect_looks_at_the_options_of_its_type_and_at_no_others(dialect: Dialect, described: ProviderType) -> None:
    seen: set[str] = set()
    for options in _alternatives(described):
        watched = _Watched(options)
        _everything(dialect, watched)
        seen |= watched.seen
    # Of the format that they share with compatible servers; nobody can set them.
    shared = {"openai_compatible", dialect.id} <= {"openai_compatible", "openai", "azure_openai"}
    others = set(PROVIDER_TYPES["openai_compatible"].options) if shared else set()
    assert sorted(seen - (others - set(described.options))) == sorted(described.options)


def test_every_value_of_an_option_makes_a_difference(dialect: Dialect, described: ProviderType) -> None:
    usual = _everything(dialect, {})
    for name, schema in described.options.items():
        said = {repr(value): _everything(dialect, {name: value}) for value in _values(schema)}
        if "default" in schema:
            assert _everything(dialect, {name: schema["default"]}) == usual, name
            said["the default"] = usual
        # Without a default, one of the values may be what is done anyway.
        assert any(each != usual for each in said.values()), name
        for (one, of_one), (other, of_other) in itertools.combinations(said.items(), 2):
            assert of_one != of_other, f"{name}: {one} and {other}"


def test_the_servers_of_compatible_providers_are_those_that_the_dialect_knows() -> None:
    assert sorted(PROVIDER_TYPES["openai_compatible"].options["server"]["enum"]) == sorted(SERVERS)
