"""Parse times as people type them: `22:00`, `+2h`, `monday`, `2026-12-24T22:00`.

Pure: the time and the zone are passed in. On a day that changes its clocks, a time of day can come
twice or not at all. Of two, the text means the first that is still to come; a time that clocks skip
means the end of the gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo

#: For help texts.
EXAMPLES = "22:00, +2h, +3d, monday, tomorrow 08:00, week (its end) or 2026-12-24T22:00"

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORTEST_NAME = 3
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_NUMBER = "([0-9]{1,9})"
_LATER = re.compile(r"\+(?=[0-9])" + "".join(f"(?:{_NUMBER}{unit})?" for unit in "wdhms"))
#: A time of day comes within a day, on a weekday within a week; a zone that changes sides of the
#: date line skips a whole day.
_DAYS_AHEAD = 15


class TimeFault(ValueError):
    """A text that means no time; its message has examples that do."""

    def __init__(self, text: str, why: str = "is no time") -> None:
        super().__init__(f"{text!r} {why}; write one as {EXAMPLES}")


def parse(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Return the moment, aware and in UTC, that a text means.

    Parameters
    ----------
    text
        ISO 8601, without offset in the zone; `22:00`, the next such time; `+2h`, `+1h30m`, or
        days and weeks, which keep the time of day; a weekday or `tomorrow`, which begin at
        midnight unless a time follows; `week`: when this week is over.
    now
        Aware.

    Raises
    ------
    TimeFault
        If it means none.
    """
    words = text.strip().lower()
    try:
        found = _read(words, now, zone)
    except OverflowError:
        raise TimeFault(text, "lies outside the calendar") from None
    if found is None:
        raise TimeFault(text)
    return found


def _read(words: str, now: datetime, zone: tzinfo) -> datetime | None:
    if words.startswith("+"):
        return _later(words, now, zone)
    if words == "week":
        return _next(time(), 0, now, zone)
    day, _, rest = words.partition(" ")
    at = _clock(rest) if rest else time()
    if day == "tomorrow":
        tomorrow = now.astimezone(zone).date() + timedelta(days=1)
        return None if at is None else instant(datetime.combine(tomorrow, at), zone)
    weekday = _weekday(day)
    if weekday is not None:
        return None if at is None else _next(at, weekday, now, zone)
    at = _clock(words)
    if at is not None:
        return _next(at, None, now, zone)
    try:
        moment = datetime.fromisoformat(words.upper())
    except ValueError:
        return None
    return instant(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC)


def _later(words: str, now: datetime, zone: tzinfo) -> datetime | None:
    match = _LATER.fullmatch(words)
    if match is None:
        return None
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    moment = now.astimezone(UTC)
    if weeks or days:
        local = now.astimezone(zone)
        wall = local.replace(tzinfo=None) + timedelta(weeks=weeks, days=days)
        moment = instant(wall, zone, fold=local.fold)
    return moment + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _clock(words: str) -> time | None:
    match = _CLOCK.fullmatch(words)
    try:
        return time(int(match[1]), int(match[2])) if match else None
    except ValueError:
        return None


def _weekday(word: str) -> int | None:
    """Return the weekday of a name or its beginning; Monday is 0."""
    if len(word) < _SHORTEST_NAME:
        return None
    return next((i for i, name in enumerate(_WEEKDAYS) if name.startswith(word)), None)


def _next(at: time, weekday: int | None, now: datetime, zone: tzinfo) -> datetime | None:
    """Return when clocks next show this time, on the weekday if one is given."""
    today = now.astimezone(zone).date()
    for ahead in range(_DAYS_AHEAD):
        day = today + timedelta(days=ahead)
        if weekday is not None and day.weekday() != weekday:
            continue
        for moment in _instants(datetime.combine(day, at), zone):
            if moment > now:
                return moment
    return None


# -- clocks on the wall --------------------------------------------------------------------------


def instant(wall: datetime, zone: tzinfo, fold: int = 0) -> datetime:
    """Return when clocks show a naive time, in UTC; `fold` chooses between two.

    If clocks skip it, return when they do.
    """
    moments = list(_instants(wall, zone))
    return moments[min(fold, len(moments) - 1)]


def day_start(day: date, zone: tzinfo) -> datetime:
    """Return when a day begins, in UTC; that is not always midnight."""
    return instant(datetime.combine(day, time()), zone)


def _instants(wall: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield when clocks show a naive time, once or twice; if they skip it, when they do."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        yield first
        if first < second:
            yield second
        return
    # A gap: read with the offset before it, the time lies after the leap, and vice versa.
    early, late = second, first
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    yield late.replace(microsecond=0)
