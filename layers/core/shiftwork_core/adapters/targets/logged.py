"""Give every log line that a thread writes while it does a job the keys of that job."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import Outcome
from shiftwork_core.ports.world import DoAtOnce, JobInput, JobTarget


class LoggedTarget(JobTarget):
    """Another target, whose lines say which job they are about.

    `append_keys` adds keys to what the current thread logs from now on, and to nothing else.
    """

    def __init__(self, target: JobTarget, append_keys: Callable[..., None]) -> None:
        self._target = target
        self._append_keys = append_keys

    def run(self, job_type: JobType, job: JobInput) -> Outcome:
        """Have the target do it. The keys stay for the thread's next lines, on the outcome."""
        self._append_keys(**job.attempt.log_keys)
        return self._target.run(job_type, job)

    def at_once(self, job_type: JobType) -> DoAtOnce | None:
        """Return how the target does many; its lines say which job is the first of them."""
        do_at_once = self._target.at_once(job_type)
        if do_at_once is None:
            return None

        def do(jobs: Sequence[JobInput]) -> list[Outcome]:
            self._append_keys(**jobs[0].attempt.log_keys)
            return do_at_once(jobs)

        return do
