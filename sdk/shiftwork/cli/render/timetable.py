"""Draw a workspace's days as rows of hours: when it is on, by its state and its plan.

Pure: the time and the zone are passed in. A column is half an hour as clocks show it, or on a
narrow terminal an hour, so that the same time of every day stands under the same column. Where
clocks leap, a day's row has a gap; where they show an hour twice, that hour has a second column,
which other days leave blank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import Enum
from typing import TYPE_CHECKING

from shiftwork.api.shapes import PlanEntry, Workspace
from shiftwork.cli.time_words import day_start

if TYPE_CHECKING:
    from rich.text import Text

#: What a column stands for, and the terminal that it takes for the whole timetable to fit.
_SLOT_MINUTES, _WIDE_SLOT_MINUTES = 30, 60
_FULL_WIDTH = 80
_LABEL_WIDTH = len("Thu 26 Nov") + 2
#: Every so many hours have their number above their column.
_NUMBERED_HOURS = 3


class Phase(Enum):
    """The state of a workspace for some time."""

    ON = "on"
    OFF = "off"
    #: Some of its members are on.
    MIXED = "mixed"
    UNKNOWN = "unknown"


_PHASES = {
    "running": Phase.ON,
    "starting": Phase.ON,
    "stopped": Phase.OFF,
    "stopping": Phase.OFF,
    "mixed": Phase.MIXED,
}


@dataclass(frozen=True)
class Glyphs:
    """The characters that draw a timetable."""

    on: str = "█"
    left: str = "▌"
    right: str = "▐"
    off: str = "·"
    mixed: str = "▒"
    left_out: str = "x"
    now: str = "▲"


#: For a terminal whose encoding lacks the others.
ASCII = Glyphs(on="#", left="#", right="#", off=".", mixed="%", now="^")

_STYLES = {"on": "green", "off": "dim", "mixed": "yellow", "left_out": "bold magenta"}


@dataclass(frozen=True)
class Span:
    """One phase, from `start` until `end`, not included."""

    start: datetime
    end: datetime
    phase: Phase

    def overlap_s(self, start: datetime, end: datetime) -> float:
        """Return how many seconds of it lie between two times."""
        return max(0.0, (min(self.end, end) - max(self.start, start)).total_seconds())


@dataclass(frozen=True)
class Slot:
    """Part of a day: when it begins and ends, and the column that it stands under.

    Columns are in order of time: `(minute, 0, 0)`, or if clocks show the time for the second time
    `(minute of the last such slot, 1, minute)`, so that the whole hour comes after its first.
    """

    start: datetime
    end: datetime
    column: tuple[int, int, int]


@dataclass(frozen=True)
class Day:
    """A day and its slots; it has none if the zone skipped the day."""

    date: date
    slots: tuple[Slot, ...]
    start: datetime
    end: datetime
    slot_minutes: int = _SLOT_MINUTES

    @property
    def length_s(self) -> float:
        """How long it is: 23 or 25 hours when clocks change."""
        return (self.end - self.start).total_seconds()


# -- calculating -----------------------------------------------------------------------------------


def spans_of(
    workspace: Workspace, plan: Sequence[PlanEntry], now: datetime, until: datetime
) -> list[Span]:
    """Return the workspace's phases, from its last change until a time."""
    phase = _PHASES.get(workspace["state"], Phase.UNKNOWN)
    changed_at = workspace["changed_at"]
    begin = now if changed_at is None else min(now, datetime.fromisoformat(changed_at))
    spans = []
    for transition in plan:
        if transition["is_left_out"] or transition["operation"] is None:
            continue
        at = max(datetime.fromisoformat(transition["at"]), now)
        spans.append(Span(begin, at, phase))
        begin, phase = at, Phase.ON if transition["operation"] == "start" else Phase.OFF
    return [*spans, Span(begin, max(begin, until), phase)]


def slot_minutes_for(width: int | None) -> int:
    """Return how many minutes a column stands for at this width; None is no terminal."""
    is_narrow = width is not None and width < _FULL_WIDTH
    return _WIDE_SLOT_MINUTES if is_narrow else _SLOT_MINUTES


def days_of(first: date, count: int, zone: tzinfo, slot_minutes: int = _SLOT_MINUTES) -> list[Day]:
    """Return `count` days from the first on, in slots of half an hour or an hour."""
    return [_day(first + timedelta(days=number), zone, slot_minutes) for number in range(count)]


def _day(day: date, zone: tzinfo, slot_minutes: int) -> Day:
    start, end = day_start(day, zone), day_start(day + timedelta(days=1), zone)
    at = start
    begun: list[tuple[datetime, int, int]] = []
    while at < end:
        wall = at.astimezone(zone)
        minute = wall.hour * 60 + wall.minute
        begun.append((at, minute - minute % slot_minutes, wall.fold))
        at += timedelta(minutes=slot_minutes - minute % slot_minutes)
    last_again = max((minute for _, minute, fold in begun if fold), default=0)
    ends = [*(begin for begin, _, _ in begun[1:]), end]
    slots = (
        Slot(begin, until, (last_again, 1, minute) if fold else (minute, 0, 0))
        for (begin, minute, fold), until in zip(begun, ends, strict=False)
    )
    return Day(day, tuple(slots), start, end, slot_minutes)


def columns_of(days: Sequence[Day]) -> list[tuple[int, int, int]]:
    """Return all columns in order: those of every day, and those that clocks show twice."""
    usual = {(minute, 0, 0) for day in days for minute in range(0, 24 * 60, day.slot_minutes)}
    return sorted(usual | {slot.column for day in days for slot in day.slots})


def on_s(spans: Sequence[Span], start: datetime, end: datetime) -> float:
    """Return how many seconds it is on between two times."""
    return sum(span.overlap_s(start, end) for span in spans if span.phase is Phase.ON)


def _phase(spans: Sequence[Span], start: datetime, end: datetime) -> Phase:
    """Return the phase that lasts longest between two times."""
    lasting = dict.fromkeys(Phase, 0.0)
    for span in spans:
        lasting[span.phase] += span.overlap_s(start, end)
    known_s = sum(lasting.values())
    lasting[Phase.UNKNOWN] += (end - start).total_seconds() - known_s
    return max(lasting, key=lambda phase: lasting[phase])


# -- drawing -------------------------------------------------------------------------------------


def draw(
    workspace: Workspace,
    plan: Sequence[PlanEntry],
    days: Sequence[Day],
    now: datetime,
    zone: tzinfo,
    glyphs: Glyphs,
) -> Iterator[Text]:
    """Yield the timetable's lines: a head, a row a day, the legend.

    They take at most 80 columns, or 60 if the days' slots are hours.
    """
    from rich.text import Text

    columns = columns_of(days)
    spans = spans_of(workspace, plan, now, max(day.end for day in days))
    left_out = [datetime.fromisoformat(t["at"]) for t in plan if t["is_left_out"]]
    yield Text(" " * _LABEL_WIDTH + _head(columns), "dim")
    for day in days:
        is_today = day.start <= now < day.end
        slots = {slot.column: slot for slot in day.slots}
        # For each cell only this day's spans are searched, not those of ninety days.
        todays = [span for span in spans if span.overlap_s(day.start, day.end) > 0]
        row = Text()
        row.append(f"{day.date:%a} {day.date.day:2} {day.date:%b}  ", "bold" if is_today else "")
        for column in columns:
            slot = slots.get(column)
            cell, style = (" ", "") if slot is None else _cell(slot, todays, left_out, glyphs)
            row.append(cell, f"{style} dim".strip() if slot and slot.end <= now else style)
        row.append(f"  {_hours(sum(on_s(todays, s.start, s.end) for s in day.slots))}")
        if day.length_s != 24 * 3600:
            row.append(f" of {_hours(day.length_s)}", "yellow")
        yield row
        if is_today:
            yield _now_line(slots, columns, now, zone, glyphs)
    is_narrow = any(day.slot_minutes == _WIDE_SLOT_MINUTES for day in days)
    for line in _legend_lines(_legend(columns, days, bool(left_out), glyphs), is_narrow):
        yield Text(" " * _LABEL_WIDTH + line, "dim")


def _head(columns: Sequence[tuple[int, int, int]]) -> str:
    head = ""
    for place, (minute, is_again, _) in enumerate(columns):
        if len(head) > place:
            continue
        is_numbered = not is_again and minute % (_NUMBERED_HOURS * 60) == 0
        has_begun = bool(is_again) and not columns[place - 1][1]
        head += f"{minute // 60:02}" if is_numbered else "+" if has_begun else " "
    return head


def _cell(
    slot: Slot, spans: Sequence[Span], left_out: Sequence[datetime], glyphs: Glyphs
) -> tuple[str, str]:
    """Return a slot's character and its style; a half block is half of the slot."""
    middle = slot.start + (slot.end - slot.start) / 2
    left, right = _phase(spans, slot.start, middle), _phase(spans, middle, slot.end)
    if Phase.ON in (left, right):
        glyph = glyphs.on if left is right else glyphs.left if left is Phase.ON else glyphs.right
        return glyph, _STYLES["on"]
    if any(slot.start <= at < slot.end for at in left_out):
        return glyphs.left_out, _STYLES["left_out"]
    if Phase.MIXED in (left, right):
        return glyphs.mixed, _STYLES["mixed"]
    if Phase.OFF in (left, right):
        return glyphs.off, _STYLES["off"]
    return " ", ""


def _now_line(
    slots: dict[tuple[int, int, int], Slot],
    columns: Sequence[tuple[int, int, int]],
    now: datetime,
    zone: tzinfo,
    glyphs: Glyphs,
) -> Text:
    from rich.text import Text

    found = next(column for column, slot in slots.items() if slot.start <= now < slot.end)
    place = _LABEL_WIDTH + columns.index(found)
    text = f"now, {now.astimezone(zone):%H:%M}"
    if place < _LABEL_WIDTH + len(columns) // 2:
        return Text(f"{' ' * place}{glyphs.now} {text}", "bold")
    return Text(f"{f'{text} {glyphs.now}':>{place + 1}}", "bold")


def _legend(
    columns: Sequence[tuple[int, int, int]],
    days: Sequence[Day],
    has_left_out: bool,
    glyphs: Glyphs,
) -> list[str]:
    parts = [f"{glyphs.on} on", f"{glyphs.off} off"]
    if has_left_out:
        parts.append(f"{glyphs.left_out} left out")
    if any(is_again for _, is_again, _ in columns):
        parts.append("+ clocks go back")
    has_gap = any(
        {slot.column for slot in day.slots if not slot.column[1]}
        < {column for column in columns if not column[1]}
        for day in days
    )
    parts.append("blank: not known" + (", or leapt over" if has_gap else ""))
    return parts


def _legend_lines(parts: list[str], is_narrow: bool) -> list[str]:
    """Return the legend's parts on a line, or on two of a narrow terminal."""
    shown = [parts[:-1], parts[-1:]] if is_narrow else [parts]
    return ["   ".join(part) for part in shown]


def _hours(value_s: float) -> str:
    return f"{value_s / 3600:.2f}".rstrip("0").rstrip(".") + " h"


def encodes(glyphs: Glyphs, encoding: str) -> bool:
    """Whether an encoding has all the characters."""
    try:
        "".join(vars(glyphs).values()).encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True
