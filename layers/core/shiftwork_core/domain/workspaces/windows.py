"""Find the windows of a schedule: the spans of time in which a workspace should be on.

Cron texts repeat by the week. So a window that is open at a time has begun in the week before it,
and the next one begins within a week, unless holidays are in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shiftwork_core.domain.workspaces.crons import Cron, day_start, first_instant

#: Yields the times of a cron text after a time (not included), in order, aware, in UTC.
Occurrences = Callable[[Cron, datetime], Iterator[datetime]]
#: Returns the name of the holiday on a date, None on a working day.
Holidays = Callable[[date], str | None]

#: How late a start without an end may be made.
GRACE = timedelta(hours=1)
#: How far ahead to look: further than the longest time to live and a week. If holidays fill more,
#: a later check of the workspace finds what comes after them.
HORIZON = timedelta(days=45)
#: How far ahead to follow windows that keep a workspace on one after the other: if they do for two
#: weeks, they do forever, or until holidays that a later check finds.
RUN_HORIZON = timedelta(days=15)
#: A week, and the day that a zone skips when it changes sides of the date line.
_WEEK = timedelta(days=8)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """On from `start` until `stop`, or for `ttl_s`; a start or a stop alone is a window too."""

    start: Cron | None = None
    stop: Cron | None = None
    ttl_s: float | None = None

    @property
    def has_end(self) -> bool:
        """Whether it has a start, and its own end."""
        return self.start is not None and (self.stop is not None or self.ttl_s is not None)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end` of each day, perhaps past midnight, no schedule starts anything."""

    start: time
    end: time
    zone: str = "UTC"

    def end_after(self, at: datetime) -> datetime | None:
        """Return the end of the quiet hours that a time falls in; None outside of them."""
        zone = ZoneInfo(self.zone)
        today = at.astimezone(zone).date()
        nights = _DAY if self.end < self.start else timedelta(0)
        for day in (today - _DAY, today):
            begin = first_instant(datetime.combine(day, self.start), zone)
            end = first_instant(datetime.combine(day + nights, self.end), zone)
            if begin <= at < end:
                return end
        return None


@dataclass(frozen=True, slots=True)
class Almanac:
    """The times of cron texts and the holidays from which a workspace's schedule is computed."""

    occurrences: Occurrences
    holiday: Holidays


@dataclass(frozen=True, slots=True)
class Opening:
    """A window is open from `start` until `end`, not included."""

    window: Window
    start: datetime
    end: datetime


def first_after(cron: Cron | None, almanac: Almanac, after: datetime) -> datetime | None:
    """Return the next time of a cron text, holiday or not; None if there is no text."""
    return None if cron is None else next(almanac.occurrences(cron, after), None)


def starts(
    window: Window, almanac: Almanac, after: datetime, until: datetime
) -> Iterator[datetime]:
    """Yield when a window begins after a time and up to another, except on holidays."""
    if window.start is None:
        return
    cron, zone = window.start, ZoneInfo(window.start.zone)
    found = almanac.occurrences(cron, after)
    holiday: date | None = None
    while (start := next(found, None)) is not None and start <= until:
        day = cron.date_of(start)
        if day == holiday:
            # It begins often: skip the rest of the day.
            found = almanac.occurrences(cron, day_start(day + _DAY, zone) - _TICK)
        elif almanac.holiday(day) is not None:
            holiday = day
        else:
            yield start


def last_start(window: Window, almanac: Almanac, at: datetime, after: datetime) -> datetime | None:
    """Return when a window last began after a time, and at or before another."""
    if window.start is None:
        return None
    # Look back a little at first if the window may begin often, to meet few of its starts.
    upper, reach = at, _DAY if window.start.has_one_hour else 10 * _MINUTE
    while upper > after:
        lower = max(after, upper - reach)
        if (found := max(starts(window, almanac, lower, upper), default=None)) is not None:
            return found
        upper, reach = lower, min(24 * reach, _WEEK)
    return None


def end_of(window: Window, almanac: Almanac, start: datetime) -> datetime | None:
    """Return when a window that begins at a time ends; None if it has no end."""
    if window.ttl_s is not None:
        return start + timedelta(seconds=window.ttl_s)
    return first_after(window.stop, almanac, start)


def open_at(
    window: Window, almanac: Almanac, at: datetime, after: datetime | None = None
) -> Opening | None:
    """Return the opening of a window at a time, if it began after another.

    A window without an end counts as open for `GRACE`.
    """
    if window.ttl_s is not None:
        reach = timedelta(seconds=window.ttl_s)
    else:
        reach = GRACE if window.stop is None else _WEEK
    floor = at - reach
    start = last_start(window, almanac, at, floor if after is None else max(after, floor))
    if start is None:
        return None
    end = end_of(window, almanac, start) or start + GRACE
    return Opening(window, start, end) if at < end else None


def run_end(
    window: Window, almanac: Almanac, ttl: timedelta, start: datetime, limit: datetime
) -> datetime:
    """Return when a run ends that begins with a window and has a time to live.

    Every further start of the window during the run, up to a limit, gives it a new time to live.
    """
    end = start + ttl
    for begin in starts(window, almanac, start, limit):
        if begin > end:
            break
        end = begin + ttl
    return end
