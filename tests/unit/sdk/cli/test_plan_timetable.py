"""Test the timetable: its rows of hours, and the command that draws it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import Result

from shiftwork.api.shapes import PlanEntry, Workspace
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.timetable import (
    ASCII,
    Glyphs,
    columns_of,
    days_of,
    draw,
    encodes,
    on_s,
    slot_minutes_for,
    spans_of,
)
from tests.unit.sdk.fake_api import FakeApi
from tests.unit.sdk.fake_workspaces import DEFINITION, NOW, ZONE, iso, planned, workspace

Run = Callable[..., Result]
BERLIN = ZoneInfo(ZONE)
TODAY = date(2026, 11, 26)
#: Where the cells of a row begin.
CELLS = 12


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def drawn(
    row: Workspace,
    plan: Sequence[PlanEntry],
    first: date = TODAY,
    count: int = 1,
    now: datetime = NOW,
    zone: ZoneInfo = BERLIN,
    glyphs: Glyphs = ASCII,
) -> list[str]:
    lines = draw(row, plan, days_of(first, count, zone), now, zone, glyphs)
    return [line.plain for line in lines]


def cells(line: str, width: int = 48) -> str:
    return line[CELLS : CELLS + width]


# -- a day ---------------------------------------------------------------------------------------


def test_a_day_is_48_half_hours_with_what_was_and_what_will_be() -> None:
    head, today, now_line, legend = drawn(
        workspace("dev"), [planned("2026-11-26T19:00:00Z", "stop")], glyphs=Glyphs()
    )
    assert head.split() == ["00", "03", "06", "09", "12", "15", "18", "21"]
    assert cells(head).index("09") == 18
    assert today.startswith("Thu 26 Nov  ")
    assert cells(today) == " " * 16 + "█" * 24 + "·" * 8
    assert today.endswith("  12 h")
    assert cells(now_line).index("▲") == 24
    assert "now, 12:13" in now_line
    assert legend.split("   ")[-1] == "blank: not known"


def test_without_colours_and_utf_8_it_reads_the_same() -> None:
    _, today, now_line, legend = drawn(workspace("dev"), [planned("2026-11-26T19:00:00Z", "stop")])
    assert cells(today) == " " * 16 + "#" * 24 + "." * 8
    assert "^" in now_line
    assert "# on   . off" in legend
    assert "".join([today, now_line, legend]).isascii()
    assert encodes(Glyphs(), "utf-8") and not encodes(Glyphs(), "ascii")
    assert not encodes(Glyphs(), "no-such-encoding")


@pytest.mark.parametrize(
    ("stop", "cell"),
    [
        ("2026-11-26T19:00:00Z", "··"),
        ("2026-11-26T19:07:00Z", "··"),
        ("2026-11-26T19:08:00Z", "▌·"),
        ("2026-11-26T19:15:00Z", "▌·"),
        ("2026-11-26T19:30:00Z", "█·"),
        ("2026-11-26T19:45:00Z", "█▌"),
    ],
)
def test_half_a_block_is_a_quarter_of_an_hour(stop: str, cell: str) -> None:
    today = drawn(workspace("dev"), [planned(stop, "stop")], glyphs=Glyphs())[1]
    assert cells(today)[40:42] == cell


def test_a_start_within_half_an_hour_fills_its_right_half() -> None:
    start = planned("2026-11-26T19:15:00Z", "start")
    today = drawn(workspace("dev", "stopped"), [start], glyphs=Glyphs())[1]
    assert cells(today)[39:42] == "·▐█"
    assert today.endswith("3.75 h")


@pytest.mark.parametrize(
    ("state", "cell"),
    [
        ("running", "#"),
        ("starting", "#"),
        ("stopped", "."),
        ("stopping", "."),
        ("mixed", "%"),
        ("unknown", " "),
    ],
)
def test_each_state_has_its_sign(state: str, cell: str) -> None:
    assert cells(drawn(workspace("dev", state), [])[1])[30] == cell


def test_what_was_before_the_last_change_is_not_known() -> None:
    changed = workspace("dev", changed_at="2026-11-26T10:00:00Z")
    assert cells(drawn(changed, [])[1]) == " " * 22 + "#" * 26
    never = workspace("dev", changed_at=None)
    assert cells(drawn(never, [])[1]).count(" ") == 24


def test_what_is_left_out_is_marked_where_it_would_have_been() -> None:
    holiday = planned("2026-11-27T07:00:00Z", None, "a holiday")
    lines = drawn(workspace("dev", "stopped"), [holiday], count=2)
    assert cells(lines[3]) == "." * 16 + "x" + "." * 31
    assert "x left out" in lines[-1]


def test_the_mark_of_now_stays_within_the_row_late_in_the_day() -> None:
    line = drawn(workspace("dev"), [], now=at("2026-11-26T22:50:00Z"))[2]
    assert cells(line).endswith("now, 23:50 ^")


def test_only_today_is_marked() -> None:
    assert sum("^" in line for line in drawn(workspace("dev"), [], count=7)) == 1
    tomorrow_on = drawn(workspace("dev"), [], first=TODAY + timedelta(days=1), count=7)
    assert not any("^" in line for line in tomorrow_on)


def test_on_a_narrow_terminal_a_day_is_24_hours() -> None:
    plan = [planned("2026-11-26T19:30:00Z", "stop")]
    days = days_of(TODAY, 1, BERLIN, slot_minutes_for(60))
    head, today, now_line, *legend = [
        line.plain for line in draw(workspace("dev"), plan, days, NOW, BERLIN, Glyphs())
    ]
    assert head.split() == ["00", "03", "06", "09", "12", "15", "18", "21"]
    assert cells(today, 24) == " " * 8 + "█" * 12 + "▌" + "·" * 3
    assert today.endswith("  12.5 h")
    assert cells(now_line, 24).index("▲") == 12
    assert [line.strip() for line in legend] == ["█ on   · off", "blank: not known"]


# -- days that change their clocks ---------------------------------------------------------------


def test_a_day_of_23_hours_has_a_gap_where_clocks_leap() -> None:
    now = at("2026-03-27T12:00:00Z")
    row = workspace("dev", changed_at=iso(now))
    lines = drawn(row, [], first=date(2026, 3, 27), count=4, now=now)
    sunday = lines[4]
    assert sunday.startswith("Sun 29 Mar")
    assert cells(sunday) == "####" + "  " + "#" * 42
    assert sunday.endswith("23 h of 23 h")
    assert "leapt over" in lines[-1]


def test_a_day_of_25_hours_has_a_column_that_the_others_leave_blank() -> None:
    now = at("2026-10-24T10:00:00Z")
    row = workspace("dev", changed_at=iso(now))
    head, saturday, _, sunday, monday, legend = drawn(
        row, [], first=date(2026, 10, 24), count=3, now=now
    )
    assert head.split() == ["00", "+", "03", "06", "09", "12", "15", "18", "21"]
    assert cells(head, 50).index("03") == 8
    assert cells(sunday, 50) == "#" * 50
    assert sunday.endswith("25 h of 25 h")
    assert cells(monday, 50) == "#" * 6 + "  " + "#" * 42
    assert monday.endswith("  24 h")
    assert cells(saturday, 50)[:26] == " " * 26
    assert "+ clocks go back" in legend


def test_the_same_time_keeps_its_column_through_a_change_of_clocks() -> None:
    now = at("2026-10-23T22:30:00Z")
    plan = [
        planned(iso(at(f"2026-10-{day}T{hour}:00:00+0{offset}:00")), operation)
        for day, offset in ((24, 2), (25, 1), (26, 1))
        for hour, operation in (("08", "start"), ("20", "stop"))
    ]
    row = workspace("dev", "stopped", changed_at=iso(now))
    lines = drawn(row, plan, first=date(2026, 10, 24), count=3, now=now)
    days = [line for line in lines if line[:3] in ("Sat", "Sun", "Mon")]
    assert {cells(line, 50).index("#") for line in days} == {18}
    assert [line.split()[-2:] for line in days[::2]] == [["12", "h"]] * 2


def test_clocks_that_change_by_half_an_hour_have_half_a_column() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    days = days_of(date(2026, 4, 4), 3, zone)
    assert [day.length_s / 3600 for day in days] == [24, 24.5, 24]
    assert len(columns_of(days)) == 49


def test_a_day_that_was_left_out_is_blank() -> None:
    zone = ZoneInfo("Pacific/Apia")
    lines = drawn(workspace("dev"), [], first=date(2011, 12, 29), count=3, zone=zone)
    assert cells(lines[2]).strip() == ""


@settings(deadline=None)
@given(
    zone=st.sampled_from(
        [
            "Europe/Berlin",
            "America/New_York",
            "America/Havana",
            "Asia/Beirut",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Africa/Casablanca",
            "Antarctica/Troll",
            "UTC",
        ]
    ).map(ZoneInfo),
    minutes=st.integers(0, 366 * 24 * 60),
    steps=st.lists(st.integers(0, 4000), max_size=12),
    width=st.sampled_from([60, 80]),
)
def test_whatever_is_planned_and_wherever_it_fits_the_terminal_and_adds_up(
    zone: ZoneInfo, minutes: int, steps: list[int], width: int
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    moment, plan = now, []
    for number, step in enumerate(steps):
        moment += timedelta(minutes=step)
        plan.append(planned(iso(moment), ("stop", None, "start")[number % 3]))
    row = workspace("dev", changed_at=iso(now - timedelta(hours=5)))
    days = days_of(now.astimezone(zone).date(), 7, zone, slot_minutes_for(width))
    lines = [line.plain for line in draw(row, plan, days, now, zone, Glyphs())]
    assert max(len(line) for line in lines) <= width
    slots = [slot for day in days for slot in day.slots]
    assert all(a.end == b.start for a, b in pairwise(slots))
    start, end = slots[0].start, slots[-1].end
    spans = spans_of(row, plan, now, end)
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert 0 <= on_s(spans, start, end) <= (end - start).total_seconds()
    columns = columns_of(days)
    for day in days:
        places = [columns.index(slot.column) for slot in day.slots]
        assert places == sorted(set(places))


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def dev(api: FakeApi) -> Workspace:
    row = workspace("dev")
    api.workspaces.put(row)
    api.workspaces.plan = [
        planned("2026-11-26T19:00:00Z", "stop", "its window ends"),
        planned("2026-11-27T07:00:00Z", None, "2026-11-27 is a holiday (bridge day)"),
        planned("2026-11-30T07:00:00Z", "start", "its window begins"),
        planned("2026-12-24T22:00:00Z", "stop", "beyond the week"),
    ]
    return row


def test_a_week_is_drawn_and_what_happens_in_it_is_listed(run: Run, dev: Workspace) -> None:
    result = run("plan", "dev")
    lines = result.stdout.splitlines()
    assert lines[0] == "dev is running since Thu 26 Nov 08:00. Times in Europe/Berlin."
    assert [line[:10] for line in lines if line[3:4] == " " and "h" in line[-2:]] == [
        "Thu 26 Nov",
        "Fri 27 Nov",
        "Sat 28 Nov",
        "Sun 29 Nov",
        "Mon 30 Nov",
        "Tue  1 Dec",
        "Wed  2 Dec",
    ]
    assert lines[-3:] == [
        "Thu 26 Nov 20:00  stop      its window ends",
        "Fri 27 Nov 08:00  left out  2026-11-27 is a holiday (bridge day)",
        "Mon 30 Nov 08:00  start     its window begins",
    ]
    assert "\x1b" not in result.stdout
    assert max(map(len, lines)) <= 80


def test_days_to_come_begin_in_the_state_that_the_days_before_leave(
    run: Run, dev: Workspace
) -> None:
    lines = run("plan", "dev", "--from", "saturday", "--days", "2").stdout.splitlines()
    assert [line[-3:] for line in lines if line.startswith(("Sat", "Sun"))] == ["0 h", "0 h"]
    assert not any(line.startswith("Thu") for line in lines)


def test_the_plan_comes_as_json(run: Run, dev: Workspace, api: FakeApi) -> None:
    assert json.loads(run("plan", "dev", "-o", "json").stdout) == {"items": api.workspaces.plan}


@pytest.mark.parametrize(
    ("options", "first", "days", "asked"),
    [
        ([], "Thu 26 Nov", 7, "7"),
        (["--days", "2"], "Thu 26 Nov", 2, "2"),
        (["--days", "90"], "Thu 26 Nov", 90, "90"),
        (["--from", "week"], "Mon 23 Nov", 7, "4"),
        (["--from", "tomorrow", "--days", "1"], "Fri 27 Nov", 1, "2"),
        (["--from", "2026-12-24", "--days", "3"], "Thu 24 Dec", 3, "31"),
    ],
)
def test_it_begins_on_the_given_day_and_asks_the_api_for_the_days_that_it_shows(
    run: Run,
    dev: Workspace,
    api: FakeApi,
    options: list[str],
    first: str,
    days: int,
    asked: str,
) -> None:
    rows = [line for line in run("plan", "dev", *options).stdout.splitlines() if " h" in line[-9:]]
    assert (rows[0][:10], len(rows)) == (first, days)
    assert api.calls[-1].url.params["days"] == asked


@pytest.mark.parametrize(
    ("windows", "options", "zone"),
    [
        ([{"stop": "CRON_TZ=America/New_York 0 20 * * *"}], [], "America/New_York"),
        ([{"start": "0 8 * * *"}, {"start": "CRON_TZ=Asia/Tokyo 0 8 * * *"}], [], ZONE),
        ([], [], ZONE),
        ([{"start": "CRON_TZ=Nowhere/Land 0 8 * * *"}], [], ZONE),
        ([{"start": "CRON_TZ=Asia/Tokyo 0 8 * * *"}], ["--time-zone", "UTC"], "UTC"),
    ],
)
def test_times_are_of_the_zone_of_the_schedule_unless_another_is_asked_for(
    run: Run, api: FakeApi, windows: list[dict[str, Any]], options: list[str], zone: str
) -> None:
    definition = DEFINITION | {"schedule": {"windows": windows}}
    api.workspaces.put(workspace("dev", definition=definition))
    assert f"Times in {zone}." in run("plan", "dev", *options).stdout


def test_a_workspace_without_a_schedule_has_an_empty_plan(run: Run, api: FakeApi) -> None:
    api.workspaces.put(workspace("dev", definition={"driver": {"type": "ec2"}}))
    assert "the schedule switches nothing" in run("plan", "dev").stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time-zone", "Europe/Berln"], "Europe/Berlin"),
        (["--days", "0"], "--days"),
        (["--days", "91"], "--days"),
        (["--from", "whenever"], "+2h"),
        (["--from", "2027-11-01"], "90"),
        (["--from", "week", "--days", "2"], "2026-11-23"),
        (["--from", "2020-01-01"], "90 days to come"),
        (["--from", "9999-12-30"], "90 days to come"),
        (["--from", "0001-01-02"], "90 days to come"),
    ],
)
def test_what_cannot_be_planned_is_a_usage_error(
    run: Run, dev: Workspace, options: list[str], message: str
) -> None:
    result = run("plan", "dev", *options)
    assert result.exit_code == Exit.USAGE
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_on_a_terminal_it_has_colours_and_without_them_the_same_signs() -> None:
    lines = list(draw(workspace("dev"), [], days_of(TODAY, 1, BERLIN), NOW, BERLIN, Glyphs()))
    texts = []
    for no_color in (False, True):
        console = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system="standard",
            width=80,
            no_color=no_color,
        )
        with console.capture() as capture:
            for line in lines:
                console.print(line, soft_wrap=True)
        texts.append(capture.get())
    assert "\x1b[32m" in texts[0] and "\x1b[32m" not in texts[1]
    assert "█" in texts[1]
