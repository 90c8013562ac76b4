"""Page tokens continue the call they came from and no other."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument
from libs.core.page_tokens import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, decode_page_token, encode_page_token, page_size

CURSORS = st.text(st.characters(codec="utf-8"))
VALUES = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.text(), max_size=3))
ARGUMENTS = st.dictionaries(st.text(), VALUES, max_size=5)


@given(CURSORS, ARGUMENTS)
def test_a_token_gives_its_cursor_back_to_the_same_arguments(cursor: str, arguments: dict[str, object]) -> None:
    reordered = dict(reversed(list(arguments.items())))
    assert decode_page_token(encode_page_token(cursor, arguments), reordered) == cursor


@given(CURSORS, ARGUMENTS, ARGUMENTS)
def test_a_token_is_refused_with_other_arguments(
    cursor: str, arguments: dict[str, object], others: dict[str, object]
) -> None:
    token = encode_page_token(cursor, arguments)
    # As JSON tells them apart: 1 and True are equal in Python.
    if repr(sorted(arguments.items())) != repr(sorted(others.items())):
        with pytest.raises(InvalidArgument):
            decode_page_token(token, others)


def test_an_empty_token_is_the_first_page() -> None:
    assert decode_page_token("", {"parent": "platform"}) is None


@given(st.text(min_size=1))
def test_text_that_is_no_token_is_an_invalid_argument(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_page_token(text, {"parent": "platform"})
    assert [each.field for each in caught.value.field_violations] == ["page_token"]


def test_a_token_whose_cursor_is_not_text_is_an_invalid_argument() -> None:
    token = encode_page_token("abc", {})
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    forged = base64.urlsafe_b64encode(raw[:8] + b"\xff\xfe").decode().rstrip("=")
    with pytest.raises(InvalidArgument):
        decode_page_token(forged, {})


@given(CURSORS)
def test_tokens_travel_in_urls_unescaped(cursor: str) -> None:
    assert set(encode_page_token(cursor, {})) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@pytest.mark.parametrize(
    ("requested", "served"),
    [(0, DEFAULT_PAGE_SIZE), (1, 1), (MAX_PAGE_SIZE, MAX_PAGE_SIZE), (MAX_PAGE_SIZE + 1, MAX_PAGE_SIZE)],
)
def test_page_sizes_have_a_default_and_a_cap(requested: int, served: int) -> None:
    assert page_size(requested) == served


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_size(-1)
    assert caught.value.metadata == {"field": "page_size"}
