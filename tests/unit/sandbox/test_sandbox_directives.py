import dataclasses

import pytest

from libs.sandbox.dialect import Refusal
from libs.sandbox.directives import EXPLANATIONS, Directives, find_directives, read_directives, without_directives


def read(text: str) -> Directives:
    words = find_directives(text)
    assert words is not None
    return read_directives(words)


def test_a_text_without_a_block_has_no_directives() -> None:
    assert find_directives("what is a [sandbox]?") is None


def test_values_get_their_types() -> None:
    wishes = read("Hi [[sandbox status=429 retry_after=0.5 silent]] there [[sandbox code=insufficient_quota]]")
    assert Directives(status=429, retry_after=0.5, silent=True, code="insufficient_quota") == wishes


def test_every_directive_is_explained_and_every_explanation_is_a_directive() -> None:
    assert {field.name for field in dataclasses.fields(Directives)} == set(EXPLANATIONS)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("colour=red", "no directive 'colour'"),
        ("status=200", "300 to 599"),
        ("status=abc", "whole number"),
        ("tokens=1.5", "whole number"),
        ("tokens=-1", "from 0"),
        ("pace_ms=nan", "number"),
        ("pace_ms=inf", "number"),
        ("silent=yes", "flag"),
        ("status", "whole number"),
        ("code=", "needs a value"),
        ("location=h\u00e9", "ASCII"),
    ],
)
def test_a_slip_is_refused_by_name(words: str, part: str) -> None:
    with pytest.raises(Refusal, match=part) as caught:
        read(f"[[sandbox {words}]]")
    assert (caught.value.status, caught.value.code) == (400, "sandbox_directive_invalid")


@pytest.mark.parametrize("text", ["[[sandbox status=500", "[[sandboxstatus=500]]", "[[sandbox silent]] [[sandbox"])
def test_a_malformed_block_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="closed by"):
        find_directives(text)


def test_people_see_the_text_without_directives() -> None:
    assert without_directives("Hi [[sandbox tokens=3]] there") == "Hi  there"
