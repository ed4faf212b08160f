"""Properties of any schedule: the plan comes true, and switches follow the clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    Operation,
    Override,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedules import (
    Almanac,
    Schedule,
    Skipped,
    bumped,
    deadlines,
    next_edge,
    next_start,
    next_stop,
    plan,
)
from tests.unit.domain.workspaces.almanacs import DAY, HOUR, MINUTE, almanac, schedule

ZONES = [
    "UTC",
    "Africa/Casablanca",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
]
#: Times about which clocks change in one hemisphere or the other, and others.
FIRST_DAYS = ["2026-02-01", "2026-03-06", "2026-03-27", "2026-04-02", "2026-10-02", "2026-10-23"]


def moments(most: timedelta) -> st.SearchStrategy[datetime]:
    minutes = st.integers(0, most // MINUTE)
    days = st.sampled_from(FIRST_DAYS).map(lambda day: datetime.fromisoformat(f"{day}T00:00+00:00"))
    return st.builds(lambda day, n: day + n * MINUTE, days, minutes)


@st.composite
def crons(draw: st.DrawFn, zone: str) -> str:
    minute = draw(st.sampled_from(["0", "30", "0,45"]))
    hour = draw(st.sampled_from(["0", "2", "8", "9,14", "18", "23"]))
    days = draw(st.sampled_from(["*", "1-5", "0,6", "1,3,5"]))
    return f"CRON_TZ={zone} {minute} {hour} * * {days}"


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    zone = draw(st.sampled_from(ZONES))
    parts = draw(st.sampled_from(["start", "stop", "start stop", "start ttl_s", "start stop"]))
    found: dict[str, Any] = {name: draw(crons(zone)) for name in parts.split() if name != "ttl_s"}
    if "ttl_s" in parts:
        found["ttl_s"] = draw(st.sampled_from([1200, 3 * 3600, 30 * 3600]))
    return found


TTLS = st.sampled_from([None, 3600, 10 * 3600])


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    zone = draw(st.sampled_from(ZONES))
    quiet = {"start": "22:00", "end": "06:00", "time_zone": zone}
    return schedule(
        *draw(st.lists(windows(), max_size=3)),
        ttl_s=draw(TTLS),
        manual_ttl_s=draw(TTLS),
        max_lifetime_s=draw(st.sampled_from([None, None, 40 * 3600])),
        quiet_hours=draw(st.sampled_from([[], [], [quiet]])),
        spread_s=draw(st.sampled_from([0, 0, 900])),
    )


@st.composite
def almanacs(draw: st.DrawFn) -> Almanac:
    days = draw(st.sets(st.integers(0, 12), max_size=3))
    first = [date.fromisoformat(day) for day in FIRST_DAYS]
    holidays = {(day + n * DAY).isoformat(): "holiday" for day in first for n in days}
    return almanac(holidays)


@st.composite
def workspaces(draw: st.DrawFn, what: Schedule, days: Almanac) -> Workspace:
    since = draw(moments(4 * DAY))
    row = Workspace("demo", {}, since - DAY, since, WorkspaceState.STOPPED, since)
    if draw(st.booleans()):
        cause = draw(st.sampled_from(Cause))
        deadline, most = deadlines(what, days, cause, since)
        row = replace(
            row,
            state=WorkspaceState.RUNNING,
            started_by=cause,
            deadline=deadline,
            max_deadline=most,
        )
    elif draw(st.booleans()):
        row = replace(row, blocked_until=since + draw(st.integers(1, 2000)) * MINUTE)
    if draw(st.booleans()):
        begin = since + draw(st.integers(-3000, 3000)) * MINUTE
        end = begin + draw(st.integers(1, 4000)) * MINUTE
        row = replace(row, override=Override(draw(st.sampled_from(Desired)), begin, end))
    return row


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, Almanac, Workspace, datetime]:
    what = draw(schedules())
    days = draw(almanacs())
    row = draw(workspaces(what, days))
    now = (row.changed_at or row.created_at) + draw(st.integers(-600, 3000)) * MINUTE
    return what, days, row, now


Case = tuple[Schedule, Almanac, Workspace, datetime]


def is_on(row: Workspace) -> bool:
    return row.state is WorkspaceState.RUNNING


def upcoming(what: Schedule, days: Almanac, row: Workspace, now: datetime) -> Transition | None:
    return (next_stop if is_on(row) else next_start)(what, days, row, now)


def after(
    what: Schedule, days: Almanac, row: Workspace, done: Transition, now: datetime
) -> Workspace:
    """Return the row after a switch at a time."""
    if done.operation is Operation.STOP:
        return replace(
            row,
            state=WorkspaceState.STOPPED,
            changed_at=now,
            started_by=None,
            deadline=None,
            max_deadline=None,
        )
    deadline, most = deadlines(what, days, done.cause, now, done.at)
    return replace(
        row,
        state=WorkspaceState.RUNNING,
        changed_at=now,
        started_by=done.cause,
        deadline=deadline,
        max_deadline=most,
        blocked_until=None,
        failures=0,
    )


@settings(max_examples=40, deadline=None)
@given(cases())
def test_the_plan_is_what_the_rules_do_step_by_step(case: Case) -> None:
    what, days, row, now = case
    until = now + 10 * DAY
    entries = plan(what, days, row, now, until)
    assert entries == sorted(entries, key=lambda entry: entry.at)
    found = [entry for entry in entries if isinstance(entry, Transition)]
    for planned in found:
        coming = upcoming(what, days, row, now)
        assert coming == planned
        now = max(now, coming.at)
        row = after(what, days, row, coming, now)
    coming = upcoming(what, days, row, now)
    assert coming is None or coming.at > until


@settings(max_examples=25, deadline=None)
@given(cases())
def test_starts_and_stops_take_turns_and_none_comes_before_the_last_change(case: Case) -> None:
    what, days, row, now = case
    found = [e for e in plan(what, days, row, now, now + 10 * DAY) if isinstance(e, Transition)]
    turns = [Operation.STOP, Operation.START] if is_on(row) else [Operation.START, Operation.STOP]
    assert [entry.operation for entry in found] == [turns[n % 2] for n in range(len(found))]
    assert all(one.at <= other.at for one, other in pairwise(found))
    assert all(entry.at >= (row.changed_at or row.created_at) for entry in found)


@settings(max_examples=80, deadline=None)
@given(cases(), st.floats(0, 1))
def test_asking_again_before_it_is_time_gets_the_same_answer(case: Case, part: float) -> None:
    what, days, row, now = case
    coming = upcoming(what, days, row, now)
    assert upcoming(what, days, row, now) == coming
    assume(coming is not None and coming.at > now)
    assert coming is not None
    later = now + part * (coming.at - now)
    assert upcoming(what, days, row, later) == coming
    # A clock that goes back changes nothing but what has not passed any more.
    earlier = upcoming(what, days, row, now - DAY)
    assert earlier is None or earlier.at >= (row.changed_at or row.created_at)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_no_window_starts_anything_while_it_is_blocked(case: Case) -> None:
    what, days, row, now = case
    assume(not is_on(row))
    coming = next_start(what, days, row, now)
    assume(coming is not None and coming.cause is Cause.SCHEDULE and coming.at >= now)
    assert coming is not None
    assert row.blocked_until is None or coming.at >= row.blocked_until
    override = row.override
    if override is not None and override.desired is Desired.OFF:
        assert not override.is_active(coming.at)
    for quiet in what.quiet_hours:
        here = coming.at.astimezone(ZoneInfo(quiet.zone))
        # In the hour that clocks show twice they show it again after quiet hours have ended.
        assert here.fold or quiet.end <= here.time() < quiet.start


@settings(max_examples=25, deadline=None)
@given(cases())
def test_what_is_skipped_has_a_reason_and_lies_in_the_plan(case: Case) -> None:
    what, days, row, now = case
    until = now + 6 * DAY
    for entry in plan(what, days, row, now, until):
        assert entry.reason
        if isinstance(entry, Skipped):
            assert now < entry.at <= until


@settings(max_examples=40, deadline=None)
@given(cases())
def test_a_schedule_with_windows_is_looked_at_every_week(case: Case) -> None:
    what, days, row, now = case
    edge = next_edge(what, days, row, now)
    if what.windows:
        assert edge is not None and now < edge <= now + 10 * DAY
    elif edge is not None:
        assert row.override is not None and edge in (row.override.since, row.override.until)


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 5000))
def test_activity_never_shortens_and_never_passes_the_maximum(case: Case, minutes: int) -> None:
    what, _, row, now = case
    deadline = bumped(what, row, now + minutes * MINUTE)
    if row.deadline is None:
        assert deadline is None
    else:
        assert deadline is not None and deadline >= row.deadline
        assert row.max_deadline is None or deadline <= max(row.deadline, row.max_deadline)


# -- by brute force ------------------------------------------------------------------------------


@cache
def clocks(name: str, first: datetime) -> list[tuple[datetime, datetime, bool]]:
    """Return each minute of thirty days, and what clocks show, for the first time or not."""
    zone = ZoneInfo(name)
    minutes = ((first + n * MINUTE).astimezone(zone) for n in range(30 * 24 * 60 + 1))
    return [(here.astimezone(UTC), here.replace(tzinfo=None), not here.fold) for here in minutes]


def matches(name: str, first: datetime, time: Time, weekdays: set[int]) -> set[datetime]:
    """Return the minutes at which clocks first show a time, or have just skipped it."""
    found = set()
    for (_, before, _), (moment, here, is_first) in pairwise(clocks(name, first)):
        if not is_first or (here.minute != time[1] and here - before == MINUTE):
            continue
        shown = before
        while shown < here:
            shown += MINUTE
            if (shown.hour, shown.minute) == time and shown.isoweekday() % 7 in weekdays:
                found.add(moment)
    return found


Time = tuple[int, int]
TIMES = st.tuples(st.sampled_from([0, 1, 2, 3, 8, 23]), st.sampled_from([0, 15, 59]))
WEEKDAYS = st.sets(st.integers(0, 6), min_size=1)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(FIRST_DAYS),
    TIMES,
    TIMES,
    WEEKDAYS,
    WEEKDAYS,
    st.none() | st.sampled_from([20 * MINUTE, 3 * HOUR, 25 * HOUR]),
)
def test_thirty_days_are_what_clocks_say_minute_by_minute(
    name: str,
    day: str,
    start: Time,
    stop: Time,
    start_days: set[int],
    stop_days: set[int],
    ttl: timedelta | None,
) -> None:
    first = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=UTC)
    starts = matches(name, first, start, start_days)
    stops = set() if ttl else matches(name, first, stop, stop_days)

    expected: list[tuple[Operation, datetime]] = []
    end: datetime | None = None
    runs = False
    for moment, _, _ in clocks(name, first)[1:]:
        if moment in starts:
            if not runs:
                expected.append((Operation.START, moment))
            runs = True
            end = moment + ttl if ttl else None
        elif runs and (moment in stops or moment == end):
            expected.append((Operation.STOP, moment))
            runs = False

    window: dict[str, Any] = {"start": cron(name, start, start_days)}
    window |= {"ttl_s": ttl.total_seconds()} if ttl else {"stop": cron(name, stop, stop_days)}
    row = Workspace("demo", {}, first, first, WorkspaceState.STOPPED, first)
    found = plan(schedule(window), almanac(), row, first, first + 30 * DAY)
    assert [(e.operation, e.at) for e in found if isinstance(e, Transition)] == expected


def cron(zone: str, time: Time, weekdays: set[int]) -> str:
    return f"CRON_TZ={zone} {time[1]} {time[0]} * * {','.join(map(str, sorted(weekdays)))}"
