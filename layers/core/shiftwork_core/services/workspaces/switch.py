"""Find the lifecycle jobs that are due, claim each under a lease, and execute it.

Every write of a claimant is under the revision of its claim, so a claimant that was held up beyond
its lease can record nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from datetime import UTC, datetime, timedelta

from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces.records import LifecycleJob
from shiftwork_core.ports.world import Runtime, SideBySide
from shiftwork_core.services.workspaces.execute import LifecycleExecutor
from shiftwork_core.services.workspaces.records import LifecycleRecords
from shiftwork_core.services.workspaces.ticks import MAX_PER_TICK, TickCalls

_EVER = datetime.min.replace(tzinfo=UTC)
#: A tick sends wake-ups for what falls due before the next one, which may be late.
LOOK_AHEAD = timedelta(seconds=90)
#: How long a tick waits for a batch of jobs, in case a driver hangs.
_MAX_WAIT = timedelta(seconds=25)


class WorkspaceSwitcher:
    """Claims lifecycle jobs that are due, and has them executed. Any number may run at once."""

    def __init__(
        self,
        *,
        records: LifecycleRecords,
        executor: LifecycleExecutor,
        side_by_side: SideBySide,
        runtime: Runtime,
    ) -> None:
        self._jobs = records.jobs
        self._wake_ups = records.wake_ups
        self._executor = executor
        self._clock = runtime.clock
        self._new_id = runtime.new_id
        self._draw = runtime.draw
        self._lease = runtime.lease
        self._calls = TickCalls(
            side_by_side,
            runtime.clock,
            "job_id",
            "left until its lease lapses",
            "cannot be executed",
            _MAX_WAIT,
        )
        #: Jobs, with their due times, for which the latest tick of this process has sent messages.
        self._woken: Set[tuple[str, datetime | None]] = frozenset()

    def tick(self) -> int:
        """Execute the jobs that are due, wake those due soon; return how many it has claimed."""
        now = self._clock()
        # One read finds both, the longest due first. Each row is claimed as it was seen there.
        found = self._jobs.upcoming(_EVER, now + LOOK_AHEAD, MAX_PER_TICK)
        due = [job for job in found if job.is_due(now)]
        self._wake([job for job in found if not job.is_due(now)])
        # Begin at a random place, so that two ticks at once do not race for the same jobs.
        begin = int(self._draw() * len(due))
        due = [*due[begin:], *due[:begin]]
        claimed: list[str] = []
        self._calls.make({job.id: self._claim_and_execute(job, claimed) for job in due})
        return len(claimed)

    def _wake(self, soon: Sequence[LifecycleJob]) -> None:
        """Send wake-ups for jobs, unless their writer or an earlier tick here has sent one.

        If such a message was lost, the job waits for the tick after its due time.
        """
        unsent = {(job.id, job.due_at): job for job in soon if not self._wake_ups.has_woken(job)}
        for key, job in unsent.items():
            if key not in self._woken:
                self._wake_ups.wake_lifecycle_job(job)
        self._woken = unsent.keys()

    def announce(self, job_id: str) -> None:
        """Send the wake-up of a new job for its due time."""
        job = self._jobs.get(job_id)
        if job is not None:
            self._wake_ups.wake_lifecycle_job(job)

    def run(self, job_id: str, due_at: str) -> None:
        """Execute a job if it is due.

        `due_at` is the due time in its message. A message that has come too early is sent again;
        one whose job has moved to another due time is dropped.
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
            self._executor.execute(claimed)

    def _claim(self, seen: LifecycleJob) -> LifecycleJob | None:
        now = self._clock()
        return self._jobs.acquire_workspace_lifecycle_job(
            now, self._new_id(), now + self._lease, seen=seen
        )

    def _claim_and_execute(self, job: LifecycleJob, claimed: list[str]) -> Callable[[], None]:
        """Return the call that does it; `claimed` gets the job's id unless somebody else has it."""

        def call() -> None:
            mine = self._claim(job)
            if mine is not None:
                claimed.append(job.id)
                self._executor.execute(mine)

        return call
