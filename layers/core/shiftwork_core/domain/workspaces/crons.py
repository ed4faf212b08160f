"""Read cron texts and time zones, and turn wall-clock times into instants.

A cron text is `CRON_TZ=<IANA zone> m h * * dow`. This module says what it may consist of;
`shiftwork_core.adapters.schedules.cron` asks a library what its fields mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from shiftwork_core.errors import FaultAt

_EXAMPLE = "`CRON_TZ=Europe/Berlin 0 8 * * 1-5`"
_FORM = f"minute, hour, *, *, day-of-week, such as {_EXAMPLE}"
#: Every minute of an hour by number takes 169 characters; anything longer is a mistake.
_MAX_FIELDS_LENGTH = 200
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9+_/-]*")
#: Files of the time zone database that stand for a machine's setting, not for a place.
_NOT_PLACES = {"local", "localtime", "posixrules", "factory"}


class ScheduleFault(ValueError):
    """An impossible schedule; says what is wrong and what would be right.

    `faults` holds every fault with its place in a workspace's body; the path is empty if only one
    text was read.
    """

    def __init__(self, message: str, faults: Sequence[FaultAt] = ()) -> None:
        super().__init__(message)
        self.faults = list(faults) or [FaultAt("", message)]

    @classmethod
    def of(cls, faults: Sequence[FaultAt]) -> ScheduleFault:
        """Return the error that has all of these faults, and names the first."""
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return cls(f"{faults[0].path}: {faults[0].message}{more}", faults)


@dataclass(frozen=True, slots=True)
class Cron:
    """`CRON_TZ=<IANA zone> m h * * dow`; without the zone it is UTC.

    As text it always names its zone; reading that text yields an equal one.
    """

    zone: str
    fields: str

    def __str__(self) -> str:
        return f"CRON_TZ={self.zone} {self.fields}"

    @property
    def has_one_hour(self) -> bool:
        """Whether all its times of a day are within one hour."""
        return self.fields.split()[1].isdigit()

    def date_of(self, at: datetime) -> date:
        """Return the date of a moment in the text's zone."""
        return at.astimezone(ZoneInfo(self.zone)).date()


def parse_cron(text: str) -> Cron:
    """Read a cron text; raise ScheduleFault.

    Values such as an hour of 25 pass here; `adapters.schedules.cron.check` refuses them.
    """
    words = text.split()
    if not words:
        raise ScheduleFault(f"is empty; write {_FORM}")
    zone = "UTC"
    if "=" in words[0]:
        prefix, _, name = words.pop(0).partition("=")
        if prefix != "CRON_TZ":
            raise ScheduleFault(f"'{prefix}={name}' must be written 'CRON_TZ={name}'")
        zone = check_zone(name)
    if words and words[0].startswith("@"):
        raise ScheduleFault(f"descriptors such as {words[0][:20]} are not read; write {_FORM}")
    if len(words) != 5:
        raise ScheduleFault(f"has {len(words)} fields where five are needed: {_FORM}")
    _check_fields(words)
    return Cron(zone, " ".join(words))


def _check_fields(words: list[str]) -> None:
    if sum(map(len, words)) > _MAX_FIELDS_LENGTH:
        raise ScheduleFault(f"is longer than {_MAX_FIELDS_LENGTH} characters; use ranges and steps")
    for name, place, value in (
        ("day-of-month", "third", words[2]),
        ("month", "fourth", words[3]),
    ):
        if value != "*":
            raise ScheduleFault(
                f"the {name} (the {place} field) must be *, not {value!r}: schedules repeat by "
                "the week; name days that are left out as holidays"
            )
    if re.search(r"[lL#]", words[4]):
        raise ScheduleFault(
            f"the day-of-week {words[4]!r} names days by their place in the month, and schedules "
            "repeat by the week; name weekdays, such as 1-5 or MON,WED"
        )


def check_zone(name: str) -> str:
    """Return the name if it is an IANA time zone's; raise ScheduleFault."""
    if name.lower() in _NOT_PLACES:
        raise ScheduleFault(
            f"the time zone {name!r} depends on the machine; name a place, such as Europe/Berlin"
        )
    is_spelled = _ZONE_NAME.fullmatch(name) and not name.startswith(("posix/", "right/"))
    if is_spelled and _is_zone(name):
        return name
    close = _close_zones(name)
    hint = f"did you mean {' or '.join(close)}?" if close else "name one such as Europe/Berlin"
    raise ScheduleFault(f"{name[:60]!r} is no time zone of the IANA database; {hint}")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: it is a folder, as Europe is
        return False
    return True


def _close_zones(name: str) -> list[str]:
    """Return the zones with the most similar names or cities."""
    from difflib import get_close_matches  # Imported late: only a wrong name needs it.

    wanted = name[:60].lower().replace(" ", "_")
    zones = _zones()
    cities = {zone.rpartition("/")[2]: zone for zone in zones if "/" in zone}
    near = get_close_matches(wanted, zones, 3, 0.7)
    if not near:
        near = [cities[city] for city in get_close_matches(wanted, cities, 2, 0.7)]
    return [zones[zone] for zone in near]


@cache
def _zones() -> dict[str, str]:
    """Return all zones by their names in lower case; finding them takes a while."""
    return {zone.lower(): zone for zone in sorted(available_timezones())}


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clocks of a zone first show a time, in UTC.

    `wall` has no zone. A time that clocks skip becomes the first instant after the gap.
    """
    found = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wall:
        return found
    # In a gap `fold` 0 uses the offset before it, and so falls after it (PEP 495).
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), found
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Return when a date begins in a zone, in UTC."""
    return first_instant(datetime.combine(day, time()), zone)
