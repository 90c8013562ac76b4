"""Requests are checked as a whole; origins are read in one way or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import FieldViolation, InvalidArgument
from libs.core.validation import MAX_LABEL_VALUE, MAX_LABELS, MAX_VIOLATIONS, FieldChecks, origin_of


def violations(check: FieldChecks) -> list[tuple[str, str]]:
    try:
        check.done()
    except InvalidArgument as error:
        return [(each.field, each.description) for each in error.field_violations]
    return []


def test_all_wrong_fields_are_reported_at_once_in_their_order() -> None:
    with pytest.raises(InvalidArgument) as caught, FieldChecks() as check:
        check.text("a", "", most=5, least=1)
        check.that(True, "b", "is fine")
        check.that(False, "c", "is not")
        check.count("d", [], most=5, least=1)
    error = caught.value
    assert error.field_violations == (
        FieldViolation(field="a", description="is required"),
        FieldViolation(field="c", description="is not"),
        FieldViolation(field="d", description="must not be empty"),
    )
    assert (error.reason, error.message) == ("INVALID_FIELD", "a is required (and 2 more)")
    assert error.metadata == {"field": "a"}


def test_of_very_many_wrong_fields_the_first_are_named_and_the_others_counted() -> None:
    with pytest.raises(InvalidArgument) as caught, FieldChecks() as check:
        for index in range(10_000):
            check.fail(f"labels[{index}]", "is wrong")
    assert [each.field for each in caught.value.field_violations] == [
        f"labels[{index}]" for index in range(MAX_VIOLATIONS)
    ]
    assert caught.value.message == "labels[0] is wrong (and 9999 more)"


def test_nothing_wrong_raises_nothing() -> None:
    with FieldChecks() as check:
        check.text("a", "ok", most=2)
        check.identifier("b", "a-1")
        check.labels("c", {"team": "x"})


def test_another_error_inside_the_block_is_not_replaced() -> None:
    with pytest.raises(KeyError), FieldChecks() as check:
        check.fail("a", "is wrong")
        raise KeyError


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("abc", None),
        ("", "is required"),
        ("a", "must have at least 2 characters"),
        ("abcdef", "must have at most 5 characters, has 6"),
        ("é" * 5, None),
        ("a\tb\nc", None),
    ],
)
def test_text_is_measured_in_characters(value: str, problem: str | None) -> None:
    check = FieldChecks()
    check.text("a", value, least=2, most=5)
    assert violations(check) == ([("a", problem)] if problem else [])


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_control_characters_are_refused_but_for_tab_and_line_ends(code: int) -> None:
    check = FieldChecks()
    check.text("a", f"x{chr(code)}y", most=5)
    assert (violations(check) == []) is (chr(code) in "\t\n\r")


@pytest.mark.parametrize("key", ["a", "team.sub_unit-1", "a" * 63])
def test_label_keys_like_ids_are_accepted(key: str) -> None:
    check = FieldChecks()
    check.labels("labels", {key: "v"})
    assert violations(check) == []


@pytest.mark.parametrize("key", ["", "A", "1a", "_a", "a b", "a\n", "é", "a" * 64, "a" * 10_000])
def test_other_label_keys_are_refused_and_named_shortened(key: str) -> None:
    check = FieldChecks()
    check.labels("labels", {key: "v"})
    ((field, _),) = violations(check)
    assert field == f"labels[{key[:63]!r}]"


def test_labels_are_bounded_in_number_and_value() -> None:
    check = FieldChecks()
    check.labels("labels", {f"k{n}": "v" for n in range(MAX_LABELS + 1)})
    check.labels("more", {"k": "v" * (MAX_LABEL_VALUE + 1)})
    check.labels("wrong", {f"!{n}": "v" for n in range(MAX_LABELS + 10)})
    found = [field for field, _ in violations(check)]
    assert found[:2] == ["labels", "more['k']"]
    assert len(found) == 2 + 1 + MAX_LABELS


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a", "http://a:80"),
        ("https://a", "https://a:443"),
        ("HTTPS://API.Example.COM/v1/", "https://api.example.com:443"),
        ("https://a:8443/x", "https://a:8443"),
        ("https://a:/x", "https://a:443"),
        ("https://key_vault:1", "https://key_vault:1"),
        ("https://10.0.0.1:65535", "https://10.0.0.1:65535"),
        ("http://[::1]", "http://[::1]:80"),
        ("http://[2001:DB8:0:0::0:1]:99/x", "http://[2001:db8::1]:99"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example:443"),
        ("https://a/ünïcode", "https://a:443"),
    ],
)
def test_the_origin_of_an_http_url(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a",
        "//a",
        "http:",
        "http://",
        "http:///x",
        "http:a",
        "ftp://a",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "httpss://a",
        "http://u@a",
        "http://u:p@a",
        "http://@a",
        "http://a@b@c",
        "http://a?",
        "http://a?b",
        "http://a#",
        "http://a/#b",
        "http://a:b",
        "http://a:-1",
        "http://a:+1",
        "http://a:0",
        "http://a:65536",
        "http://a:1e3",
        "http://a:\u0661",
        "http://a:80:80",
        "http://[::1",
        "http://::1",
        "http://[::1]a",
        "http://a[::1]",
        "http://[a]",
        "http://[v1.a:b]",
        "http://[fe80::1%25eth0]",
        "http://[1.2.3.4]",
        "http://b\u00fccher.example",
        "http://\u212aelvin.example",
        "http://a\u3002b",
        "http://\uff41",
        "http://%61",
        "http://a b",
        "http://a\u00a0b",
        "http://a/ b",
        " http://a",
        "http://a ",
        "http://a\n",
        "ht\ntp://a",
        "http://a\t.b",
        "\x01http://a",
        "http://a\x00b",
        "http://a\x7f",
        "http://good.example\\@evil.example",
        "http://good.example\\.evil.example",
        "http:\\\\a",
        "http://a;b",
        "http://a,b",
        "http://.a",
    ],
)
def test_what_has_no_origin_or_more_than_one_reading(url: str) -> None:
    assert origin_of(url) is None


@given(st.text())
def test_any_text_has_an_origin_that_is_its_own_origin_or_none(text: str) -> None:
    for url in (text, f"https://{text}"):
        origin = origin_of(url)
        if origin is not None:
            assert origin.isascii()
            assert origin_of(origin) == origin
