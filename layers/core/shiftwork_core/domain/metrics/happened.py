"""Say what a row reports to have happened, so that a change of a row is counted once.

Each function returns everything that has happened to a row so far. What a change of the row adds
is the difference between the new row and the old one, and what all rows together report is the
total. So counting the stream of changes and counting the rows afterwards give the same, whichever
changes between were not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from shiftwork_core.domain.metrics.counters import (
    LATE,
    STEP_TOOK,
    TOOK,
    WAITED,
    CounterKey,
    Happened,
    Subject,
)
from shiftwork_core.domain.requests.records import Attempt, Request, Step, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.step_state import counts_of
from shiftwork_core.domain.workspaces.records import JobState, LifecycleJob

#: A row of which something is counted.
Row = Request | Step | Attempt | LifecycleJob

#: The label of what was written before its row had a type.
UNKNOWN = "unknown"


def happened(row: Row | None) -> list[Happened]:
    """Return everything that has happened to a row so far; nothing to one that is not there."""
    match row:
        case Request():
            return [*_of_request(row)]
        case Step():
            return [*_of_step(row)]
        case Attempt():
            return [*_of_attempt(row)]
        case LifecycleJob():
            return [*_of_lifecycle_job(row)]
        case None:
            return []


def difference(old: Row | None, new: Row | None) -> list[Happened]:
    """Return what has happened between two states of a row, each with its time in the new one.

    Nothing that has happened is ever undone, so a row that says less than before adds nothing.
    """
    before: Counter[tuple[CounterKey, str]] = Counter()
    for one in happened(old):
        before[one.key, one.field] += one.count
    added = []
    for one in _merged(happened(new)):
        count = one.count - before[one.key, one.field]
        if count > 0:
            added.append(Happened(one.key, one.field, count, one.at))
    return added


def _merged(all_of_it: Iterable[Happened]) -> list[Happened]:
    """Join what happened to one field; the last of them tells the time."""
    counts: Counter[tuple[CounterKey, str]] = Counter()
    merged: dict[tuple[CounterKey, str], Happened] = {}
    for one in all_of_it:
        counts[one.key, one.field] += one.count
        merged[one.key, one.field] = replace(one, count=counts[one.key, one.field])
    return list(merged.values())


def _of_request(request: Request) -> Iterator[Happened]:
    key = CounterKey(Subject.REQUESTS, (request.type,))
    yield Happened(key, RequestStatus.QUEUING, 1, request.created_at)
    if request.started_at is not None:
        yield Happened(key, RequestStatus.INPROGRESS, 1, request.started_at)
    for before in request.retries:
        yield Happened(key, before.status, before.count, before.ended_at)
        yield Happened(key, "retries", before.count, before.retried_at)
    if request.completed_at is not None:
        yield Happened(key, request.status, 1, request.completed_at)
    first_completed_at = request.first_completed_at
    if request.status is RequestStatus.COMPLETED:
        first_completed_at = first_completed_at or request.completed_at
    if first_completed_at is not None:
        since = max(request.created_at, request.start_at or request.created_at)
        took = first_completed_at - since
        yield from TOOK.observe(key, took.total_seconds(), first_completed_at)


def _of_step(step: Step) -> Iterator[Happened]:
    # A step that failed may run again and complete, so only its request's failure is counted. It is
    # counted in its request's row, which most often changes with it.
    key = CounterKey(Subject.REQUESTS, (step.type or UNKNOWN,))
    yield Happened(key, StepStatus.RUNNING, 1, step.started_at)
    if step.status is StepStatus.COMPLETED and step.completed_at is not None:
        yield Happened(key, StepStatus.COMPLETED, 1, step.completed_at)
        took = step.completed_at - step.started_at
        yield from STEP_TOOK.observe(key, took.total_seconds(), step.completed_at)


def _of_attempt(attempt: Attempt) -> Iterator[Happened]:
    if attempt.is_polled:
        queue = CounterKey(Subject.QUEUES, (attempt.type, attempt.domain or ""))
        yield Happened(queue, "queued", 1, attempt.created_at)
    if attempt.completed_at is None:
        return
    key = CounterKey(Subject.JOBS, (attempt.type,))
    if attempt.block is not None:  # How long each of its jobs waited and took is not kept.
        for status, count in counts_of(attempt).items():
            if count:
                yield Happened(key, status, count, attempt.completed_at)
        return
    yield Happened(key, attempt.status, 1, attempt.completed_at)
    if attempt.started_at is None:
        return
    if attempt.status is not AttemptStatus.CANCELLED:
        took = attempt.completed_at - attempt.started_at
        yield from TOOK.observe(key, took.total_seconds(), attempt.completed_at)
    if attempt.tries == 1:  # Later ones wait for their back-off first.
        waited = attempt.started_at - attempt.created_at
        yield from WAITED.observe(key, waited.total_seconds(), attempt.completed_at)


def _of_lifecycle_job(job: LifecycleJob) -> Iterator[Happened]:
    ended_at = job.cancelled_at or job.completed_at
    if ended_at is None:
        return
    key = CounterKey(Subject.LIFECYCLE_JOBS, (job.operation,))
    yield Happened(key, job.state, 1, ended_at)
    if job.state is JobState.COMPLETED:
        yield from LATE.observe(key, (ended_at - job.deadline).total_seconds(), ended_at)
