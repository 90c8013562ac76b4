from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.money import TokenCounts
from services.router.providers.formats.chat_completions.usage import read_usage
from tests.unit.router.providers.chat_wire import FINISH, decoded, delta, finished


def counts(
    prompt: Any, completion: Any, total: Any = None, cached: Any = None, reasoning: Any = None
) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


# The ledger takes at most 10**9 tokens in a bucket, and so does the decoder in each of the provider's counts.
@given(*[st.integers(0, 10**9 // 2)] * 4)
def test_the_buckets_are_disjoint_and_sum_to_the_provider_s_total(
    uncached: int, cached: int, visible: int, reasoning: int
) -> None:
    prompt, completion = uncached + cached, visible + reasoning
    usage = read_usage(counts(prompt, completion, prompt + completion, cached, reasoning))
    assert usage == TokenCounts(
        input_tokens=uncached, cache_read_tokens=cached, output_tokens=visible, reasoning_tokens=reasoning
    )
    assert usage.total == prompt + completion


@pytest.mark.parametrize("told", [50, None, 0])
def test_reasoning_outside_of_the_completion_is_counted_by_the_total(told: int | None) -> None:
    # xAI tells it in the details, Gemini's OpenAI surface only by the total.
    usage = read_usage(counts(20, 10, 80, reasoning=told))
    assert usage == TokenCounts(input_tokens=20, output_tokens=10, reasoning_tokens=50)
    assert usage.total == 80


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        [],
        {},
        {"completion_tokens": 3},
        counts(-1, 3),
        counts(3, -1),
        counts(3, 1, cached=-1),
        counts(3, 1, cached=4),
        counts(3, 1, 4, reasoning=2),
        {**counts(3, 1), "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 2}},
        counts("3", 1),
        counts(True, 1),
        counts(2.5, 1),
        counts(10**19, 1),
        counts(2.0**64, 1),
    ],
)
def test_usage_that_cannot_be_true_is_as_good_as_none_and_spoils_no_answer(usage: Any) -> None:
    assert decoded(content="Hi", usage=usage).usage is None
    assert finished(delta(content="Hi"), FINISH, {"choices": [], "usage": usage}).usage is None


@pytest.mark.parametrize("total", ["x", -5, 3, {}])
def test_a_total_that_is_less_than_its_parts_is_not_believed(total: Any) -> None:
    assert read_usage(counts(20, 10, total)) == TokenCounts(input_tokens=20, output_tokens=10)


def test_whole_numbers_written_with_a_point_are_numbers() -> None:
    assert read_usage(counts(20.0, 10.0, 30.0)) == TokenCounts(input_tokens=20, output_tokens=10)


def test_running_totals_never_decrease() -> None:
    steps = [{"choices": [], "usage": counts(10, completion)} for completion in (1, 5, 3)]
    assert finished(*steps, FINISH).usage == TokenCounts(input_tokens=10, output_tokens=5)


def test_usage_after_the_finish_reason_and_in_the_same_chunk_counts() -> None:
    expected = TokenCounts(input_tokens=10, output_tokens=1)
    assert finished(FINISH, {"choices": [], "usage": counts(10, 1)}).usage == expected
    assert finished({**FINISH, "usage": counts(10, 1)}).usage == expected


def test_more_tokens_than_the_ledger_takes_cannot_be_true() -> None:
    assert read_usage(counts(10**9, 1)) is not None
    assert read_usage(counts(10**9 + 1, 1)) is None
    assert read_usage(counts(1, 1, 10**9 + 1)) == TokenCounts(input_tokens=1, output_tokens=1)
