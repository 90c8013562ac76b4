"""Whether what a plugin returns is what its dialect promises: what is not would break things far from here."""

from __future__ import annotations

import copy
import re
from array import array
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from libs.core.money import TokenCounts
from services.router.domain.embedding import Vectors
from services.router.domain.generation import (
    Answer,
    Finished,
    FinishReason,
    ProviderEvent,
    Reasoning,
    ReasoningDelta,
    Signature,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.base import Options, TokenRequest

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_PATH = re.compile(r"/[\x21-\x7e]*")
_MOST_TOKENS = 2**53
_INDICES = range(100_000)
_MOST_WARNINGS, _LONGEST_WARNING = 16, 400
_COUNTS = tuple(each.name for each in fields(TokenCounts))


class WrongValueError(Exception):
    """A value is not what it should be; the text says of what kind it is and never what it holds."""


def copied_options(options: Options) -> dict[str, object]:
    """Options that may be changed: the providers of many tenants have the same ones in common."""
    return copy.deepcopy(dict(options))


def checked_headers(value: object) -> Mapping[str, str]:
    """Headers that can be sent."""
    if not isinstance(value, Mapping):
        raise WrongValueError(f"headers that are a {type(value).__name__}")
    for name, text in value.items():
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
            raise WrongValueError("a header without a good name")
        if not (isinstance(text, str) and _HEADER_VALUE.fullmatch(text)):
            raise WrongValueError("a header whose value is no line of visible ASCII")
    return dict(value)


def checked_warnings(value: object) -> tuple[str, ...]:
    """Lines for people."""
    if not isinstance(value, tuple) or len(value) > _MOST_WARNINGS:
        raise WrongValueError(f"warnings that are a {type(value).__name__}, or more than {_MOST_WARNINGS}")
    for text in value:
        if not (isinstance(text, str) and text.isprintable() and len(text) <= _LONGEST_WARNING):
            raise WrongValueError(f"a warning that is no line of at most {_LONGEST_WARNING} characters")
    return value


def checked_path(value: object) -> str:
    """A path below the provider's address. Without its slash it could lead to another host."""
    if not (isinstance(value, str) and _PATH.fullmatch(value)):
        raise WrongValueError("a path that does not begin with / or is not percent-encoded")
    return value


def checked_body(value: object) -> bytes:
    """The bytes of a request."""
    if not isinstance(value, bytes):
        raise WrongValueError(f"a body that is a {type(value).__name__}")
    return value


def checked_token_request(value: object) -> TokenRequest | None:
    """A request for an access token, or none."""
    if value is None:
        return None
    if not isinstance(value, TokenRequest):
        raise WrongValueError(f"a {type(value).__name__}, no TokenRequest")
    issuer, form = _foreign(value.issuer), _foreign(value.form)
    _check(isinstance(issuer, str), "an issuer that is no text")
    _check(isinstance(form, Mapping), "a form that is no mapping")
    _check(all(isinstance(text, str) for pair in form.items() for text in pair), "a form of other things than texts")
    checked_path(value.path)
    return value


def checked_answer(value: object) -> Answer:
    """A complete answer."""
    if not isinstance(value, Answer):
        raise WrongValueError(f"a {type(value).__name__}, no Answer")
    _check(isinstance(value.parts, tuple), "parts that are no tuple")
    for part in value.parts:
        match part:
            case Text():
                _text(part.text, "text")
                _check(bool(part.text), "an empty text")
            case Reasoning():
                _text(part.text, "reasoning")
                _signature(part.signature)
            case ToolCall():
                _text(part.id, "tool call's id")
                _text(part.name, "tool call's name")
                _check(bool(part.id and part.name), "a tool call without id or name")
                _text(part.arguments_json, "tool call's arguments")
                _signature(part.signature)
            case _:
                raise WrongValueError(f"an answer with a {type(part).__name__} in it")
    _ending(value)
    return value


def checked_events(value: object) -> list[ProviderEvent]:
    """Events of a stream; the end comes last."""
    if not isinstance(value, list):
        raise WrongValueError(f"events that are a {type(value).__name__}")
    for event in value:
        match event:
            case TextDelta():
                _text(event.text, "text")
                _check(bool(event.text), "an empty text")
            case ReasoningDelta():
                _text(event.text, "reasoning")
                _signature(event.signature)
            case ToolCallStarted():
                _index(event.index)
                _text(event.id, "tool call's id")
                _text(event.name, "tool call's name")
                _check(bool(event.id and event.name), "a tool call without id or name")
                _signature(event.signature)
            case ToolArgumentsDelta():
                _index(event.index)
                _text(event.arguments_json, "tool call's arguments")
            case Finished():
                _check(event is value[-1], "something after the end")
                _ending(event)
            case _:
                raise WrongValueError(f"a {type(event).__name__} among the events")
    return value


def checked_chunks(value: object) -> list[bytes]:
    """What a reader cut out of a stream."""
    if not isinstance(value, list) or not all(isinstance(each, bytes) for each in value):
        raise WrongValueError("pieces of a stream that are no list of bytes")
    return value


def checked_ids(value: object) -> frozenset[str]:
    """The ids of a list of models."""
    if not isinstance(value, frozenset | set) or not all(isinstance(each, str) for each in value):
        raise WrongValueError("a list of models that is no set of texts")
    for each in value:
        _text(each, "model's id")
    return frozenset(value)


def checked_vectors(value: object, count: int) -> Vectors:
    """One vector for each of `count` inputs, all of one length."""
    if not isinstance(value, Vectors) or not isinstance(value.vectors, tuple):
        raise WrongValueError(f"a {type(value).__name__}, no Vectors")
    floats = all(isinstance(each, array) and each.typecode == "f" for each in _foreign(value.vectors))
    _check(floats, "a vector that is no array of floats of 32 bits")
    _check(len(value.vectors) == count, "another number of vectors")
    _check(len({len(each) for each in value.vectors}) <= 1, "vectors of several lengths")
    _usage(value.usage)
    return value


def _foreign(value: Any) -> Any:
    """The same value, as what it may be: annotations hold nobody to anything."""
    return value


def _check(holds: bool, wrong: str) -> None:
    if not holds:
        raise WrongValueError(wrong)


def _text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise WrongValueError(f"a {what} that is a {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise WrongValueError(f"a {what} that is no UTF-8") from None


def _index(value: object) -> None:
    _check(isinstance(value, int) and value in _INDICES, "a tool call's index that is no number from 0")


def _signature(value: object) -> None:
    good = value is None or (isinstance(value, Signature) and isinstance(_foreign(value.data), bytes))
    _check(good, "a signature that is none")


def _ending(value: Answer | Finished) -> None:
    _check(isinstance(value.finish_reason, FinishReason), "a finish reason that is no FinishReason")
    _text(value.raw_finish_reason, "finish reason")
    _usage(value.usage)


def _usage(value: object) -> None:
    if value is None:
        return
    _check(isinstance(value, TokenCounts), f"a usage that is a {type(value).__name__}")
    counts = [getattr(value, name) for name in _COUNTS]
    _check(all(isinstance(each, int) and 0 <= each < _MOST_TOKENS for each in counts), "a usage of no whole numbers")
