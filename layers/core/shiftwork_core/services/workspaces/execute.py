"""Execute a claimed lifecycle job: read the workspace's state, drain, switch, record.

The driver's call is the one thing that no condition guards: a claimant that was held up beyond its
lease may ask for a switch that nobody wants any more. So a claimant that finds its claim lost after
it has asked makes the scheduler check the workspace.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces import lifecycle_jobs, wanted_switches
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
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec
from shiftwork_core.errors import Transient
from shiftwork_core.ports.workspaces import DriverError
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.workspaces.claim_writes import Claim, ClaimLost, ClaimWriter
from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
from shiftwork_core.services.workspaces.records import LifecycleRecords, SpecLookup
from shiftwork_core.services.workspaces.schedule import WorkspaceScheduler

logger = logging.getLogger("shiftwork.workspaces")

#: How soon a stop checks again the workers it has drained: a poll under way may still get a job.
_FIRST_DRAIN_WAIT = timedelta(seconds=2)
_DRAIN_WAIT = timedelta(seconds=15)
#: How soon a job checks again that the opposite one has ended.
_OPPOSITE_WAIT = timedelta(seconds=5)
#: How long a member may still be seen as it was before it was asked to start: answers lag behind.
_SEEN_LATE = timedelta(seconds=10)
#: Between a job's due time and its claim, people and schedules may take back these causes.
_REVOCABLE = (Cause.SCHEDULE, Cause.DEADLINE, Cause.OVERRIDE)
_ON_THE_WAY = {
    Operation.START: WorkspaceState.STARTING,
    Operation.STOP: WorkspaceState.STOPPING,
}


class LifecycleExecutor:
    """Takes a claimed job as far as it goes now: to its end, or until it must wait."""

    def __init__(
        self,
        *,
        records: LifecycleRecords,
        specs: SpecLookup,
        hosted_workers: HostedWorkers,
        scheduler: WorkspaceScheduler,
        runtime: Runtime,
    ) -> None:
        self._workspaces = records.workspaces
        self._jobs = records.jobs
        self._logs = records.logs
        self._wake_ups = records.wake_ups
        self._specs = specs
        self._hosted_workers = hosted_workers
        self._scheduler = scheduler
        self._clock = runtime.clock
        self._draw = runtime.draw
        self._writer = ClaimWriter(records, hosted_workers, runtime.clock)

    def execute(self, job: LifecycleJob) -> None:
        """Do for a job that this process has claimed what can be done now."""
        workspace = self._workspaces.get(job.workspace_id)
        if workspace is None or not lifecycle_jobs.refers_to(workspace, job):
            self._writer.cancel_orphan(job)
            return
        spec = WorkspaceSpec.from_body(workspace.workspace_id, workspace.body)
        claim = Claim(job, workspace, spec, self._specs.driver_of(spec))
        try:
            if job.attempt > spec.retry.max_attempts:
                self._fail(claim, job.error or "every attempt was cut off before it ended")
            elif not lifecycle_jobs.precedes_opposite(workspace, job):
                self._writer.release(claim, _OPPOSITE_WAIT)
            elif not self._is_too_late(claim):
                self._attempt(claim)
        except DriverError as error:
            self._retry_or_fail(claim, error)
        except ClaimLost:
            self._clean_up(claim)
            return
        except Transient:
            # Workers may have been drained for a job that has ended meanwhile.
            if claim.job.drained:
                self._clean_up(claim)
            raise
        if claim.job.has_ended:
            self._plan_next(claim)

    def _is_too_late(self, claim: Claim) -> bool:
        """Whether the job has lost its purpose since it was due; then it is postponed or cancelled.

        For example the stop of one window once the next is open, or a start after its window.
        """
        job, now = claim.job, self._clock()
        if job.cause not in _REVOCABLE or job.asked_at is not None:
            return False
        almanac = self._specs.almanac_of(claim.spec)
        due = wanted_switches.scheduled_switch(
            claim.workspace, job.operation, claim.spec, almanac, now
        )
        if due is not None and due.at <= now:
            return False
        if due is None:
            self._abandon(claim, f"nothing {job.operation}s the workspace any more")
        self._hosted_workers.resume(job.drained, job.id)
        self._writer.update(claim, lambda row: lifecycle_jobs.postponed(job, row, due, now))
        self._logs.write(job, f"came too late, postponed to {to_iso(due.at)}: {due.reason}")
        self._wake_ups.wake_lifecycle_job(claim.job)
        self._plan_next(claim)
        return True

    def _attempt(self, claim: Claim) -> None:
        """Read the workspace's state, and do what it calls for."""
        job, now = claim.job, self._clock()
        sighting = claim.driver.look(claim.spec.driver, claim.workspace.memory)
        overdue_s = (now - job.deadline).total_seconds()
        if sighting.state is job.operation.goal:
            self._succeed(claim, sighting)
        elif job.asked_at is not None:
            self._wait_for_goal(claim, sighting)
        elif sighting.state is _ON_THE_WAY[job.operation]:
            self._logs.write(job, f"the workspace is {sighting.state} already: {sighting.detail}")
            claim.job = lifecycle_jobs.marked_asked(job, now)
            self._writer.release(claim, lifecycle_jobs.look_delay(claim.job, now))
        elif (
            sighting.state is _ON_THE_WAY[job.operation.opposite]
            and overdue_s < claim.spec.verify_timeout_s
        ):
            self._writer.release(claim, _OPPOSITE_WAIT)
        elif self._has_drained(claim):
            self._switch(claim)

    def _wait_for_goal(self, claim: Claim, sighting: Sighting) -> None:
        job, now = claim.job, self._clock()
        assert job.asked_at is not None
        waited_s = (now - job.asked_at).total_seconds()
        fell_back = job.operation is Operation.START and now >= job.asked_at + _SEEN_LATE
        if sighting.fault and fell_back:
            # Waiting does not start what has given up; the back-off gives its cause time to pass.
            raise DriverError(sighting.fault)
        if waited_s > claim.spec.verify_timeout_s:
            raise DriverError(
                f"{waited_s:.0f} s after it was asked to {job.operation} it is {sighting.state}"
                f" ({sighting.detail})"
            )
        if sighting.state is WorkspaceState.MIXED:
            # Waiting does not switch the rest of a group: ask again.
            self._ask(claim)
        else:
            self._writer.release(claim, lifecycle_jobs.look_delay(job, now))

    def _has_drained(self, claim: Claim) -> bool:
        """Whether no hosted worker stands in the way of the switch.

        A stop drains the workers and waits for their builds, up to the drain timeout. While it
        waits, the job is released here.
        """
        job, hosts, now = claim.job, claim.spec.hosts, self._clock()
        if job.operation is Operation.START or hosts is None:
            return True
        hosted = self._hosted_workers.of(hosts)
        if job.cause is Cause.IDLE and hosted.is_busy:
            self._abandon(claim, "its workers have work again")
        undrained = self._hosted_workers.undrained(hosts, job)
        if job.drain_until is None or undrained:
            until = job.drain_until or now + timedelta(seconds=hosts.drain_timeout_s)
            drained = tuple(dict.fromkeys((*job.drained, *undrained)))
            # Write first: then a process that takes the job over knows which workers to resume, and
            # one that has lost the claim drains no worker.
            self._writer.write(claim, replace(job, drained=drained, drain_until=until))
            self._logs.write(job, f"drains {', '.join(undrained) or 'no worker'}")
            self._hosted_workers.drain(undrained, job.id)
        assert claim.job.drain_until is not None
        if job.drain_until is None:
            self._writer.release(claim, _FIRST_DRAIN_WAIT)
            return False
        if hosted.running and now < claim.job.drain_until:
            self._writer.release(claim, _DRAIN_WAIT)
            return False
        if hosted.running:
            cut_off = f"the drain timeout is over: stops with {len(hosted.running)} builds running"
            self._logs.write(job, cut_off, level=LogLevel.WARN)
        return True

    def _switch(self, claim: Claim) -> None:
        spec, operation = claim.spec.driver, claim.job.operation
        memory = claim.driver.remember(spec, claim.workspace.memory, operation)
        calls = claim.driver.plan(spec, memory, operation)
        self._logs.write(claim.job, f"attempt {claim.job.attempt}: {operation}", *calls)
        # Write first: after a crash the row must say that the driver may have been asked.
        self._writer.write(claim, lifecycle_jobs.marked_asked(claim.job, self._clock()), memory)
        self._ask(claim)

    def _ask(self, claim: Claim) -> None:
        """Ask the driver to switch, and check the effect so far."""
        spec, operation = claim.spec.driver, claim.job.operation
        claim.has_asked = True
        memory = claim.driver.switch(spec, claim.workspace.memory, operation, claim.job.id)
        sighting = claim.driver.look(spec, memory)
        if sighting.state is operation.goal:
            self._succeed(claim, sighting, memory)
        else:
            wait = lifecycle_jobs.look_delay(claim.job, self._clock())
            self._writer.release(claim, wait, memory)

    # -- outcomes ------------------------------------------------------------------------------

    def _succeed(self, claim: Claim, sighting: Sighting, memory: JsonObject | None = None) -> None:
        job = claim.job
        when = "already" if job.asked_at is None else "now"
        self._logs.write(job, f"the workspace is {sighting.state} {when}: {sighting.detail}")
        self._hosted_workers.resume(job.drained, job.id)

        def change(row: Workspace) -> tuple[LifecycleJob, Workspace]:
            if memory is not None:
                row = replace(row, memory=memory)
            almanac, now = self._specs.almanac_of(claim.spec), self._clock()
            return lifecycle_jobs.succeeded(job, row, claim.spec, almanac, sighting, now)

        self._writer.complete(claim, change)

    def _retry_or_fail(self, claim: Claim, error: DriverError) -> None:
        job, retry = claim.job, claim.spec.retry
        text = str(error)
        try:
            if error.is_final or job.attempt >= retry.max_attempts:
                self._fail(claim, text)
                return
            again = lifecycle_jobs.retried(job, text, retry, self._clock(), self._draw)
            assert again.due_at is not None
            wait_s = (again.due_at - self._clock()).total_seconds()
            self._logs.write(
                job,
                f"attempt {job.attempt} of {retry.max_attempts} failed, the next is in"
                f" {max(wait_s, 0):.0f} s: {text}",
                level=LogLevel.WARN,
            )
            self._writer.write(claim, again)
            self._wake_ups.wake_lifecycle_job(claim.job)
        except ClaimLost:
            self._clean_up(claim)

    def _fail(self, claim: Claim, error: str) -> None:
        job = claim.job
        self._logs.write(job, f"failed at attempt {job.attempt}: {error}", level=LogLevel.ERROR)
        self._hosted_workers.resume(job.drained, job.id)
        self._writer.complete(
            claim, lambda row: lifecycle_jobs.failed(job, row, error, self._clock())
        )

    def _abandon(self, claim: Claim, why: str) -> NoReturn:
        """Cancel the claimed job, and have whatever is wanted instead planned."""
        self._writer.cancel(claim.job, why)
        self._plan_next(claim)
        raise ClaimLost

    def _clean_up(self, claim: Claim) -> None:
        """Leave the job to its new holder, and undo what was done since the claim was lost."""
        row = self._jobs.get(claim.job.id)
        stranded = [w for w in claim.job.drained if not lifecycle_jobs.drains(row, w)]
        self._hosted_workers.resume(stranded, claim.job.id)
        if claim.has_asked:
            self._plan_next(claim)

    def _plan_next(self, claim: Claim) -> None:
        """Have the next job planned now. The workspace is due, so if that fails a tick plans it."""
        # After a success the row says what was seen a moment ago.
        is_seen = claim.job.state is JobState.COMPLETED
        try:
            self._scheduler.look_at(
                claim.workspace.workspace_id, claim.workspace if is_seen else None
            )
        except Transient as error:
            logger.warning(
                "left for the next tick",
                extra={"workspace_id": claim.workspace.workspace_id, "reason": str(error)},
            )
