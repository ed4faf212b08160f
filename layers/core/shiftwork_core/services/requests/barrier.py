"""Make an execution wait until its step's jobs have arrived, and wake it without fail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from shiftwork_core.domain.requests.records import Attempt, Request, Step
from shiftwork_core.domain.requests.step_state import StepState
from shiftwork_core.ports.world import Machine, Runtime
from shiftwork_core.services.requests.executions import Executions
from shiftwork_core.services.requests.outcome_writer import Recording, Result
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.records import RequestRecords

#: A request that only waits is checked again after this long at the latest, in case the process
#: that should have woken it died between its write and the wake-up.
CHECK_UP = timedelta(hours=1)


class StepBarrier:
    """The barrier after a step: one execution waits there, and the last job to arrive wakes it.

    The barrier is the step's row. A job arrives when it completes; in a step with
    `on_failure: finish`, or of an entry that tolerates failures, also when it fails for good, so
    there every job arrives. (Another's failure ends the request, and that wakes the execution by
    itself.) A block arrives when the last of its jobs has. `arrivals` counts the jobs
    that no Map's join waits for: whoever records their outcomes reports them to `arrive`
    afterwards, once a step for a whole batch of them. `token` is the task token of the execution
    that waits, and `target` the number of arrivals it waits for.

    **No wake-up is missed.** `wait` reads first the step's row, then its attempts; it then writes
    the token with the target: the arrivals it read, and the attempts that it saw still out. So
    every job that has arrived by the last arrival is either in the arrivals that were read, or in
    what was out, or it arrived between the two reads. An arrival of the last kind makes the target
    one too low: the wake-up comes early, never late. Registering the token and counting an arrival
    are both updates of the one row, so one comes first: either the arrival finds token and target
    and wakes, or the registration finds that the arrivals have reached the target, and `wait` wakes
    its own execution. The same holds for a request that ends: its end is written before the token
    is looked for, and `wait` reads the request after it has written the token. A token is never
    overwritten before it is woken, so of two executions that wait at one step both are woken.

    **A process may die at any point.** Before the last arrival wakes an execution, it makes the
    request due, so a sweep finds it if the wake-up is lost. An arrival that was recorded but not
    counted leaves fewer jobs out than the target needs; whoever looks when the request is due, at
    the end of a lease or after `CHECK_UP`, finds that, and a fresh execution takes over. (A worker
    that repeats its report counts it before.)

    **An early or repeated wake-up is harmless.** The execution that it wakes settles the step from
    the table, as at any other time, and waits again if jobs are still out. An arrival that is
    counted twice only wakes early, and a token that is spent is ignored.
    """

    def __init__(
        self,
        *,
        records: RequestRecords,
        machine: Machine,
        executions: Executions,
        recorder: OutcomeRecorder,
        runtime: Runtime,
    ) -> None:
        self._records = records
        self._machine = machine
        self._executions = executions
        self._recorder = recorder
        self._runtime = runtime

    # -- waiting -------------------------------------------------------------------------------

    def wait(self, request_id: str, execution: int, token: str) -> None:
        """Register the execution's task token, or wake it at once if there is a reason to."""
        if not self._waits(request_id, execution, token):
            self._machine.wake_execution(token)

    def _waits(self, request_id: str, execution: int, token: str) -> bool:
        request = self._records.requests.get(request_id)
        if request is None or not request.is_advanced_by(execution):
            return False
        step = self._records.requests.get_step(request_id, request.current_step)
        if step is None:
            return False
        state = self._records.read_step(request, self._runtime)
        if not state.is_only_out:
            return False
        if (
            step.token is not None
            and step.token != token
            and self._machine.wake_execution(step.token)
        ):
            # Another execution of this number waits, started by hand; or this very wait was
            # registered before, and its execution given up. Wake it before overwriting its token:
            # this process may die between the two. Both executions would come round and wait
            # again, each waking the other without end, so a fresh one replaces both.
            self._executions.hand_over(request)
            return False
        registered = self._records.requests.register_waiter(
            step, token, step.arrivals + len(state.out)
        )
        if not registered.won:
            # Another execution waits by now, and overwriting its token would leave it unwoken.
            # This one comes round, and then knows of the other.
            return False
        if registered.row.has_no_pending_jobs:
            # The due time stays: the last arrival may have found no token to wake, and this
            # execution may be stopped by now.
            return False
        if self._has_missed(request, state):
            return False
        self._rest(request, state)
        again = self._records.requests.get(request_id)
        return again is not None and again.is_advanced_by(execution)

    def _has_missed(self, request: Request, seen: StepState) -> bool:
        """Whether a job that was seen out arrived before the token was written.

        A batch that had found no token then has not counted it.
        """
        if not any(attempt.is_joined for attempt in seen.out):
            return False  # The others are counted in any case.
        # Whatever else happens to one of these jobs takes it out of this set as well.
        out = {a.key.job for a in self._records.read_step(request, self._runtime).out}
        return not out.issuperset(attempt.key.job for attempt in seen.out)

    def keeps_waiting(self, request: Request) -> bool:
        """Return whether a request that is due only waits for workers.

        If so, it is due again when the next of them should have reported. Attempts of workers that
        did not report in time are expired here; that takes no execution.
        """
        step = self._records.requests.get_step(request.request_id, request.current_step)
        if step is None or step.token is None or step.has_no_pending_jobs:
            return False
        state = self._records.read_step(request, self._runtime)
        if not any(attempt.is_polled for attempt in [*state.out, *state.lapsed]):
            return False
        if state.lapsed:
            self.report_all([(one, self._recorder.expire(one)) for one in state.lapsed])
            step = self._records.requests.get_step(request.request_id, step.index) or step
            state = self._records.read_step(request, self._runtime)
        # An uncounted arrival would leave the execution waiting forever.
        is_reachable = step.target is not None and step.target <= step.arrivals + len(state.out)
        if not state.is_only_out or not is_reachable:
            return False
        self._rest(request, state)
        return True

    # -- arriving ------------------------------------------------------------------------------

    def arrive(self, request_id: str, step: int, count: int) -> None:
        """Count workers' jobs that have arrived; wake the execution if they were the last.

        If this process dies before that, `keeps_waiting` finds them when the request is due.
        """
        row = self._records.requests.count_arrivals(request_id, step, count)
        if row is None or row.token is None or not row.has_no_pending_jobs:
            return
        if row.target is not None and row.arrivals - count < row.target:
            # Before the wake-up: the execution may be dead already, or die before it gets far.
            self._records.requests.bring_due_forward(request_id, self._runtime.clock())
        self._machine.wake_execution(row.token)

    def report(self, attempt: Attempt, recording: Recording) -> Result:
        """Report a recorded outcome; return how the attempt was left."""
        self.report_all([(attempt, recording)])
        return recording.result

    def report_all(self, recorded: Iterable[tuple[Attempt, Recording]]) -> None:
        """Count what has arrived, then tally it: each in one write a step."""
        of_step: dict[tuple[str, int], list[tuple[Attempt, Recording]]] = {}
        for attempt, recording in recorded:
            step = attempt.request_id, attempt.key.step
            of_step.setdefault(step, []).append((attempt, recording))
        for (request_id, index), pairs in of_step.items():
            if arrivals := sum(recording.arrivals for _, recording in pairs):
                self.arrive(request_id, index, arrivals)
        for (request_id, _), pairs in of_step.items():
            attempt, _ = pairs[0]
            if attempt.is_wide:
                left = [recording.counts for _, recording in pairs]
                self._records.add_tally(request_id, attempt.key, left, self._runtime.clock())

    def end_batch(
        self, request_id: str, step: int, arrivals: int, *, joins: int = 0, is_joined: bool
    ) -> None:
        """Count what has arrived in a batch, in one write; wake the execution if need be.

        `joins`: how many more have arrived that a Map's join would wait for, in a batch that was
        called. They are counted only if an execution waits: one that comes to wait sees them.

        `is_joined`: a Map's join waits for jobs of the batch. They are counted by that alone, and
        the execution with the Map may have died; whichever waits instead has nothing else to wake
        it. A batch that is run again may find all its arrivals counted by a process that died
        before its wake-up.
        """
        row = self._records.requests.get_step(request_id, step) if joins else None
        if row is not None and row.token is not None:
            arrivals += joins
        if arrivals:
            self.arrive(request_id, step, arrivals)
        if arrivals and not is_joined:
            return
        row = row or self._records.requests.get_step(request_id, step)
        if row is not None and (is_joined or row.has_no_pending_jobs):
            self.wake_waiter(row)

    def wake_waiter(self, step: Step) -> None:
        """Wake the execution that waits at the step, if one does."""
        if step.token is not None:
            self._machine.wake_execution(step.token)

    # -- when to check again -------------------------------------------------------------------

    def _rest(self, request: Request, state: StepState) -> None:
        """Set when a request that only waits is checked again.

        A worker may claim a job while this happens. It brings the due time forward before its
        claim, and checks it afterwards; if it dies between the two, its claim is seen here. A
        due time that lies ahead may come from such a worker, which has not claimed yet, so it is
        not put off.
        """
        due_at, now = self._next_look(state), self._runtime.clock()
        is_claimable = any(attempt.is_polled and attempt.is_waiting for attempt in state.out)
        if is_claimable and request.due_at is not None and now < request.due_at <= due_at:
            return
        self._records.requests.set_due(request, due_at)
        if is_claimable:
            again = self._records.read_step(request, self._runtime)
            # A process held up for long enough finds an attempt held under a lapsed lease.
            earlier = self._next_look(again) if again.is_only_out else self._runtime.clock()
            if earlier < due_at:
                self._records.requests.bring_due_forward(request.request_id, earlier)

    def _next_look(self, state: StepState) -> datetime:
        """Return when a request that only waits is checked again.

        Polled jobs are counted after their outcome is recorded. An arrival left uncounted by a
        process that died is noticed by then.
        """
        check_up = self._runtime.clock() + CHECK_UP
        if state.due_at is None or any(attempt.is_polled for attempt in state.out):
            return min(state.due_at or check_up, check_up)
        return state.due_at
