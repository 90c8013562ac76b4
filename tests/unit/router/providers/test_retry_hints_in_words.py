import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.providers.reading.retry_hints import LONGEST_HINT_S, retry_after_s


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for gpt-4o. Please try again in 1.242s. Visit https://…", 1.242),
        ("Limit 30000, Used 29000. Please try again in 20ms.", 0.02),
        ("Please try again in 6m0s.", 360.0),
        ("Please try again in 7m12.5s. Need more tokens?", 432.5),
        ("Please try again in 1h2m3s.", 3723.0),
        ("Please try again in 8h.", 28_800.0),
        ("Please retry after 26 seconds.", 26.0),
        ("Please retry after 1 second.", 1.0),
        ("You exceeded your current quota. Please retry in 37.166s.", 37.166),
        ("PLEASE RETRY AFTER 5 SECONDS", 5.0),
        ("Please try again in 999h.", LONGEST_HINT_S),
        ("Please try again in a moment.", None),
        ("Please try again later.", None),
        ("Try again in 3 apples.", None),
        ("Wait 3s.", None),
        ("", None),
    ],
)
def test_a_hint_in_words_is_read_where_there_is_no_other(message: str, seconds: float | None) -> None:
    found = retry_after_s({}, {"message": message})
    assert found == (pytest.approx(seconds) if seconds is not None else None)


def test_headers_and_details_come_first() -> None:
    error = {"message": "Please try again in 9s."}
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}
    assert retry_after_s({"retry-after": "2"}, error) == 2.0
    assert retry_after_s({}, {**error, "details": [info]}) == 3.0
    assert retry_after_s({"retry-after": "soon"}, error) == 9.0


@given(st.text() | st.integers() | st.none() | st.from_regex(r"try again in [0-9hms. ]{0,30}"))
def test_no_words_raise_or_ask_for_more_than_a_day(message: object) -> None:
    found = retry_after_s({}, {"message": message})
    assert found is None or 0 <= found <= LONGEST_HINT_S
