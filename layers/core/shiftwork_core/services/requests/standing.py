"""Read how a request's current step stands, to show or explain it, in a bounded number of reads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby, islice

from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, Request, Step, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.step_state import (
    MOST_ROWS_READ,
    count_by_status,
    counts_of_wide,
    is_wide,
)
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.services.requests.records import RequestRecords
from shiftwork_core.services.requests.results import attempts_of

#: Nobody reads more than these; `shiftwork jobs` lists them all.
MOST_BLOCKERS = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """The counts of a step's attempts, and the attempts; None if they are too many to read."""

    counts: dict[str, int]
    attempts: list[Attempt] | None


@dataclass(frozen=True, slots=True)
class JobsSeen:
    """What an explanation needs to know of the current step's jobs.

    Attributes
    ----------
    done, failed, left
        How many have completed; have failed, while the others run to the end; and the rest.
    blocking
        The latest attempts of jobs that are not done, in key order: the first of them, if the step
        is wide. Of a request that has ended, those that have an error, as jobs of a block may have.
    failed_first
        Of each of these blocks that has failed jobs the one that failed first, by block.
    errors
        Why attempts before were retried, by job.
    is_cut
        There may be more that block: only the first rows of the step were read.
    """

    counts: dict[str, int]
    done: int = 0
    failed: int = 0
    left: int = 0
    blocking: list[Attempt] = field(default_factory=list)
    failed_first: dict[int, Attempt] = field(default_factory=dict)
    errors: dict[int, JobError | None] = field(default_factory=dict)
    is_cut: bool = False


def read_standing(records: RequestRecords, request: Request, step: Step) -> Standing:
    """Read the current step of a request that has not completed."""
    if is_wide(step.job_count):
        return Standing(_counts_of_wide(records.requests, request, step), None)
    attempts = attempts_of(records, request.request_id, step.index, MOST_ROWS_READ + 1)
    if len(attempts) <= MOST_ROWS_READ:
        return Standing(count_by_status(attempts), attempts)
    return Standing(_counts_of_some(attempts[:MOST_ROWS_READ], step), None)


def see_jobs(records: RequestRecords, request: Request, step: Step | None) -> JobsSeen:
    """Look at the jobs of the current step; None: it is not planned yet.

    Of a wide step, look until there are `MOST_BLOCKERS` that block.
    """
    if step is None:
        return JobsSeen(count_by_status([]))
    most_blockers = MOST_BLOCKERS if is_wide(step.job_count) else step.job_count
    blocking: list[Attempt] = []
    before: dict[int, Attempt] = {}
    read: list[Attempt] = []
    jobs = 0
    rows = islice(records.jobs.of_step(request.request_id, step.index), MOST_ROWS_READ)
    for _, attempts in groupby(rows, key=lambda attempt: attempt.key.job):
        # Their values would be many megabytes, and nothing here needs them.
        tried = [replace(one, output=None, item=None, params=None) for one in attempts]
        read += tried
        jobs += 1
        before |= {a.key.job: a for a in tried if a.status is AttemptStatus.RETRY}
        if _blocks(request, tried[-1]):
            blocking.append(tried[-1])
            if len(blocking) == most_blockers:
                break
    if is_wide(step.job_count):
        counts = _counts_of_wide(records.requests, request, step)
        done = counts[AttemptStatus.COMPLETED]
        failed = _failed_of_wide(counts, step, blocking)
    else:
        counts = _counts_of_some(read, step)
        done = counts[AttemptStatus.COMPLETED] if step.spans else jobs - len(blocking)
        failed = sum(_failed_in(attempt, request.generation) for attempt in blocking)
    return JobsSeen(
        counts,
        done=done,
        failed=failed,
        left=max(step.job_count - done - failed, 0),
        blocking=blocking,
        failed_first=_failed_first(records, blocking[:MOST_BLOCKERS]),
        errors=_retried_for(records, before, blocking[:MOST_BLOCKERS]),
        is_cut=len(read) == MOST_ROWS_READ,
    )


def _failed_in(latest: Attempt, generation: int) -> int:
    """Return how many jobs have failed that the request will fail by when the others are done."""
    if latest.generation != generation or latest.on_failure is not OnFailure.FINISH:
        return 0
    return latest.failed_jobs


def _failed_first(records: RequestRecords, blocking: list[Attempt]) -> dict[int, Attempt]:
    blocks = [attempt for attempt in blocking if attempt.block is not None and attempt.block.failed]
    if not blocks:
        return {}
    # Few requests have blocks, and each module makes each cold start longer.
    from shiftwork_core.services.requests.block_failures import failed_job

    return {attempt.key.job: failed_job(records, attempt) for attempt in blocks}


def _retried_for(
    records: RequestRecords, before: dict[int, Attempt], blocking: list[Attempt]
) -> dict[int, JobError | None]:
    """Return why attempts before were retried, by job: of a block its first job to be done."""
    errors: dict[int, JobError | None] = {}
    for latest in blocking:
        retried = before.get(latest.key.job)
        if retried is None:
            continue
        errors[latest.key.job] = retried.error
        if latest.block is not None and latest.status is AttemptStatus.NEW:
            # Few requests have blocks, and each module makes each cold start longer.
            from shiftwork_core.services.requests.block_failures import retried_for

            errors[latest.key.job] = retried_for(records, retried, latest)
    return errors


def _blocks(request: Request, latest: Attempt) -> bool:
    if latest.status is AttemptStatus.COMPLETED:
        # Of a block that has completed, failures are tolerated, as below.
        return request.has_ended and latest.failed_jobs > 0
    if latest.on_failure is OnFailure.TOLERATE and latest.status is AttemptStatus.FAILURE:
        return request.has_ended
    return latest.error is not None or not request.has_ended


def _counts_of_wide(store: RequestStore, request: Request, step: Step) -> dict[str, int]:
    """Return the exact counts of a step that has ended, else what is tallied."""
    is_closed = request.has_ended and step.completed_at is not None
    if step.status is StepStatus.COMPLETED or is_closed:
        return count_by_status([]) | step.counts
    return counts_of_wide(step, store.tally(request.request_id, step.index))


def _counts_of_some(read: list[Attempt], step: Step) -> dict[str, int]:
    """Count the attempts that were read; a job of which none was read counts as `new`."""
    counts = count_by_status(read)
    jobs = {a.key.job: 1 if a.block is None else a.block.size for a in read}
    counts[AttemptStatus.NEW] += step.job_count - sum(jobs.values())
    return counts


def _failed_of_wide(counts: dict[str, int], step: Step, blocking: list[Attempt]) -> int:
    """Return how many jobs have failed that the request will fail by when the others are done."""
    if not any(attempt.on_failure is OnFailure.FINISH for attempt in blocking):
        return 0
    failure = AttemptStatus.FAILURE
    return counts[failure] - step.counts.get(failure, 0)
