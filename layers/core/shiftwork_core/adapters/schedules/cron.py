"""Find the times of cron texts, with the library `cronsim`, which follows Debian's cron.

The library is used for wall-clock times only, which become instants here. Given a zone, it repeats
past times if it starts in the hour that clocks show twice, yields the end of a gap once for every
time in it, and loses times where a gap is shorter than an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shiftwork_core.domain.workspaces.crons import Cron, ScheduleFault, first_instant

_DAY = timedelta(days=1)
#: Any time will do for checking a text.
_SOME_TIME = datetime(2026, 1, 1)  # noqa: DTZ001 (a clock on the wall)
#: The names of the fields that a text may set, and the words for their values.
_FIELDS = {
    0: ("minute", "0 to 59"),
    1: ("hour", "0 to 23"),
    4: ("day-of-week", "0 to 7 (0 and 7 are Sunday) or SUN to SAT"),
}


def check(cron: Cron) -> None:
    """Raise ScheduleFault, which names every bad field, for impossible values."""
    words = cron.fields.split()
    faults = []
    for place, (name, bounds) in _FIELDS.items():
        alone = ["*"] * 5
        alone[place] = words[place]
        try:
            CronSim(" ".join(alone), _SOME_TIME)
        except CronSimError:
            faults.append(
                f"the {name} {words[place]!r} is not {bounds}, a list of these (1,3), a rising "
                "range (1-5) or a step (*/2)"
            )
    if faults:
        raise ScheduleFault("; ".join(faults))


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
    walls = CronSim(cron.fields, after.replace(tzinfo=None))
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
