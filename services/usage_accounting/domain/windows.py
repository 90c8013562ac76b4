"""Calendar days and months in a time zone, as exact spans of time.

A day begins at the first instant of its local date: at midnight where there is one, at the end of the gap where the
clocks skip midnight, at the first of two midnights where they repeat it. Windows follow each other without gap or
overlap, whatever the zone does; there is nothing to reset, a new window just begins.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from services.usage_accounting.domain.quota import QuotaWindow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_LAST_MONTH = 12


class Window(NamedTuple):
    """From `start_us` to before `end_us`, in microseconds since 1970 UTC."""

    start_us: int
    end_us: int


def is_time_zone(name: str) -> bool:
    """Whether `name` is a zone of the IANA database, the same on every machine."""
    return name in _zones()


class WindowCalendar:
    """Windows by zone, each remembered until it ends. Shared by threads: entries are only ever replaced."""

    def __init__(self) -> None:
        self._current: dict[tuple[str, QuotaWindow], Window] = {}

    def window(self, time_zone: str, window: QuotaWindow, at_us: int) -> Window:
        """The window that `at_us` falls in. Raises ZoneInfoNotFoundError for a zone that does not exist."""
        known = self._current.get((time_zone, window))
        if known is not None and known.start_us <= at_us < known.end_us:
            return known
        found = _find(ZoneInfo(time_zone), window, _EPOCH + at_us * _MICROSECOND)
        self._current[time_zone, window] = found
        return found


def _find(zone: ZoneInfo, window: QuotaWindow, at: datetime) -> Window:
    day = at.astimezone(zone).date()
    if window is QuotaWindow.MONTH:
        day = day.replace(day=1)
    # Clocks set back across midnight return to a date that has ended: the window stays the later one.
    if at >= (end := _start_of(zone, _following(day, window))):
        day = _following(day, window)
        end = _start_of(zone, _following(day, window))
    return Window(_microseconds(_start_of(zone, day)), _microseconds(end))


def _following(day: date, window: QuotaWindow) -> date:
    if window is QuotaWindow.DAY:
        return day + _DAY
    return date(day.year + 1, 1, 1) if day.month == _LAST_MONTH else day.replace(month=day.month + 1)


def _start_of(zone: ZoneInfo, day: date) -> datetime:
    """The first instant of `day`; of a date that the zone skipped, the instant it was skipped at."""
    midnight = datetime.combine(day, time.min, zone).astimezone(UTC)
    if midnight.astimezone(zone).time() == time.min:
        return midnight
    # In a gap. The clocks were set forward at some instant before; transitions happen at whole seconds.
    before, after = midnight - 2 * _DAY, midnight
    while (known := _edge(zone, before, after, day)) is not None:
        before, after = known
    return after


def _edge(zone: ZoneInfo, before: datetime, after: datetime, day: date) -> tuple[datetime, datetime] | None:
    """Halve the time between an instant of an earlier date and one of `day` or later; None once it is a second."""
    if after - before <= _SECOND:
        return None
    middle = (before + (after - before) / 2).replace(microsecond=0)
    return (before, middle) if middle.astimezone(zone).date() >= day else (middle, after)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


@cache
def _zones() -> frozenset[str]:
    # On some systems a name for whatever zone the machine is set to.
    return frozenset(available_timezones() - {"localtime"})
