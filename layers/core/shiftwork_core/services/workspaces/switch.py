"""The executor of lifecycle jobs: switches workspaces when their time has come.

A job is claimed under a lease, and every write of its claimant is under the revision of that claim.
The driver's call is the one thing that no condition guards: a claimant that was held up beyond its
lease may ask for what is no longer wanted. So whoever finds that it has lost its job after it has
asked has the scheduler look at the workspace.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.backoff import Draw
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces import lifecycle
from shiftwork_core.domain.workspaces.lifecycle import WorkspaceSpec
from shiftwork_core.domain.workspaces.records import (
    Cause,
    JobState,
    LifecycleJob,
    LogLevel,
    Operation,
    Sighting,
    Workspace,
    WorkspaceState,
)
from shiftwork_core.errors import Throttled, Transient
from shiftwork_core.optimistic import LOST, Lost, attempt_writes, write_until_won_from
from shiftwork_core.ports.workspaces import (
    Both,
    Driver,
    DriverError,
    DriverFor,
    LifecycleJobStore,
    WorkspaceStore,
)
from shiftwork_core.ports.world import Clock, NewId, SideBySide
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.logs import LifecycleLogs
from shiftwork_core.services.workspaces.schedule import AlmanacFor, WorkspaceScheduler
from shiftwork_core.services.workspaces.wake import LifecycleWakeUps

logger = logging.getLogger("shiftwork.workspaces")

#: What one tick takes on; the rest is found by the next.
MAX_PER_TICK = 1000
_AT_ONCE = 16
_EVER = datetime.min.replace(tzinfo=UTC)
#: A tick sends wake-ups for what falls due before the next one, which may be late.
LOOK_AHEAD = timedelta(seconds=90)
#: How long those side by side are waited for: a driver that hangs must not hold up the others.
_PATIENCE_S = 25.0
#: How soon a stop looks again at workers that it has drained: a poll under way may still get a job.
_DRAIN_LOOK = timedelta(seconds=2)
_LONGEST_DRAIN_LOOK = timedelta(seconds=15)
#: How soon a job looks again whether the opposite one has ended.
_TURN_LOOK = timedelta(seconds=5)
#: What such a job is for the schedule may have taken back, or put off, since it was due.
_BY_SCHEDULE = (Cause.SCHEDULE, Cause.DEADLINE, Cause.OVERRIDE)
_ON_THE_WAY = {
    Operation.START: WorkspaceState.STARTING,
    Operation.STOP: WorkspaceState.STOPPING,
}


class _Lost(Exception):
    """The job is no longer this claimant's: it was cancelled, or its lease ran out."""


@dataclass(slots=True)
class _Turn:
    """One claimant's turn at a job: the rows as they stand, and whether the driver was asked."""

    job: LifecycleJob
    workspace: Workspace
    spec: WorkspaceSpec
    driver: Driver
    has_asked: bool = False


class WorkspaceSwitcher:
    """Executes lifecycle jobs that are due. Any number may run at once."""

    def __init__(
        self,
        *,
        workspaces: WorkspaceStore,
        jobs: LifecycleJobStore,
        logs: LifecycleLogs,
        hosted_workers: HostedWorkers,
        scheduler: WorkspaceScheduler,
        driver_for: DriverFor,
        almanac_for: AlmanacFor,
        wake_ups: LifecycleWakeUps,
        side_by_side: SideBySide,
        clock: Clock,
        new_id: NewId,
        draw: Draw,
        tally: Callable[[dict[str, int]], None],
        lease: timedelta,
    ) -> None:
        self._workspaces = workspaces
        self._jobs = jobs
        self._logs = logs
        self._hosted_workers = hosted_workers
        self._scheduler = scheduler
        self._driver_for = driver_for
        self._almanac_for = almanac_for
        self._wake_ups = wake_ups
        self._side_by_side = side_by_side
        self._clock = clock
        self._new_id = new_id
        self._draw = draw
        self._tally = tally
        self._lease = lease
        #: Jobs, with their due times, for which the latest tick of this process has sent messages.
        self._woken: Set[tuple[str, datetime | None]] = frozenset()

    # -- what sets it going --------------------------------------------------------------------

    def tick(self) -> int:
        """Execute what is due, and see that what is due soon is woken; return how many jobs."""
        now = self._clock()
        # One look finds both, the longest due first. Each row is claimed as it was seen there.
        found = self._jobs.upcoming(_EVER, now + LOOK_AHEAD, MAX_PER_TICK)
        due = [job for job in found if job.is_due(now)]
        self._wake([job for job in found if not job.is_due(now)])
        # From a place that is drawn, so that two ticks at once do not run for the same jobs.
        begin = int(self._draw() * len(due))
        due = [*due[begin:], *due[:begin]]
        taken: list[str] = []
        for start in range(0, len(due), _AT_ONCE):
            self._side(due[start : start + _AT_ONCE], taken)
        return len(taken)

    def _wake(self, soon: Sequence[LifecycleJob]) -> None:
        """Send what wakes jobs that fall due, where nobody has: whoever wrote them, or a tick here.

        Should that message be lost, the job waits for the tick after its due time.
        """
        unsent = {(job.id, job.due_at): job for job in soon if not self._wake_ups.has_woken(job)}
        for key in unsent.keys() - self._woken:
            self._wake_ups.wake_lifecycle_job(unsent[key])
        self._woken = unsent.keys()

    def announce(self, job_id: str) -> None:
        """Hear of a new job: have it woken when it is due, in a call of its own."""
        job = self._jobs.get(job_id)
        if job is not None:
            self._wake_ups.wake_lifecycle_job(job)

    def run(self, job_id: str, due_at: str) -> None:
        """Execute a job if it is due.

        `due_at` is what its message says: one that has come too early is sent again, one whose job
        has another due time by now is dropped.
        """
        job = self._jobs.get(job_id)
        if job is None or job.due_at is None:
            return
        if job.due_at > self._clock():
            if due_at == to_iso(job.due_at):
                self._wake_ups.wake_lifecycle_job(job)
            return
        claimed = self._claim(job)
        if claimed is not None:
            self._execute(claimed)

    def _claim(self, seen: LifecycleJob) -> LifecycleJob | None:
        now = self._clock()
        return self._jobs.acquire_workspace_lifecycle_job(
            now, self._new_id(), now + self._lease, seen=seen
        )

    def _side(self, batch: Sequence[LifecycleJob], taken: list[str]) -> None:
        """Take jobs side by side; `taken` gets the ids of those that nobody else has taken."""
        calls = {job.id: self._claiming(job, taken) for job in batch}
        until = self._clock() + timedelta(seconds=_PATIENCE_S)
        for _ in self._side_by_side(calls, lambda: 1.0):
            if self._clock() > until:
                logger.warning("a driver hangs; its lease will lapse")
                return

    def _claiming(self, job: LifecycleJob, taken: list[str]) -> Callable[[], None]:
        def take() -> None:
            try:
                claimed = self._claim(job)
                if claimed is not None:
                    taken.append(job.id)
                    self._execute(claimed)
            except Transient as error:
                logger.warning(
                    "left until its lease lapses", extra={"job_id": job.id, "reason": str(error)}
                )
            except Exception:
                logger.exception("cannot be executed", extra={"job_id": job.id})

        return take

    # -- a turn --------------------------------------------------------------------------------

    def _execute(self, job: LifecycleJob) -> None:
        """Do with a claimed job what is to be done now."""
        workspace = self._workspaces.get(job.workspace_id)
        if workspace is None or not lifecycle.names(workspace, job):
            self._drop_unnamed(job)
            return
        spec = WorkspaceSpec.from_body(workspace.workspace_id, workspace.body)
        turn = _Turn(job, workspace, spec, self._driver_for(str(spec.driver["type"])))
        try:
            if job.attempt > spec.retry.max_attempts:
                self._fail(turn, job.error or "no try came to its end: each was cut off")
            elif not lifecycle.goes_first(workspace, job):
                self._wait(turn, _TURN_LOOK)
            elif not self._is_overtaken(turn):
                self._try(turn)
        except DriverError as error:
            self._fail_try(turn, error)
        except _Lost:
            self._step_back(turn)
            return
        except Transient:
            # Workers may have been drained for a job that has ended meanwhile.
            if turn.job.drained:
                self._step_back(turn)
            raise
        if turn.job.has_ended:
            self._plan_next(turn)

    def _is_overtaken(self, turn: _Turn) -> bool:
        """Whether the job comes so late that it is for nothing: then it is moved, or cancelled.

        E.g. the stop of a window, when the next one has begun; or a start, when its window is over.
        """
        job, now = turn.job, self._clock()
        if job.cause not in _BY_SCHEDULE or job.asked_at is not None:
            return False
        almanac = self._almanac_for(turn.spec.schedule)
        due = lifecycle.by_schedule(turn.workspace, job.operation, turn.spec, almanac, now)
        if due is not None and due.at <= now:
            return False
        if due is None:
            self._leave(turn, f"nothing {job.operation}s the workspace any more")
        self._hosted_workers.resume(job.drained, job.id)
        self._apply(
            turn,
            lambda row: lifecycle.overtaken(job, row, due, now),
            self._jobs.update_workspace_lifecycle_job_by_id,
        )
        self._logs.write(job, f"came too late, put off to {to_iso(due.at)}: {due.reason}")
        self._wake_ups.wake_lifecycle_job(turn.job)
        self._plan_next(turn)
        return True

    def _try(self, turn: _Turn) -> None:
        job, now = turn.job, self._clock()
        sighting = turn.driver.look(turn.spec.driver, turn.workspace.memory)
        overdue_s = (now - job.deadline).total_seconds()
        if sighting.state is job.operation.goal:
            self._succeed(turn, sighting)
        elif job.asked_at is not None:
            self._look_again(turn, sighting)
        elif sighting.state is _ON_THE_WAY[job.operation]:
            self._logs.write(job, f"it is {sighting.state} already: {sighting.detail}")
            turn.job = lifecycle.asked(job, now)
            self._wait(turn, lifecycle.patience(turn.job, now))
        elif (
            sighting.state is _ON_THE_WAY[job.operation.opposite]
            and overdue_s < turn.spec.verify_timeout_s
        ):
            self._wait(turn, _TURN_LOOK)
        elif self._is_clear(turn):
            self._switch(turn)

    def _look_again(self, turn: _Turn, sighting: Sighting) -> None:
        job, now = turn.job, self._clock()
        assert job.asked_at is not None
        waited_s = (now - job.asked_at).total_seconds()
        if waited_s > turn.spec.verify_timeout_s:
            raise DriverError(
                f"{waited_s:.0f} s after it was asked to {job.operation} it is {sighting.state}"
                f" ({sighting.detail})"
            )
        if sighting.state is WorkspaceState.MIXED:
            # Waiting alone does not bring the whole group there: some of it is to be asked again.
            self._ask(turn)
        else:
            self._wait(turn, lifecycle.patience(job, now))

    def _is_clear(self, turn: _Turn) -> bool:
        """Whether nothing that the workspace hosts is in the way of switching it.

        A stop drains the workers first and waits for their builds, up to its time. If not, what is
        to be done instead has been done.
        """
        job, hosts, now = turn.job, turn.spec.hosts, self._clock()
        if job.operation is Operation.START or hosts is None:
            return True
        hosted = self._hosted_workers.of(hosts)
        if job.cause is Cause.IDLE and hosted.is_busy:
            self._leave(turn, "its workers have work again")
        undrained = self._hosted_workers.undrained(hosts, job)
        if job.drain_until is None or undrained:
            until = job.drain_until or now + timedelta(seconds=hosts.drain_timeout_s)
            drained = tuple(dict.fromkeys((*job.drained, *undrained)))
            # Written first: whoever takes the job over knows whom to resume, and who has lost it
            # drains nobody.
            self._write(turn, replace(job, drained=drained, drain_until=until))
            self._logs.write(job, f"drains {', '.join(undrained) or 'no worker'}")
            self._hosted_workers.drain(undrained, job.id)
        assert turn.job.drain_until is not None
        if job.drain_until is None:
            self._wait(turn, _DRAIN_LOOK)
        elif hosted.running and now < turn.job.drain_until:
            self._wait(turn, _LONGEST_DRAIN_LOOK)
        else:
            if hosted.running:
                lost = f"stops with {len(hosted.running)} builds still running: its time is over"
                self._logs.write(job, lost, level=LogLevel.WARN)
            return True
        return False

    def _switch(self, turn: _Turn) -> None:
        spec, operation = turn.spec.driver, turn.job.operation
        memory = turn.driver.remember(spec, turn.workspace.memory, operation)
        calls = turn.driver.plan(spec, memory, operation)
        self._logs.write(turn.job, f"try {turn.job.attempt}: {operation}", *calls)
        # Written first: who finds the job after a crash knows that it may have been done.
        self._write(turn, lifecycle.asked(turn.job, self._clock()), memory)
        self._ask(turn)

    def _ask(self, turn: _Turn) -> None:
        """Ask the driver, and see what has come of it by now."""
        spec, operation = turn.spec.driver, turn.job.operation
        turn.has_asked = True
        memory = turn.driver.switch(spec, turn.workspace.memory, operation, turn.job.id)
        sighting = turn.driver.look(spec, memory)
        if sighting.state is operation.goal:
            self._succeed(turn, sighting, memory)
        else:
            wait = lifecycle.patience(turn.job, self._clock())
            self._wait(turn, wait, memory)

    # -- outcomes ------------------------------------------------------------------------------

    def _succeed(self, turn: _Turn, sighting: Sighting, memory: JsonObject | None = None) -> None:
        job = turn.job
        done = "already" if job.asked_at is None else "now"
        self._logs.write(job, f"the workspace is {sighting.state} {done}: {sighting.detail}")
        self._hosted_workers.resume(job.drained, job.id)

        def both(row: Workspace) -> tuple[LifecycleJob, Workspace]:
            if memory is not None:
                row = replace(row, memory=memory)
            almanac = self._almanac_for(turn.spec.schedule)
            return lifecycle.succeeded(job, row, turn.spec, almanac, sighting, self._clock())

        self._finish(turn, both)
        self._tally({"completed": 1})

    def _fail_try(self, turn: _Turn, error: DriverError) -> None:
        job, retry = turn.job, turn.spec.retry
        text = str(error)
        try:
            if error.is_final or job.attempt >= retry.max_attempts:
                self._fail(turn, text)
                return
            again = lifecycle.tried_again(job, text, retry, self._clock(), self._draw)
            assert again.due_at is not None
            wait_s = (again.due_at - self._clock()).total_seconds()
            self._logs.write(
                job,
                f"try {job.attempt} of {retry.max_attempts} failed, the next is in"
                f" {max(wait_s, 0):.0f} s: {text}",
                level=LogLevel.WARN,
            )
            self._write(turn, again)
            self._wake_ups.wake_lifecycle_job(turn.job)
        except _Lost:
            self._step_back(turn)

    def _fail(self, turn: _Turn, error: str) -> None:
        job = turn.job
        self._logs.write(job, f"given up at try {job.attempt}: {error}", level=LogLevel.ERROR)
        self._hosted_workers.resume(job.drained, job.id)
        self._finish(turn, lambda row: lifecycle.failed(job, row, error, self._clock()))
        self._tally({"failed": 1})

    def _drop_unnamed(self, job: LifecycleJob) -> None:
        """Cancel a job whose workspace was deleted, or is another one by that name.

        One that is named after all was being planned when its workspace was read: it is left until
        its lease lapses.
        """
        self._drop(job, "the workspace is gone", is_named=False)

    def _drop(self, job: LifecycleJob, why: str, *, is_named: bool = True) -> None:
        """Cancel a job that there is nothing to do for any more."""
        self._hosted_workers.resume(job.drained, job.id)
        dropped = lifecycle.cancelled(job, self._clock())

        def attempt(_: None) -> Lost[None] | None:
            row = self._workspaces.get(job.workspace_id)
            if row is not None:
                if lifecycle.names(row, job) and not is_named:
                    return None
                # Also one that does not name the job: it must be as it was seen.
                row = replace(lifecycle.without_pending(row, job), due_at=self._clock())
            both = self._jobs.update_workspace_lifecycle_job_with_cancel_by_id(dropped, row)
            if both.won:
                self._logs.write(job, f"cancelled: {why}")
            has_changed = both.job is None or both.job.revision != job.revision
            return None if both.won or has_changed else LOST

        attempt_writes(None, attempt)

    def _leave(self, turn: _Turn, why: str) -> NoReturn:
        """Cancel the turn's job, and have what is wanted instead planned."""
        self._drop(turn.job, why)
        self._plan_next(turn)
        raise _Lost

    # -- writing -------------------------------------------------------------------------------

    def _wait(self, turn: _Turn, wait: timedelta, memory: JsonObject | None = None) -> None:
        """Put the job back, to be looked at again after a while."""
        now = self._clock()
        self._write(turn, lifecycle.put_back(turn.job, now + wait, now), memory)
        self._wake_ups.wake_lifecycle_job(turn.job)

    def _write(self, turn: _Turn, job: LifecycleJob, memory: JsonObject | None = None) -> None:
        """Write the job, and with it what its driver has to remember, if that is new."""

        def both(row: Workspace) -> tuple[LifecycleJob, Workspace | None]:
            is_known = memory is None or row.memory == memory
            return job, None if is_known else replace(row, memory=memory or {})

        self._apply(turn, both, self._jobs.update_workspace_lifecycle_job_by_id)

    def _finish(
        self, turn: _Turn, both: Callable[[Workspace], tuple[LifecycleJob, Workspace | None]]
    ) -> None:
        self._apply(turn, both, self._jobs.update_workspace_lifecycle_job_with_complete_by_id)

    def _apply(
        self,
        turn: _Turn,
        both: Callable[[Workspace], tuple[LifecycleJob, Workspace | None]],
        write: Callable[[LifecycleJob, Workspace | None], Both],
    ) -> None:
        """Write both rows, with the workspace's as it stands by then.

        Raise _Lost if the job's is no longer as this claimant left it.
        """

        def attempt(seen: Workspace) -> Lost[Workspace] | None:
            turn.workspace = seen
            outcome = write(*both(seen))
            if outcome.won and outcome.job is not None:
                turn.job = outcome.job
                turn.workspace = outcome.workspace or seen
                return None
            if outcome.job is None or outcome.job.revision != turn.job.revision:
                raise _Lost
            row = outcome.workspace or self._workspaces.get(turn.job.workspace_id)
            if row is None or not lifecycle.names(row, turn.job):
                self._drop_unnamed(turn.job)
                raise _Lost
            if row.body["driver"] != turn.spec.driver:
                # What was seen, and is to be remembered, is of a target that it has no more.
                again = lifecycle.begun_anew(turn.job, self._clock())
                if self._jobs.update_workspace_lifecycle_job_by_id(again).won:
                    self._logs.write(turn.job, "begins anew: the workspace has another target")
                raise _Lost
            return Lost(row)

        busy = Throttled(f"workspace {turn.job.workspace_id} is being changed by many at once")
        write_until_won_from(turn.workspace, attempt, busy=busy)

    def _step_back(self, turn: _Turn) -> None:
        """Leave the job to whoever has it now, and mend what was done since it was lost."""
        row = self._jobs.get(turn.job.id)
        left = [worker for worker in turn.job.drained if not lifecycle.drains(row, worker)]
        self._hosted_workers.resume(left, turn.job.id)
        if turn.has_asked:
            self._plan_next(turn)

    def _plan_next(self, turn: _Turn) -> None:
        """Have the next job planned now; the row is due, so that a tick does it otherwise."""
        # After a success its row says what was seen a moment ago.
        is_seen = turn.job.state is JobState.COMPLETED
        try:
            self._scheduler.look_at(
                turn.workspace.workspace_id, turn.workspace if is_seen else None
            )
        except Transient as error:
            logger.warning(
                "left for the next tick",
                extra={"workspace_id": turn.workspace.workspace_id, "reason": str(error)},
            )
