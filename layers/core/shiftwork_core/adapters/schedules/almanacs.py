"""Check a schedule's cron texts and calendar, and make its almanac."""

from __future__ import annotations

from shiftwork_core.adapters.schedules import cron
from shiftwork_core.adapters.schedules.calendars import check_icalendar, holidays_of
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule, ScheduleFault
from shiftwork_core.errors import FaultAt


def checked(body: JsonObject) -> Schedule:
    """Read the `schedule` part of a workspace's body, and check all of it.

    Raises
    ------
    ScheduleFault
        With every fault: of shape and bounds, of the values of crons, of the calendar.
    """
    faults: list[FaultAt] = []
    schedule = Schedule()
    try:
        schedule = Schedule.from_body(body, cron.check)
    except ScheduleFault as fault:
        faults += fault.faults
    text = (body.get("holidays") or {}).get("icalendar")
    try:
        if isinstance(text, str):
            check_icalendar(text)
    except ScheduleFault as fault:
        faults.append(FaultAt("schedule.holidays.icalendar", str(fault)))
    if faults:
        raise ScheduleFault.of(faults)
    return schedule


def almanac_of(schedule: Schedule) -> Almanac:
    """Return the almanac of a schedule. Keep it: it caches the years of its calendar."""
    return Almanac(cron.occurrences, holidays_of(schedule.holidays, schedule.icalendar))
