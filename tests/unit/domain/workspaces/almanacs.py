"""Times, windows, workspaces and an almanac for tests of schedules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shiftwork_core.adapters.schedules.cron import occurrences
from shiftwork_core.domain.workspaces.records import (
    Desired,
    Override,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule, Skipped

#: Monday to Friday from eight to six, in Berlin: 07:00 to 17:00 UTC in winter.
WORKDAYS = {
    "start": "CRON_TZ=Europe/Berlin 0 8 * * 1-5",
    "stop": "CRON_TZ=Europe/Berlin 0 18 * * 1-5",
}
#: The same days, for eight hours.
SHIFTS = {"start": "CRON_TZ=Europe/Berlin 0 8 * * 1-5", "ttl_s": 8 * 3600}
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    """Read a time in UTC; February 2026 began on a Sunday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def almanac(holidays: Mapping[str, str] | None = None) -> Almanac:
    days = {date.fromisoformat(day): name for day, name in (holidays or {}).items()}
    return Almanac(occurrences, days.get)


def schedule(*windows: Mapping[str, Any], **body: Any) -> Schedule:
    return Schedule.from_body({"windows": list(windows), **body})


def stopped(since: str, **values: Any) -> Workspace:
    return a_workspace(WorkspaceState.STOPPED, since, values)


def running(since: str, **values: Any) -> Workspace:
    return a_workspace(WorkspaceState.RUNNING, since, values)


def a_workspace(state: WorkspaceState, since: str, values: dict[str, Any]) -> Workspace:
    values = {k: at(v) if k in TIMES and isinstance(v, str) else v for k, v in values.items()}
    created = at("2026-01-01")
    return Workspace("demo", {}, created, created, state, at(since), **values)


TIMES = {"deadline", "max_deadline", "blocked_until"}


def kept(desired: Desired, since: str, until: str, reason: str = "") -> Override:
    return Override(desired, at(since), at(until), reason)


def on(since: str, until: str, reason: str = "") -> Override:
    return kept(Desired.ON, since, until, reason)


def off(since: str, until: str, reason: str = "") -> Override:
    return kept(Desired.OFF, since, until, reason)


def short(entry: Transition | Skipped | None) -> str | None:
    """Write an entry as `start 2026-02-02T07:00 schedule`."""
    if entry is None:
        return None
    moment = f"{entry.at:%Y-%m-%dT%H:%M}"
    if isinstance(entry, Skipped):
        return f"skip {moment} {entry.reason}"
    return f"{entry.operation} {moment} {entry.cause}"
