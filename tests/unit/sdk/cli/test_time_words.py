"""Test how times are read as people type them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shiftwork.cli.time_words import TimeFault, day_start, instant, parse

BERLIN = ZoneInfo("Europe/Berlin")
#: Thursday, 12:13 in Berlin.
NOW = datetime(2026, 11, 26, 11, 13, tzinfo=UTC)

#: Offsets of whole and half hours and others, changes of an hour, of half of one, at midnight, and
#: a leap over a whole day.
ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Pacific/Apia",
    "UTC",
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.integers(0, 32 * 365 * 86_400).map(
    lambda seconds: datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
clocks = st.builds(time, st.integers(0, 23), st.integers(0, 59))
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-24T22:00", "2026-12-24 22:00"),
        ("2026-12-24 22:00:30", "2026-12-24 22:00:30"),
        ("2026-12-24T22:00Z", "2026-12-24 23:00"),
        ("2026-12-24t22:00z", "2026-12-24 23:00"),
        ("2026-12-24T22:00-05:00", "2026-12-25 04:00"),
        ("2026-12-24", "2026-12-24 00:00"),
        ("22:00", "2026-11-26 22:00"),
        ("12:14", "2026-11-26 12:14"),
        ("12:13", "2026-11-27 12:13"),
        ("8:30", "2026-11-27 08:30"),
        ("+2h", "2026-11-26 14:13"),
        ("+1h30m", "2026-11-26 13:43"),
        ("+90s", "2026-11-26 12:14:30"),
        ("+3d", "2026-11-29 12:13"),
        ("+1w2d", "2026-12-05 12:13"),
        ("+150d", "2027-04-25 12:13"),  # Past the change to summer time: the same time of day.
        ("monday", "2026-11-30 00:00"),
        ("Fri", "2026-11-27 00:00"),
        ("thurs", "2026-12-03 00:00"),
        ("thursday 13:00", "2026-11-26 13:00"),
        ("thursday 12:00", "2026-12-03 12:00"),
        ("tomorrow", "2026-11-27 00:00"),
        ("Tomorrow 08:00", "2026-11-27 08:00"),
        ("week", "2026-11-30 00:00"),
        ("  22:00 ", "2026-11-26 22:00"),
    ],
)
def test_each_form_means_what_people_mean(text: str, expected: str) -> None:
    found = parse(text, NOW, BERLIN)
    assert local(found, BERLIN) == datetime.fromisoformat(expected)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "some day",
        "25:00",
        "22:60",
        "22",
        "2h",
        "+",
        "+2",
        "+h",
        "+2h3d",
        "+1.5h",
        "-2h",
        "mo",
        "mondays",
        "monday noon",
        "tomorrow 24:00",
        "next week",
        "2026-13-01",
        "2026-12-24T22:00+99:00",
        "\u0662\u0662:\u0660\u0660",
    ],
)
def test_what_means_nothing_is_answered_with_examples(text: str) -> None:
    with pytest.raises(TimeFault, match=re.escape("22:00, +2h, +3d, monday")) as caught:
        parse(text, NOW, BERLIN)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["+999999999d", "+999999999w", "+999999999h", "9999-12-31T23:59-12:00"]
)
def test_what_lies_outside_the_calendar_is_said_to(text: str) -> None:
    with pytest.raises(TimeFault, match="outside the calendar"):
        parse(text, NOW, BERLIN)


# -- days that change their clocks ---------------------------------------------------------------


def test_a_time_that_is_skipped_is_when_clocks_leap() -> None:
    evening = datetime(2026, 3, 28, 21, tzinfo=UTC)
    assert parse("02:30", evening, BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_of_a_time_that_comes_twice_the_next_is_meant() -> None:
    evening = datetime(2026, 10, 24, 21, tzinfo=UTC)
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert parse("02:30", evening, BERLIN) == first
    assert parse("02:30", first, BERLIN) == second
    assert local(parse("02:30", second, BERLIN), BERLIN) == datetime.fromisoformat(
        "2026-10-26T02:30"
    )


def test_a_day_later_keeps_the_time_of_day_and_24_hours_later_do_not() -> None:
    noon = datetime(2026, 3, 28, 11, tzinfo=UTC)
    assert local(parse("+1d", noon, BERLIN), BERLIN) == datetime.fromisoformat("2026-03-29T12:00")
    assert local(parse("+24h", noon, BERLIN), BERLIN) == datetime.fromisoformat("2026-03-29T13:00")


def test_a_day_may_begin_after_midnight() -> None:
    beirut = ZoneInfo("Asia/Beirut")
    start = day_start(date(2022, 3, 27), beirut)
    assert local(start, beirut) == datetime.fromisoformat("2022-03-27T01:00")
    assert start == datetime(2022, 3, 26, 22, tzinfo=UTC)


# -- what holds for all of them ------------------------------------------------------------------


@settings(deadline=None)  # It looks at every minute of a day.
@given(now=moments, zone=zones, at=clocks)
def test_a_clock_time_is_the_next_such(now: datetime, zone: ZoneInfo, at: time) -> None:
    found = parse(f"{at:%H:%M}", now, zone)
    assert now < found
    shown = local(found, zone)
    if shown.time() != at:  # Skipped: then it is the first moment after the gap.
        before = local(found - timedelta(seconds=1), zone)
        assert before.replace(second=0) < datetime.combine(shown.date(), at) < shown
    # Nothing between shows it: not the day before, nor the same time of a repeated hour.
    minutes = int((found - now) / timedelta(minutes=1))
    start = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    between = (start + timedelta(minutes=number) for number in range(0, minutes))
    assert all(local(m, zone).time() != at for m in between if now < m < found)


@given(now=moments, zone=zones, hours=st.integers(0, 5000), minutes=st.integers(0, 5000))
def test_hours_and_minutes_are_that_long(
    now: datetime, zone: ZoneInfo, hours: int, minutes: int
) -> None:
    found = parse(f"+{hours}h{minutes}m", now, zone)
    assert found - now == timedelta(hours=hours, minutes=minutes)


@given(now=moments, zone=zones, days=st.integers(0, 400))
def test_days_keep_the_time_of_day(now: datetime, zone: ZoneInfo, days: int) -> None:
    found = parse(f"+{days}d", now, zone)
    wall = local(now, zone) + timedelta(days=days)
    assert local(found, zone) == wall or instant(wall, zone) == found
    assert abs((found - now) - timedelta(days=days)) <= timedelta(days=1)


@given(now=moments, zone=zones, weekday=st.integers(0, 6))
def test_a_weekday_is_where_its_next_one_begins(
    now: datetime, zone: ZoneInfo, weekday: int
) -> None:
    found = parse(WEEKDAYS[weekday], now, zone)
    shown = local(found, zone)
    assume(shown.year != 2011 or zone.key != "Pacific/Apia")  # Where a Friday was left out.
    assert shown.weekday() == weekday
    assert local(found - timedelta(seconds=1), zone).date() < shown.date()
    assert now < found <= now + timedelta(days=7, hours=2)


@given(now=moments, zone=zones)
def test_the_end_of_the_week_is_the_next_monday(now: datetime, zone: ZoneInfo) -> None:
    assert parse("week", now, zone) == parse("monday", now, zone)


@given(now=moments, zone=zones, moment=moments)
def test_iso_8601_comes_back_as_it_was(now: datetime, zone: ZoneInfo, moment: datetime) -> None:
    assert parse(moment.isoformat(), now, zone) == moment
    assert parse(moment.astimezone(zone).isoformat(), now, zone) == moment
    shown = moment.astimezone(zone)
    if not shown.fold:
        assert parse(local(moment, zone).isoformat(), now, zone) == moment


@given(text=st.text() | st.from_regex(r"\+?[0-9a-zT:. -]{1,12}", fullmatch=True), now=moments)
def test_any_text_is_a_time_or_a_fault(text: str, now: datetime) -> None:
    try:
        assert parse(text, now, BERLIN).tzinfo is UTC
    except TimeFault as fault:
        assert "+2h" in str(fault)
