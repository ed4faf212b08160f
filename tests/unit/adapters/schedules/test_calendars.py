"""Holidays from dates and from calendars: every date that an event touches."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta

import pytest

from shiftwork_core.adapters.schedules.calendars import (
    MAX_ICALENDAR_BYTES,
    check_icalendar,
    holidays_of,
)
from shiftwork_core.domain.workspaces.crons import ScheduleFault

CHRISTMAS = "DTSTART;VALUE=DATE:20261225\nSUMMARY:Christmas"


def calendar(*events: str) -> str:
    parts = "".join(f"BEGIN:VEVENT\n{event}\nEND:VEVENT\n" for event in events)
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{parts}END:VCALENDAR\n"
    return text.replace("\n", "\r\n")


def named(text: str, *days: str) -> list[str | None]:
    holiday = holidays_of({}, text)
    return [holiday(date.fromisoformat(day)) for day in days]


def test_dates_have_names() -> None:
    holiday = holidays_of({date(2026, 12, 25): "Christmas"}, None)
    assert holiday(date(2026, 12, 25)) == "Christmas"
    assert holiday(date(2026, 12, 26)) is None


def test_a_written_name_of_a_date_wins_over_the_calendars() -> None:
    holiday = holidays_of({date(2026, 12, 25): "Noël"}, calendar(CHRISTMAS))
    assert holiday(date(2026, 12, 25)) == "Noël"


@pytest.mark.parametrize(
    ("event", "first", "last"),
    [
        (CHRISTMAS, "2026-12-25", "2026-12-25"),
        # The end of whole days is the day after, in another year too.
        (f"{CHRISTMAS}\nDTEND;VALUE=DATE:20261227", "2026-12-25", "2026-12-26"),
        (f"{CHRISTMAS}\nDTEND;VALUE=DATE:20270103", "2026-12-25", "2027-01-02"),
        (f"{CHRISTMAS}\nDURATION:P3D", "2026-12-25", "2026-12-27"),
        # Some programs write the same day as its end.
        (f"{CHRISTMAS}\nDTEND;VALUE=DATE:20261225", "2026-12-25", "2026-12-25"),
        # Times count where they are at home, whatever the date is elsewhere.
        (
            "SUMMARY:x\nDTSTART;TZID=Pacific/Auckland:20260206T003000\n"
            "DTEND;TZID=Pacific/Auckland:20260206T120000",
            "2026-02-06",
            "2026-02-06",
        ),
        (
            "SUMMARY:x\nDTSTART;TZID=America/New_York:20260206T200000\n"
            "DTEND;TZID=America/New_York:20260207T020000",
            "2026-02-06",
            "2026-02-07",
        ),
        # Until midnight is not the next day.
        ("SUMMARY:x\nDTSTART:20260206T090000Z\nDTEND:20260207T000000Z", "2026-02-06", "2026-02-06"),
        ("SUMMARY:x\nDTSTART:20260206T090000Z\nDURATION:PT40H", "2026-02-06", "2026-02-08"),
        ("SUMMARY:x\nDTSTART:20260206T000000Z", "2026-02-06", "2026-02-06"),
        ("SUMMARY:x\nDTSTART:20260206T233000\nDTEND:20260206T234500", "2026-02-06", "2026-02-06"),
        # About the turn of the year, a day away from UTC.
        (
            "SUMMARY:x\nDTSTART;TZID=Pacific/Kiritimati:20260101T010000\n"
            "DTEND;TZID=Pacific/Kiritimati:20260101T020000",
            "2026-01-01",
            "2026-01-01",
        ),
        (
            "SUMMARY:x\nDTSTART;TZID=Pacific/Pago_Pago:20261231T220000\n"
            "DTEND;TZID=Pacific/Pago_Pago:20261231T230000",
            "2026-12-31",
            "2026-12-31",
        ),
    ],
)
def test_an_event_counts_for_every_date_that_it_touches(event: str, first: str, last: str) -> None:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    holiday = holidays_of({}, calendar(event))
    day = begin - timedelta(days=3)
    while day <= end + timedelta(days=3):
        assert (holiday(day) is not None) is (begin <= day <= end), day
        day += timedelta(days=1)


def test_repeating_events_count_each_time_except_where_they_are_excluded() -> None:
    yearly = (
        "DTSTART;VALUE=DATE:19900101\nRRULE:FREQ=YEARLY\nSUMMARY:New Year\n"
        "EXDATE;VALUE=DATE:20280101"
    )
    days = ("2026-01-01", "2027-01-01", "2028-01-01", "2029-01-01", "2026-01-02")
    expected = ["New Year", "New Year", None, "New Year", None]
    assert named(calendar(yearly), *days) == expected
    fourth_thursday = (
        "DTSTART;VALUE=DATE:20201126\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH\nSUMMARY:Thanksgiving"
    )
    thursdays = ("2026-11-26", "2027-11-25", "2026-11-19")
    assert named(calendar(fourth_thursday), *thursdays) == ["Thanksgiving", "Thanksgiving", None]
    dates = "DTSTART;VALUE=DATE:20260504\nRDATE;VALUE=DATE:20270503\nSUMMARY:Bank holiday"
    assert (
        named(calendar(dates), "2026-05-04", "2027-05-03", "2028-05-04")[:2] == ["Bank holiday"] * 2
    )


def test_an_occurrence_that_was_moved_counts_on_its_new_date() -> None:
    text = calendar(
        "UID:1\nDTSTART;VALUE=DATE:20200501\nRRULE:FREQ=YEARLY\nSUMMARY:Labour Day",
        "UID:1\nRECURRENCE-ID;VALUE=DATE:20260501\nDTSTART;VALUE=DATE:20260504\nSUMMARY:Moved",
    )
    assert named(text, "2026-05-01", "2026-05-04", "2027-05-01") == [None, "Moved", "Labour Day"]


def test_a_cancelled_event_is_no_holiday() -> None:
    assert named(calendar(f"{CHRISTMAS}\nSTATUS:CANCELLED"), "2026-12-25") == [None]


def test_an_event_with_two_names_has_the_first() -> None:
    assert named(calendar(f"{CHRISTMAS}\nSUMMARY:Noël"), "2026-12-25") == ["Christmas"]


def test_an_event_without_a_name_is_named_after_its_date() -> None:
    assert named(calendar("DTSTART;VALUE=DATE:20261225"), "2026-12-25") == ["2026-12-25"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "is no iCalendar text: Content line could not be parsed"),
        ("BEGIN:VCALENDAR", "is no iCalendar text"),
        (f"BEGIN:VEVENT\n{CHRISTMAS}\nEND:VEVENT", "must begin with BEGIN:VCALENDAR"),
        (calendar(CHRISTMAS) * 2, "is no iCalendar text"),
        (calendar("SUMMARY:Christmas"), "event 'Christmas': it has no DTSTART"),
        (calendar("DTSTART:tomorrow\nSUMMARY:Soon"), "event 'Soon': DTSTART: "),
        (calendar(f"{CHRISTMAS}\nRRULE:FREQ=SOMETIMES"), "event 'Christmas': RRULE: "),
        (calendar(f"{CHRISTMAS}\nRRULE:FREQ=YEARLY;UNTIL=x"), "event 'Christmas': RRULE: "),
        (calendar(f"{CHRISTMAS}\nDTEND:20261226T000000Z"), "event 'Christmas': "),
        (calendar(f"{CHRISTMAS}\nRRULE:FREQ=SECONDLY"), "must repeat daily or less often"),
        (calendar(f"{CHRISTMAS}\nRRULE:COUNT=3"), "event 'Christmas': "),
        (
            calendar(f"{CHRISTMAS}\nRRULE:FREQ=DAILY;BYHOUR=1,2,3"),
            "must repeat daily or less often",
        ),
        ("x" * (MAX_ICALENDAR_BYTES + 1), "has 100,001 bytes; 100,000 are the most"),
        ("ü" * MAX_ICALENDAR_BYTES, "has 200,000 bytes"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ScheduleFault) as caught:
        check_icalendar(text)
    assert words in str(caught.value)
    with pytest.raises(ScheduleFault):
        holidays_of({}, text)


def test_a_text_that_takes_too_long_to_expand_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A date that never comes is looked for until the calendar ends.
    monkeypatch.setattr("shiftwork_core.adapters.schedules.calendars.MAX_EXPANSION_S", 0.05)
    never = "DTSTART;VALUE=DATE:20200201\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\nSUMMARY:Never"
    with pytest.raises(ScheduleFault, match=r"takes too long to expand, .* 'Never'"):
        check_icalendar(calendar(never, never))


def test_a_calendar_without_events_names_nothing() -> None:
    assert named(calendar(), "2026-12-25") == [None]


def test_only_a_text_imports_the_libraries_that_read_it() -> None:
    code = (
        "import sys; from datetime import date\n"
        "from shiftwork_core.adapters.schedules.almanacs import almanac_of, checked\n"
        "almanac = almanac_of(checked({'holidays': {'dates': ['2026-12-25']}}))\n"
        "assert almanac.holiday(date(2026, 12, 25))\n"
        "print([m for m in ('icalendar', 'recurring_ical_events', 'dateutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_workspaces_that_share_a_calendar_expand_a_year_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import recurring_ical_events

    text = calendar("DTSTART;VALUE=DATE:20261225\nSUMMARY:Shared")
    calls = []
    of = recurring_ical_events.of

    def counted(*args: object, **options: object) -> object:
        calls.append(1)
        return of(*args, **options)

    monkeypatch.setattr(recurring_ical_events, "of", counted)
    for _ in range(3):
        holiday = holidays_of({}, text)
        assert holiday(date(2026, 12, 25)) == "Shared"
        assert holiday(date(2026, 12, 24)) is None
        assert holiday(date(2027, 12, 25)) is None
    assert len(calls) == 2
