"""Find the times of cron texts, with the library `cronsim`, which follows Debian's cron.

The library is used for wall-clock times only, which become instants here. Given a zone, it repeats
past times if it starts in the hour that clocks show twice, yields the end of a gap once for every
time in it, and loses times where a gap is shorter than an hour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shiftwork_core.domain.workspaces.crons import Cron, ScheduleFault, first_instant

_DAY = timedelta(days=1)
#: Any time will do for checking a text.
_SOME_TIME = datetime(2026, 1, 1)  # noqa: DTZ001 (a clock on the wall)
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_RANGE = re.compile(r"(\w+)-(\w+)")
_STEP = re.compile(r"0*[1-9][0-9]*")
_RIGHT = "a list of these (1,3), a range (1-5) or a step (*/2)"


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that a text may set.

    After its last value `count - 1` follows 0 again: so `22-2` is a range of hours, and `FRI-MON`
    one of weekdays.
    """

    name: str
    bounds: str
    count: int
    names: tuple[str, ...] = ()

    @property
    def highest(self) -> int:
        """The highest number that may be written: Sunday is also 7."""
        return self.count if self.names else self.count - 1

    def number(self, text: str) -> int | None:
        """Return the number that the text stands for; None if it is no value of the field."""
        if text.upper() in self.names:
            return self.names.index(text.upper())
        value = int(text) if text.isascii() and text.isdigit() else -1
        return value if 0 <= value <= self.highest else None

    def values(self, base: str) -> list[int]:
        """Return what a step steps through, in order; nothing if it is no value of the field."""
        if base == "*":
            return [*range(self.count)]
        found = _RANGE.fullmatch(base)
        first, last = (self.number(text) for text in (found.groups() if found else (base, "0")))
        if first is None or last is None:
            return []
        if not found:
            return [*range(first, self.highest + 1)]
        if first > last:
            first %= self.count  # From 7 on, Sunday, is from 0 on.
        if first <= last:
            return [*range(first, last + 1)]
        return [*range(first, self.count), *range(last + 1)]


_FIELDS = {
    0: _Field("minute", "0 to 59", 60),
    1: _Field("hour", "0 to 23", 24),
    4: _Field("day-of-week", "0 to 7 (0 and 7 are Sunday) or SUN to SAT", 7, _DAYS),
}


def check(cron: Cron) -> None:
    """Raise ScheduleFault, which names every bad field, for impossible values."""
    words = cron.fields.split()
    faults = [fault for place in _FIELDS if (fault := _fault(words[place], place))]
    if faults:
        raise ScheduleFault("; ".join(faults))


def _fault(word: str, place: int) -> str | None:
    field = _FIELDS[place]
    alone = ["*"] * 5
    alone[place] = word
    try:
        CronSim(_without_ranges(" ".join(alone)), _SOME_TIME)
    except CronSimError:
        return f"the {field.name} {word!r} is not {field.bounds}, {_RIGHT}"
    for term in word.split(","):
        base, _, step = term.partition("/")
        values = field.values(base)
        if step and int(step) > len(values):
            return (
                f"the {field.name} {term!r} steps by {step} through {len(values)} values, so only "
                f"{values[0]} would be left of them; write that, or a step of at most {len(values)}"
            )
    return None


def _without_ranges(fields: str) -> str:
    """Return the fields with a list for each range: the library knows none that begin again."""
    words = fields.split()
    for place, field in _FIELDS.items():
        words[place] = ",".join(_listed(term, field) for term in words[place].split(","))
    return " ".join(words)


def _listed(term: str, field: _Field) -> str:
    base, slash, step = term.partition("/")
    values = field.values(base) if _RANGE.fullmatch(base) else []
    if not values or (slash and not _STEP.fullmatch(step)):
        return term  # It is no range, or the library refuses it.
    return ",".join(map(str, values[:: int(step or "1")]))


def occurrences(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Yield the times of a cron text after a time (not included), in order, in UTC.

    A time that clocks skip becomes the first instant after the gap; of a time that they show twice
    the first counts. But if the minute or the hour begins with `*`, the text follows the time that
    passes: it has no times in a gap, and all of them twice in an hour shown twice.
    """
    is_fixed = not any(field.startswith("*") for field in cron.fields.split()[:2])
    found = _fixed(cron, after) if is_fixed else _passing(cron, after)
    last = after
    for at in found:
        if at > last:
            yield at
            last = at


def _walls(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Yield wall-clock times, without zone, after the one at a moment."""
    walls = CronSim(_without_ranges(cron.fields), after.replace(tzinfo=None))
    try:
        yield from walls
    except OverflowError:
        return  # The calendar ends.


def _fixed(cron: Cron, after: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(cron.zone)
    for wall in _walls(cron, after.astimezone(zone)):
        yield first_instant(wall, zone)


def _passing(cron: Cron, after: datetime) -> Iterator[datetime]:
    zone = ZoneInfo(cron.zone)
    here = after.astimezone(zone)
    offsets = {(after + day).astimezone(zone).utcoffset() for day in (-_DAY, timedelta(0), _DAY)}
    if len(offsets) > 1:
        # Clocks change about now: they may show again what they have shown already.
        here = (after - _DAY).astimezone(zone)
    waiting: list[datetime] = []
    for wall in _walls(cron, here):
        instants = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        while waiting and waiting[0] <= instants[0]:
            yield heappop(waiting)
        for at in sorted(set(instants)):
            if at.astimezone(zone).replace(tzinfo=None) == wall:
                heappush(waiting, at)
