"""Find when the windows, overrides and deadlines of a workspace switch it next, and why.

Nothing here reads a clock. A time that has passed is returned as it is, so a caller that asks again
later for a switch that has not been made gets the same answer. The caller makes a switch that is
due at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zlib import crc32

from shiftwork_core.domain.times import duration
from shiftwork_core.domain.workspaces.lifetimes import ttl_of
from shiftwork_core.domain.workspaces.records import (
    Cause,
    Desired,
    Operation,
    Override,
    Transition,
    Workspace,
)
from shiftwork_core.domain.workspaces.schedule_bodies import Schedule
from shiftwork_core.domain.workspaces.start_blocks import StartBlock, end_text, start_block_at
from shiftwork_core.domain.workspaces.windows import (
    GRACE,
    HORIZON,
    RUN_HORIZON,
    Almanac,
    Opening,
    Window,
    end_of,
    first_after,
    last_start,
    open_at,
    run_end,
    starts,
)

#: Bounds the search through windows that open every minute but never lead to a switch.
_MAX_TRIES = 500


def next_start(
    schedule: Schedule, almanac: Almanac, workspace: Workspace, now: datetime
) -> Transition | None:
    """Return when and why a stopped workspace starts by itself next."""
    starting = _Starting(schedule, almanac, workspace, now)
    return _soonest([starting.by_override(), *map(starting.by_window, schedule.windows)])


def next_stop(
    schedule: Schedule, almanac: Almanac, workspace: Workspace, now: datetime
) -> Transition | None:
    """Return when and why a running workspace stops by itself next."""
    return _Stopping(schedule, almanac, workspace, now).soonest()


def next_edge(
    schedule: Schedule, almanac: Almanac, workspace: Workspace, now: datetime
) -> datetime | None:
    """Return the next time at which a window ends or an override begins or ends.

    Then the scheduler checks that the workspace is in its recorded state: somebody may have
    switched it by hand. Holidays and the spread make no difference. A schedule with a window has
    such a time within the week.
    """
    edges = [_next_end(schedule, almanac, window, now) for window in schedule.windows]
    if workspace.override is not None:
        edges += [workspace.override.since, workspace.override.until]
    return min((edge for edge in edges if edge is not None and edge > now), default=None)


def _next_end(
    schedule: Schedule, almanac: Almanac, window: Window, now: datetime
) -> datetime | None:
    if window.stop is not None:
        return first_after(window.stop, almanac, now)
    ttl = ttl_of(schedule, window) or GRACE
    start = first_after(window.start, almanac, now - ttl)
    return None if start is None else start + ttl


def since_of(workspace: Workspace) -> datetime:
    """Return when a workspace entered its state, as far as is known."""
    return workspace.changed_at or workspace.created_at


def spread_of(schedule: Schedule, workspace: Workspace, operation: Operation) -> timedelta:
    """Return how long after its schedule's time a workspace is switched, in whole seconds."""
    share = crc32(f"{workspace.workspace_id}:{operation.value}".encode()) / 2**32
    return timedelta(seconds=int(schedule.spread_s * share))


def override_since_change(workspace: Workspace, desired: Desired) -> Override | None:
    """Return the override if it keeps the workspace so at some time after its last change."""
    override = workspace.override
    if override is None or override.desired is not desired:
        return None
    is_ahead = since_of(workspace) < override.until and override.since < override.until
    return override if is_ahead else None


def cover_at(schedule: Schedule, almanac: Almanac, at: datetime) -> Opening | None:
    """Return the opening at a time that ends last.

    Only windows with an end count: the others say when to start, not how long to stay on.
    """
    return _last(open_at(w, almanac, at) for w in schedule.windows if w.has_end)


def _last(openings: Iterable[Opening | None]) -> Opening | None:
    return max((o for o in openings if o is not None), key=lambda o: o.end, default=None)


def _soonest(transitions: Iterable[Transition | None]) -> Transition | None:
    return min((t for t in transitions if t is not None), key=lambda t: t.at, default=None)


class _Starting:
    """Everything that may start one workspace."""

    def __init__(
        self, schedule: Schedule, almanac: Almanac, workspace: Workspace, now: datetime
    ) -> None:
        self.schedule = schedule
        self.almanac = almanac
        self.workspace = workspace
        self.since = since_of(workspace)
        self.now = max(now, self.since)
        self.spread = spread_of(schedule, workspace, Operation.START)
        self.off = override_since_change(workspace, Desired.OFF)
        known = (self.now, workspace.blocked_until, self.off and self.off.until)
        self.horizon = max(at for at in known if at) + HORIZON

    def by_override(self) -> Transition | None:
        on = override_since_change(self.workspace, Desired.ON)
        if on is None or on.until <= self.now:
            return None
        at = max(on.since, self.since, self.workspace.blocked_until or on.since)
        if at >= on.until:
            return None
        reason = f"kept on by an override until {end_text(on)}"
        return Transition(Operation.START, at, Cause.OVERRIDE, reason)

    def by_window(self, window: Window) -> Transition | None:
        """Return the start that a window asks for, postponed as far as need be.

        Try times in order: the present one, for a start that is late, then each at which the
        window begins. A block moves a time to the block's end; check there whether the window is
        still open. So the starts within a block need no look of their own.
        """
        if window.start is None:
            return None
        candidate = self.now
        for _ in range(_MAX_TRIES):
            if candidate > self.horizon:
                break
            at, block = self.unblocked_at(candidate)
            due = self.due(window, at)
            if due is None:
                candidate = self.next_candidate(window, at)
                continue
            start, start_block = self.unblocked_at(due)
            if start > at:
                candidate = start
            elif start < at and self.now < at:
                return self.started(window, at, block)
            else:
                return self.started(window, start, start_block)
        return None

    def started(self, window: Window, at: datetime, block: StartBlock | None) -> Transition:
        reason = f"window `{window.start}` begins"
        if block is not None:
            reason += f", postponed: {block.reason}"
        return Transition(Operation.START, at, Cause.SCHEDULE, reason)

    def next_candidate(self, window: Window, at: datetime) -> datetime:
        """Return when, after a time, the window next wants the workspace on."""
        begin = next(starts(window, self.almanac, at - self.spread, self.horizon), None)
        known = (begin, self.off and self.off.until)
        ahead = (moment + self.spread for moment in known if moment)
        # With nothing ahead the search ends: past the horizon.
        return min((t for t in ahead if t > at), default=self.horizon + GRACE)

    def unblocked_at(self, at: datetime) -> tuple[datetime, StartBlock | None]:
        """Return when nothing blocks a start, at or after a time, and the last block before it."""
        last = None
        while at <= self.horizon:
            block = start_block_at(self.schedule, self.workspace, at)
            if block is None:
                break
            at = block.until + (self.spread if block.is_shared else timedelta(0))
            last = block
        return at, last

    def due(self, window: Window, at: datetime) -> datetime | None:
        """Return when a window that wants the workspace on at a time began to, else None."""
        opening = open_at(window, self.almanac, at - self.spread, self.since)
        if opening is not None and at < opening.end:
            return opening.start + self.spread
        # The end of an override counts as the beginning of each window that is open then.
        if self.off is not None and self.off.until + self.spread <= at:
            opening = open_at(window, self.almanac, self.off.until)
            if opening is not None and at < opening.end:
                return self.off.until + self.spread
        return None


class _Stopping:
    """Everything that may stop one workspace."""

    def __init__(
        self, schedule: Schedule, almanac: Almanac, workspace: Workspace, now: datetime
    ) -> None:
        self.schedule = schedule
        self.almanac = almanac
        self.workspace = workspace
        self.since = since_of(workspace)
        self.now = max(now, self.since)
        self.spread = spread_of(schedule, workspace, Operation.STOP)
        self.on = override_since_change(workspace, Desired.ON)
        known = (self.now, workspace.deadline, self.on and self.on.until)
        self.horizon = max(at for at in known if at) + RUN_HORIZON

    def soonest(self) -> Transition | None:
        found = [self.by_off(), self.by_window(), self.by_max_deadline()]
        limit = min((t.at for t in found if t is not None), default=self.horizon)
        if self.on is not None:
            limit = max(limit, self.on.until)
        deadline, reason = self.deadline(limit)
        found += [self.by_deadline(deadline, reason), self.by_end_of_on(deadline)]
        return _soonest(found)

    def by_off(self) -> Transition | None:
        off = override_since_change(self.workspace, Desired.OFF)
        if off is None or off.until <= self.now:
            return None
        at = max(off.since, self.since)
        reason = f"kept off by an override until {end_text(off)}"
        return Transition(Operation.STOP, at, Cause.OVERRIDE, reason)

    def by_max_deadline(self) -> Transition | None:
        """Return the stop at the maximum deadline, which no window postpones."""
        if self.workspace.max_deadline is None:
            return None
        at = max(self.workspace.max_deadline, self.since)
        if self.on is not None and self.on.is_active(at):
            return self.at_end_of(self.on, self.on.until)
        reason = self.lifetime_reason([self.schedule.max_lifetime_s], at, "its maximum lifetime")
        return Transition(Operation.STOP, at, Cause.DEADLINE, reason)

    def by_window(self) -> Transition | None:
        """Return the first stop of any window after the last change, postponed as need be.

        A later stop cannot end up earlier: whatever postpones the first one postpones both.
        """
        found = [(first_after(w.stop, self.almanac, self.since), w) for w in self.schedule.windows]
        known = [(at, window) for at, window in found if at is not None]
        if not known:
            return None
        return self.postponed_stop(*min(known, key=lambda stop: stop[0]))

    def by_deadline(self, deadline: datetime | None, reason: str) -> Transition | None:
        if deadline is None:
            return None
        if self.on is not None and self.on.is_active(deadline):
            return self.postponed_stop(self.on.until, None)
        if deadline > self.horizon and deadline != self.workspace.deadline:
            return None  # Windows move it beyond the horizon.
        return Transition(Operation.STOP, deadline, Cause.DEADLINE, reason)

    def by_end_of_on(self, deadline: datetime | None) -> Transition | None:
        if self.on is None or (deadline is not None and deadline > self.on.until):
            return None
        return self.postponed_stop(self.on.until, None)

    def postponed_stop(self, at: datetime, ends: Window | None) -> Transition | None:
        """Return the stop that a window asks for at a time, postponed as need be.

        An override postpones it, and so does any window that is open then, and, if the stop is
        late, any that has begun since. Without a window the time is the end of the override. None
        if the stop is postponed beyond the horizon.
        """
        for _ in range(_MAX_TRIES):
            due = at if ends is None else at + self.spread
            if due > self.horizon:
                break
            if self.on is not None and self.on.is_active(due):
                at, ends = self.on.until, None
            elif (cover := self.cover_at(due)) is not None:
                at, ends = self.end_of_run(cover), cover.window
            elif ends is not None:
                named = f"`{ends.start}` ends" if ends.ttl_s else f"ends at `{ends.stop}`"
                return Transition(Operation.STOP, due, Cause.SCHEDULE, f"window {named}")
            elif self.on is not None:
                return self.at_end_of(self.on, due)
        return None

    def cover_at(self, at: datetime) -> Opening | None:
        """Return the opening that keeps the workspace on at a time, or that has begun since.

        So a missed stop moves to the end of whatever has begun since, over by now or not.
        """
        found = [cover_at(self.schedule, self.almanac, at)]
        if at <= self.now:
            found += [self.begun_since(window, at) for window in self.schedule.windows]
        return _last(found)

    def begun_since(self, window: Window, at: datetime) -> Opening | None:
        start = last_start(window, self.almanac, self.now, at) if window.has_end else None
        end = None if start is None else end_of(window, self.almanac, start)
        return None if start is None or end is None else Opening(window, start, end)

    def end_of_run(self, opening: Opening) -> datetime:
        if opening.window.ttl_s is None:
            return opening.end
        ttl = opening.end - opening.start
        return run_end(opening.window, self.almanac, ttl, opening.start, self.horizon)

    def at_end_of(self, on: Override, at: datetime) -> Transition:
        reason = f"was kept on by an override until {end_text(on)}"
        return Transition(Operation.STOP, at, Cause.OVERRIDE, reason)

    def deadline(self, limit: datetime) -> tuple[datetime | None, str]:
        """Return the deadline, moved by the windows that have begun before it, and its reason.

        None if there is none, or if such a window has no time to live: then its stop counts. A
        deadline that was not kept, because of an override or because nobody looked, is moved by
        windows that begin after it. Beyond the limit it is not computed exactly.
        """
        stored = self.workspace.deadline
        if stored is None:
            return None, ""
        deadline = max(stored, self.since)
        reason = self.lifetime_reason(self.own_ttls_s(), deadline, "its time to live")
        is_moved = True
        while is_moved and deadline <= limit:
            is_moved = False
            for window in self.schedule.windows:
                begin = last_start(window, self.almanac, self.runs_until(deadline), self.since)
                if begin is None:
                    continue
                ttl = ttl_of(self.schedule, window)
                if ttl is None and window.stop is not None:
                    return None, ""
                if ttl is None or begin + ttl <= deadline:
                    continue
                deadline = run_end(window, self.almanac, ttl, begin, limit)
                reason = (
                    f"has run for {duration(ttl.total_seconds())} since window "
                    f"`{window.start}` began"
                )
                is_moved = True
        return deadline, reason

    def runs_until(self, deadline: datetime) -> datetime:
        """Return how long a workspace with a deadline stays on at least."""
        if self.on is not None and self.on.is_active(deadline):
            return self.on.until
        return max(deadline, self.now)

    def own_ttls_s(self) -> list[float | None]:
        """Return the times to live that the workspace may have started with."""
        found = [self.schedule.manual_ttl_s, self.schedule.ttl_s]
        if self.workspace.started_by is Cause.SCHEDULE:
            found += [window.ttl_s for window in self.schedule.windows]
        return found

    def lifetime_reason(self, ttls_s: list[float | None], at: datetime, what: str) -> str:
        lasted_s = (at - self.since).total_seconds()
        for ttl_s in ttls_s:
            # A start is recorded a moment after its deadline was computed.
            if ttl_s is not None and abs(lasted_s - ttl_s) < 5:
                return f"has run for {what} of {duration(ttl_s)}"
        return "has reached its deadline"
