"""A Secret shows itself to nobody who does not ask."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.secret import Secret

VALUE = "sk-canary-0123456789"


@dataclasses.dataclass(frozen=True, slots=True)
class Holder:
    name: str
    key: Secret


def logged(secret: Secret) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.Logger("test")  # noqa: LOG001 - one of its own, beside the tree of loggers
    logger.addHandler(handler)
    logger.warning("key %s %r", secret, secret)
    return stream.getvalue()


def traced(secret: Secret) -> str:
    held = Holder("k", secret)
    try:
        raise ValueError(secret, held)  # noqa: TRY301 - the frame with the secret in it is the point
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


SHOWN: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: format(secret, ">40"),
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s} {secret!a}",
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - old formatting is what is tried
    "container": lambda secret: repr([{"a": (secret,)}]),
    "dataclass": lambda secret: repr(Holder("k", secret)),
    "pprint": lambda secret: pprint.pformat(Holder("k", secret)),
    "exception": lambda secret: repr(ValueError(secret)) + str(ValueError(secret)),
    "traceback": traced,
    "log": logged,
    "json with a default": lambda secret: json.dumps({"a": secret}, default=str),
    "orjson with a default": lambda secret: orjson.dumps({"a": secret}, default=repr),
    "dir": dir,
    "mask": lambda secret: secret.mask(),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_nothing_that_shows_values_shows_a_secret(show: Callable[[Secret], object]) -> None:
    text = str(show(Secret(VALUE.encode())))
    assert VALUE not in text
    assert VALUE[:8] not in text


REFUSED: dict[str, Callable[[Secret], object]] = {
    **{f"pickle {protocol}": lambda s, p=protocol: pickle.dumps(s, p) for protocol in range(6)},  # type: ignore[misc]
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "state": lambda secret: secret.__getstate__(),
    "asdict": lambda secret: dataclasses.asdict(Holder("k", secret)),
    "json": json.dumps,
    "orjson": orjson.dumps,
    "bytes": lambda secret: bytes(secret),  # type: ignore[call-overload]  # noqa: PLW0108 - a type is no function
    "iteration": list,  # type: ignore[dict-item]
    "vars": vars,
    "hash": hash,
    "concatenation": lambda secret: "key: " + secret,  # type: ignore[operator]
    "join": lambda secret: "".join([secret]),  # type: ignore[list-item]  # noqa: FLY002 - joining is what is tried
}


@pytest.mark.parametrize("attempt", REFUSED.values(), ids=REFUSED)
def test_what_would_carry_a_secret_away_fails_without_showing_it(attempt: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as caught:
        attempt(Secret(VALUE.encode()))
    assert VALUE not in str(caught.value)


def test_reveal_gives_the_value() -> None:
    assert Secret(VALUE.encode()).reveal() == VALUE.encode()


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"
    assert Secret(b"a") != "a"


def test_length_and_truth_are_those_of_the_value() -> None:
    assert len(Secret(b"abc")) == 3
    assert Secret(b"a")
    assert not Secret(b"")


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        (b"sk-1234567890abcd", "…abcd"),
        (b"0123456789ab", "…89ab"),
        (b"0123456789a", "…"),
        (b"", "…"),
        (b"\xff" * 3, "…"),
    ],
)
def test_a_mask_shows_the_last_four_of_long_secrets_only(value: bytes, masked: str) -> None:
    assert Secret(value).mask() == masked


@given(st.binary())
def test_a_mask_never_shows_more_than_a_third(value: bytes) -> None:
    shown = Secret(value).mask().removeprefix("…")
    assert len(shown) * 3 <= len(value.decode("utf-8", "replace"))
