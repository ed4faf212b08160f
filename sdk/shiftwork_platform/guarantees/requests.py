# long: every guarantee of requests stands here, one after the other
"""Check the invariants of requests at every write of a row and after every event.

Each method that checks says what it promises; docs/guarantees.md says the same for users. What is
known of a request is kept as its rows are written, so that a check costs the same at any size.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shiftwork_core.domain.payloads import JsonObject, Payload, to_json
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.records import Attempt, Request, Step, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.services.requests.barrier import CHECK_UP
from shiftwork_platform.cloud.process import EPOCH, MAX_SKEW_S
from shiftwork_platform.guarantees.block_rows import jobs_of_block, statuses_of
from shiftwork_platform.guarantees.invariants import Invariant, Violation

_A, _R = AttemptStatus, RequestStatus

#: All legal moves, written down here independently of the engine's own tables.
_ATTEMPT_MOVES = {
    _A.NEW: {_A.INPROGRESS, _A.CANCELLED},
    _A.INPROGRESS: {_A.INPROGRESS, _A.COMPLETED, _A.RETRY, _A.FAILURE},
}
#: Further moves of polled attempts: put back, or not claimed in time.
_POLLED_MOVES = {(_A.INPROGRESS, _A.NEW), (_A.NEW, _A.RETRY), (_A.NEW, _A.FAILURE)}
_REQUEST_MOVES = {
    _R.QUEUING: {_R.QUEUING, _R.INPROGRESS, _R.FAILED, _R.CANCELLED},
    _R.INPROGRESS: {_R.INPROGRESS, _R.COMPLETED, _R.FAILED, _R.CANCELLED},
    _R.FAILED: {_R.FAILED, _R.INPROGRESS},
    _R.COMPLETED: {_R.COMPLETED, _R.INPROGRESS},
    _R.CANCELLED: {_R.CANCELLED},
}
_OPEN = {_A.NEW, _A.INPROGRESS}

_TRANSITIONS_EACH = 12
#: After the end of a lease: the period of the sweep, its work, and clocks that are off.
_SWEPT_WITHIN_S = 60.0 + 5.0 + 2 * MAX_SKEW_S

JobId = tuple[int, int]


@dataclass(slots=True)
class Life:
    """What is known of one request from the writes so far."""

    row: Request
    progress_at: float
    extras: dict[str, object]
    #: The extras with which each step began.
    extras_at: dict[int, dict[str, object]] = field(default_factory=dict)
    #: The latest attempt of each job.
    jobs: dict[JobId, Attempt] = field(default_factory=dict)
    steps: dict[int, Step] = field(default_factory=dict)
    open_attempts: dict[tuple[int, int, int], Attempt] = field(default_factory=dict)
    #: What jobs of blocks have returned: by step, row and attempt, and then by the job's number.
    results: dict[tuple[int, int, int], dict[int, JsonObject]] = field(default_factory=dict)
    #: Of each step, how many attempts are in each status.
    counts: dict[int, Counter[AttemptStatus]] = field(default_factory=dict)
    #: By step, arrivals outside its Map that the step's row has not counted yet.
    uncounted: Counter[int] = field(default_factory=Counter)
    #: What has become `new` after the request had ended: attempts, and their fences then.
    born_late: set[tuple[str, int]] = field(default_factory=set)
    #: When an attempt that RunJobs does was last written.
    ran_at: float = 0.0
    is_cancel_returned: bool = False
    #: How often a stall of a step was written.
    stalls: int = 0

    def __post_init__(self) -> None:
        """The first step begins with what was submitted."""
        self.extras_at[1] = dict(self.extras)

    def row_of(self, step: int, number: int) -> Attempt:
        """Return the latest attempt at a job, or at the block that it is in."""
        for (of, _), attempt in self.jobs.items():
            block = attempt.block
            if of != step or block is None:
                continue
            if block.first_job <= number < block.first_job + block.size:
                return attempt
        return self.jobs[step, number]


class RequestInvariants:
    """Observes every write, and raises each violation where it happens."""

    def __init__(self, now: Callable[[], float], blobs: Mapping[str, bytes]) -> None:
        self._now = now
        self._blobs = blobs
        #: Returns where the results of a step's jobs go; the simulation sets it.
        self.collect: Callable[[str, int], Mapping[str, str]] = lambda type, step: {}
        self.lives: dict[str, Life] = {}
        self._by_key: dict[str, str] = {}
        self._started: set[tuple[str, int]] = set()
        self._returned: dict[tuple[str, int], str] = {}
        #: In which attempt a job of a block completed: by request, step and number of the job.
        self._completed: dict[tuple[str, int, int], int] = {}
        #: What an entry tolerates: by request type, number of the step, and its name.
        self.tolerated: Callable[[str, int, str], str] = lambda *_: "0"
        #: How many attempts of each limited type may be held at once.
        self.limits: dict[str, int] = {}
        self._held: Counter[str] = Counter()
        #: Whether nothing happens by which an attempt could be lost.
        self.is_gentle = False
        #: Whether nothing goes wrong with the platform at all.
        self.is_faultless = False
        #: From when on sweeps find everything in time; None while the platform has faults.
        self.quiet_since: float | None = None
        #: Whether readers may still see a request's row as it was before its last write.
        self.is_hidden: Callable[[str], bool] = lambda request_id: False
        #: Until when the batches of a request have said to live.
        self.alive_until: Callable[[str], datetime | None] = lambda request_id: None
        #: Claims whose process died before it had checked the due time of their request.
        self.unchecked_claims: set[str] = set()

    # -- rows ----------------------------------------------------------------------------------

    def on_request(self, old: Request | None, new: Request) -> None:
        """Check the write of a request's row."""
        if old is None:
            extras = json.loads(self._text(new.extras))
            self.lives[new.request_id] = Life(new, self._now(), extras)
            return
        life = self.lives[new.request_id]
        self._request_moves_legally(life, old, new)
        self._extras_are_the_completed_results(life, old, new)
        self._nothing_open_leaves_the_sweeps_sight(life, new)
        self._fails_by_its_own_failure(life, old, new)
        self._step_that_is_to_finish_does(life, old, new)
        life.row = new
        if old.has_ended and not new.has_ended:  # What was late for that end may start again.
            life.born_late.clear()
        if (old.status, old.current_step) != (new.status, new.current_step):
            life.progress_at = self._now()

    def on_step(self, old: Step | None, new: Step) -> None:
        """Check the write of a step's row."""
        life = self.lives[new.request_id]
        self._step_is_planned_once(life, old, new)
        self._counters_equal_a_recount(life, old, new)
        if new.stall is not None and (old is None or new.stall != old.stall):
            life.stalls += 1
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
        else:
            self._attempt_moves_legally(old, new)
            self._cancelled_starts_nothing(life, old, new)
            self._put_back_uses_up_no_retry(life, old, new)
            self._nothing_is_cancelled_that_may_run(life, old, new)
            self._nothing_in_hand_is_lost(old, new)
            self._held_in_time(life, old)
        self._limit_holds(old, new)
        if not new.is_polled:
            life.ran_at = self._now()
        if life.row.has_ended and new.status is _A.NEW and not self.is_hidden(new.request_id):
            life.born_late.add((new.attempt_id, new.fence))
        counts = life.counts.setdefault(new.key.step, Counter())
        if old is not None:
            counts.subtract(statuses_of(old, self._text))
        counts.update(statuses_of(new, self._text))
        if old is None or new.key.attempt >= life.jobs[job].key.attempt:
            life.jobs[job] = new
        key = (*job, new.key.attempt)
        if new.status in _OPEN:
            life.open_attempts[key] = new
        else:
            life.open_attempts.pop(key, None)
        if old is None or old.status is not new.status:
            life.progress_at = self._now()
        if old is None or old.status is not new.status:
            self._has_ended(life, new)

    def _has_ended(self, life: Life, new: Attempt) -> None:
        """Check an outcome, and remember that it is to be counted if the job arrives with it."""
        if new.block is not None and new.status not in _OPEN:
            self._block_has_ended(life, new)
        elif new.status is _A.COMPLETED:
            self._recorded_is_what_was_returned(new)
        is_failed = new.status is _A.FAILURE and new.on_failure is not OnFailure.STOP
        if new.status is not _A.COMPLETED and not is_failed:
            return
        # Once the request has ended nobody waits at the barrier.
        if not new.is_joined and new.key.step in life.steps and not life.row.has_ended:
            life.uncounted[new.key.step] += 1

    # -- reported by actors --------------------------------------------------------------------

    def submitted(self, key: str | None, request_id: str) -> None:
        """An accepted request is in the table, and its idempotency key made no other."""
        if request_id not in self.lives:
            raise Violation(Invariant.REQUEST_KEPT, f"{request_id} has no row")
        if key is not None and self._by_key.setdefault(key, request_id) != request_id:
            raise Violation(
                Invariant.ONE_REQUEST_PER_KEY,
                f"{key} made {self._by_key[key]} and {request_id}",
            )

    def cancelled(self, request_id: str) -> None:
        """Remember that a cancel has returned."""
        self.lives[request_id].is_cancel_returned = True

    def started(self, attempt_id: str, fence: int) -> None:
        """No two holders do an attempt under the same fence; nor is a completed job done again."""
        holder = (attempt_id, fence)
        request_id, step, number, attempt = attempt_id.rsplit(".", 3)
        completed = self._completed.get((request_id, int(step), int(number)))
        if completed is not None and completed < int(attempt):
            raise Violation(Invariant.ONE_END, f"{holder} is done, completed in {completed}")
        if holder in self._started:
            raise Violation(Invariant.ONE_LIVE_FENCE, f"{holder} is done twice")
        self._started.add(holder)

    def returned(self, attempt_id: str, fence: int, output: object) -> None:
        """Remember what a job returned under a fence."""
        self._returned[attempt_id, fence] = to_json(output)

    def completed(self, request_id: str, step: int, number: int, attempt: int) -> None:
        """Remember that a job of a block completed in an attempt."""
        self._completed[request_id, step, number] = attempt

    # -- the invariants ------------------------------------------------------------------------

    def _request_moves_legally(self, life: Life, old: Request, new: Request) -> None:
        """Only legal moves; generation, execution and step never fall."""
        name = Invariant.LEGAL_MOVES
        what = f"request {new.request_id}: {old.status} -> {new.status}"
        if new.status not in _REQUEST_MOVES[old.status]:
            raise Violation(name, what)
        is_reopened = old.has_ended and new.status is _R.INPROGRESS
        if new.generation != old.generation + is_reopened:
            raise Violation(name, f"{what}, generation {old.generation} -> {new.generation}")
        if new.execution < old.execution:
            raise Violation(name, f"{what}, execution {old.execution} -> {new.execution}")
        if new.status is _R.INPROGRESS and (new.current_step < 1 or new.started_at is None):
            raise Violation(name, f"{what}, but it has not begun")
        if is_reopened and old.status is _R.COMPLETED:
            self._goes_back_to_the_first_failure(life, new)
        elif new.current_step not in (old.current_step, old.current_step + 1):
            raise Violation(name, f"{what}, step {old.current_step} -> {new.current_step}")

    def _goes_back_to_the_first_failure(self, life: Life, new: Request) -> None:
        """A completed request goes on only at the first step of which jobs have failed."""
        failed = {key[0] for key, attempt in life.jobs.items() if self._failed(life, attempt)}
        if new.current_step != min(failed, default=0):
            what = f"{new.request_id} goes back to {new.current_step}, and {failed} have failures"
            raise Violation(Invariant.LEGAL_MOVES, what)

    def _attempt_moves_legally(self, old: Attempt, new: Attempt) -> None:
        """Only legal moves, each under the fence of its claim; an end is final."""
        what = f"attempt {new.attempt_id}: {old.status} -> {new.status}"
        if old.status is new.status and replace(old, late_updates=new.late_updates) == new:
            return  # Late updates are kept, and change nothing else.
        if old.status not in _OPEN:
            raise Violation(Invariant.ONE_END, what)
        is_polled_move = new.is_polled and (old.status, new.status) in _POLLED_MOVES
        if new.status not in _ATTEMPT_MOVES[old.status] and not is_polled_move:
            raise Violation(Invariant.LEGAL_MOVES, what)
        is_claimed = old.status is _A.NEW and new.status is _A.INPROGRESS
        if new.fence != old.fence + is_claimed or new.fence < 0:
            raise Violation(Invariant.ONE_LIVE_FENCE, f"{what}, fence {old.fence} -> {new.fence}")
        if not is_claimed and new.claim_id != old.claim_id:
            raise Violation(Invariant.ONE_LIVE_FENCE, f"{what}, by another claim")

    def _job_is_tried_once_at_a_time(self, life: Life, new: Attempt) -> None:
        """Each further attempt follows one that has ended, and none follows a completed one."""
        before = life.jobs.get((new.key.step, new.key.job))
        if before is None:
            if new.key.attempt != 1:
                raise Violation(Invariant.ONE_LIVE_FENCE, f"{new.attempt_id} has no predecessor")
            return
        what = f"{new.attempt_id} is inserted while {before.attempt_id} is {before.status}"
        if before.status in _OPEN or new.key.attempt != before.key.attempt + 1:
            raise Violation(Invariant.ONE_LIVE_FENCE, what)
        if new.fence < before.fence:
            raise Violation(Invariant.ONE_LIVE_FENCE, f"{what}, fence {new.fence}")
        is_of_failed = before.block is not None and self._failed(life, before) > 0
        if before.status is _A.COMPLETED and not is_of_failed:
            raise Violation(Invariant.ONE_END, what)

    def _planned_behind_the_barrier(self, life: Life, new: Attempt) -> None:
        """No job of a step exists before every job of the step before is completed."""
        before = new.key.step - 1
        if before < 1:
            return
        step = life.steps.get(before)
        completed = self._done(life, before)
        if step is None or completed != step.job_count:
            of = "an unplanned step" if step is None else f"{step.job_count} jobs"
            raise Violation(
                Invariant.BARRIER,
                f"{new.attempt_id} exists with {completed} completed of {of} before it",
            )

    def _step_is_planned_once(self, life: Life, old: Step | None, new: Step) -> None:
        """When a step's row is written all its jobs exist, and no job is added after it."""
        jobs = sum(
            1 if attempt.block is None else attempt.block.size
            for (step, _), attempt in life.jobs.items()
            if step == new.index
        )
        what = f"step {new.index} of {new.request_id} has {jobs} jobs of {new.job_count}"
        if jobs != new.job_count:
            raise Violation(Invariant.PLANNED_ONCE, what)
        if old is not None and old.job_count != new.job_count:
            raise Violation(Invariant.PLANNED_ONCE, f"{what}, before {old.job_count}")

    def _counters_equal_a_recount(self, life: Life, old: Step | None, new: Step) -> None:
        """The counts in a step's row equal a recount of its attempts."""
        name = Invariant.COUNTERS_RIGHT
        added = new.arrivals - (old.arrivals if old else 0)
        life.uncounted[new.index] -= added
        if added < 0:
            raise Violation(name, f"step {new.index} of {new.request_id}: {new.arrivals} arrivals")
        ended = (new.status, new.counts)
        if new.status is StepStatus.COMPLETED and (old and (old.status, old.counts)) != ended:
            self._counts_are_right(life, new)

    def _counts_are_right(self, life: Life, step: Step) -> None:
        counted = life.counts.get(step.index, Counter())
        recount = {status.value: counted[status] for status in AttemptStatus}
        if step.counts != recount:
            what = f"step {step.index} of {step.request_id} has {step.counts}, counted {recount}"
            raise Violation(Invariant.COUNTERS_RIGHT, what)

    def _arrivals_are_counted(self, life: Life, step: Step) -> None:
        """Each arrival is counted, unless a process died before, or a store did not answer."""
        if self.is_faultless and life.uncounted[step.index] > 0:
            what = f"step {step.index} of {step.request_id}: an arrival is not counted"
            raise Violation(Invariant.COUNTERS_RIGHT, what)

    def _extras_are_the_completed_results(self, life: Life, old: Request, new: Request) -> None:
        """The extras are the submitted ones and the completed jobs' results, in order of jobs."""
        if old.status is _R.COMPLETED and new.status is _R.INPROGRESS:
            life.extras = dict(life.extras_at[new.current_step])
        is_moved = new.current_step > old.current_step
        is_completed = new.status is _R.COMPLETED and old.status is not _R.COMPLETED
        if (is_moved and old.current_step > 0) or is_completed:
            self._step_is_settled(life, old)
            self._collect(life, old, new)
            if is_moved:
                life.extras_at[new.current_step] = dict(life.extras)
        elif new.extras == old.extras:
            return
        if self._text(new.extras) != (expected := to_json(life.extras)):
            what = f"{new.request_id} has {self._text(new.extras)}, expected {expected}"
            raise Violation(Invariant.EXTRAS_RIGHT, what)

    def _collect(self, life: Life, old: Request, new: Request) -> None:
        """Add the results of the step that is left to what the extras should be."""
        ways = self.collect(old.type, old.current_step)
        lines: dict[str, list[str]] = {name: [] for name in ways if ways[name] == "manifest"}
        for (step, _), attempt in sorted(life.jobs.items()):
            entry = attempt.name.partition("[")[0]
            if step != old.current_step or ways.get(entry) == "none":
                continue
            for result in self._results_of(life, attempt):
                if entry in lines:
                    lines[entry].append(to_json(result))
                else:
                    life.extras.update(result)
        for entry, of_it in lines.items():
            life.extras[entry] = self._manifest(new, entry, of_it)

    def _results_of(self, life: Life, latest: Attempt) -> list[JsonObject]:
        """Return what a job has returned, or each of a block's, by its latest attempt."""
        if latest.block is None:
            if latest.status is not _A.COMPLETED or latest.output is None:
                return []
            return [json.loads(self._text(latest.output))]
        results: dict[int, JsonObject] = {}
        for number in range(1, latest.key.attempt + 1):
            results |= life.results.get((latest.key.step, latest.key.job, number), {})
        return [result for _, result in sorted(results.items())]

    def _manifest(self, new: Request, entry: str, lines: list[str]) -> JsonObject:
        """Return what the extras say of a manifest, whose parts have these lines."""
        said: JsonObject = json.loads(self._text(new.extras)).get(entry, {})
        stored = b"".join(self._blobs[ref] for ref, _ in said.get("parts", []))
        if (said.get("count"), stored) != (len(lines), "".join(f"{n}\n" for n in lines).encode()):
            what = f"{new.request_id} has {said} of {entry}, with {stored!r}, expected {lines}"
            raise Violation(Invariant.EXTRAS_RIGHT, what)
        return said

    def _step_is_settled(self, life: Life, request: Request) -> None:
        step = life.steps.get(request.current_step)
        completed = self._done(life, request.current_step)
        self._no_more_failed_than_is_tolerated(life, request)
        if step is None or completed != step.job_count:
            what = f"{request.request_id} leaves step {request.current_step} with {completed} done"
            raise Violation(Invariant.BARRIER, what)

    def _done(self, life: Life, step: int) -> int:
        """Return how many jobs of a step have completed, or failed, which their entry tolerates."""
        failed = 0
        for (of, _), attempt in life.jobs.items():
            if of == step and attempt.on_failure is OnFailure.TOLERATE:
                failed += self._failed(life, attempt)
        return life.counts.get(step, Counter())[_A.COMPLETED] + failed

    def _failed(self, life: Life, latest: Attempt) -> int:
        """Return how many jobs have failed for good, by the latest attempt at a job or block."""
        if latest.block is None:
            return int(latest.status is _A.FAILURE)
        if latest.status is not _A.COMPLETED:
            return 0
        first = latest.block.first_job
        completed = {
            number
            for (step, row, _), results in life.results.items()
            if (step, row) == (latest.key.step, latest.key.job)
            for number in results
        }
        return len(set(range(first, first + latest.block.size)) - completed)

    def _no_more_failed_than_is_tolerated(self, life: Life, request: Request) -> None:
        """A step that is settled has no more failures than each of its entries tolerates."""
        jobs: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for (step, _), attempt in life.jobs.items():
            if step == request.current_step and attempt.on_failure is OnFailure.TOLERATE:
                name = attempt.name.partition("[")[0]
                jobs[name] += 1 if attempt.block is None else attempt.block.size
                failed[name] += self._failed(life, attempt)
        for name, count in failed.items():
            most = self.tolerated(request.type, request.current_step, name)
            share = int(most.removesuffix("%")) * jobs[name] // 100 if "%" in most else int(most)
            if count > share:
                what = f"{request.request_id}: {count} of {jobs[name]} jobs of {name} failed"
                raise Violation(Invariant.TOLERATED, f"{what}, and {most} may")

    def _recorded_is_what_was_returned(self, new: Attempt) -> None:
        """An outcome is recorded only as its holder, under its fence, returned it."""
        returned = self._returned.get((new.attempt_id, new.fence))
        assert new.output is not None
        if returned != self._text(new.output):
            what = f"{new.attempt_id} recorded {self._text(new.output)}, returned {returned}"
            raise Violation(Invariant.EXTRAS_RIGHT, what)

    def _block_has_ended(self, life: Life, new: Attempt) -> None:
        """Each of a block's jobs has ended once, as its holder returned it."""
        jobs = jobs_of_block(new, self._text)
        life.results[new.key.step, new.key.job, new.key.attempt] = jobs.completed
        numbers = [*jobs.completed, *jobs.failed, *jobs.retried]
        if len(numbers) != len(set(numbers)) or not set(numbers) <= set(jobs.todo):
            raise Violation(Invariant.ONE_END, f"{new.attempt_id} has {jobs}")
        for number, output in jobs.completed.items():
            attempt_id = f"{new.request_id}.{new.key.step}.{number}.{new.key.attempt}"
            if self._returned.get((attempt_id, new.fence)) != to_json(output):
                what = f"{attempt_id} recorded {output}, which was not returned"
                raise Violation(Invariant.EXTRAS_RIGHT, what)
            job = (new.request_id, new.key.step, number)
            if job in self._completed:
                raise Violation(Invariant.ONE_END, f"{attempt_id} completed twice")
            self._completed[job] = new.key.attempt

    def _cancelled_starts_nothing(self, life: Life, old: Attempt, new: Attempt) -> None:
        """Once a cancel has returned, no claim succeeds; nor on what is put there after an end."""
        if (old.status, new.status) != (_A.NEW, _A.INPROGRESS):
            return
        is_late = life.row.has_ended and (old.attempt_id, old.fence) in life.born_late
        if life.is_cancel_returned or is_late:
            raise Violation(Invariant.CANCEL_HOLDS, f"{new.attempt_id} is claimed")

    def _put_back_uses_up_no_retry(self, life: Life, old: Attempt, new: Attempt) -> None:
        """A job that is put back keeps its attempt."""
        if (old.status, new.status) != (_A.INPROGRESS, _A.NEW):
            return
        if (new.tries, new.started_at) != (old.tries, old.started_at):
            what = f"{new.attempt_id}, put back: retry count {old.tries} -> {new.tries}"
            raise Violation(Invariant.PUT_BACK, what)

    def _limit_holds(self, old: Attempt | None, new: Attempt) -> None:
        """No more attempts of a limited type are held at once than its limit allows."""
        was_held = old is not None and old.status is _A.INPROGRESS
        self._held[new.type] += (new.status is _A.INPROGRESS) - was_held
        limit = self.limits.get(new.type)
        if limit is not None and self._held[new.type] > limit:
            what = f"{new.attempt_id} is claimed, {self._held[new.type]} of {limit}"
            raise Violation(Invariant.LIMIT, what)

    def lost_is_back(self) -> None:
        """A worker's attempt is held no longer than its lease, and until a sweep has seen that."""
        for life in self.lives.values():
            for attempt in life.open_attempts.values():
                self._held_in_time(life, attempt)

    def _held_in_time(self, life: Life, held: Attempt) -> None:
        """Check that it is not overdue, once the platform's faults have no effect any more.

        While RunJobs does other jobs of the step, it keeps the sweep away: until the time to which
        it has said to live.
        """
        if self.quiet_since is None or not held.is_polled or held.lease_until is None:
            return
        if any(a.status is _A.INPROGRESS and not a.is_polled for a in life.open_attempts.values()):
            return
        ended_s = (held.lease_until - EPOCH).total_seconds()
        if held.claim_id in self.unchecked_claims:
            # A sweep may have put off the request at that very moment: it is due within an hour.
            ended_s += CHECK_UP.total_seconds()
        if (alive := self.alive_until(life.row.request_id)) is not None:
            ended_s = max(ended_s, (alive - EPOCH).total_seconds())
        late_s = self._now() - max(self.quiet_since, life.ran_at, ended_s) - _SWEPT_WITHIN_S
        if late_s > 0:
            what = f"{held.attempt_id} is held {late_s:.0f} s too long"
            raise Violation(Invariant.LOST_IS_BACK, f"{what}; due {life.row.due_at}")

    def overdue(self, types: Iterable[str], before: datetime) -> dict[str, Attempt]:
        """Return the attempts of these types, by id, whose lease was over before a time."""
        return {
            attempt.attempt_id: attempt
            for life in self.lives.values()
            for attempt in life.open_attempts.values()
            if attempt.is_polled and attempt.type in types and attempt.has_lapsed(before)
        }

    def poll_gives_back(self, seen: Mapping[str, Attempt], types: Iterable[str]) -> None:
        """Nothing that was overdue when a poll began is held in the same way after it."""
        for attempt_id, attempt in self.overdue(types, datetime.max.replace(tzinfo=UTC)).items():
            before = seen.get(attempt_id)
            if before is not None and before.lease_until == attempt.lease_until:
                what = f"{attempt_id} is still held, its lease was over at {attempt.lease_until}"
                raise Violation(Invariant.POLL_GIVES_BACK, what)

    def slots_are_free(self, free: Mapping[str, int]) -> None:
        """Once nothing runs, every slot of a limited type can be claimed."""
        for name, limit in self.limits.items():
            if free[name] != limit:
                raise Violation(Invariant.SLOTS_FREE, f"{name}: {free[name]} of {limit}")

    def _fails_by_its_own_failure(self, life: Life, old: Request, new: Request) -> None:
        """A retried request does not fail by a failure from before the retry."""
        if (old.status, new.status) != (_R.INPROGRESS, _R.FAILED) or new.error is None:
            return
        if new.error.attempt_id is not None:
            step, number, _ = map(int, new.error.attempt_id.rsplit(".", 3)[1:])
            job = life.row_of(step, number)
            if job.status not in _OPEN and job.generation < new.generation:
                what = f"{new.request_id} g{new.generation} fails by {job.attempt_id}"
                raise Violation(Invariant.RETRY_HOLDS, f"{what} g{job.generation}")

    def _step_that_is_to_finish_does(self, life: Life, old: Request, new: Request) -> None:
        """A job's failure ends its request only once every job has an outcome since the retry."""
        if (old.status, new.status) != (_R.INPROGRESS, _R.FAILED) or new.error is None:
            return
        if new.error.attempt_id is None:
            return  # It fails by no job.
        for (step, _), job in life.jobs.items():
            if step != new.current_step or job.on_failure is not OnFailure.FINISH:
                continue
            is_failed = job.status is _A.FAILURE and job.generation == new.generation
            if job.status is not _A.COMPLETED and not is_failed:
                what = f"{new.request_id} g{new.generation} fails, and {job.attempt_id} is"
                raise Violation(
                    Invariant.STEP_FINISHES, f"{what} {job.status} of g{job.generation}"
                )

    def _nothing_is_cancelled_that_may_run(self, life: Life, old: Attempt, new: Attempt) -> None:
        """Attempts are cancelled only once their request has ended."""
        if new.status is _A.CANCELLED and old.status is _A.NEW and not life.row.has_ended:
            raise Violation(Invariant.RETRY_HOLDS, f"{new.attempt_id} g{new.generation} cancelled")

    def _nothing_in_hand_is_lost(self, old: Attempt, new: Attempt) -> None:
        """No attempt is lost by faults that its process lives to see the end of."""
        is_lost = new.error is not None and new.error.type == "LeaseExpired"
        if self.is_gentle and is_lost and not new.is_polled and old.status is _A.INPROGRESS:
            raise Violation(Invariant.OUTCOME_KEPT, f"{new.attempt_id} is lost")

    def _nothing_open_leaves_the_sweeps_sight(self, life: Life, new: Request) -> None:
        """A request that has not ended, or has open attempts, has a due time."""
        if new.due_at is not None:
            return
        if not new.has_ended or life.open_attempts:
            what = f"{new.request_id}, {new.status}, {len(life.open_attempts)} open, is never due"
            raise Violation(Invariant.IN_SIGHT, what)

    # -- progress ------------------------------------------------------------------------------

    def makes_progress(
        self, clock: datetime, started_at: float, allowance: Callable[[Life], timedelta]
    ) -> None:
        """Once the faults are over, every request makes progress within its allowance.

        It counts from the latest of its last progress, the end of the faults, the end of its
        longest back-off and of its leases (live holders renew them), and its start time.
        """
        zero = clock - timedelta(seconds=self._now())
        for life in self.lives.values():
            row = life.row
            if row.has_ended and row.due_at is None and not life.open_attempts:
                continue
            since = [zero + timedelta(seconds=max(life.progress_at, started_at))]
            for attempt in life.open_attempts.values():
                times = (attempt.wake_at, attempt.lease_until, attempt.poll_until)
                since += [t for t in times if t]
            if any(a.is_polled and a.status is _A.NEW for a in life.open_attempts.values()):
                since += self._workers_had_others(zero)
            step = life.steps.get(row.current_step)
            if step is not None and step.stall is not None:
                since.append(step.stall.next_at)
            if row.status is _R.QUEUING and row.start_at is not None:
                since.append(row.start_at)
            late = clock - max(since) - allowance(life)
            if late > timedelta(0):
                what = f"{row.request_id}, {row.status}, stands still, {late.total_seconds():.0f} s"
                raise Violation(Invariant.SETTLES, f"{what} too long; due {row.due_at}")

    def _workers_had_others(self, zero: datetime) -> list[datetime]:
        """Return the times until which workers, or a limit, were busy with other jobs."""
        lives = self.lives.values()
        return [
            *(zero + timedelta(seconds=life.progress_at) for life in lives),
            *(
                a.lease_until
                for life in lives
                for a in life.open_attempts.values()
                if a.lease_until
            ),
        ]

    def progress_at(self) -> float:
        """Return when a request last made progress."""
        return max((life.progress_at for life in self.lives.values()), default=0.0)

    def has_settled(self) -> bool:
        """Whether every request has ended, with nothing open."""
        return all(
            life.row.has_ended and life.row.due_at is None and not life.open_attempts
            for life in self.lives.values()
        )

    def at_the_end(
        self, running: Iterable[str], transitions: Mapping[str, tuple[int, int]]
    ) -> None:
        """Check that every request has ended, every count is right, and no execution runs."""
        for life in self.lives.values():
            row = life.row
            if not row.has_ended or life.open_attempts or row.due_at is not None:
                what = f"{row.request_id} is {row.status}, {list(life.open_attempts)} open"
                raise Violation(Invariant.SETTLES, what)
            for step in life.steps.values():
                self._counts_are_right(life, step)
                self._arrivals_are_counted(life, step)
            self._costs_little(life, *transitions.get(row.request_id, (0, 0)))
        if left := list(running):
            raise Violation(Invariant.SETTLES, f"executions run on: {', '.join(left)}")

    def _costs_little(self, life: Life, executions: int, transitions: int) -> None:
        """The transitions are bounded by the numbers of attempts, steps, executions and stalls.

        Without faults a step takes four, and one for each batch; an execution that fails or gives
        way to another takes some more. Each of several executions holds back in each stall.
        """
        attempts = sum(count.total() for count in life.counts.values())
        counted = 1 + executions * (1 + life.stalls) + life.row.current_step + attempts
        owed = _TRANSITIONS_EACH * counted
        if transitions > owed:
            what = f"{life.row.request_id} took {transitions} of at most {owed} transitions"
            raise Violation(Invariant.COSTS_LITTLE, what)

    def _text(self, payload: Payload) -> str:
        return payload.text if payload.ref is None else self._blobs[payload.ref].decode()  # type: ignore[return-value]
