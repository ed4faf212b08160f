"""Explain where a request is and why, what blocks it, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shiftwork_core.domain.requests.block_jobs import job_of
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.outages import told as told_outage
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, Request, RequestError, Step
from shiftwork_core.domain.requests.stalls import told
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.requests.step_state import MOST_ROWS_READ
from shiftwork_core.domain.times import to_iso
from shiftwork_core.services.requests.standing import MOST_BLOCKERS, JobsSeen

#: Of attempts at a block that have jobs still to be done.
_OPEN = (AttemptStatus.NEW, AttemptStatus.INPROGRESS)


@dataclass(frozen=True, slots=True)
class Blocker:
    """An attempt that the request waits for or has failed by, and why."""

    attempt: Attempt
    reason: str

    @property
    def wakes_at(self) -> datetime | None:
        """When something happens to it by itself."""
        return self.attempt.wake_at or self.attempt.lease_until


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a request is, and why.

    Attributes
    ----------
    step
        The current one; None before it is planned.
    counts
        How many of its attempts are in each status; of a wide step that runs, by its tally.
    wakes_at
        When something happens to the request by itself, as far as the jobs that were looked at say.
    next_command
        What to type next.
    """

    request: Request
    summary: str
    step: Step | None
    counts: Mapping[str, int]
    blockers: list[Blocker]
    wakes_at: datetime | None
    next_command: str


def explain(
    request: Request,
    step: Step | None,
    jobs: JobsSeen,
    now: datetime,
    *,
    is_enabled: bool,
) -> Explanation:
    """Return what blocks the request, when it is due next, and the command to try.

    `step` is its current one and `jobs` are that step's.
    """
    waits_for_start = request.start_at is not None and request.start_at > now
    summary = _summarise(request, step, jobs, waits_for_start=waits_for_start)
    if jobs.is_cut and len(jobs.blocking) < MOST_BLOCKERS:
        summary += f" Only the first {MOST_ROWS_READ:,} attempts of the step were looked at."
    # A single execution that was replaced is no outage: its process may have died.
    if request.outage is not None and request.outage.executions > 1 and not request.has_ended:
        summary += f" But {told_outage(request.outage)}."
    if not is_enabled and not request.has_ended:
        summary += (
            " Workers are switched off (the parameter WorkersEnabled): "
            "until they are on, no request starts and no retry wakes."
        )
    return Explanation(
        request,
        summary,
        step,
        jobs.counts,
        list(islice(_blockers(request, jobs, now), MOST_BLOCKERS)),
        _wakes_at(request, step, jobs.blocking, waits_for_start=waits_for_start),
        _next_command(request, jobs),
    )


def _blockers(request: Request, jobs: JobsSeen, now: datetime) -> Iterator[Blocker]:
    """Yield what is told of attempts; of one at a block, of its failed jobs and of the others."""
    for attempt in jobs.blocking:
        reason = _reason(attempt, jobs.errors.get(attempt.key.job), now)
        if attempt.block is None:
            yield Blocker(attempt, reason)
            continue
        first = jobs.failed_first.get(attempt.key.job)
        is_tolerated = attempt.on_failure is OnFailure.TOLERATE and not request.has_ended
        if first is not None and not is_tolerated:
            yield Blocker(first, _reason(first, None, now) + _and_more(attempt.failed_jobs - 1))
        if attempt.status in _OPEN or first is None:
            places = attempt.block.places
            yield Blocker(job_of(attempt, places[0]), reason + _so_do(len(places) - 1))


def _and_more(more: int) -> str:
    return f" (and {more} more {'job' if more == 1 else 'jobs'} of its block)" if more else ""


def _so_do(more: int) -> str:
    if not more:
        return ""
    return f" (so {'does 1 more job' if more == 1 else f'do {more} more jobs'} of its block)"


def _wakes_at(
    request: Request, step: Step | None, blockers: list[Attempt], *, waits_for_start: bool
) -> datetime | None:
    if request.has_ended:
        return None
    if request.status is RequestStatus.QUEUING and waits_for_start:
        return request.start_at
    wakes = [t for a in blockers if (t := a.wake_at or a.lease_until)]
    if step is not None and step.stall is not None and step.stall.rounds:
        wakes.append(step.stall.next_at)
    return min([*wakes, *([request.due_at] if request.due_at else [])], default=None)


def _reason(attempt: Attempt, last_error: JobError | None, now: datetime) -> str:
    match attempt.status:
        case AttemptStatus.NEW if attempt.is_polled:
            return f"waits for a worker that takes {attempt.type!r}"
        case AttemptStatus.NEW if attempt.wake_at and attempt.wake_at > now:
            reason = f"attempt {attempt.key.attempt} waits for its back-off"
            if last_error is not None:
                reason += f", after {_told(last_error)}"
            return reason
        case AttemptStatus.NEW:
            return "is about to be handed out"
        case AttemptStatus.INPROGRESS if attempt.lease_until and attempt.lease_until <= now:
            return "its lease has run out; the next sweep takes it over"
        case AttemptStatus.INPROGRESS:
            return f"is running at {attempt.worker_id}"
        case _:
            return _told(attempt.error) if attempt.error else attempt.status.value


def _told(error: JobError | RequestError) -> str:
    return f"{error.type}: {error.message}"


def _summarise(
    request: Request,
    step: Step | None,
    jobs: JobsSeen,
    *,
    waits_for_start: bool,
) -> str:
    match request.status:
        case RequestStatus.QUEUING if request.start_at and waits_for_start:
            return f"It starts at {to_iso(request.start_at)}."
        case RequestStatus.QUEUING:
            return "It waits for its execution to start; a sweep starts one if none does."
        case RequestStatus.INPROGRESS:
            if step is None:
                return f"Step {request.current_step} is being planned."
            completed = f"{jobs.done} of {step.job_count} jobs"
            summary = f"Step {step.index} ({step.name}) has completed {completed}"
            fate = _fate(jobs.failed, jobs.left) if jobs.failed else ""
            if step.stall is not None and step.stall.rounds:
                return f"{summary}; {told(step.stall)} {fate}".rstrip()
            return f"{summary}. {fate}" if fate else f"{summary} and waits for the others."
        case RequestStatus.COMPLETED:
            return "Every step completed."
        case RequestStatus.CANCELLED:
            return "It was cancelled; nothing more of it starts."
        case RequestStatus.FAILED:
            error = _told(request.error) if request.error else "unknown error"
            failed = f"It failed in step {request.current_step}: {error}"
            if not _is_types_fault(request):
                return failed
            return (
                f"{failed}. A retry would fail alike, since it keeps version "
                f"{request.type_version} of the request type: correct the type, and submit "
                "another request."
            )


def _is_types_fault(request: Request) -> bool:
    """Whether a step could not be planned, though not for what a manifest has."""
    error = request.error
    if error is None or error.type != "PlanFault":
        return False
    return not error.message.startswith("for_each_in")


def _fate(failed: int, left: int) -> str:
    have_failed = "1 has failed" if failed == 1 else f"{failed} have failed"
    if not left:
        return f"{have_failed}: the request is about to fail."
    others = "the other job has" if left == 1 else f"the other {left} have"
    return f"{have_failed}: the request fails when {others} run to the end (on_failure: finish)."


def _next_command(request: Request, jobs: JobsSeen) -> str:
    match request.status:
        case RequestStatus.FAILED if _is_types_fault(request):
            return f"shiftwork submit {request.type}"
        case RequestStatus.FAILED:
            return f"shiftwork retry {request.request_id}"
        case RequestStatus.INPROGRESS if jobs.failed:
            return f"shiftwork failures {request.request_id}"
        case RequestStatus.COMPLETED if jobs.blocking:
            return f"shiftwork failures {request.request_id}"
        case RequestStatus.INPROGRESS if any(a.is_polled for a in jobs.blocking):
            return f"shiftwork jobs {request.request_id} --status new"
        case RequestStatus.QUEUING | RequestStatus.INPROGRESS:
            return f"shiftwork watch {request.request_id}"
        case _:
            return f"shiftwork show {request.request_id}"
