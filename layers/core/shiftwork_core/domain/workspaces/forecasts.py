"""Forecast the switches of a workspace, and the ones that will be skipped and why.

The forecast steps from one switch to the next by the scheduler's own rules, so it comes true unless
somebody interferes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from shiftwork_core.domain.times import to_minutes
from shiftwork_core.domain.workspaces.crons import Cron, day_start
from shiftwork_core.domain.workspaces.lifetimes import deadlines
from shiftwork_core.domain.workspaces.next_switch import (
    cover_at,
    next_start,
    next_stop,
    override_since_change,
    spread_of,
)
from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    Operation,
    Transition,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.domain.workspaces.schedule_bodies import Schedule
from shiftwork_core.domain.workspaces.start_blocks import end_text, start_block_at
from shiftwork_core.domain.workspaces.windows import RUN_HORIZON, Almanac, Window, end_of

#: More entries than anybody reads.
MAX_ENTRIES = 2000
_TICK = timedelta(microseconds=1)
#: Causes other than the schedule, and how the forecast words them.
_ASKED_FOR = {
    Cause.MANUAL: "was asked for",
    Cause.WORK: "jobs wait for its workers",
    Cause.IDLE: "its workers have nothing to do",
}
_RUNS = {WorkspaceState.RUNNING, WorkspaceState.STARTING, WorkspaceState.MIXED}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A switch that the windows name but that will not happen, and why."""

    at: datetime
    reason: str


def plan(
    schedule: Schedule, almanac: Almanac, workspace: Workspace, now: datetime, until: datetime
) -> list[Transition | Skipped]:
    """Return the switches that will happen by themselves until a time, in order, and the skipped.

    At most `MAX_ENTRIES`, the soonest. One that is due already has the time when it fell due.
    """
    return _Forecast(schedule, almanac, workspace, now, until).entries()


class _Forecast:
    def __init__(
        self,
        schedule: Schedule,
        almanac: Almanac,
        workspace: Workspace,
        now: datetime,
        until: datetime,
    ) -> None:
        self.schedule = schedule
        self.almanac = almanac
        self.now = now
        self.until = until
        self.workspace = workspace
        if workspace.state is WorkspaceState.STARTING and workspace.deadline is None:
            pending = workspace.pending.get(Operation.START)
            cause = Cause.SCHEDULE if pending is None else pending.cause
            self.start(cause, now if pending is None else pending.at)

    @property
    def is_on(self) -> bool:
        return self.workspace.state in _RUNS

    def entries(self) -> list[Transition | Skipped]:
        found: list[Transition | Skipped] = []
        while self.now <= self.until and len(found) < MAX_ENTRIES:
            coming = self.next()
            # Nothing within the horizon may still mean something beyond it.
            end = self.now + RUN_HORIZON if coming is None else coming.at
            skipped = self.skipped_stops if self.is_on else self.skipped_starts
            most = MAX_ENTRIES - len(found)
            found += sorted(_some(skipped(min(end, self.until)), most), key=lambda skip: skip.at)
            self.now = max(self.now, end)
            if coming is not None and coming.at <= self.until:
                found.append(coming)
                self.apply(coming)
        return sorted(found, key=lambda entry: entry.at)[:MAX_ENTRIES]

    def next(self) -> Transition | None:
        rule = next_stop if self.is_on else next_start
        coming = rule(self.schedule, self.almanac, self.workspace, self.now)
        operation = Operation.STOP if self.is_on else Operation.START
        pending = self.workspace.pending.get(operation)
        if pending is None or pending.cause not in _ASKED_FOR:
            return coming  # A rule planned this job, and has just returned the same switch again.
        if coming is not None and coming.at <= pending.at:
            return coming
        return Transition(operation, pending.at, pending.cause, _ASKED_FOR[pending.cause])

    def apply(self, transition: Transition) -> None:
        """Change the workspace as a transition will, at once."""
        if transition.operation is Operation.START:
            self.start(transition.cause, transition.at)
        else:
            self.workspace = replace(
                self.workspace,
                state=WorkspaceState.STOPPED,
                changed_at=self.now,
                started_by=None,
                deadline=None,
                max_deadline=None,
            )
        # Earlier pending jobs have been executed by then, or had nothing to do.
        pending = self.workspace.pending.items()
        ahead = {operation: job for operation, job in pending if job.at > transition.at}
        self.workspace = replace(self.workspace, pending=ahead)

    def start(self, cause: Cause, due_at: datetime) -> None:
        deadline, most = deadlines(self.schedule, self.almanac, cause, self.now, due_at)
        self.workspace = replace(
            self.workspace,
            state=WorkspaceState.RUNNING,
            changed_at=self.now,
            started_by=cause,
            deadline=deadline,
            max_deadline=most,
            failures=0,
            blocked_until=None,
        )

    def skipped_starts(self, until: datetime) -> Iterator[Skipped]:
        spread = spread_of(self.schedule, self.workspace, Operation.START)
        for window in self.schedule.windows:
            if window.start is None:
                continue
            after = self.now
            while (begin := self.upcoming(window.start, after, until)) is not None:
                after = begin
                tomorrow = _day_after(window.start, begin)
                if (name := self.almanac.holiday(window.start.date_of(begin))) is not None:
                    yield Skipped(begin, f"holiday: {name}")
                    after = tomorrow - _TICK
                elif block := start_block_at(self.schedule, self.workspace, begin + spread):
                    yield Skipped(begin, block.reason)
                    after = max(begin, min(block.until, tomorrow) - _TICK)
                elif self.is_over(window, begin, begin + spread):
                    yield Skipped(begin, f"over before its turn at {to_minutes(begin + spread)}")

    def skipped_stops(self, until: datetime) -> Iterator[Skipped]:
        spread = spread_of(self.schedule, self.workspace, Operation.STOP)
        on = override_since_change(self.workspace, Desired.ON)
        kept = "" if on is None else f"kept on by an override until {end_text(on)}"
        for deadline in {self.workspace.deadline, self.workspace.max_deadline}:
            is_ahead = deadline is not None and self.now < deadline <= until
            if deadline is not None and is_ahead and on is not None and on.is_active(deadline):
                yield Skipped(deadline, kept)
        for window in self.schedule.windows:
            if window.stop is None:
                continue
            after = self.now
            while (end := self.upcoming(window.stop, after, until)) is not None:
                after = end
                due = end + spread
                if on is not None and on.is_active(due):
                    yield Skipped(end, kept)
                    after = max(end, min(on.until, _day_after(window.stop, end)) - _TICK)
                elif (cover := cover_at(self.schedule, self.almanac, due)) is not None:
                    last = to_minutes(cover.end)
                    yield Skipped(end, f"window `{cover.window.start}` is open until {last}")
                    after = max(end, cover.end - _TICK)

    def upcoming(self, cron: Cron, after: datetime, until: datetime) -> datetime | None:
        found = next(self.almanac.occurrences(cron, after), None)
        return None if found is None or found > until else found

    def is_over(self, window: Window, begin: datetime, at: datetime) -> bool:
        end = end_of(window, self.almanac, begin)
        return end is not None and end <= at


def _day_after(cron: Cron, at: datetime) -> datetime:
    """Return when the next day begins in a schedule's zone.

    Of several switches that a day skips for one reason, only the first is named.
    """
    return day_start(cron.date_of(at) + timedelta(days=1), ZoneInfo(cron.zone))


def _some(skipped: Iterator[Skipped], most: int) -> Iterator[Skipped]:
    return (skip for skip, _ in zip(skipped, range(most), strict=False))
