"""The times of cron texts, checked against the time zone database, whatever clocks do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftwork_core.adapters.schedules.cron import check, occurrences
from shiftwork_core.domain.workspaces.crons import Cron, ScheduleFault, first_instant, parse_cron

ZONES = [
    "Africa/Casablanca",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "UTC",
]
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def some(text: str, after: str, count: int) -> list[str]:
    found = islice(occurrences(parse_cron(text), at(after)), count)
    return [f"{moment:%Y-%m-%dT%H:%M}" for moment in found]


# -- days on which clocks change -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        # Berlin: 2026-03-29 leaps from 02:00 to 03:00, at 01:00 UTC.
        (
            "CRON_TZ=Europe/Berlin 30 2 * * *",
            "2026-03-28T00:00",
            ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        # Several times in the gap, and the one at its end, are one start.
        (
            "CRON_TZ=Europe/Berlin 0,30 2,3 * * *",
            "2026-03-29T00:00",
            ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"],
        ),
        # Berlin: 2026-10-25 shows 02:00 to 03:00 twice, from 00:00 and from 01:00 UTC.
        (
            "CRON_TZ=Europe/Berlin 30 2 * * *",
            "2026-10-24T12:00",
            ["2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        # Begun within the second showing, the first is over and does not come again.
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T01:10", ["2026-10-26T01:30"]),
        # Every hour means every hour that passes.
        (
            "CRON_TZ=Europe/Berlin 0 * * * *",
            "2026-10-24T23:00",
            ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
        ),
        (
            "CRON_TZ=Europe/Berlin 0 * * * *",
            "2026-03-28T23:30",
            ["2026-03-29T00:00", "2026-03-29T01:00", "2026-03-29T02:00"],
        ),
        # Lord Howe: half an hour only. 2026-10-04 leaps from 02:00 to 02:30, at 15:30 UTC.
        (
            "CRON_TZ=Australia/Lord_Howe 15 2 * * 0",
            "2026-10-01T00:00",
            ["2026-10-03T15:30", "2026-10-10T15:15"],
        ),
        (
            "CRON_TZ=Australia/Lord_Howe */15 2,3 * * *",
            "2026-10-03T12:00",
            ["2026-10-03T15:30", "2026-10-03T15:45", "2026-10-03T16:00", "2026-10-03T16:15"],
        ),
        # New York, St. John's and Sydney, each in its own spring.
        ("CRON_TZ=America/New_York 30 2 * * 0", "2026-03-08T00:00", ["2026-03-08T07:00"]),
        ("CRON_TZ=America/St_Johns 30 2 * * 0", "2026-03-08T00:00", ["2026-03-08T05:30"]),
        ("CRON_TZ=Australia/Sydney 30 2 * * 0", "2026-10-03T00:00", ["2026-10-03T16:00"]),
        # Casablanca goes back for Ramadan: 2026-02-15 at 02:00 UTC, and forth on 2026-03-22.
        (
            "CRON_TZ=Africa/Casablanca 0 8 * * 0",
            "2026-02-08T00:00",
            ["2026-02-08T07:00", "2026-02-15T08:00", "2026-02-22T08:00"],
        ),
        ("CRON_TZ=Asia/Kolkata 0 8 * * *", "2026-03-29T00:00", ["2026-03-29T02:30"]),
        # Samoa went without 2011-12-30.
        (
            "CRON_TZ=Pacific/Apia 0 8 * * *",
            "2011-12-29T00:00",
            ["2011-12-29T18:00", "2011-12-30T10:00", "2011-12-30T18:00"],
        ),
    ],
)
def test_clocks_that_change_neither_lose_nor_repeat_a_start(
    text: str, after: str, expected: list[str]
) -> None:
    assert some(text, after, len(expected)) == expected


@pytest.mark.parametrize("text", ["0 8 * * 1-5", "0 8 * * MON-FRI", "0 8 * * mon,2,3-5"])
def test_days_have_numbers_and_names(text: str) -> None:
    found = some(text, "2026-01-30T09:00", 5)
    assert found == [f"2026-02-0{day}T08:00" for day in (2, 3, 4, 5, 6)]


def test_sunday_is_0_and_7() -> None:
    after = "2026-01-30T09:00"
    assert (
        some("0 8 * * 0", after, 3) == some("0 8 * * 7", after, 3) == some("0 8 * * sun", after, 3)
    )


def test_the_calendar_ends_without_an_error() -> None:
    assert [*occurrences(Cron("UTC", "0 8 * * *"), at("9999-12-30T09:00"))] == [
        at("9999-12-31T08:00")
    ]


# -- any text, any time --------------------------------------------------------------------------

MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
#: Moments near which clocks change somewhere, drawn more often than others.
CHANGES = st.builds(
    lambda day, minutes: at(day) + timedelta(minutes=minutes),
    st.sampled_from(
        ["2026-03-08", "2026-03-29", "2026-10-03", "2026-10-25", "2026-11-01", "2026-04-04"]
    ),
    st.integers(-1500, 1500),
)
AFTER = st.one_of(MOMENTS, CHANGES)
WEEKDAYS = st.sets(st.integers(0, 6), min_size=1)


def dates(first: date) -> Iterator[date]:
    while True:
        yield first
        first += DAY


@settings(max_examples=80)
@given(st.sampled_from(ZONES), st.integers(0, 59), st.integers(0, 23), WEEKDAYS, AFTER)
def test_each_matching_date_has_one_start_at_its_time_or_after_the_gap(
    name: str, minute: int, hour: int, weekdays: set[int], after: datetime
) -> None:
    zone = ZoneInfo(name)
    cron = Cron(name, f"{minute} {hour} * * {','.join(map(str, sorted(weekdays)))}")
    found = [*islice(occurrences(cron, after), 12)]
    assert all(one < other for one, other in pairwise([after, *found]))
    matching = (
        day for day in dates(after.astimezone(zone).date()) if day.isoweekday() % 7 in weekdays
    )
    walls = (datetime.combine(day, time(hour, minute)) for day in matching)
    expected = (instant for wall in walls if (instant := first_instant(wall, zone)) > after)
    assert found == [*islice(expected, 12)]
    for moment in found:
        here = moment.astimezone(zone)
        if (here.hour, here.minute) != (hour, minute):
            before = (moment - timedelta(seconds=1)).astimezone(zone)
            assert here.utcoffset() != before.utcoffset()
            asked = here.replace(hour=hour, minute=minute, tzinfo=None)
            assert before.replace(tzinfo=None) < asked < here.replace(tzinfo=None)


@settings(max_examples=25)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(["*", "*/7", "*/15", "5", "0,30"]),
    st.sampled_from(["*", "*/2", "*/5"]),
    WEEKDAYS,
    AFTER,
)
def test_a_text_with_a_star_follows_the_time_that_passes(
    name: str, minute: str, hour: str, weekdays: set[int], after: datetime
) -> None:
    zone = ZoneInfo(name)
    cron = Cron(name, f"{minute} {hour} * * {','.join(map(str, sorted(weekdays)))}")
    after = after.replace(second=0, microsecond=0)
    end = after + timedelta(hours=30)
    minutes, hours = values(minute, 60), values(hour, 24)
    ticks = (after + n * MINUTE for n in range(1, 30 * 60 + 1))
    expected = [
        moment
        for moment in ticks
        if (here := moment.astimezone(zone)).minute in minutes
        and here.hour in hours
        and here.isoweekday() % 7 in weekdays
    ]
    assert [*takewhile(lambda moment: moment <= end, occurrences(cron, after))] == expected


def values(field: str, count: int) -> set[int]:
    if field.startswith("*"):
        return {*range(0, count, int(field.partition("/")[2] or 1))}
    return {*map(int, field.split(","))}


@settings(max_examples=80)
@given(st.sampled_from(ZONES), CHANGES)
def test_the_first_instant_is_when_clocks_show_a_time_or_have_skipped_it(
    name: str, moment: datetime
) -> None:
    zone = ZoneInfo(name)
    wall = moment.replace(tzinfo=None)
    found = first_instant(wall, zone)
    shown, before = found.astimezone(zone), (found - timedelta(seconds=1)).astimezone(zone)
    assert shown.replace(tzinfo=None) >= wall
    assert before.replace(tzinfo=None) < wall
    assert shown.fold == 0


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    ["0 8 * * *", "59 23 * * 7", "*/5 8-18/2 * * 1-5", "0,15,30 * * * MON-FRI", "0 0 * * sun"],
)
def test_values_in_range_pass(fields: str) -> None:
    check(Cron("UTC", fields))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ("60 8 * * *", "minute '60'"),
        ("0 24 * * *", "hour '24'"),
        ("0 8 * * 8", "day-of-week '8'"),
        ("0 8 * * 8-1", "day-of-week '8-1'"),
        ("0 8 * * FRI-MO", "day-of-week 'FRI-MO'"),
        ("0 24-2 * * *", "hour '24-2'"),
        ("0 22-2/0 * * *", "hour '22-2/0'"),
        ("0 22-2/ * * *", "hour '22-2/'"),
        ("*/ 8 * * *", "minute '*/'"),
        ("*/² 8 * * *", "minute '*/²'"),
        ("0 8 * * MO", "day-of-week 'MO'"),
        ("*/0 8 * * *", "minute '*/0'"),
        ("-5 8 * * *", "minute '-5'"),
        ("0, 8 * * *", "minute '0,'"),
        ("x 8 * * *", "minute 'x'"),
        ("0 ? * * *", "hour '?'"),
        ("٣ 8 * * *", "minute '٣'"),
    ],
)
def test_a_value_out_of_range_is_refused_and_its_field_named(fields: str, named: str) -> None:
    with pytest.raises(ScheduleFault, match="is not") as caught:
        check(Cron("UTC", fields))
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ("*/90 8 * * *", "minute '*/90' steps by 90 through 60 values, so only 0 would be left"),
        ("*/61 8 * * *", "minute '*/61'"),
        ("0 */25 * * *", "hour '*/25' steps by 25 through 24 values"),
        ("0 8 * * */8", "day-of-week '*/8'"),
        ("0 9-17/10 * * *", "hour '9-17/10' steps by 10 through 9 values, so only 9"),
        ("0 22-2/6 * * *", "hour '22-2/6' steps by 6 through 5 values, so only 22"),
        ("0 8 * * FRI-MON/5", "day-of-week 'FRI-MON/5' steps by 5 through 4 values, so only 5"),
        ("50/15 8 * * *", "minute '50/15' steps by 15 through 10 values, so only 50"),
        ("0,*/90 8 * * *", "minute '*/90'"),
    ],
)
def test_a_step_beyond_its_range_is_refused_with_the_reason(fields: str, named: str) -> None:
    with pytest.raises(ScheduleFault) as caught:
        check(Cron("UTC", fields))
    assert named in str(caught.value)


@pytest.mark.parametrize("fields", ["*/60 */24 * * */7", "0/60 9-17/9 * * MON/7", "0 22-2/5 * * *"])
def test_a_step_as_long_as_its_range_passes(fields: str) -> None:
    check(Cron("UTC", fields))


@pytest.mark.parametrize(
    ("around", "listed"),
    [
        ("0 8 * * SAT-SUN", "0 8 * * 6,0"),
        ("0 8 * * sat-sun", "0 8 * * 6,0"),
        ("0 8 * * FRI-MON", "0 8 * * 5,6,0,1"),
        ("0 8 * * 5-1", "0 8 * * 5,6,0,1"),
        ("0 8 * * FRI-MON/2", "0 8 * * 5,0"),
        ("0 8 * * WED,SAT-0", "0 8 * * 3,6,0"),
        ("0 8 * * 7-2", "0 8 * * 0,1,2"),
        ("0 8 * * 6-7", "0 8 * * 6,0"),
        ("0 8 * * 7-7", "0 8 * * 0"),
        ("0 8 * * SUN-SUN", "0 8 * * 0"),
        ("0 8 * * TUE-MON", "0 8 * * *"),
        ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
        ("0 22-2/2 * * *", "0 22,0,2 * * *"),
        ("50-10/5 8 * * *", "50,55,0,5,10 8 * * *"),
    ],
)
def test_a_range_may_go_over_the_end_of_its_field(around: str, listed: str) -> None:
    check(Cron("UTC", around))
    assert some(around, "2026-01-30T09:00", 60) == some(listed, "2026-01-30T09:00", 60)


@given(st.data(), st.sampled_from([(0, 60, 59), (1, 24, 23), (4, 7, 7)]))
def test_every_range_and_step_means_what_counting_on_means(
    data: st.DataObject, field: tuple[int, int, int]
) -> None:
    place, count, highest = field
    first, last = data.draw(st.integers(0, highest)), data.draw(st.integers(0, highest))
    length = last - first + 1 if first <= last else (last - first) % count + 1
    step = data.draw(st.integers(1, length))
    words = ["0", "8", "*", "*", "*"]
    words[place] = f"{first}-{last}/{step}"
    check(Cron("UTC", " ".join(words)))
    counted = sorted({(first + n) % count for n in range(0, length, step)})
    listed = [*words[:place], ",".join(map(str, counted)), *words[place + 1 :]]
    after = "2026-01-30T09:00"
    assert some(" ".join(words), after, 20) == some(" ".join(listed), after, 20)


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(ScheduleFault) as caught:
        check(Cron("UTC", "60 24 * * 8"))
    assert all(word in str(caught.value) for word in ("minute", "hour", "day-of-week"))
