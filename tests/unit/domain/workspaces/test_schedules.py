"""The next start and stop of a workspace: a table of cases for each rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.domain.workspaces.lifetimes import bumped, deadlines
from shiftwork_core.domain.workspaces.next_switch import spread_of
from shiftwork_core.domain.workspaces.records import Cause, Operation, Workspace
from shiftwork_core.domain.workspaces.schedules import Schedule, next_edge, next_start, next_stop
from tests.unit.domain.workspaces.almanacs import (
    DAY,
    HOUR,
    MINUTE,
    SHIFTS,
    WORKDAYS,
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
NIGHT = {"start": "22:00", "end": "06:00", "time_zone": "Europe/Berlin"}


def starts(plan: Schedule, workspace: Workspace, now: str) -> str | None:
    return short(next_start(plan, ALMANAC, workspace, at(now)))


def stops(plan: Schedule, workspace: Workspace, now: str) -> str | None:
    return short(next_stop(plan, ALMANAC, workspace, at(now)))


# -- starts by windows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "now", "expected"),
    [
        (FRIDAY_NIGHT, "2026-01-31T12:00", "2026-02-02T07:00"),
        (FRIDAY_NIGHT, "2026-02-02T06:59", "2026-02-02T07:00"),
        # Late, and still open: the time at which it was due.
        (FRIDAY_NIGHT, "2026-02-02T07:00", "2026-02-02T07:00"),
        (FRIDAY_NIGHT, "2026-02-02T16:59", "2026-02-02T07:00"),
        # Late, and over: the next one.
        (FRIDAY_NIGHT, "2026-02-02T17:00", "2026-02-03T07:00"),
        # Stopped by hand after the window began.
        ("2026-02-02T09:00", "2026-02-02T09:01", "2026-02-03T07:00"),
        ("2026-02-02T07:00", "2026-02-02T07:01", "2026-02-03T07:00"),
        # The clock went back: nothing starts before the last change.
        ("2026-02-02T07:00", "2026-02-01T00:00", "2026-02-03T07:00"),
    ],
)
def test_a_window_starts_what_was_stopped_before_it(since: str, now: str, expected: str) -> None:
    assert starts(schedule(WORKDAYS), stopped(since), now) == f"start {expected} schedule"


def test_a_workspace_that_was_never_switched_counts_from_its_creation() -> None:
    new = Workspace("new", {}, at("2026-02-02T09:00"), at("2026-02-02T09:00"))
    assert starts(schedule(WORKDAYS), new, "2026-02-02T10:00") == "start 2026-02-03T07:00 schedule"


@pytest.mark.parametrize(
    ("window", "now", "expected"),
    [
        ({"start": "0 8 * * *"}, "2026-02-02T08:59", "2026-02-02T08:00"),
        ({"start": "0 8 * * *"}, "2026-02-02T09:00", "2026-02-03T08:00"),
        ({"start": "0 8 * * *", "ttl_s": 600}, "2026-02-02T08:09", "2026-02-02T08:00"),
        ({"start": "0 8 * * *", "ttl_s": 600}, "2026-02-02T08:10", "2026-02-03T08:00"),
        # Over a weekend, and longer than a day.
        ({"start": "0 8 * * 5", "stop": "0 8 * * 2"}, "2026-02-02T09:00", "2026-01-30T08:00"),
        ({"start": "0 8 * * 5", "ttl_s": 4 * 86_400}, "2026-02-02T09:00", "2026-01-30T08:00"),
    ],
)
def test_a_late_start_comes_while_its_window_is_open(
    window: dict[str, object], now: str, expected: str
) -> None:
    assert starts(schedule(window), stopped("2026-01-29T00:00"), now) == (
        f"start {expected} schedule"
    )


def test_without_windows_nothing_starts_by_itself() -> None:
    assert starts(schedule(), stopped(FRIDAY_NIGHT), "2026-02-02T12:00") is None
    assert (
        starts(schedule({"stop": "0 8 * * *"}), stopped(FRIDAY_NIGHT), "2026-02-02T12:00") is None
    )


def test_the_first_of_several_windows_starts() -> None:
    plan = schedule(WORKDAYS, {"start": "0 9 * * 6", "ttl_s": 3600})
    assert starts(plan, stopped(FRIDAY_NIGHT), "2026-01-30T18:00") == (
        "start 2026-01-31T09:00 schedule"
    )


# -- holidays ------------------------------------------------------------------------------------


def test_a_start_on_a_holiday_is_skipped() -> None:
    days = almanac({"2026-02-02": "Candlemas", "2026-02-03": "Day after"})
    found = next_start(schedule(WORKDAYS), days, stopped(FRIDAY_NIGHT), at("2026-02-01"))
    assert short(found) == "start 2026-02-04T07:00 schedule"
    # Nor does it come late.
    found = next_start(schedule(WORKDAYS), days, stopped(FRIDAY_NIGHT), at("2026-02-02T12:00"))
    assert short(found) == "start 2026-02-04T07:00 schedule"


def test_a_holiday_is_a_date_in_the_schedules_zone() -> None:
    window = {"start": "CRON_TZ=Pacific/Auckland 0 8 * * *", "ttl_s": 3600}
    # 19:00 UTC of the day before.
    days = almanac({"2026-02-06": "Waitangi Day"})
    found = next_start(schedule(window), days, stopped("2026-02-05T00:00"), at("2026-02-05T00:00"))
    assert short(found) == "start 2026-02-06T19:00 schedule"


def test_a_window_that_began_before_a_holiday_stays_open_on_it() -> None:
    window = {"start": "0 8 * * 1,2", "stop": "0 18 * * 5"}
    days = almanac({"2026-02-03": "Tuesday"})
    found = next_start(schedule(window), days, stopped("2026-02-01T00:00"), at("2026-02-03T09:00"))
    assert short(found) == "start 2026-02-02T08:00 schedule"


def test_holidays_without_end_are_given_up_soon() -> None:
    everyday = almanac()
    everyday = type(everyday)(everyday.occurrences, lambda day: "holiday")
    plan = schedule({"start": "* * * * *", "ttl_s": 60})
    assert next_start(plan, everyday, stopped(FRIDAY_NIGHT), at("2026-02-02")) is None


# -- quiet hours, failures, overrides ------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        # Berlin: 22:00 to 06:00 is 21:00 to 05:00 UTC.
        ("0 20 * * *", "2026-02-02T20:00"),
        ("0 21 * * *", "2026-02-03T05:00"),
        ("30 2 * * *", "2026-02-02T05:00"),
        ("59 4 * * *", "2026-02-02T05:00"),
        ("0 5 * * *", "2026-02-02T05:00"),
    ],
)
def test_a_start_in_quiet_hours_is_postponed_to_their_end(cron: str, expected: str) -> None:
    plan = schedule({"start": cron, "ttl_s": 10 * 3600}, quiet_hours=[NIGHT])
    assert starts(plan, stopped("2026-02-02T00:00"), "2026-02-02T00:00") == (
        f"start {expected} schedule"
    )


def test_a_start_whose_window_ends_in_quiet_hours_is_skipped() -> None:
    plan = schedule(
        {"start": "0 2 * * *", "stop": "0 5 * * *"}, {"start": "0 8 * * 5"}, quiet_hours=[NIGHT]
    )
    assert starts(plan, stopped("2026-02-02T00:00"), "2026-02-02T00:00") == (
        "start 2026-02-06T08:00 schedule"
    )


def test_a_late_start_waits_for_the_end_of_quiet_hours_too() -> None:
    plan = schedule({"start": "0 20 * * *", "ttl_s": 10 * 3600}, quiet_hours=[NIGHT])
    assert starts(plan, stopped("2026-02-02T12:00"), "2026-02-02T22:00") == (
        "start 2026-02-03T05:00 schedule"
    )


def test_several_blocks_may_postpone_one_start() -> None:
    plan = schedule({"start": "0 4 * * *", "stop": "0 18 * * *"}, quiet_hours=[NIGHT])
    row = stopped(
        "2026-02-02T00:00",
        blocked_until="2026-02-02T04:30",
        override=off("2026-02-02T05:00", "2026-02-02T11:00", "migration"),
    )
    found = next_start(plan, ALMANAC, row, at("2026-02-02T03:00"))
    assert short(found) == "start 2026-02-02T11:00 schedule"
    assert found is not None
    assert found.reason == (
        "window `CRON_TZ=UTC 0 4 * * *` begins, postponed: "
        "override off until 2026-02-02T11:00Z (migration)"
    )


def test_a_postponed_time_is_the_same_before_and_after_it_has_come() -> None:
    plan = schedule({"start": "0 4 * * *", "stop": "0 18 * * *"}, quiet_hours=[NIGHT])
    row = stopped("2026-02-02T00:00")
    for now in ("2026-02-02T03:00", "2026-02-02T04:30", "2026-02-02T05:00", "2026-02-02T12:00"):
        assert starts(plan, row, now) == "start 2026-02-02T05:00 schedule"


def test_after_failures_nothing_starts_for_a_while() -> None:
    row = stopped(FRIDAY_NIGHT, blocked_until="2026-02-02T07:20", failures=3)
    found = next_start(schedule(WORKDAYS), ALMANAC, row, at("2026-02-02T07:05"))
    assert short(found) == "start 2026-02-02T07:20 schedule"
    assert found is not None and "3 failed starts" in found.reason


@pytest.mark.parametrize(
    ("since", "now", "expected"),
    [
        # Nothing starts while it holds; what is open at its end starts then.
        ("2026-02-02T09:00", "2026-02-02T09:30", "2026-02-02T12:00"),
        ("2026-02-02T09:00", "2026-02-02T13:00", "2026-02-02T12:00"),
        (FRIDAY_NIGHT, "2026-02-02T09:30", "2026-02-02T12:00"),
        # Stopped by hand since.
        ("2026-02-02T12:30", "2026-02-02T13:00", "2026-02-03T07:00"),
    ],
)
def test_the_end_of_an_override_off_starts_a_workspace_whose_window_is_open(
    since: str, now: str, expected: str
) -> None:
    row = stopped(since, override=off("2026-02-02T09:00", "2026-02-02T12:00"))
    assert starts(schedule(WORKDAYS), row, now) == f"start {expected} schedule"


def test_the_end_of_an_override_off_starts_nothing_outside_of_windows() -> None:
    row = stopped(FRIDAY_NIGHT, override=off("2026-02-02T05:00", "2026-02-02T17:00"))
    assert starts(schedule(WORKDAYS), row, "2026-02-02T06:00") == "start 2026-02-03T07:00 schedule"
    assert starts(schedule(WORKDAYS), row, "2026-02-02T17:00") == "start 2026-02-03T07:00 schedule"


@pytest.mark.parametrize(
    ("since", "now", "expected"),
    [
        (FRIDAY_NIGHT, "2026-01-31T00:00", "start 2026-01-31T12:00 override"),
        (FRIDAY_NIGHT, "2026-01-31T13:00", "start 2026-01-31T12:00 override"),
        ("2026-01-31T13:00", "2026-01-31T14:00", "start 2026-01-31T13:00 override"),
        # It has passed unnoticed.
        (FRIDAY_NIGHT, "2026-01-31T20:00", "start 2026-02-02T07:00 schedule"),
    ],
)
def test_an_override_on_starts_whatever_the_windows_say(
    since: str, now: str, expected: str
) -> None:
    plan = schedule(WORKDAYS, quiet_hours=[{"start": "00:00", "end": "23:59"}])
    row = stopped(since, override=on("2026-01-31T12:00", "2026-01-31T20:00"))
    assert starts(schedule(WORKDAYS), row, now) == expected
    if "override" in expected:
        assert starts(plan, row, now) == expected


def test_an_override_on_waits_after_failures_as_well() -> None:
    row = stopped(
        FRIDAY_NIGHT,
        override=on("2026-01-31T12:00", "2026-01-31T20:00"),
        blocked_until="2026-01-31T12:30",
    )
    assert starts(schedule(), row, "2026-01-31T12:01") == "start 2026-01-31T12:30 override"
    row = stopped(
        FRIDAY_NIGHT,
        override=on("2026-01-31T12:00", "2026-01-31T20:00"),
        blocked_until="2026-01-31T20:00",
    )
    assert starts(schedule(), row, "2026-01-31T12:01") is None


# -- stops by windows ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "now", "expected"),
    [
        ("2026-02-02T07:00", "2026-02-02T12:00", "2026-02-02T17:00"),
        # Late: the time at which it was due.
        ("2026-02-02T07:00", "2026-02-02T19:00", "2026-02-02T17:00"),
        # Started by hand at night.
        ("2026-02-02T20:00", "2026-02-02T21:00", "2026-02-03T17:00"),
        # So late that the next window has begun: that one keeps it on.
        ("2026-02-02T07:00", "2026-02-03T09:00", "2026-02-03T17:00"),
        ("2026-02-02T07:00", "2026-02-03T17:00", "2026-02-03T17:00"),
        ("2026-02-02T07:00", "2026-02-05T20:00", "2026-02-05T17:00"),
        # The clock went back.
        ("2026-02-02T17:00", "2026-02-01T00:00", "2026-02-03T17:00"),
    ],
)
def test_the_end_of_a_window_stops(since: str, now: str, expected: str) -> None:
    assert stops(schedule(WORKDAYS), running(since), now) == f"stop {expected} schedule"


def test_of_windows_that_overlap_the_last_to_end_counts() -> None:
    until_eight = {"start": "0 15 * * 1", "stop": "0 20 * * 1"}
    row = running("2026-02-02T07:00")
    assert stops(schedule(WORKDAYS, until_eight), row, "2026-02-02T12:00") == (
        "stop 2026-02-02T20:00 schedule"
    )
    four_hours = {"start": "0 15 * * 1", "ttl_s": 4 * 3600}
    assert stops(schedule(WORKDAYS, four_hours), row, "2026-02-02T12:00") == (
        "stop 2026-02-02T19:00 schedule"
    )


def test_a_window_that_a_holiday_skips_keeps_nothing_on() -> None:
    late = {"start": "0 15 * * 1", "stop": "0 20 * * 1"}
    days = almanac({"2026-02-02": "Candlemas"})
    found = next_stop(
        schedule(WORKDAYS, late), days, running("2026-02-02T07:30"), at("2026-02-02T12:00")
    )
    assert short(found) == "stop 2026-02-02T17:00 schedule"


def test_windows_that_touch_do_not_interrupt() -> None:
    plan = schedule(
        {"start": "0 8 * * 1", "stop": "0 12 * * 1"}, {"start": "0 12 * * 1", "stop": "0 18 * * 1"}
    )
    assert stops(plan, running("2026-02-02T08:00"), "2026-02-02T09:00") == (
        "stop 2026-02-02T18:00 schedule"
    )


def test_a_window_that_begins_when_it_ends_is_always_on() -> None:
    plan = schedule({"start": "0 0 * * *", "stop": "0 0 * * *"})
    assert stops(plan, running("2026-02-02T00:00"), "2026-02-02T09:00") is None


def test_a_stop_alone_stops_whatever_runs() -> None:
    plan = schedule({"stop": "CRON_TZ=Europe/Berlin 0 20 * * *"})
    assert stops(plan, running("2026-02-02T09:00"), "2026-02-02T10:00") == (
        "stop 2026-02-02T19:00 schedule"
    )


def test_a_workspace_that_nothing_stops_runs_on() -> None:
    assert stops(schedule(), running("2026-02-02T09:00"), "2026-02-02T10:00") is None


# -- times to live -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "deadline", "expected"),
    [
        ([], "2026-02-02T15:00", "stop 2026-02-02T15:00 deadline"),
        # The window had begun when it started: its end comes first, or the deadline does.
        ([WORKDAYS], "2026-02-02T15:00", "stop 2026-02-02T15:00 deadline"),
        ([WORKDAYS], "2026-02-02T20:00", "stop 2026-02-02T17:00 schedule"),
        # One that begins before the deadline moves it to its own.
        ([{"start": "0 12 * * 1", "ttl_s": 7200}], "2026-02-02T12:30", "14:00"),
        ([{"start": "0 12 * * 1", "ttl_s": 7200}], "2026-02-02T12:00", "14:00"),
        ([{"start": "0 12 * * 1", "ttl_s": 7200}], "2026-02-02T11:59", "11:59"),
        ([{"start": "0 12 * * 1", "ttl_s": 7200}], "2026-02-02T14:30", "14:30"),
        # Again and again.
        ([{"start": "0 10-15 * * 1", "ttl_s": 5400}], "2026-02-02T10:00", "16:30"),
        (
            [{"start": "0 12 * * 1", "ttl_s": 7200}, {"start": "0 14 * * 1", "ttl_s": 3600}],
            "2026-02-02T12:00",
            "15:00",
        ),
        # One that says itself when to stop does so.
        (
            [{"start": "0 12 * * 1", "stop": "0 16 * * 1"}],
            "2026-02-02T12:30",
            "stop 2026-02-02T16:00 schedule",
        ),
    ],
)
def test_a_deadline_stops_unless_a_window_has_begun_before_it(
    windows: list[dict[str, Any]], deadline: str, expected: str
) -> None:
    if len(expected) == 5:
        expected = f"stop 2026-02-02T{expected} deadline"
    row = running("2026-02-02T09:00", deadline=deadline)
    assert stops(schedule(*windows), row, "2026-02-02T09:30") == expected


def test_a_window_that_begins_gives_the_time_to_live_of_the_schedule() -> None:
    plan = schedule({"start": "0 12 * * 1"}, ttl_s=3 * 3600)
    row = running("2026-02-02T09:00", deadline="2026-02-02T12:00")
    assert stops(plan, row, "2026-02-02T09:30") == "stop 2026-02-02T15:00 deadline"


def test_a_deadline_that_passed_unnoticed_is_moved_by_windows_that_began_since() -> None:
    plan = schedule({"start": "0 12 * * 1", "ttl_s": 7200})
    row = running("2026-02-02T09:00", deadline="2026-02-02T11:58")
    assert stops(plan, row, "2026-02-02T11:59") == "stop 2026-02-02T11:58 deadline"
    assert stops(plan, row, "2026-02-02T12:01") == "stop 2026-02-02T14:00 deadline"


def test_the_maximum_lifetime_ends_whatever_windows_say() -> None:
    row = running("2026-02-02T09:00", deadline="2026-02-02T12:30", max_deadline="2026-02-02T13:00")
    plan = schedule(
        {"start": "0 12 * * 1", "ttl_s": 7200}, {"start": "0 8 * * *", "stop": "0 20 * * *"}
    )
    assert stops(plan, row, "2026-02-02T09:30") == "stop 2026-02-02T13:00 deadline"


def test_a_deadline_that_windows_keep_moving_stops_nothing() -> None:
    plan = schedule({"start": "* * * * *", "ttl_s": 3600})
    row = running("2026-02-02T09:00", deadline="2026-02-02T10:00")
    assert stops(plan, row, "2026-02-02T09:30") is None


def test_a_deadline_far_ahead_is_kept() -> None:
    row = running("2026-02-02T09:00", deadline="2027-02-02T10:00")
    assert stops(schedule(), row, "2026-02-02T09:30") == "stop 2027-02-02T10:00 deadline"


@pytest.mark.parametrize(
    ("cause", "due", "expected"),
    [
        (Cause.MANUAL, "2026-02-02T07:00", 2 * HOUR),
        (Cause.WORK, "2026-02-02T07:00", 4 * HOUR),
        (Cause.OVERRIDE, "2026-02-02T07:00", 4 * HOUR),
        # By a window: its own, the longest of those open, the schedule's.
        (Cause.SCHEDULE, "2026-02-02T07:00", 8 * HOUR),
        (Cause.SCHEDULE, "2026-02-07T08:00", 10 * HOUR),
        (Cause.SCHEDULE, "2026-02-08T09:00", 4 * HOUR),
        (Cause.SCHEDULE, "2026-02-08T12:00", 4 * HOUR),
    ],
)
def test_a_start_lasts_as_long_as_its_cause_says(
    cause: Cause, due: str, expected: timedelta
) -> None:
    plan = schedule(
        SHIFTS,
        {"start": "0 8 * * 6", "ttl_s": 36_000},
        {"start": "0 8 * * 6", "ttl_s": 3600},
        {"start": "0 9 * * 0", "stop": "0 11 * * 0"},
        ttl_s=4 * 3600,
        manual_ttl_s=2 * 3600,
        max_lifetime_s=864_000,
    )
    came = at(due) + 3 * MINUTE
    assert deadlines(plan, ALMANAC, cause, came, at(due)) == (came + expected, came + 10 * DAY)
    if expected != 10 * HOUR:
        assert deadlines(plan, ALMANAC, cause, at(due))[0] == at(due) + expected


def test_a_window_without_a_time_to_live_lasts_until_its_stop() -> None:
    plan = schedule(WORKDAYS, SHIFTS)
    assert deadlines(plan, ALMANAC, Cause.SCHEDULE, at("2026-02-02T07:00")) == (None, None)


def test_a_manual_start_without_a_time_to_live_of_its_own_has_the_schedules() -> None:
    plan = schedule(ttl_s=3600)
    assert deadlines(plan, ALMANAC, Cause.MANUAL, at("2026-02-02")) == (
        at("2026-02-02T01:00"),
        None,
    )


@pytest.mark.parametrize(
    ("deadline", "most", "now", "expected"),
    [
        (None, None, "2026-02-02T09:00", None),
        ("2026-02-02T09:30", None, "2026-02-02T09:00", "2026-02-02T10:00"),
        ("2026-02-02T10:30", None, "2026-02-02T09:00", "2026-02-02T10:30"),
        ("2026-02-02T09:30", "2026-02-02T09:45", "2026-02-02T09:00", "2026-02-02T09:45"),
        # Somebody has set the deadline beyond the maximum: it is not shortened.
        ("2026-02-02T09:50", "2026-02-02T09:45", "2026-02-02T09:40", "2026-02-02T09:50"),
    ],
)
def test_activity_moves_a_deadline_but_never_back_nor_beyond_the_maximum(
    deadline: str | None, most: str | None, now: str, expected: str | None
) -> None:
    row = running("2026-02-02T08:00", deadline=deadline, max_deadline=most)
    assert bumped(schedule(), row, at(now)) == (expected and at(expected))


# -- stops and overrides -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-02-02T08:00", "stop 2026-02-02T10:00 override"),
        ("2026-02-02T11:00", "stop 2026-02-02T10:00 override"),
        # It has passed unnoticed.
        ("2026-02-02T12:00", "stop 2026-02-02T17:00 schedule"),
    ],
)
def test_an_override_off_stops_whatever_the_windows_say(now: str, expected: str) -> None:
    row = running("2026-02-02T07:00", override=off("2026-02-02T10:00", "2026-02-02T12:00"))
    assert stops(schedule(WORKDAYS), row, now) == expected


@pytest.mark.parametrize(
    ("until", "values", "expected"),
    [
        # The window ends at 17:00 UTC.
        ("2026-02-02T16:00", {}, "stop 2026-02-02T17:00 schedule"),
        ("2026-02-02T20:00", {}, "stop 2026-02-02T20:00 override"),
        ("2026-02-03T09:00", {}, "stop 2026-02-03T17:00 schedule"),
        ("2026-02-02T14:00", {"deadline": "2026-02-02T13:00"}, "stop 2026-02-02T17:00 schedule"),
        ("2026-02-02T18:00", {"deadline": "2026-02-02T13:00"}, "stop 2026-02-02T18:00 override"),
        (
            "2026-02-02T14:00",
            {"max_deadline": "2026-02-02T13:00"},
            "stop 2026-02-02T14:00 override",
        ),
        ("2026-02-02T14:00", {"deadline": "2026-02-02T15:00"}, "stop 2026-02-02T15:00 deadline"),
    ],
)
def test_an_override_on_postpones_stops_to_its_end(
    until: str, values: dict[str, str], expected: str
) -> None:
    row = running("2026-02-02T07:00", override=on("2026-02-02T12:00", until), **values)
    assert stops(schedule(WORKDAYS), row, "2026-02-02T08:00") == expected


@pytest.mark.parametrize(
    ("now", "values", "expected"),
    [
        ("2026-01-31T13:00", {}, "stop 2026-01-31T20:00 override"),
        # Late.
        ("2026-01-31T21:00", {}, "stop 2026-01-31T20:00 override"),
        ("2026-01-31T13:00", {"deadline": "2026-01-31T22:00"}, "stop 2026-01-31T22:00 deadline"),
        ("2026-01-31T13:00", {"deadline": "2026-01-31T14:00"}, "stop 2026-01-31T20:00 override"),
    ],
)
def test_the_end_of_an_override_on_stops_a_workspace_that_nothing_else_keeps_on(
    now: str, values: dict[str, str], expected: str
) -> None:
    row = running("2026-01-31T12:00", override=on("2026-01-31T12:00", "2026-01-31T20:00"), **values)
    assert stops(schedule(WORKDAYS), row, now) == expected


def test_a_window_that_begins_while_an_override_postpones_a_deadline_moves_it() -> None:
    plan = schedule({"start": "0 20 * * 6", "ttl_s": 1200})
    row = running(
        "2026-01-31T12:00",
        deadline="2026-01-31T14:00",
        override=on("2026-01-31T12:00", "2026-01-31T20:00"),
    )
    for now in ("2026-01-31T13:00", "2026-01-31T20:00", "2026-01-31T20:20"):
        assert stops(plan, row, now) == "stop 2026-01-31T20:20 deadline"


def test_an_override_that_ended_before_the_last_change_means_nothing() -> None:
    row = running("2026-01-31T21:00", override=on("2026-01-31T12:00", "2026-01-31T20:00"))
    assert stops(schedule(), row, "2026-01-31T22:00") is None


# -- spread --------------------------------------------------------------------------------------


def test_the_spread_delays_what_schedules_do_by_the_same_share_each_time() -> None:
    plan = schedule(WORKDAYS, spread_s=600)
    row = stopped(FRIDAY_NIGHT)
    delay = spread_of(plan, row, Operation.START)
    assert timedelta(0) < delay < timedelta(seconds=600)
    for now in ("2026-02-01T00:00", "2026-02-02T07:00", "2026-02-02T09:00"):
        found = next_start(plan, ALMANAC, row, at(now))
        assert found is not None and found.at == at("2026-02-02T07:00") + delay
    row = running("2026-02-02T07:05")
    found = next_stop(plan, ALMANAC, row, at("2026-02-02T08:00"))
    assert found is not None
    assert found.at == at("2026-02-02T17:00") + spread_of(plan, row, Operation.STOP)


def test_the_spread_gives_workspaces_different_delays() -> None:
    plan = schedule(WORKDAYS, spread_s=600)
    rows = [Workspace(f"w{n}", {}, at("2026-01-01"), at("2026-01-01")) for n in range(200)]
    shares = [spread_of(plan, row, Operation.START).total_seconds() for row in rows]
    assert all(0 <= share < 600 for share in shares)
    assert 250 < sum(shares) / len(shares) < 350


def test_only_schedules_are_spread() -> None:
    plan = schedule(spread_s=600)
    row = stopped(FRIDAY_NIGHT, override=on("2026-01-31T12:00", "2026-01-31T20:00"))
    assert starts(plan, row, "2026-01-31T00:00") == "start 2026-01-31T12:00 override"
    row = running(
        "2026-01-31T12:00",
        deadline="2026-01-31T14:00",
        override=on("2026-01-31T12:00", "2026-01-31T20:00"),
    )
    assert stops(plan, row, "2026-01-31T13:00") == "stop 2026-01-31T20:00 override"


def test_starts_postponed_to_a_shared_time_are_spread_from_there() -> None:
    plan = schedule(WORKDAYS, spread_s=600)
    row = stopped(FRIDAY_NIGHT, override=off("2026-02-02T05:00", "2026-02-02T12:00"))
    delay = spread_of(plan, row, Operation.START)
    for now in ("2026-02-02T06:00", "2026-02-02T12:00", "2026-02-02T13:00"):
        found = next_start(plan, ALMANAC, row, at(now))
        assert found is not None and found.at == at("2026-02-02T12:00") + delay


def test_a_window_that_ends_before_its_postponed_start_starts_nothing() -> None:
    plan = schedule({"start": "0 4 * * *", "stop": "1 5 * * *"}, quiet_hours=[NIGHT], spread_s=3600)
    row = stopped("2026-02-02T00:00")
    assert spread_of(plan, row, Operation.START) > MINUTE
    for now in ("2026-02-02T04:30", "2026-02-02T05:00:30"):
        assert next_start(plan, ALMANAC, row, at(now)) is None


# -- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([], None),
        ([WORKDAYS], "2026-02-02T17:00"),
        ([SHIFTS], "2026-02-02T15:00"),
        ([{"start": "0 12 * * *"}], "2026-02-02T13:00"),
        ([{"stop": "0 12 * * *"}], "2026-02-02T12:00"),
        # A time to live of days: the end of a window that began before.
        ([{"start": "0 14 * * 0", "ttl_s": 86_400}], "2026-02-02T14:00"),
    ],
)
def test_the_next_edge_is_where_a_window_ends(
    windows: list[dict[str, Any]], expected: str | None
) -> None:
    found = next_edge(schedule(*windows), ALMANAC, stopped(FRIDAY_NIGHT), at("2026-02-02T09:00"))
    assert found == (expected and at(expected))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-02-01T00:00", "2026-02-01T10:00"),
        ("2026-02-01T10:00", "2026-02-02T10:00"),
        ("2026-02-02T10:00", "2026-02-02T17:00"),
    ],
)
def test_an_override_has_an_edge_at_either_end(now: str, expected: str) -> None:
    row = stopped(FRIDAY_NIGHT, override=off("2026-02-01T10:00", "2026-02-02T10:00"))
    assert next_edge(schedule(WORKDAYS), ALMANAC, row, at(now)) == at(expected)


# -- reasons -------------------------------------------------------------------------------------


def reason_of(plan: Schedule, row: Workspace, now: datetime) -> str:
    found = next_stop(plan, ALMANAC, row, now)
    assert found is not None
    return found.reason


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"deadline": "2026-02-02T17:00"}, "has run for its time to live of 8 h"),
        ({"deadline": "2026-02-02T17:30"}, "has reached its deadline"),
        (
            {"deadline": "2026-02-02T10:30", "started_by": Cause.MANUAL},
            "has run for its time to live of 1 h 30 min",
        ),
        ({"max_deadline": "2026-02-03T09:00"}, "has run for its maximum lifetime of 1 d"),
        (
            {"override": off("2026-02-02T10:00", "2026-02-02T12:00", "cost")},
            "kept off by an override until 2026-02-02T12:00Z (cost)",
        ),
        (
            {"override": on("2026-02-02T10:00", "2026-02-02T12:00")},
            "was kept on by an override until 2026-02-02T12:00Z",
        ),
    ],
)
def test_a_stop_says_why(values: dict[str, object], expected: str) -> None:
    plan = schedule(ttl_s=8 * 3600, manual_ttl_s=5400, max_lifetime_s=86_400)
    assert (
        reason_of(plan, running("2026-02-02T09:00", **values), at("2026-02-02T09:30")) == expected
    )


def test_a_stop_by_a_window_names_what_ends() -> None:
    row = running("2026-02-02T07:00")
    now = at("2026-02-02T08:00")
    assert reason_of(schedule(WORKDAYS), row, now) == (
        "window ends at `CRON_TZ=Europe/Berlin 0 18 * * 1-5`"
    )
    late = {"start": "0 15 * * 1", "ttl_s": 4 * 3600}
    assert reason_of(schedule(WORKDAYS, late), row, now) == "window `CRON_TZ=UTC 0 15 * * 1` ends"
    row = running("2026-02-02T07:00", deadline="2026-02-02T15:30")
    assert reason_of(schedule(late), row, now) == (
        "has run for 4 h since window `CRON_TZ=UTC 0 15 * * 1` began"
    )
