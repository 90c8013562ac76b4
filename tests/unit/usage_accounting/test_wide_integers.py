from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.usage_accounting.storage.wide_integers import digit_names, digits_of, integer_of


@given(st.lists(st.integers(0, 2**128 - 1), max_size=50))
def test_sums_of_digits_are_the_digits_of_the_sum(values: list[int]) -> None:
    digits = [digits_of(value, 4) for value in values]
    assert integer_of(map(sum, zip(*digits, strict=True))) == sum(values)


@given(st.integers(0, 2**128 - 1))
def test_a_digit_leaves_room_for_sums_in_64_bits(value: int) -> None:
    assert all(0 <= digit < 2**32 for digit in digits_of(value, 4))


@pytest.mark.parametrize("value", [-1, 2**64])
def test_what_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="2 digits"):
        digits_of(value, 2)


def test_columns_are_named_by_place() -> None:
    assert digit_names("squares", 3) == ("squares_0", "squares_1", "squares_2")
