"""What will happen to a workspace by itself, and what will not, and why.

Steps from one transition to the next by the very rules by which the scheduler does, so that
what is shown is what comes, as long as nobody interferes.
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
    spread_of,
    stretch_of,
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
from shiftwork_core.domain.workspaces.start_blocks import start_block_at, until_of
from shiftwork_core.domain.workspaces.windows import RUN_HORIZON, Almanac, Window, end_of

#: More entries than anybody reads.
MAX_ENTRIES = 2000
_TICK = timedelta(microseconds=1)
#: What the windows do not say: somebody's wish, and what workers do.
_ASKED_FOR = {
    Cause.MANUAL: "was asked for",
    Cause.WORK: "jobs wait for its workers",
    Cause.IDLE: "its workers have nothing to do",
}
_RUNS = {WorkspaceState.RUNNING, WorkspaceState.STARTING, WorkspaceState.MIXED}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A transition that the windows name and that does not happen, and why."""

    at: datetime
    reason: str


def plan(
    schedule: Schedule, almanac: Almanac, workspace: Workspace, now: datetime, until: datetime
) -> list[Transition | Skipped]:
    """Return what happens by itself from now until a time, in order, and what is left out.

    At most `MAX_ENTRIES`, the soonest. What is due already has the time at which it was due.
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
            # Nothing may come within the horizon, and something beyond it.
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
            return coming  # The job of a rule's transition: the rule has named it anew.
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
        # What was to happen by then has, or nothing was left to do.
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
                elif hindrance := start_block_at(self.schedule, self.workspace, begin + spread):
                    yield Skipped(begin, hindrance.reason)
                    after = max(begin, min(hindrance.until, tomorrow) - _TICK)
                elif self.is_over(window, begin, begin + spread):
                    yield Skipped(begin, f"over before its turn at {to_minutes(begin + spread)}")

    def skipped_stops(self, until: datetime) -> Iterator[Skipped]:
        spread = spread_of(self.schedule, self.workspace, Operation.STOP)
        on = stretch_of(self.workspace, Desired.ON)
        kept = "" if on is None else f"kept on by an override until {until_of(on)}"
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
    """Return when the next day begins where a schedule is at home.

    Of what repeats within a day, and is left out for one reason, the first is named.
    """
    return day_start(cron.date_of(at) + timedelta(days=1), ZoneInfo(cron.zone))


def _some(skipped: Iterator[Skipped], most: int) -> Iterator[Skipped]:
    return (skip for skip, _ in zip(skipped, range(most), strict=False))
