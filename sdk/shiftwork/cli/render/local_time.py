"""Read and write times as clocks show them where the command line runs."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import typer

from shiftwork.cli import time_words
from shiftwork.cli.render.output import seconds

_LOCALTIME = Path("/etc/localtime")
#: A time as the API writes it into its texts.
_WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def now() -> datetime:
    """Return the current time; tests replace this function."""
    return datetime.now(UTC)


def zone() -> tzinfo:
    """Return this machine's time zone, with its changes of clocks if they can be found out.

    Python itself knows only today's offset, which is wrong for the other half of the year.
    """
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name and _LOCALTIME.is_symlink():
        name = str(_LOCALTIME.resolve()).partition("/zoneinfo/")[2]
    found = zone_named(name) if name else None
    return found or datetime.now(UTC).astimezone().tzinfo or UTC


def zone_named(name: str) -> ZoneInfo | None:
    """Return a time zone by its IANA name, None if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # A name is a path to the file system.
        return None


def typed(text: str, hint: str, home: tzinfo | None = None) -> datetime:
    """Return the moment that a text of the command line means; `hint` names its option.

    Its times of day are in the zone `home`, by default this machine's.

    Raises
    ------
    typer.BadParameter
        If the text means no time.
    """
    try:
        return time_words.parse(text, now(), home or zone())
    except time_words.TimeFault as fault:
        raise typer.BadParameter(str(fault), param_hint=hint) from None


# -- writing times -------------------------------------------------------------------------------


def clock(moment: datetime, zone: tzinfo, now: datetime) -> str:
    """Return a time as short as it is clear: `20:00`, `Mon 08:00`, `24 Dec 08:00`."""
    at, today = moment.astimezone(zone), now.astimezone(zone).date()
    days = (at.date() - today).days
    if days == 0:
        return f"{at:%H:%M}"
    if 0 < days < 7:
        return f"{at:%a %H:%M}"
    if at.year == today.year:
        return f"{at.day} {at:%b %H:%M}"
    return f"{at.day} {at:%b %Y}"


def span(value_s: float) -> str:
    """Return a length of time in its largest unit, for a table: `9h`."""
    for unit, size_s in (("d", 86_400), ("h", 3600), ("m", 60)):
        if value_s >= size_s:
            return f"{int(value_s // size_s)}{unit}"
    return f"{max(int(value_s), 0)}s"


def full(moment: datetime, zone: tzinfo, now: datetime) -> str:
    """Return a time with its date, and how far away it is: `Thu 26 Nov 20:00, in 9 h 47 m`."""
    distance_s = (moment - now).total_seconds()
    return f"{dated(moment, zone, now)}, {_distance(distance_s)}"


def _distance(value_s: float) -> str:
    if abs(value_s) < 1:
        return "now"
    length = seconds(abs(value_s))
    return f"in {length}" if value_s > 0 else f"{length} ago"


def dated(moment: datetime, zone: tzinfo, now: datetime) -> str:
    """Return a time with its day, and with its year unless it is this one: `Thu 26 Nov 20:00`."""
    at = moment.astimezone(zone)
    year = f" {at.year}" if at.year != now.astimezone(zone).year else ""
    return f"{at:%a} {at.day:2} {at:%b}{year} {at:%H:%M}"


def stamp(moment: datetime, zone: tzinfo) -> str:
    """Return a time to the second, for lines that follow one another: `2026-11-26 20:00:00`."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def localised(text: str, zone: tzinfo, now: datetime) -> str:
    """Return a text of the API with its times as clocks show them here."""
    return _WIRE_TIME.sub(lambda m: dated(datetime.fromisoformat(m[0]), zone, now), text)
