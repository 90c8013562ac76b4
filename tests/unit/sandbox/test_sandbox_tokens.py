import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.sandbox.tokens import count_tokens, split_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("Hello, world!", 4), ("internationalisation", 3), ("  \n", 1), ("two  words ", 3), ("雲は白い", 1)],
)
def test_tokens_follow_the_documented_rule(text: str, expected: int) -> None:
    assert expected == count_tokens(text)


@given(st.text())
def test_joined_pieces_are_the_text_again(text: str) -> None:
    assert text == "".join(split_tokens(text))
