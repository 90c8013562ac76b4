from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from services.usage_accounting.domain.quota import QuotaWindow
from services.usage_accounting.domain.windows import WindowCalendar, is_time_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400
YEARS = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))


def us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def at(text: str) -> int:
    return us(datetime.fromisoformat(text))


def utc(instant_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=instant_us)


def window(zone: str, kind: QuotaWindow, instant: str) -> tuple[str, str]:
    found = WindowCalendar().window(zone, kind, at(instant))
    return utc(found.start_us).isoformat(), utc(found.end_us).isoformat()


def label(zone: ZoneInfo, kind: QuotaWindow, instant_us: int) -> date:
    """The local day, or the first day of the local month."""
    local = utc(instant_us).astimezone(zone).date()
    return local if kind is QuotaWindow.DAY else local.replace(day=1)


def transitions(zone: ZoneInfo) -> list[datetime]:
    """Days on which the zone's offset changes."""
    first, last = YEARS
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    offsets = [day.astimezone(zone).utcoffset() for day in days]
    return [day for day, before, after in zip(days, offsets, offsets[1:], strict=False) if before != after]


@pytest.mark.parametrize("kind", list(QuotaWindow))
def test_every_zone_has_windows_that_are_exactly_its_local_dates(kind: QuotaWindow) -> None:
    seed = 7_2024
    chance = random.Random(seed)
    span = int((YEARS[1] - YEARS[0]).total_seconds())
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        around = [day + timedelta(hours=hour) for day in transitions(zone)[:8] for hour in range(-6, 42, 5)]
        leap = [datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)]
        anywhere = [YEARS[0] + timedelta(seconds=chance.randrange(span)) for _ in range(6)]
        for instant in (*around, *leap, *anywhere):
            instant_us = us(instant)
            found = WindowCalendar().window(name, kind, instant_us)
            own = label(zone, kind, instant_us)
            where = f"{name} at {instant}, seed {seed}"
            assert found.start_us <= instant_us < found.end_us, where
            assert label(zone, kind, found.start_us) == own, where
            assert label(zone, kind, found.start_us - 1) < own, where
            assert label(zone, kind, found.end_us - 1) == own, where
            assert label(zone, kind, found.end_us) > own, where


def test_days_of_summer_time_are_23_and_25_hours_long() -> None:
    calendar = WindowCalendar()
    short = calendar.window("Europe/Berlin", QuotaWindow.DAY, at("2025-03-30T12:00+00:00"))
    long = calendar.window("Europe/Berlin", QuotaWindow.DAY, at("2025-10-26T12:00+00:00"))
    assert (short.end_us - short.start_us, long.end_us - long.start_us) == (23 * 3600 * 10**6, 25 * 3600 * 10**6)


def test_a_day_without_midnight_begins_when_the_clocks_are_set_forward() -> None:
    # Cairo: 2024-04-26 00:00 does not exist, the clocks go from 23:59:59 to 01:00.
    assert window("Africa/Cairo", QuotaWindow.DAY, "2024-04-26T12:00+00:00") == (
        "2024-04-25T22:00:00+00:00",
        "2024-04-26T21:00:00+00:00",
    )


def test_a_month_without_first_midnight_begins_in_the_gap() -> None:
    # Asuncion, 2017-10-01: midnight of the first of the month was skipped.
    assert window("America/Asuncion", QuotaWindow.MONTH, "2017-10-15T00:00+00:00")[0] == "2017-10-01T04:00:00+00:00"


def test_a_gap_that_begins_before_midnight_begins_the_day() -> None:
    # Toronto, 1919-03-30: the clocks went from 23:30 to 00:30 of the next day.
    assert window("America/Toronto", QuotaWindow.DAY, "1919-03-31T12:00+00:00")[0] == "1919-03-31T04:30:00+00:00"


def test_of_two_midnights_the_first_begins_the_day() -> None:
    # Havana, 2024-11-03: 01:00 is followed by 00:00.
    assert window("America/Havana", QuotaWindow.DAY, "2024-11-03T12:00+00:00") == (
        "2024-11-03T04:00:00+00:00",
        "2024-11-04T05:00:00+00:00",
    )


def test_clocks_set_back_across_midnight_do_not_reopen_the_day_that_ended() -> None:
    # St. John's, 2010-11-07: 00:01 was followed by 23:01 of the day before.
    first = window("America/St_Johns", QuotaWindow.DAY, "2010-11-07T02:30:30+00:00")
    again = window("America/St_Johns", QuotaWindow.DAY, "2010-11-07T03:00:00+00:00")
    assert first == again
    assert first[0] == "2010-11-07T02:30:00+00:00"


def test_a_skipped_date_leaves_no_hole() -> None:
    # Apia had no 2011-12-30.
    calendar = WindowCalendar()
    before = calendar.window("Pacific/Apia", QuotaWindow.DAY, at("2011-12-30T09:59:59+00:00"))
    after = calendar.window("Pacific/Apia", QuotaWindow.DAY, at("2011-12-30T10:00:00+00:00"))
    assert before.end_us == after.start_us == at("2011-12-30T10:00:00+00:00")


def test_february_has_29_days_in_a_leap_year() -> None:
    assert window("UTC", QuotaWindow.MONTH, "2024-02-29T23:59:59+00:00") == (
        "2024-02-01T00:00:00+00:00",
        "2024-03-01T00:00:00+00:00",
    )


def test_december_is_followed_by_january() -> None:
    assert window("UTC", QuotaWindow.MONTH, "2025-12-31T23:59:59+00:00")[1] == "2026-01-01T00:00:00+00:00"


def test_a_remembered_window_is_not_used_beyond_its_end_or_before_its_start() -> None:
    calendar = WindowCalendar()
    days = [calendar.window("UTC", QuotaWindow.DAY, number * DAY * 10**6) for number in (5, 5, 6, 4)]
    assert [found.start_us // (DAY * 10**6) for found in days] == [5, 5, 6, 4]


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "europe/berlin", "/etc/localtime", "localtime"]
)
def test_what_is_no_iana_zone_is_refused(name: str) -> None:
    assert not is_time_zone(name)
