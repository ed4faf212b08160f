"""Write times and durations as text: ISO 8601 UTC with milliseconds, which sorts by time."""

from __future__ import annotations

from datetime import UTC, datetime


def to_iso(moment: datetime) -> str:
    """Return `moment` (aware) as `2026-01-31T09:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(moment: datetime | None) -> str | None:
    """Return `to_iso(moment)`, or None for None."""
    return None if moment is None else to_iso(moment)


def from_iso(text: str) -> datetime:
    """Return the aware UTC datetime that `text` names.

    Raises
    ------
    ValueError
        If `text` is not ISO 8601, names no offset, or lies outside the calendar in UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; write it as 2026-01-31T09:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} lies outside the calendar") from error


def to_minutes(at: datetime) -> str:
    """Return a time as people read it in a reason: `2026-12-27T00:00Z`."""
    return f"{at:%Y-%m-%dT%H:%M}Z" if not at.second else f"{at:%Y-%m-%dT%H:%M:%S}Z"


def duration(seconds: float) -> str:
    """Return a duration as people read it: `8 h`, `1 h 30 min`, `30 d`."""
    rest, parts = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"
