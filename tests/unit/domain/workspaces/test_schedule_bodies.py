"""Reading schedules: which faults are named, where, and in which words."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork_core.adapters.schedules import cron as cron_adapter
from shiftwork_core.adapters.schedules.almanacs import almanac_of, checked
from shiftwork_core.domain.workspaces.schedules import (
    Cron,
    QuietHours,
    Schedule,
    ScheduleFault,
    Window,
    parse_cron,
)
from tests.unit.domain.workspaces.almanacs import WORKDAYS

# -- crons ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CRON_TZ=Europe/Berlin 0 8 * * 1-5", Cron("Europe/Berlin", "0 8 * * 1-5")),
        ("0 8 * * 1-5", Cron("UTC", "0 8 * * 1-5")),
        ("  CRON_TZ=America/Argentina/Buenos_Aires\t*/5  8 * *   mon,WED ",
         Cron("America/Argentina/Buenos_Aires", "*/5 8 * * mon,WED")),
        ("CRON_TZ=Etc/GMT+3 0 8 * * *", Cron("Etc/GMT+3", "0 8 * * *")),
    ],
)  # fmt: skip
def test_a_cron_has_a_zone_and_five_fields(text: str, expected: Cron) -> None:
    assert parse_cron(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("CRON_TZ=Europe/Berlin", "has 0 fields where five are needed"),
        ("0 8 * *", "has 4 fields where five are needed"),
        ("0 0 8 * * 1", "has 6 fields where five are needed"),
        ("@daily", "descriptors such as @daily are not read; write minute, hour"),
        ("CRON_TZ=UTC @reboot", "descriptors such as @reboot are not read"),
        ("TZ=Europe/Rome 0 8 * * *", "'TZ=Europe/Rome' must be written 'CRON_TZ=Europe/Rome'"),
        ("tz=UTC 0 8 * * *", "must be written 'CRON_TZ=UTC'"),
        ("cron_tz=UTC 0 8 * * *", "must be written 'CRON_TZ=UTC'"),
        ("0 8 1 * *", "the day-of-month (the third field) must be *, not '1'"),
        ("0 8 ? * *", "the day-of-month (the third field) must be *, not '?'"),
        ("0 8 * JAN *", "the month (the fourth field) must be *, not 'JAN'"),
        ("0 8 * * 1#2", "name weekdays, such as 1-5"),
        ("0 8 * * 5L", "name weekdays, such as 1-5"),
        ("0 8 * * l", "name weekdays, such as 1-5"),
        (f"{'0,' * 100}0 8 * * *", "is longer than"),
        ("CRON_TZ=Local 0 8 * * *", "'Local' depends on the machine"),
        ("CRON_TZ=localtime 0 8 * * *", "'localtime' depends on the machine"),
        ("CRON_TZ=Europe/Berln 0 8 * * *", "did you mean Europe/Berlin"),
        ("CRON_TZ=europe/berlin 0 8 * * *", "did you mean Europe/Berlin"),
        ("CRON_TZ=Berlin 0 8 * * *", "did you mean Europe/Berlin"),
        ("CRON_TZ=new_york 0 8 * * *", "did you mean America/New_York"),
        ("CRON_TZ=Europe 0 8 * * *", "no time zone"),
        ("CRON_TZ= 0 8 * * *", "no time zone"),
        ("CRON_TZ=../../etc/passwd 0 8 * * *", "no time zone"),
        ("CRON_TZ=/etc/localtime 0 8 * * *", "no time zone"),
        ("CRON_TZ=right/Europe/Berlin 0 8 * * *", "no time zone"),
        ("CRON_TZ=zone.tab 0 8 * * *", "no time zone"),
        ("CRON_TZ=xxxxxxxxxx 0 8 * * *", "name one such as Europe/Berlin"),
    ],
)  # fmt: skip
def test_an_impossible_cron_says_what_is_wrong_and_what_would_be_right(
    text: str, words: str
) -> None:
    with pytest.raises(ScheduleFault) as caught:
        parse_cron(text)
    assert words in str(caught.value)
    assert [(f.path, f.message) for f in caught.value.faults] == [("", str(caught.value))]


FIELDS = st.tuples(
    st.sampled_from(["0", "59", "*", "*/5", "0,30", "10-20/3"]),
    st.sampled_from(["0", "23", "*", "8-18", "9,17"]),
    st.sampled_from(["*", "0", "7", "1-5", "MON-FRI", "sat,sun"]),
)


@given(st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]), FIELDS)
def test_the_text_of_a_cron_reads_as_an_equal_cron(zone: str, fields: tuple[str, ...]) -> None:
    minute, hour, day = fields
    found = parse_cron(f"CRON_TZ={zone} {minute} {hour} * * {day}")
    cron_adapter.check(found)
    assert parse_cron(str(found)) == found
    assert str(parse_cron(str(found))) == str(found)


WORDS = ["CRON_TZ=", "CRON_TZ=UTC", "UTC", "0", "8", "*", "*", "L", "#", "@", "/", "-"]


@settings(max_examples=60)
@given(st.text(max_size=40) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_cron(text)
        cron_adapter.check(found)
    except ScheduleFault:
        return
    assert parse_cron(str(found)) == found


# -- bodies --------------------------------------------------------------------------------------


def test_an_empty_body_is_a_schedule() -> None:
    assert Schedule.from_body({}) == Schedule()


def test_a_body_may_set_every_field() -> None:
    found = checked(
        {
            "windows": [WORKDAYS, {"start": "0 9 * * 6", "ttl_s": 3600}, {"stop": "0 22 * * *"}],
            "ttl_s": 28_800,
            "manual_ttl_s": 7200,
            "max_lifetime_s": 100_000,
            "activity_bump_s": 1800,
            "holidays": {"dates": {"2026-12-25": "Christmas", "2026-12-26": ""}},
            "quiet_hours": [
                {"start": "22:00", "end": "06:00", "time_zone": "Europe/Berlin"},
                {"start": "12:00", "end": "13:30"},
            ],
            "spread_s": 300,
        }
    )
    berlin = "Europe/Berlin"
    assert found == Schedule(
        windows=(
            Window(Cron(berlin, "0 8 * * 1-5"), Cron(berlin, "0 18 * * 1-5")),
            Window(Cron("UTC", "0 9 * * 6"), ttl_s=3600),
            Window(stop=Cron("UTC", "0 22 * * *")),
        ),
        ttl_s=28_800,
        manual_ttl_s=7200,
        max_lifetime_s=100_000,
        activity_bump_s=1800,
        holidays={date(2026, 12, 25): "Christmas", date(2026, 12, 26): "2026-12-26"},
        quiet_hours=(
            QuietHours(time(22), time(6), berlin),
            QuietHours(time(12), time(13, 30)),
        ),
        spread_s=300,
    )


def test_a_missing_field_means_the_same_as_null() -> None:
    names = ("windows", "ttl_s", "manual_ttl_s", "max_lifetime_s", "holidays", "quiet_hours")
    assert Schedule.from_body(dict.fromkeys((*names, "activity_bump_s", "spread_s"))) == Schedule()


def test_dates_without_names_are_named_after_themselves() -> None:
    found = Schedule.from_body({"holidays": {"dates": ["2026-12-25"]}})
    assert almanac_of(found).holiday(date(2026, 12, 25)) == "2026-12-25"
    assert almanac_of(found).holiday(date(2026, 12, 26)) is None


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({"windows": [{}]}, "windows[0]", "needs a start, a stop, or both"),
        ({"windows": [{"ttl_s": 60}]}, "windows[0]", "needs a start"),
        ({"windows": [{"stop": "0 8 * * *", "ttl_s": 60}]}, "windows[0]", "leave one out"),
        ({"windows": [{**WORKDAYS, "ttl_s": 60}]}, "windows[0]", "leave one out"),
        ({"windows": [{"start": "0 8 1 * *"}]}, "windows[0].start", "day-of-month"),
        ({"windows": [{"start": "0 25 * * *"}]}, "windows[0].start", "hour '25'"),
        ({"windows": [{"stop": 8}]}, "windows[0].stop", "must be text"),
        ({"windows": [WORKDAYS] * 21}, "windows", "has 21 entries; 20 are the most"),
        ({"windows": [{"start": "0 8 * * *", "ttl_s": 59}]}, "windows[0].ttl_s", "not 59"),
        ({"ttl_s": 59}, "ttl_s", "must be from 60 to 2,592,000 seconds, not 59"),
        ({"ttl_s": 2_592_001}, "ttl_s", "must be from 60 to 2,592,000 seconds"),
        ({"ttl_s": True}, "ttl_s", "must be a number of seconds"),
        ({"ttl_s": "1h"}, "ttl_s", "must be a number of seconds"),
        ({"manual_ttl_s": 0}, "manual_ttl_s", "must be from 60"),
        ({"ttl_s": 600, "max_lifetime_s": 599}, "max_lifetime_s", "must be at least 600"),
        ({"manual_ttl_s": 600, "max_lifetime_s": 599}, "max_lifetime_s", "must be at least 600"),
        (
            {"windows": [{"start": "0 8 * * *", "ttl_s": 600}], "max_lifetime_s": 599},
            "max_lifetime_s",
            "must be at least 600",
        ),
        ({"max_lifetime_s": 1}, "max_lifetime_s", "must be at least 60"),
        ({"activity_bump_s": -1}, "activity_bump_s", "must be from 0"),
        ({"spread_s": 3601}, "spread_s", "must be from 0 to 3,600 seconds"),
        (
            {"windows": [{"start": "0 8 * * *", "ttl_s": 600}], "spread_s": 600},
            "spread_s",
            "must be less than 600",
        ),
        ({"quiet_hours": [{"start": "22:00", "end": "22:00"}]}, "quiet_hours[0]", "are the same"),
        ({"quiet_hours": [{"start": "22", "end": "25:00"}]}, "quiet_hours[0].end", "time of day"),
        ({"quiet_hours": [{"start": "22:00"}]}, "quiet_hours[0].end", "time of day"),
        ({"quiet_hours": [{"start": "22:00Z"}]}, "quiet_hours[0].start", "time of day"),
        (
            {"quiet_hours": [{"start": "22:00", "end": "06:00", "time_zone": "Berlin"}]},
            "quiet_hours[0].time_zone",
            "did you mean Europe/Berlin",
        ),
        ({"holidays": {"dates": ["25.12.2026"]}}, "holidays.dates.25.12.2026", "2026-12-25"),
        ({"holidays": {"dates": {"2026-02-30": "x"}}}, "holidays.dates.2026-02-30", "is no date"),
        ({"holidays": {"icalendar": "nonsense"}}, "holidays.icalendar", "is no iCalendar text"),
        ({"holidays": {"icalendar": 5}}, "holidays.icalendar", "must be text"),
        (
            {"holidays": {"dates": [str(n) for n in range(1001)]}},
            "holidays.dates",
            "has 1,001 dates; 1,000 are the most",
        ),
    ],
)  # fmt: skip
def test_a_fault_has_a_path_and_says_what_would_be_right(
    body: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(ScheduleFault) as caught:
        checked(body)
    messages = {fault.path: fault.message for fault in caught.value.faults}
    assert words in messages[f"schedule.{path}"]
    assert str(caught.value).startswith("schedule.")


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ScheduleFault) as caught:
        checked(
            {
                "windows": [{"start": "0 25 * * *", "stop": "@daily"}, {}],
                "ttl_s": 1,
                "holidays": {"dates": ["x", "y"], "icalendar": "z"},
                "quiet_hours": [{"start": "a", "end": "b", "time_zone": "c"}],
            }
        )
    assert [fault.path for fault in caught.value.faults] == [
        "schedule.ttl_s",
        "schedule.windows[0].start",
        "schedule.windows[0].stop",
        "schedule.windows[1]",
        "schedule.holidays.dates.x",
        "schedule.holidays.dates.y",
        "schedule.quiet_hours[0].start",
        "schedule.quiet_hours[0].end",
        "schedule.quiet_hours[0].time_zone",
        "schedule.holidays.icalendar",
    ]
    assert str(caught.value).endswith("(and 9 more)")


def test_bounds_themselves_are_allowed() -> None:
    checked({"ttl_s": 60, "max_lifetime_s": 60, "spread_s": 3600, "activity_bump_s": 0})
    checked({"ttl_s": 2_592_000, "max_lifetime_s": 2_592_000, "windows": [WORKDAYS] * 20})
