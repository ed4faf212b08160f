"""Find the holidays of a workspace: named dates, and the events of an iCalendar text.

The libraries that read calendars are slow to import, so only a text imports them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from threading import Lock
from time import thread_time
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.workspaces.crons import ScheduleFault
from shiftwork_core.domain.workspaces.windows import Holidays

if TYPE_CHECKING:
    from icalendar import Calendar, Event

#: The holidays of ten years of a country take about 20 KB.
MAX_ICALENDAR_BYTES = 100_000
#: Seconds of processor time. The library follows repeating events from their beginning for each
#: year; a calendar of holidays takes a tenth of this.
MAX_EXPANSION_S = 2.0
_MAX_NAME_LENGTH = 80
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
#: Parts of a rule that repeat an event within a day, as no holiday does.
_TOO_OFTEN = {"BYHOUR", "BYMINUTE", "BYSECOND"}
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}
_REPEATS = {"RRULE", "RDATE"}
#: Events are expanded up to here, as a trial.
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def holidays_of(dates: Mapping[date, str], icalendar: str | None) -> Holidays:
    """Return the function that names the holiday on a date; raise ScheduleFault for a bad text."""
    if not icalendar:
        return dates.get
    calendar = _calendar(icalendar)

    def holiday(day: date) -> str | None:
        return dates.get(day) or calendar.name(day)

    return holiday


def check_icalendar(text: str) -> None:
    """Raise ScheduleFault, with the reason, if a text cannot be read, or not fast enough."""
    begun = thread_time()
    for event in _parse(text).events:
        try:
            _try_out(event)
        except Exception as error:
            # Whatever the library raises is the text's fault, and must come out before the text is
            # stored.
            raise _fault(event, error) from error
        if thread_time() - begun > MAX_EXPANSION_S:
            raise ScheduleFault(
                f"takes too long to expand, and is not done at event {_name(event)!r}: let events "
                "that repeat begin later, and name no date that never comes"
            )


class _Calendar:
    """A calendar that expands a year when it is first asked for."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._years: dict[int, dict[date, str]] = {}
        self._lock = Lock()

    def name(self, day: date) -> str | None:
        with self._lock:
            if day.year not in self._years:
                self._years[day.year] = dict(self._expand(day.year))
            return self._years[day.year].get(day)

    def _expand(self, year: int) -> Iterator[tuple[date, str]]:
        import recurring_ical_events

        first, last = date(year, 1, 1), date(year, 12, 31)
        # Add a day on either side, as an event falls on the dates of its own zone.
        events = recurring_ical_events.of(self._calendar, skip_bad_series=True).between(
            datetime(year, 1, 1, tzinfo=UTC) - _DAY, datetime(year, 12, 31, tzinfo=UTC) + 2 * _DAY
        )
        for event in events:
            if _text(event, "STATUS").upper() == "CANCELLED":
                continue
            begin, end = _dates_of(event)
            day = max(begin, first)
            while day <= min(end, last):
                yield day, _text(event, "SUMMARY") or str(day)
                day += _DAY


def _dates_of(event: Event) -> tuple[date, date]:
    """Return the first and the last date that an event touches."""
    begin: date = event.start
    end: date = event.end
    if isinstance(begin, datetime):
        if isinstance(end, datetime) and end > begin:
            end -= _TICK
        return begin.date(), end.date() if isinstance(end, datetime) else end
    # An event of whole days ends on the day after its last.
    return begin, max(begin, end - _DAY)


@lru_cache(maxsize=32)
def _calendar(text: str) -> _Calendar:
    """Return the calendar of a text; workspaces of one country share it."""
    return _Calendar(_parse(text))


def _parse(text: str) -> Calendar:
    from icalendar import Calendar

    size = len(text.encode())
    if size > MAX_ICALENDAR_BYTES:
        raise ScheduleFault(
            f"has {size:,} bytes; {MAX_ICALENDAR_BYTES:,} are the most: leave out years that are "
            "over, and what is no holiday"
        )
    try:
        calendar = Calendar.from_ical(text)
    except ValueError as error:
        raise ScheduleFault(f"is no iCalendar text: {_shorten(error)}") from error
    if not isinstance(calendar, Calendar):
        raise ScheduleFault("is no iCalendar text: it must begin with BEGIN:VCALENDAR")
    for event in calendar.events:
        try:
            _check(event)
        except ValueError as error:
            raise _fault(event, error) from error
    return calendar


def _check(event: Event) -> None:
    """Raise ValueError for an impossible event."""
    for name, reason in event.errors:
        raise ValueError(f"{name}: {reason}")
    if "DTSTART" not in event:
        raise ValueError("it has no DTSTART")
    _dates_of(event)
    for rule in event.rrules:
        is_known = "FREQ" in rule and _FREQUENCIES.issuperset(rule["FREQ"])
        if not is_known or not _TOO_OFTEN.isdisjoint(rule):
            raise ValueError("RRULE: it must repeat daily or less often, as holidays do")


def _try_out(event: Event) -> None:
    """Expand an event that repeats; raise whatever the library raises."""
    import recurring_ical_events

    if _REPEATS.intersection(event):
        recurring_ical_events.of(event).between(_SOME_TIME, _DAY)


def _fault(event: Event, error: Exception) -> ScheduleFault:
    return ScheduleFault(f"event {_name(event)!r}: {_shorten(error)}")


def _name(event: Event) -> str:
    return _text(event, "SUMMARY") or "without SUMMARY"


def _text(event: Event, name: str) -> str:
    """Return a property of an event, the first if there are several."""
    found: Any = event.get(name) or ""
    return str(found[0] if isinstance(found, list) else found)[:_MAX_NAME_LENGTH]


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
