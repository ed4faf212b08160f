"""Plans: their entries and reasons, and that they are what the rules do step by step."""

from __future__ import annotations

import pytest

from shiftwork_core.domain.workspaces.forecasts import MAX_ENTRIES
from shiftwork_core.domain.workspaces.records import (
    Cause,
    Operation,
    Pending,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule, plan
from tests.unit.domain.workspaces.almanacs import (
    SHIFTS,
    WORKDAYS,
    a_workspace,
    almanac,
    at,
    off,
    on,
    running,
    schedule,
    short,
    stopped,
)

ALMANAC = almanac()
FRIDAY_NIGHT = "2026-01-30T17:00"


def planned(
    what: Schedule, row: Workspace, now: str, until: str, days: Almanac = ALMANAC
) -> list[str | None]:
    return [short(entry) for entry in plan(what, days, row, at(now), at(until))]


def test_a_working_week_starts_and_stops_five_times() -> None:
    found = planned(schedule(WORKDAYS), stopped(FRIDAY_NIGHT), "2026-01-31", "2026-02-08")
    assert found == [
        line
        for day in (2, 3, 4, 5, 6)
        for line in (f"start 2026-02-0{day}T07:00 schedule", f"stop 2026-02-0{day}T17:00 schedule")
    ]


def test_starts_by_a_time_to_live_stop_at_their_deadline() -> None:
    found = planned(schedule(SHIFTS), stopped(FRIDAY_NIGHT), "2026-01-31", "2026-02-03")
    assert found == ["start 2026-02-02T07:00 schedule", "stop 2026-02-02T15:00 deadline"]
    [_, stop] = plan(
        schedule(SHIFTS), ALMANAC, stopped(FRIDAY_NIGHT), at("2026-01-31"), at("2026-02-03")
    )
    assert stop.reason == "has run for its time to live of 8 h"


def test_the_end_of_a_plan_is_part_of_it() -> None:
    row = stopped(FRIDAY_NIGHT)
    assert planned(schedule(WORKDAYS), row, "2026-02-01", "2026-02-02T06:59") == []
    assert len(planned(schedule(WORKDAYS), row, "2026-02-01", "2026-02-02T07:00")) == 1
    assert planned(schedule(WORKDAYS), row, "2026-02-01", "2026-01-31") == []


def test_holidays_are_named() -> None:
    days = almanac({"2026-02-02": "Candlemas", "2026-02-03": "Candlemas"})
    found = planned(schedule(WORKDAYS), stopped(FRIDAY_NIGHT), "2026-02-01", "2026-02-05", days)
    assert found == [
        "skip 2026-02-02T07:00 holiday: Candlemas",
        "skip 2026-02-03T07:00 holiday: Candlemas",
        "start 2026-02-04T07:00 schedule",
        "stop 2026-02-04T17:00 schedule",
    ]


def test_an_override_off_is_shown_with_its_stop_and_the_starts_it_skips() -> None:
    row = running(
        "2026-02-02T07:00", override=off("2026-02-02T12:00", "2026-02-04T12:00", "this week")
    )
    assert planned(schedule(WORKDAYS), row, "2026-02-02T08:00", "2026-02-05") == [
        "stop 2026-02-02T12:00 override",
        "skip 2026-02-03T07:00 override off until 2026-02-04T12:00Z (this week)",
        "skip 2026-02-04T07:00 override off until 2026-02-04T12:00Z (this week)",
        "start 2026-02-04T12:00 schedule",
        "stop 2026-02-04T17:00 schedule",
    ]


def test_an_override_on_is_shown_with_the_stops_it_postpones() -> None:
    row = stopped(FRIDAY_NIGHT, override=on("2026-01-31T12:00", "2026-02-02T20:00", "release"))
    plan_ = schedule(WORKDAYS, ttl_s=36_000)
    assert planned(plan_, row, "2026-01-31", "2026-02-03") == [
        "start 2026-01-31T12:00 override",
        "skip 2026-01-31T22:00 kept on by an override until 2026-02-02T20:00Z (release)",
        "skip 2026-02-02T17:00 kept on by an override until 2026-02-02T20:00Z (release)",
        "stop 2026-02-02T20:00 override",
    ]


def test_quiet_hours_are_shown_with_the_start_they_postpone() -> None:
    plan_ = schedule(
        {"start": "0 5 * * 1", "stop": "0 12 * * 1"},
        quiet_hours=[{"start": "22:00", "end": "06:30", "time_zone": "Europe/Berlin"}],
    )
    row = stopped(FRIDAY_NIGHT)
    found = plan(plan_, ALMANAC, row, at("2026-02-02"), at("2026-02-03"))
    assert [short(entry) for entry in found] == [
        "skip 2026-02-02T05:00 quiet hours until 06:30 Europe/Berlin",
        "start 2026-02-02T05:30 schedule",
        "stop 2026-02-02T12:00 schedule",
    ]
    assert found[1].reason == (
        "window `CRON_TZ=UTC 0 5 * * 1` begins, postponed: quiet hours until 06:30 Europe/Berlin"
    )


def test_a_window_that_skips_another_windows_stop_is_named() -> None:
    late = {"start": "0 15 * * 1", "stop": "0 20 * * 1"}
    found = planned(schedule(WORKDAYS, late), stopped(FRIDAY_NIGHT), "2026-02-02", "2026-02-03")
    assert found == [
        "start 2026-02-02T07:00 schedule",
        "skip 2026-02-02T17:00 window `CRON_TZ=UTC 0 15 * * 1` is open until 2026-02-02T20:00Z",
        "stop 2026-02-02T20:00 schedule",
    ]


def test_failures_that_postpone_a_start_are_shown() -> None:
    row = stopped(FRIDAY_NIGHT, blocked_until="2026-02-02T07:20", failures=2)
    assert planned(schedule(WORKDAYS), row, "2026-02-02", "2026-02-02T12:00") == [
        "skip 2026-02-02T07:00 waits after 2 failed starts until 2026-02-02T07:20Z",
        "start 2026-02-02T07:20 schedule",
    ]


def test_a_late_switch_is_planned_with_the_time_when_it_was_due() -> None:
    row = stopped(FRIDAY_NIGHT)
    assert planned(schedule(SHIFTS), row, "2026-02-02T09:00", "2026-02-03") == [
        "start 2026-02-02T07:00 schedule",
        # From when it comes, not from when it was due.
        "stop 2026-02-02T17:00 deadline",
    ]


def job(when: str, cause: Cause) -> Pending:
    return Pending("job", at(when), cause)


def test_a_switch_that_somebody_has_asked_for_is_in_the_plan() -> None:
    row = stopped(FRIDAY_NIGHT, pending={Operation.START: job("2026-02-01T12:00", Cause.MANUAL)})
    plan_ = schedule(WORKDAYS, manual_ttl_s=3600)
    assert planned(plan_, row, "2026-01-31", "2026-02-03") == [
        "start 2026-02-01T12:00 manual",
        "stop 2026-02-01T13:00 deadline",
        "start 2026-02-02T07:00 schedule",
        "stop 2026-02-02T17:00 schedule",
    ]


def test_a_job_of_the_schedule_is_not_planned_twice() -> None:
    row = stopped(FRIDAY_NIGHT, pending={Operation.START: job("2026-02-02T07:00", Cause.SCHEDULE)})
    assert planned(schedule(WORKDAYS), row, "2026-01-31", "2026-02-02T12:00") == [
        "start 2026-02-02T07:00 schedule"
    ]


def test_a_job_with_nothing_to_do_is_not_in_the_plan() -> None:
    row = running(
        "2026-02-02T07:00", pending={Operation.START: job("2026-02-02T12:00", Cause.MANUAL)}
    )
    assert planned(schedule(WORKDAYS), row, "2026-02-02T08:00", "2026-02-03") == [
        "stop 2026-02-02T17:00 schedule"
    ]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Cause.MANUAL, "was asked for"),
        (Cause.WORK, "jobs wait for its workers"),
        (Cause.IDLE, "its workers have nothing to do"),
    ],
)
def test_a_job_says_why_in_words(cause: Cause, reason: str) -> None:
    row = running("2026-02-02T07:00", pending={Operation.STOP: job("2026-02-02T08:00", cause)})
    [entry] = plan(schedule(), ALMANAC, row, at("2026-02-02T08:30"), at("2026-02-03"))
    assert short(entry) == f"stop 2026-02-02T08:00 {cause}"
    assert entry.reason == reason


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (WorkspaceState.STARTING, ["stop 2026-02-02T17:00 schedule"]),
        (WorkspaceState.MIXED, ["stop 2026-02-02T17:00 schedule"]),
        (WorkspaceState.STOPPING, []),
        (WorkspaceState.UNKNOWN, []),
    ],
)
def test_a_state_in_between_is_planned_as_its_goal(
    state: WorkspaceState, expected: list[str]
) -> None:
    row = a_workspace(state, "2026-02-02T07:01", {})
    assert planned(schedule(WORKDAYS), row, "2026-02-02T07:02", "2026-02-03") == expected


def test_a_starting_workspace_stops_after_its_time_to_live() -> None:
    row = a_workspace(
        WorkspaceState.STARTING,
        "2026-02-02T07:01",
        {"pending": {Operation.START: job("2026-02-02T07:00", Cause.SCHEDULE)}},
    )
    assert planned(schedule(SHIFTS), row, "2026-02-02T07:02", "2026-02-03") == [
        "stop 2026-02-02T15:02 deadline"
    ]


def test_a_start_after_months_of_holidays_is_in_the_plan() -> None:
    days = Almanac(ALMANAC.occurrences, lambda day: "sabbatical" if day.month < 6 else None)
    found = planned(
        schedule(WORKDAYS), stopped(FRIDAY_NIGHT), "2026-01-31", "2026-06-01T12:00", days
    )
    assert found[-1] == "start 2026-06-01T06:00 schedule"
    assert all(line is not None and line.endswith("sabbatical") for line in found[:-1])
    assert len(found) == 86


@pytest.mark.parametrize(
    "body",
    [
        {"windows": [{"start": "* * * * *", "ttl_s": 60}]},
        {"windows": [{"start": "*/2 * * * *", "ttl_s": 60}]},
        {"windows": [{"start": "*/2 * * * *", "stop": "1-59/2 * * * *"}]},
        {"windows": [{"start": "* * * * *", "stop": "* * * * *"}], "spread_s": 600},
        {"windows": [{"start": "* * * * *", "ttl_s": 660}, {"stop": "* * * * *"}], "spread_s": 600},
        {
            "windows": [{"start": "* * * * *"}],
            "quiet_hours": [{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "00:00"}],
        },
    ],
)
def test_windows_of_every_minute_do_not_hang(body: dict[str, object]) -> None:
    found = plan(
        Schedule.from_body(body),
        ALMANAC,
        stopped(FRIDAY_NIGHT),
        at("2026-02-01"),
        at("2026-02-01T12:00"),
    )
    assert 0 < len(found) <= MAX_ENTRIES
    assert found == sorted(found, key=lambda entry: entry.at)


def test_a_plan_has_no_more_entries_than_anybody_reads() -> None:
    plan_ = schedule({"start": "*/2 * * * *", "ttl_s": 60})
    found = plan(plan_, ALMANAC, stopped(FRIDAY_NIGHT), at("2026-02-01"), at("2026-02-20"))
    assert len(found) == MAX_ENTRIES


def test_quiet_hours_with_a_clock_change_end_when_clocks_first_show_their_end() -> None:
    """Berlin: 2026-10-25 shows 02:00 to 03:00 twice."""
    plan_ = schedule(
        {"start": "*/10 * * * *", "ttl_s": 60},
        quiet_hours=[{"start": "01:00", "end": "02:30", "time_zone": "Europe/Berlin"}],
    )
    row = stopped("2026-10-24T23:30")
    found = plan(plan_, ALMANAC, row, at("2026-10-24T23:30"), at("2026-10-25T00:30"))
    assert [short(entry) for entry in found] == [
        "skip 2026-10-24T23:40 quiet hours until 02:30 Europe/Berlin",
        # The first of the next day where the window is at home.
        "skip 2026-10-25T00:00 quiet hours until 02:30 Europe/Berlin",
        "start 2026-10-25T00:30 schedule",
    ]
