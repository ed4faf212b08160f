"""What must hold whatever fails, checked at every write of a row and every event.

Each method that checks says what it promises; docs/guarantees.md says the same for users. What is
known of a request is kept as the rows are written, so that a check costs the same at any size.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shiftwork_core.domain.payloads import Payload, to_json
from shiftwork_core.domain.records import Attempt, Request, Step, StepStatus
from shiftwork_core.domain.states import AttemptStatus, RequestStatus

_A, _R = AttemptStatus, RequestStatus

#: The only moves there are; written here again, apart from the engine's own tables.
_ATTEMPT_MOVES = {
    _A.NEW: {_A.INPROGRESS, _A.CANCELLED},
    _A.INPROGRESS: {_A.INPROGRESS, _A.COMPLETED, _A.RETRY, _A.FAILURE},
}
_REQUEST_MOVES = {
    _R.QUEUING: {_R.QUEUING, _R.INPROGRESS, _R.FAILED, _R.CANCELLED},
    _R.INPROGRESS: {_R.INPROGRESS, _R.COMPLETED, _R.FAILED, _R.CANCELLED},
    _R.FAILED: {_R.FAILED, _R.INPROGRESS},
    _R.COMPLETED: {_R.COMPLETED},
    _R.CANCELLED: {_R.CANCELLED},
}
_OPEN = {_A.NEW, _A.INPROGRESS}

_TRANSITIONS_EACH = 12

JobId = tuple[int, int]


class Violation(BaseException):
    """An invariant does not hold. `invariant` is its name.

    No `except Exception` of the engine takes it for a failure of its own.
    """

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail


@dataclass(slots=True)
class Life:
    """What is known of one request from the writes so far."""

    row: Request
    progress_at: float
    extras: dict[str, object]
    #: The latest attempt of each job.
    jobs: dict[JobId, Attempt] = field(default_factory=dict)
    steps: dict[int, Step] = field(default_factory=dict)
    open_attempts: dict[tuple[int, int, int], Attempt] = field(default_factory=dict)
    #: Of each step, how many attempts stand in each status.
    counts: dict[int, Counter[AttemptStatus]] = field(default_factory=dict)
    #: Completions that no Map joins and that the step's row has not counted yet.
    uncounted: Counter[int] = field(default_factory=Counter)
    is_cancel_returned: bool = False


class Invariants:
    """Observes every write. A violation is raised where it happens."""

    def __init__(self, now: Callable[[], float], blobs: Mapping[str, str]) -> None:
        self._now = now
        self._blobs = blobs
        self.lives: dict[str, Life] = {}
        self._by_key: dict[str, str] = {}
        self._started: set[tuple[str, int]] = set()
        self._returned: dict[tuple[str, int], str] = {}
        self._uncounted: dict[str, Life] = {}

    # -- rows ----------------------------------------------------------------------------------

    def on_request(self, old: Request | None, new: Request) -> None:
        """Check the write of a request's row."""
        if old is None:
            extras = json.loads(self._text(new.extras))
            self.lives[new.request_id] = Life(new, self._now(), extras)
            return
        life = self.lives[new.request_id]
        self._request_moves_legally(old, new)
        self._extras_are_the_completed_results(life, old, new)
        self._nothing_open_leaves_the_sweeps_sight(life, new)
        self._fails_by_its_own_failure(life, old, new)
        life.row = new
        if (old.status, old.current_step) != (new.status, new.current_step):
            life.progress_at = self._now()

    def on_step(self, old: Step | None, new: Step) -> None:
        """Check the write of a step's row."""
        life = self.lives[new.request_id]
        self._step_is_planned_once(life, old, new)
        self._counters_equal_a_recount(life, old, new)
        life.steps[new.index] = new
        if old is None or old.status is not new.status:
            life.progress_at = self._now()

    def on_attempt(self, old: Attempt | None, new: Attempt) -> None:
        """Check the write of an attempt's row."""
        life = self.lives[new.request_id]
        job = (new.key.step, new.key.job)
        if old is None:
            self._planned_behind_the_barrier(life, new)
            self._job_is_tried_once_at_a_time(life, new)
            self._ended_is_not_tried_again(life, new)
        else:
            self._attempt_moves_legally(old, new)
            self._cancelled_starts_nothing(life, old, new)
            self._nothing_is_cancelled_that_may_run(life, old, new)
        counts = life.counts.setdefault(new.key.step, Counter())
        if old is not None:
            counts[old.status] -= 1
        counts[new.status] += 1
        life.jobs[job] = new
        key = (*job, new.key.attempt)
        if new.status in _OPEN:
            life.open_attempts[key] = new
        else:
            life.open_attempts.pop(key, None)
        if old is None or old.status is not new.status:
            life.progress_at = self._now()
        if new.status is _A.COMPLETED:
            self._recorded_is_what_was_returned(new)
            if (new.key.attempt > 1 or new.is_polled) and new.key.step in life.steps:
                life.uncounted[new.key.step] += 1
                self._uncounted[new.request_id] = life

    def after_event(self) -> None:
        """Check what must hold between events: a completion and its count are one write."""
        for request_id, life in self._uncounted.items():
            if any(life.uncounted.values()):
                raise Violation(
                    "counters equal a recount", f"{request_id}: a settle is not counted"
                )
        self._uncounted.clear()

    # -- told by actors ------------------------------------------------------------------------

    def submitted(self, key: str | None, request_id: str) -> None:
        """An idempotency key makes one request, whoever sends it however often."""
        if request_id not in self.lives:
            raise Violation("no accepted request is lost", f"{request_id} has no row")
        if key is not None and self._by_key.setdefault(key, request_id) != request_id:
            raise Violation(
                "one request per idempotency key",
                f"{key} made {self._by_key[key]} and {request_id}",
            )

    def cancelled(self, request_id: str) -> None:
        """Remember that a cancel has returned."""
        self.lives[request_id].is_cancel_returned = True

    def started(self, attempt_id: str, fence: int) -> None:
        """One claim wins a fence: no two holders do an attempt under the same one."""
        holder = (attempt_id, fence)
        if holder in self._started:
            raise Violation("one live fence per job", f"{holder} is done twice")
        self._started.add(holder)

    def returned(self, attempt_id: str, fence: int, output: object) -> None:
        """Remember what a job returned under a fence."""
        self._returned[attempt_id, fence] = to_json(output)

    # -- the invariants ------------------------------------------------------------------------

    def _request_moves_legally(self, old: Request, new: Request) -> None:
        """Only legal moves; generation, execution and step never fall."""
        name = "legal transitions only"
        what = f"request {new.request_id}: {old.status} -> {new.status}"
        if new.status not in _REQUEST_MOVES[old.status]:
            raise Violation(name, what)
        is_reopened = old.status is _R.FAILED and new.status is _R.INPROGRESS
        if new.generation != old.generation + is_reopened:
            raise Violation(name, f"{what}, generation {old.generation} -> {new.generation}")
        if new.execution < old.execution:
            raise Violation(name, f"{what}, execution {old.execution} -> {new.execution}")
        if new.current_step not in (old.current_step, old.current_step + 1):
            raise Violation(name, f"{what}, step {old.current_step} -> {new.current_step}")

    def _attempt_moves_legally(self, old: Attempt, new: Attempt) -> None:
        """Only legal moves, each under the fence of its claim; an end is final."""
        what = f"attempt {new.attempt_id}: {old.status} -> {new.status}"
        if old.status not in _OPEN:
            raise Violation("one terminal state per job", what)
        if new.status not in _ATTEMPT_MOVES[old.status]:
            raise Violation("legal transitions only", what)
        is_claimed = old.status is _A.NEW and new.status is _A.INPROGRESS
        if new.fence != old.fence + is_claimed or new.fence < 0:
            raise Violation("one live fence per job", f"{what}, fence {old.fence} -> {new.fence}")
        if not is_claimed and new.claim_id != old.claim_id:
            raise Violation("one live fence per job", f"{what}, by another claim")

    def _job_is_tried_once_at_a_time(self, life: Life, new: Attempt) -> None:
        """A further attempt follows one that has ended, and none follows a completed one."""
        before = life.jobs.get((new.key.step, new.key.job))
        if before is None:
            if new.key.attempt != 1:
                raise Violation("one live fence per job", f"{new.attempt_id} has no predecessor")
            return
        what = f"{new.attempt_id} is inserted while {before.attempt_id} is {before.status}"
        if before.status in _OPEN or new.key.attempt != before.key.attempt + 1:
            raise Violation("one live fence per job", what)
        if new.fence < before.fence:
            raise Violation("one live fence per job", f"{what}, fence {new.fence}")
        if before.status is _A.COMPLETED:
            raise Violation("one terminal state per job", what)

    def _planned_behind_the_barrier(self, life: Life, new: Attempt) -> None:
        """No job of a step exists before every job of the step before is completed."""
        before = new.key.step - 1
        if before < 1:
            return
        step = life.steps.get(before)
        completed = life.counts.get(before, Counter())[_A.COMPLETED]
        if step is None or completed != step.job_count:
            of = "an unplanned step" if step is None else f"{step.job_count} jobs"
            raise Violation(
                "no step starts early",
                f"{new.attempt_id} exists with {completed} completed of {of} before it",
            )

    def _step_is_planned_once(self, life: Life, old: Step | None, new: Step) -> None:
        """When a step's row is written all its jobs exist, and no job is added after it."""
        jobs = sum(1 for step, _ in life.jobs if step == new.index)
        what = f"step {new.index} of {new.request_id} has {jobs} jobs of {new.job_count}"
        if jobs != new.job_count:
            raise Violation("each step is planned once", what)
        if old is not None and old.job_count != new.job_count:
            raise Violation("each step is planned once", f"{what}, before {old.job_count}")

    def _counters_equal_a_recount(self, life: Life, old: Step | None, new: Step) -> None:
        """A step's counters are what a recount of its attempts gives."""
        name = "counters equal a recount"
        added = new.settles - (old.settles if old else 0)
        life.uncounted[new.index] -= added
        if added < 0 or life.uncounted[new.index] < 0:
            raise Violation(name, f"step {new.index} of {new.request_id}: {new.settles} settles")
        if new.status is StepStatus.COMPLETED and (old is None or old.status != new.status):
            self._counts_are_right(life, new)

    def _counts_are_right(self, life: Life, step: Step) -> None:
        counted = life.counts.get(step.index, Counter())
        recount = {status.value: counted[status] for status in AttemptStatus}
        if step.counts != recount:
            what = f"step {step.index} of {step.request_id} has {step.counts}, counted {recount}"
            raise Violation("counters equal a recount", what)

    def _extras_are_the_completed_results(self, life: Life, old: Request, new: Request) -> None:
        """The extras are the submitted ones and the completed jobs' results, in order of jobs."""
        is_moved = new.current_step > old.current_step
        is_completed = new.status is _R.COMPLETED and old.status is not _R.COMPLETED
        if (is_moved and old.current_step > 0) or is_completed:
            self._step_is_settled(life, old)
            for (step, _), attempt in sorted(life.jobs.items()):
                if step == old.current_step and attempt.output is not None:
                    life.extras.update(json.loads(self._text(attempt.output)))
        elif new.extras == old.extras:
            return
        if self._text(new.extras) != (expected := to_json(life.extras)):
            what = f"{new.request_id} has {self._text(new.extras)}, expected {expected}"
            raise Violation("extras are the completed results", what)

    def _step_is_settled(self, life: Life, request: Request) -> None:
        step = life.steps.get(request.current_step)
        completed = life.counts.get(request.current_step, Counter())[_A.COMPLETED]
        if step is None or completed != step.job_count:
            what = f"{request.request_id} leaves step {request.current_step} with {completed} done"
            raise Violation("no step starts early", what)

    def _recorded_is_what_was_returned(self, new: Attempt) -> None:
        """An outcome is recorded only as its holder, under its fence, returned it."""
        returned = self._returned.get((new.attempt_id, new.fence))
        assert new.output is not None
        if returned != self._text(new.output):
            what = f"{new.attempt_id} recorded {self._text(new.output)}, returned {returned}"
            raise Violation("extras are the completed results", what)

    def _cancelled_starts_nothing(self, life: Life, old: Attempt, new: Attempt) -> None:
        """Once a cancel has returned, no claim succeeds."""
        if life.is_cancel_returned and new.status is _A.INPROGRESS and old.status is _A.NEW:
            raise Violation("a cancelled request starts nothing", f"{new.attempt_id} is claimed")

    def _fails_by_its_own_failure(self, life: Life, old: Request, new: Request) -> None:
        """A request that was retried does not fail by what had failed before."""
        if (old.status, new.status) != (_R.INPROGRESS, _R.FAILED) or new.error is None:
            return
        if new.error.attempt_id is not None:
            step, number, _ = map(int, new.error.attempt_id.rsplit(".", 3)[1:])
            job = life.jobs[step, number]
            if job.status not in _OPEN and job.generation < new.generation:
                what = f"{new.request_id} g{new.generation} fails by {job.attempt_id}"
                raise Violation("a retry is not undone", f"{what} g{job.generation}")

    def _ended_is_not_tried_again(self, life: Life, new: Attempt) -> None:
        """No attempt of an ended request has a next one; only planners may insert late."""
        if new.tries > 1 and new.status is _A.NEW and life.row.has_ended:
            what = f"{new.attempt_id} is inserted, {life.row.request_id} is {life.row.status}"
            raise Violation("a cancelled request starts nothing", what)

    def _nothing_is_cancelled_that_may_run(self, life: Life, old: Attempt, new: Attempt) -> None:
        """Only of an ended request are attempts cancelled."""
        if new.status is _A.CANCELLED and old.status is _A.NEW and not life.row.has_ended:
            raise Violation(
                "a retry is not undone", f"{new.attempt_id} g{new.generation} cancelled"
            )

    def _nothing_open_leaves_the_sweeps_sight(self, life: Life, new: Request) -> None:
        """A request that is not at its end, or has open attempts, is due at some time."""
        if new.due_at is not None:
            return
        if not new.has_ended or life.open_attempts:
            what = f"{new.request_id}, {new.status}, {len(life.open_attempts)} open, is never due"
            raise Violation("nothing is left behind", what)

    # -- progress ------------------------------------------------------------------------------

    def makes_progress(
        self, clock: datetime, started_at: float, allowance: Callable[[Life], timedelta]
    ) -> None:
        """Once nothing fails any more, every request goes on within what its state allows.

        From the latest of its last step forward, the end of the faults, the end of its longest
        back-off and of its leases (those that live renew them), and its start time.
        """
        zero = clock - timedelta(seconds=self._now())
        for life in self.lives.values():
            row = life.row
            if row.has_ended and row.due_at is None and not life.open_attempts:
                continue
            since = [zero + timedelta(seconds=max(life.progress_at, started_at))]
            for attempt in life.open_attempts.values():
                since += [t for t in (attempt.wake_at, attempt.lease_until) if t]
            if row.status is _R.QUEUING and row.start_at is not None:
                since.append(row.start_at)
            late = clock - max(since) - allowance(life)
            if late > timedelta(0):
                what = f"{row.request_id}, {row.status}, stands still, {late.total_seconds():.0f} s"
                raise Violation("everything settles", f"{what} too long; due {row.due_at}")

    def has_settled(self) -> bool:
        """Whether every request has ended, with nothing open."""
        return all(
            life.row.has_ended and life.row.due_at is None and not life.open_attempts
            for life in self.lives.values()
        )

    def at_the_end(
        self, running: Iterable[str], transitions: Mapping[str, tuple[int, int]]
    ) -> None:
        """Each job has one terminal state, each counter is right, and nothing runs any more."""
        for life in self.lives.values():
            row = life.row
            if not row.has_ended or life.open_attempts or row.due_at is not None:
                what = f"{row.request_id} is {row.status}, {list(life.open_attempts)} open"
                raise Violation("everything settles", what)
            for step in life.steps.values():
                self._counts_are_right(life, step)
            self._costs_little(life, *transitions.get(row.request_id, (0, 0)))
        if left := list(running):
            raise Violation("everything settles", f"executions run on: {', '.join(left)}")

    def _costs_little(self, life: Life, executions: int, transitions: int) -> None:
        """Every transition is owed to an attempt, a step or an execution: nothing goes in circles.

        Without faults a step takes four and one a batch; an execution that is superseded or fails
        takes some more.
        """
        attempts = sum(count.total() for count in life.counts.values())
        owed = _TRANSITIONS_EACH * (1 + executions + life.row.current_step + attempts)
        if transitions > owed:
            what = f"{life.row.request_id} took {transitions} of at most {owed} transitions"
            raise Violation("nothing goes in circles", what)

    def _text(self, payload: Payload) -> str:
        return payload.text if payload.ref is None else self._blobs[payload.ref]  # type: ignore[return-value]
