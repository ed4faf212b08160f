"""Classify a step's attempts: done, to be done, lost, or in progress; and count them.

Whoever looks at a request wants to know how far its step is, and may ask every second. The rows of
a step of up to `MOST_JOBS_READ` jobs are counted for that. Of a wider one, whoever records outcomes
adds them to a tally. Nothing is decided by a tally: a process that dies may leave outcomes out of
it, and a write that is sent twice counts them twice. Once the step is settled, its own row has
counts that are exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.records import Attempt, Step
from shiftwork_core.domain.requests.states import AttemptStatus

#: The rows of a step of so many jobs are read to count them. A wider step is tallied.
MOST_JOBS_READ = 500
#: Of one step so many rows are read to be shown, at most: jobs may be tried a thousand times.
MOST_ROWS_READ = 5_000

#: What a tally has: an attempt stays in these for good.
TALLIED = (AttemptStatus.COMPLETED, AttemptStatus.RETRY, AttemptStatus.FAILURE)


@dataclass(slots=True)
class StepState:
    """A step's jobs, each in exactly one of the lists by its latest attempt.

    Attributes
    ----------
    completed, failed:
        The latest attempt has that outcome, and it is final.
    runnable:
        `new`, and RunJobs should be handed it now.
    lapsed:
        `inprogress`, and its lease has run out: it is declared lost. Or it waits for a worker, and
        none has claimed it in time.
    redo:
        Failed or cancelled before the user's retry of the request: needs another attempt.
    tolerated:
        Failed, which the job's entry tolerates, unless too many do.
    out:
        On its way elsewhere: held under a live lease, waiting for a worker or for its back-off.
    begun:
        How many attempts RunJobs has claimed so far. (Those that were cancelled unclaimed count.)
    due_at:
        When to look at the earliest of `out`, if no report of it comes first; None if none has a
        time.
    """

    completed: list[Attempt] = field(default_factory=list)
    failed: list[Attempt] = field(default_factory=list)
    runnable: list[Attempt] = field(default_factory=list)
    lapsed: list[Attempt] = field(default_factory=list)
    redo: list[Attempt] = field(default_factory=list)
    tolerated: list[Attempt] = field(default_factory=list)
    out: list[Attempt] = field(default_factory=list)
    begun: int = 0
    due_at: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)
    #: The latest attempts, in any of the lists, of entries that tolerate failures.
    tolerant: list[Attempt] = field(default_factory=list)

    @property
    def tolerated_jobs(self) -> int:
        """How many jobs have failed, which their entries tolerate, those of blocks each."""
        return sum(attempt.failed_jobs for attempt in (*self.tolerated, *self.completed))

    @property
    def is_settled(self) -> bool:
        """Whether every job of the step is completed, or its failure is tolerated."""
        return not (self.failed or self.is_open)

    @property
    def fails_request(self) -> bool:
        """Whether the request fails now: a job has failed, and the others are not waited for.

        Those of a step with `on_failure: finish` are, until each has its outcome.
        """
        is_stopped = any(attempt.on_failure is OnFailure.STOP for attempt in self.failed)
        return is_stopped or (bool(self.failed) and not self.is_open)

    @property
    def is_only_out(self) -> bool:
        """Whether there is nothing to do but wait."""
        is_to_do = self.fails_request or self.runnable or self.lapsed or self.redo
        return bool(self.out) and not is_to_do

    @property
    def is_open(self) -> bool:
        """Whether a job has no outcome yet, or is to be done again."""
        return bool(self.runnable or self.lapsed or self.redo or self.out)


def classify_step(
    attempts: Iterable[Attempt], generation: int, now: datetime, lease: timedelta
) -> StepState:
    """Sort a step's attempts, in key order, into what is done, to be done, and out.

    `generation` is the request's. A back-off that ended more than a lease ago means that its
    wake-up was lost.
    """
    state = StepState(counts=count_by_status(rows := list(attempts)))
    state.begun = sum(not row.is_polled and row.status is not AttemptStatus.NEW for row in rows)
    latest = {attempt.key.job: attempt for attempt in rows}
    due: list[datetime] = []
    for attempt in latest.values():
        is_tolerant = attempt.on_failure is OnFailure.TOLERATE
        if is_tolerant:
            state.tolerant.append(attempt)
        match attempt.status:
            case AttemptStatus.COMPLETED:
                has_failed = attempt.block is not None and bool(attempt.block.failed)
                redo = has_failed and attempt.generation < generation
                (state.redo if redo else state.completed).append(attempt)
            case AttemptStatus.FAILURE | AttemptStatus.CANCELLED:
                is_tolerated = is_tolerant and attempt.status is AttemptStatus.FAILURE
                final = state.tolerated if is_tolerated else state.failed
                (state.redo if attempt.generation < generation else final).append(attempt)
            case AttemptStatus.NEW if not attempt.is_polled and (
                attempt.wake_at is None or attempt.wake_at + lease <= now
            ):
                state.runnable.append(attempt)
            case AttemptStatus.NEW if attempt.is_overdue(now):
                state.lapsed.append(attempt)
            case AttemptStatus.NEW:
                state.out.append(attempt)
                if attempt.poll_until is not None:
                    due.append(attempt.poll_until)
                if attempt.wake_at is not None and not attempt.is_polled:
                    due.append(attempt.wake_at + lease)
            case AttemptStatus.INPROGRESS if attempt.has_lapsed(now):
                state.lapsed.append(attempt)
            case AttemptStatus.INPROGRESS:
                state.out.append(attempt)
                if attempt.lease_until is not None:
                    due.append(attempt.lease_until)
            case AttemptStatus.RETRY:
                # Its successor was written in the same transaction, but a query is no snapshot.
                state.out.append(attempt)
                due.append(now + lease)
    state.due_at = min(due, default=None)
    return state


def count_by_status(attempts: Iterable[Attempt]) -> dict[str, int]:
    """Return how many attempts at jobs are in each status, every status named."""
    counted: Counter[AttemptStatus] = Counter()
    for attempt in attempts:
        if attempt.block is None:
            counted[attempt.status] += 1
        else:
            counted.update(counts_of(attempt))
    return {status.value: counted[status] for status in AttemptStatus}


def counts_of(attempt: Attempt) -> Counter[AttemptStatus]:
    """Return how many attempts at jobs an attempt stands for, by their status."""
    if attempt.block is None:
        return Counter((attempt.status,))
    # Few requests have blocks, and each module makes each cold start longer.
    from shiftwork_core.domain.requests.block_jobs import counts_of_block

    return counts_of_block(attempt)


def is_wide(job_count: int) -> bool:
    """Whether a step of so many jobs is tallied."""
    return job_count > MOST_JOBS_READ


def counts_of_wide(step: Step, tally: Mapping[str, int]) -> dict[str, int]:
    """Return about how many attempts of a wide step that runs are in each status.

    What is not tallied is `new`, also what is in progress. The row of a step that runs again, after
    a user's retry of its request, has the counts of then: its failed and cancelled jobs are to be
    done again, so they do not lessen what is `new`.
    """
    before = {status: step.counts.get(status, 0) for status in AttemptStatus}
    now = {status: max(before[status], tally.get(status, 0)) for status in TALLIED}
    # What was sent twice is in the tally twice.
    now[AttemptStatus.COMPLETED] = min(now[AttemptStatus.COMPLETED], step.job_count)
    failed = now[AttemptStatus.FAILURE] - before[AttemptStatus.FAILURE]
    left = step.job_count - now[AttemptStatus.COMPLETED] - failed
    counts = count_by_status([]) | {status.value: count for status, count in now.items()}
    counts[AttemptStatus.CANCELLED] = before[AttemptStatus.CANCELLED]
    counts[AttemptStatus.NEW] = max(left, 0)
    return counts
