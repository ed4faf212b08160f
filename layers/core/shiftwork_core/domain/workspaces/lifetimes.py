"""Compute the deadlines of a workspace that has started, and how activity moves them."""

from __future__ import annotations

from datetime import datetime, timedelta

from shiftwork_core.domain.workspaces.records import Cause, Workspace
from shiftwork_core.domain.workspaces.schedule_bodies import Schedule
from shiftwork_core.domain.workspaces.windows import Almanac, Window, open_at


def deadlines(
    schedule: Schedule,
    almanac: Almanac,
    cause: Cause,
    started_at: datetime,
    due_at: datetime | None = None,
) -> tuple[datetime | None, datetime | None]:
    """Return the deadline and the maximum deadline of a workspace that has just started.

    `due_at` is when the start was due (the `at` of its transition, the deadline of its job), by
    default when it was made. A start by schedule lasts as long as the longest window open then.
    """
    most = _after(started_at, schedule.max_lifetime_s)
    ttl = _ttl_by(schedule, almanac, cause, started_at if due_at is None else due_at)
    deadline = None if ttl is None else started_at + ttl
    if deadline is not None and most is not None:
        deadline = min(deadline, most)
    return deadline, most


def _ttl_by(schedule: Schedule, almanac: Almanac, cause: Cause, at: datetime) -> timedelta | None:
    if cause is Cause.MANUAL and schedule.manual_ttl_s is not None:
        return timedelta(seconds=schedule.manual_ttl_s)
    found = [_seconds(schedule.ttl_s)]
    if cause is Cause.SCHEDULE:
        open_ = [w for w in schedule.windows if open_at(w, almanac, at) is not None]
        found = [ttl_of(schedule, window) for window in open_] or found
    # A window without a time to live lasts until its stop.
    return None if None in found else max(ttl for ttl in found if ttl is not None)


def bumped(schedule: Schedule, workspace: Workspace, now: datetime) -> datetime | None:
    """Return the deadline after activity: never earlier, never beyond the maximum."""
    before = workspace.deadline
    if before is None:
        return None
    after = now + timedelta(seconds=schedule.activity_bump_s)
    if workspace.max_deadline is not None:
        after = min(after, workspace.max_deadline)
    return max(before, after)


def ttl_of(schedule: Schedule, window: Window) -> timedelta | None:
    """Return how long a start by a window lasts; None if until a stop."""
    return _seconds(schedule.ttl_s if window.ttl_s is None else window.ttl_s)


def _seconds(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _after(at: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else at + timedelta(seconds=seconds)
