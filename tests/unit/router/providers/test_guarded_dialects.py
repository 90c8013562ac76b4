"""Whatever a plugin's dialect does, one attempt fails, and nothing of what it was about gets out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from libs.core.money import TokenCounts
from libs.core.provider_types import Capabilities, ProviderType
from services.router.domain import features
from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Finished,
    FinishReason,
    Generation,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Role,
    Signature,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.base import EncodedEmbedding, EncodedRequest, StreamFormat, TokenRequest
from services.router.providers.guarded.dialect import GuardedDialect
from services.router.providers.guarded.guard import Guard, PluginFailure
from services.router.providers.reading.server_sent_events import SERVER_SENT_EVENTS

_TYPE = ProviderType(
    id="acme_ai", display_name="Acme", description="", requires_key=True, capabilities=Capabilities(streaming=True)
)
_CANARY = "sk-canary-0123456789"
_REQUEST = Generation(messages=(Message(role=Role.USER, parts=(Text(_CANARY),)),))
_USAGE = TokenCounts(input_tokens=1, output_tokens=2)
_FINISHED = Finished(finish_reason=FinishReason.STOP, raw_finish_reason="stop", usage=_USAGE)


def _fails(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


class _Plays:
    """Has whatever methods it is given; each returns its value, or raises what is an exception."""

    def __init__(self, **played: Any) -> None:
        for name, value in played.items():
            setattr(self, name, value if callable(value) or not isinstance(value, _Returns) else value.value)


class _Returns:
    def __init__(self, value: object) -> None:
        self.value = value

    def __call__(self, *_: object, **__: object) -> object:
        return self.value


class _Reported(list[PluginFailure]):
    """What was reported."""


@pytest.fixture
def reported() -> _Reported:
    return _Reported()


def _guarded(reported: _Reported, **played: Any) -> GuardedDialect:
    return GuardedDialect(_Plays(**played), _TYPE, Guard("acme 1.0 (acme)", reported.append))  # type: ignore[arg-type]


def _encoded(answers: object) -> _Returns:
    return _Returns(EncodedRequest("/chat", b"{}", answers))  # type: ignore[arg-type]


def _encode(dialect: GuardedDialect) -> EncodedRequest:
    return dialect.encode(_REQUEST, provider_model_id="m", output_limit=1, stream=True)


# Each part of a dialect, and how it is called.
_CALLS: Mapping[str, tuple[str, Callable[[GuardedDialect], object]]] = {
    "key_headers": ("key_headers", lambda each: each.key_headers(_CANARY, {})),
    "token_request": ("token_request", lambda each: each.token_request(_CANARY, {}, now=0.0)),
    "option_headers": ("option_headers", lambda each: each.option_headers({})),
    "encode": ("encode", _encode),
    "models_path": ("models_path", lambda each: each.models_path({})),
    "decode_models": ("decode_models", lambda each: each.decode_models(_CANARY.encode())),
}


@pytest.mark.parametrize("part", _CALLS)
@pytest.mark.parametrize(
    "error", [ValueError(_CANARY), SystemExit(_CANARY), RecursionError(), MemoryError(), GeneratorExit()], ids=repr
)
def test_what_is_raised_fails_the_attempt_and_says_nothing(
    part: str, error: BaseException, reported: _Reported
) -> None:
    method, call = _CALLS[part]
    with pytest.raises(ProviderError) as caught:
        call(_guarded(reported, **{method: _fails(error)}))
    assert (caught.value.reason, caught.value.message) == (Reason.PROVIDER_BAD_RESPONSE, "")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    (failure,) = reported
    assert (failure.plugin, failure.part, failure.error) == ("acme 1.0 (acme)", part, type(error).__name__)
    assert any(frame.endswith(" fail") for frame in failure.frames)
    assert _CANARY not in repr(failure)


@pytest.mark.parametrize(
    ("part", "value", "wrong"),
    [
        ("key_headers", None, "NoneType"),
        ("key_headers", {"X-Key": "a\r\nHost: evil.example"}, "a header whose value"),
        ("key_headers", {"X-Key": b"bytes"}, "a header whose value"),
        ("key_headers", {"X Key": "a"}, "a header without a good name"),
        ("option_headers", {5: "a"}, "a header without a good name"),
        ("token_request", "https://evil.example", "a str, no TokenRequest"),
        ("token_request", TokenRequest("google", "@evil.example/", {}), "a path that does not begin with /"),
        ("token_request", TokenRequest("google", "/", {"a": 5}), "a form"),  # type: ignore[dict-item]
        ("encode", b"{}", "a bytes, no EncodedRequest"),
        ("encode", EncodedRequest("@evil.example/", b"", None), "a path"),  # type: ignore[arg-type]
        ("encode", EncodedRequest("/chat", "text", None), "a body that is a str"),  # type: ignore[arg-type]
        ("encode", EncodedRequest("/chat", b"", None, {"a": "\n"}), "a header"),  # type: ignore[arg-type]
        ("encode", EncodedRequest("/chat", b"", None, {}, ["a"]), "warnings that are a list"),  # type: ignore[arg-type]
        ("encode", EncodedRequest("/chat", b"", None, {}, ("a\nb",)), "a warning that is no line"),  # type: ignore[arg-type]
        ("models_path", ".evil.example/models", "a path that does not begin with /"),
        ("models_path", "/models\nHost: evil.example", "a path"),
        ("models_path", 5, "a path"),
        ("decode_models", ["a"], "a list of models that is no set of texts"),
        ("decode_models", {"a", 5}, "a list of models that is no set of texts"),
        ("decode_models", {"\ud800"}, "no UTF-8"),
    ],
)
def test_a_value_of_another_kind_fails_the_attempt(part: str, value: object, wrong: str, reported: _Reported) -> None:
    method, call = _CALLS[part]
    with pytest.raises(ProviderError) as caught:
        call(_guarded(reported, **{method: _Returns(value)}))
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE
    (failure,) = reported
    assert (failure.part, wrong in failure.error) == (part, True)


def test_what_is_right_passes_as_it_is(reported: _Reported) -> None:
    token = TokenRequest("google", "/token", {"a": "b"})
    dialect = _guarded(
        reported,
        key_headers=_Returns({"Authorization": "Bearer x"}),
        token_request=_Returns(token),
        option_headers=_Returns({}),
        encode=_encoded(None),
        models_path=_Returns("/models?page=1"),
        decode_models=_Returns({"a"}),
        embedder=None,
        features=_Returns(features.STREAMING | 1 << 60),
        takes_urls=_Returns({Image}),
    )
    assert (dialect.id, dialect.requires_key) == ("acme_ai", True)
    assert dialect.key_headers("x", {}) == {"Authorization": "Bearer x"}
    assert dialect.token_request("x", {}, now=0.0) is token
    assert dialect.option_headers({}) == {}
    assert (_encode(dialect).path, _encode(dialect).body) == ("/chat", b"{}")
    assert (dialect.models_path({}), dialect.decode_models(b"")) == ("/models?page=1", frozenset({"a"}))
    assert dialect.embedder is None
    assert dialect.features({}, "m") == features.STREAMING
    assert dialect.takes_urls(_REQUEST, {}, "m") == frozenset({Image})
    assert reported == []


def test_what_is_asked_before_an_attempt_is_none_when_it_fails(reported: _Reported) -> None:
    dialect = _guarded(reported, features=_fails(ValueError()), takes_urls=_fails(ValueError()))
    assert (dialect.features({}, "m"), dialect.takes_urls(_REQUEST, {}, "m")) == (0, frozenset())
    assert _guarded(reported, features=_Returns("all")).features({}, "m") == 0
    assert [each.part for each in reported] == ["features", "takes_urls", "features"]


def test_a_provider_that_has_answered_may_charge_whatever_the_plugin_says(reported: _Reported) -> None:
    error = ProviderError(Reason.PROVIDER_OVERLOADED, sent=False)
    answers = _encode(_guarded(reported, encode=_encoded(_Plays(decode=_fails(error))))).answers
    with pytest.raises(ProviderError) as caught:
        answers.decode(b"")
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_OVERLOADED, True)


def test_embeddings_need_an_embedder(reported: _Reported) -> None:
    wanted = features.STREAMING | features.EMBEDDINGS
    assert _guarded(reported, features=_Returns(wanted), embedder=None).features({}, "m") == 0
    assert _guarded(reported, features=_Returns(wanted), embedder=_Plays()).features({}, "m") == wanted


def test_options_that_are_changed_stay_the_plugins_own(reported: _Reported) -> None:
    options: dict[str, Any] = {"region": {"names": ["eu"]}}

    def change(*_: object, **named: Any) -> dict[str, str]:
        given = [*_, *named.values()]
        found = next(each for each in given if isinstance(each, dict))
        found["region"]["names"].clear()
        found.clear()
        return {}

    dialect = _guarded(reported, option_headers=change, key_headers=change, encode=change, features=change)
    dialect.option_headers(options)
    dialect.key_headers("k", options)
    dialect.features(options, "m")
    with pytest.raises(ProviderError):
        dialect.encode(_REQUEST, provider_model_id="m", output_limit=1, stream=True, options=options)
    assert options == {"region": {"names": ["eu"]}}


@pytest.mark.parametrize("before", [[], [TextDelta("half")]])
def test_a_stream_that_ends_without_an_end_fails_the_attempt(before: list[Any], reported: _Reported) -> None:
    decoder = _Plays(feed=_Returns([TextDelta("a")]), end=_Returns(before))
    answers = _encode(_guarded(reported, encode=_encoded(_Plays(stream_decoder=lambda: decoder)))).answers
    guarded = answers.stream_decoder()
    guarded.feed(b"")
    # Whoever reads it would ask for more for ever.
    with pytest.raises(ProviderError) as caught:
        guarded.end()
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE
    assert [each.part for each in reported] == ["end"]


def test_nothing_comes_after_the_end_in_another_piece_either(reported: _Reported) -> None:
    decoder = _Plays(feed=lambda data: [_FINISHED] if data == b"1" else [TextDelta("late")], end=_Returns([]))
    answers = _encode(_guarded(reported, encode=_encoded(_Plays(stream_decoder=lambda: decoder)))).answers
    guarded = answers.stream_decoder()
    assert guarded.feed(b"1") == [_FINISHED]
    with pytest.raises(ProviderError):
        guarded.feed(b"2")


def test_a_provider_error_is_no_failure_of_the_plugin_and_keeps_what_it_may_say(reported: _Reported) -> None:
    error = ProviderError(Reason.PROVIDER_RATE_LIMITED, status=429, retry_after_s=3.0, message="slow down", sent=True)
    with pytest.raises(ProviderError) as caught:
        _encode(_guarded(reported, encode=_fails(error)))
    raised = caught.value
    assert (raised.reason, raised.status, raised.retry_after_s) == (Reason.PROVIDER_RATE_LIMITED, 429, 3.0)
    assert (raised.message, raised.sent, reported) == ("slow down", True, [])


@pytest.mark.parametrize("reason", [Reason.SPOOL_FULL, Reason.NO_USABLE_TARGET, "PROVIDER_MADE_UP", None])
def test_what_is_the_routers_own_to_say_no_plugin_says(reason: Any, reported: _Reported) -> None:
    error = ProviderError(Reason.PROVIDER_ERROR)
    error.reason = reason
    error.status, error.message, error.retry_after_s = "teapot", 5, float("nan")  # type: ignore[assignment]
    with pytest.raises(ProviderError) as caught:
        _encode(_guarded(reported, encode=_fails(error)))
    raised = caught.value
    assert (raised.reason, raised.status) == (Reason.PROVIDER_BAD_RESPONSE, 0)
    assert (raised.message, raised.retry_after_s) == ("", None)


def test_the_explanation_of_an_error_is_scrubbed_and_bounded(reported: _Reported) -> None:
    error = ProviderError(Reason.PROVIDER_INVALID_REQUEST, message=f"bad key {_CANARY} " + "x" * 9000)
    raised = _guarded(reported, classify=_Returns(error)).classify(400, {}, b"")
    assert _CANARY not in raised.message
    assert len(raised.message) <= 300


class _Bare(ProviderError):
    def __init__(self) -> None:
        Exception.__init__(self, _CANARY)


def test_an_error_without_its_fields_is_a_failure_of_the_plugin(reported: _Reported) -> None:
    with pytest.raises(ProviderError) as caught:
        _encode(_guarded(reported, encode=_fails(_Bare())))
    assert (caught.value.reason, caught.value.message) == (Reason.PROVIDER_BAD_RESPONSE, "")
    assert [(each.part, each.error) for each in reported] == [("encode", "AttributeError")]
    assert _CANARY not in repr(reported)
    error = ProviderError(Reason.PROVIDER_ERROR)
    error.reason = []  # type: ignore[assignment]
    with pytest.raises(ProviderError) as caught:
        _encode(_guarded(reported, encode=_fails(error)))
    assert caught.value.reason is Reason.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize("classify", [_fails(KeyError("x")), _Returns(None), _Returns(ValueError())])
def test_a_failed_response_that_cannot_be_classified_is_an_error_of_its_status(
    classify: Any, reported: _Reported
) -> None:
    error = _guarded(reported, classify=classify).classify(418, {}, _CANARY.encode())
    assert (error.reason, error.status) == (Reason.PROVIDER_ERROR, 418)
    assert [each.part for each in reported] == ["classify"]


def _answer(**changes: Any) -> Answer:
    fields: dict[str, Any] = {
        "parts": (Text("Hi"),),
        "finish_reason": FinishReason.STOP,
        "raw_finish_reason": "stop",
        "usage": _USAGE,
    }
    return Answer(**(fields | changes))


_WRONG_USAGE = TokenCounts(input_tokens=-1)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"text": "Hi"},
        _answer(parts=[Text("Hi")]),
        _answer(parts=("Hi",)),
        _answer(parts=(Text(None),)),  # type: ignore[arg-type]
        _answer(parts=(Text("\ud800"),)),
        _answer(parts=(Text(""),)),
        _answer(parts=(ToolCall(id="", name="t", arguments_json="{}"),)),
        _answer(parts=(Reasoning("", b"signed"),)),  # type: ignore[arg-type]
        _answer(parts=(Reasoning("", Signature("text")),)),  # type: ignore[arg-type]
        _answer(parts=(ToolCall(id=None, name="t", arguments_json="{}"),)),  # type: ignore[arg-type]
        _answer(parts=(ToolCall(id="1", name="t", arguments_json={}),)),  # type: ignore[arg-type]
        _answer(finish_reason="stop"),
        _answer(raw_finish_reason=None),
        _answer(usage={"input": 1}),
        _answer(usage=_WRONG_USAGE),
        _answer(usage=TokenCounts(input_tokens=1.5)),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_an_answer_that_is_none_fails_the_attempt(value: object, reported: _Reported) -> None:
    answers = _encode(_guarded(reported, encode=_encoded(_Plays(decode=_Returns(value))))).answers
    with pytest.raises(ProviderError) as caught:
        answers.decode(b"")
    # The provider has worked, and will charge.
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_BAD_RESPONSE, True)
    assert [each.part for each in reported] == ["decode"]


def test_a_good_answer_passes(reported: _Reported) -> None:
    answer = _answer(
        parts=(
            Reasoning("hm", Signature(b"s")),
            Text("Grüße"),
            ToolCall(id="1", name="t", arguments_json="{", signature=None),
        )
    )
    answers = _encode(_guarded(reported, encode=_encoded(_Plays(decode=_Returns(answer))))).answers
    assert answers.decode(b"") is answer


@pytest.mark.parametrize(
    "value",
    [
        None,
        (TextDelta("a"),),
        ["a"],
        [TextDelta("")],
        [TextDelta(5)],  # type: ignore[arg-type]
        [ReasoningDelta("a", "signed")],  # type: ignore[arg-type]
        [ToolCallStarted(-1, "1", "t")],
        [ToolCallStarted("0", "1", "t")],  # type: ignore[arg-type]
        [ToolArgumentsDelta(0, None)],  # type: ignore[arg-type]
        [ToolArgumentsDelta(0, "{}")],
        [ToolCallStarted(1, "1", "t")],
        [ToolCallStarted(0, "1", "")],
        [_FINISHED, _FINISHED],
        [_FINISHED, TextDelta("late")],
        [Finished(finish_reason=FinishReason.STOP, raw_finish_reason="stop", usage=_WRONG_USAGE)],
    ],
    ids=repr,
)
@pytest.mark.parametrize("part", ["feed", "end"])
def test_events_that_are_none_fail_the_attempt(part: str, value: object, reported: _Reported) -> None:
    decoder = _Plays(feed=_Returns(value), end=_Returns(value))
    answers = _encode(_guarded(reported, encode=_encoded(_Plays(stream_decoder=lambda: decoder)))).answers
    guarded = answers.stream_decoder()
    with pytest.raises(ProviderError) as caught:
        guarded.feed(b"") if part == "feed" else guarded.end()
    assert (caught.value.reason, caught.value.sent) == (Reason.PROVIDER_BAD_RESPONSE, True)
    assert [each.part for each in reported] == [part]


def test_good_events_pass(reported: _Reported) -> None:
    events = [
        ReasoningDelta("hm", Signature(b"s")),
        TextDelta("Grüße"),
        ToolCallStarted(0, "1", "t"),
        ToolArgumentsDelta(0, "{}"),
        _FINISHED,
    ]
    decoder = _Plays(feed=_Returns(events), end=_Returns([]))
    answers = _Plays(stream_decoder=lambda: decoder, stream_format=SERVER_SENT_EVENTS)
    guarded = _encode(_guarded(reported, encode=_encoded(answers))).answers
    reading = guarded.stream_decoder()
    assert reading.feed(b"") == events
    assert reading.end() == []
    assert guarded.stream_format.content_type == SERVER_SENT_EVENTS.content_type
    assert guarded.stream_format.reader().feed(b"data: 1\n\n") == [b"1"]


@pytest.mark.parametrize(
    "stream_format",
    [
        None,
        StreamFormat(None, list),  # type: ignore[arg-type]
        StreamFormat("text/plain", _fails(ValueError())),
        StreamFormat("text/plain", lambda: _Plays(feed=_Returns([1]))),  # type: ignore[arg-type, return-value]
        StreamFormat("text/plain", lambda: _Plays(feed=_fails(ValueError()))),  # type: ignore[arg-type, return-value]
    ],
)
def test_a_reader_that_fails_fails_the_attempt(stream_format: object, reported: _Reported) -> None:
    answers = _encode(_guarded(reported, encode=_encoded(_Plays(stream_format=stream_format)))).answers
    with pytest.raises(ProviderError):
        answers.stream_format.reader().feed(b"")
    assert len(reported) == 1


_VECTORS = Vectors(vectors=(array("f", [1.0]),), usage=None)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (None, 1),
        (_VECTORS, 2),
        (Vectors(vectors=(array("d", [1.0]),), usage=None), 1),
        (Vectors(vectors=([1.0],), usage=None), 1),  # type: ignore[arg-type]
        (Vectors(vectors=(array("f", [1.0]), array("f")), usage=None), 2),
        (Vectors(vectors=(array("f", [1.0]),), usage=_WRONG_USAGE), 1),
    ],
)
def test_vectors_that_are_none_fail_the_attempt(value: object, count: int, reported: _Reported) -> None:
    embedder = _guarded(reported, embedder=_Plays(decode=_Returns(value))).embedder
    assert embedder is not None
    with pytest.raises(ProviderError) as caught:
        embedder.decode(b"", count)
    assert caught.value.sent
    assert [each.part for each in reported] == ["embedder.decode"]


def test_a_good_embedder_passes(reported: _Reported) -> None:
    encoded = EncodedEmbedding("/embed", b"{}", {"A": "b"})
    embedder = _guarded(reported, embedder=_Plays(encode=_Returns(encoded), decode=_Returns(_VECTORS))).embedder
    assert embedder is not None
    assert embedder.encode(Embedding(inputs=("a",)), provider_model_id="m") == encoded
    assert embedder.decode(b"", 1) is _VECTORS
