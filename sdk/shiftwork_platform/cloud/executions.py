"""Step Functions: executions in virtual time, with time limits, retries and faults.

The items of a Map run side by side.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.errors import NotFound
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.hub import Group, Signal
from shiftwork_platform.machine.interpreter import (
    Run,
    State,
    StateFailed,
    TaskCall,
    map_concurrency,
    map_inputs,
    map_result,
    matching,
    task_call,
    task_result,
    wait_s,
)
from shiftwork_platform.machine.paths import Json

if TYPE_CHECKING:
    from shiftwork_platform.cloud.cloud import Cloud

_FUNCTIONS = {
    "AdvanceRequest": "advance_request",
    "RunJobs": "run_jobs",
}


class Execution:
    """One execution. Stopping it ends its own actors; the functions it called run on."""

    def __init__(self, name: str, state: Json) -> None:
        self.name = name
        self.input = state
        self.group = Group(name)
        self.status = "RUNNING"
        self.transitions = 0
        #: Until when it holds back; then it goes on by itself.
        self.waits_until = 0.0


class Machine:
    """The state machine's executions, and the tokens they wait with."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.executions: dict[str, Execution] = {}
        #: Those that run, in the order in which they started.
        self.running: dict[str, Execution] = {}
        #: Requests for which somebody has started an execution by hand.
        self.twins: dict[str, None] = {}
        self._tokens: dict[str, Signal] = {}
        self._token_count = 0

    # -- what the platform calls ---------------------------------------------------------------

    def start(self, request_id: str, execution: int) -> None:
        """Start an execution, unless there is or was one of this name."""
        name = request_id if execution == 1 else f"{request_id}-{execution}"
        if name not in self.executions:
            state = {"request_id": request_id, "execution": execution, "events": 0}
            self._start(name, state)

    def wake_execution(self, token: str) -> bool:
        """Complete the task that waits with this token, if one does."""
        waiting = self._tokens.pop(token, None)
        if waiting is not None:
            waiting.set()
        return waiting is not None

    # -- what people do ------------------------------------------------------------------------

    def start_by_hand(self, name: str, state: Json) -> None:
        """Start an execution under any name."""
        self.twins[state["request_id"]] = None
        self._start(name, state)

    def _start(self, name: str, state: Json) -> None:
        execution = Execution(name, state)
        self.executions[name] = self.running[name] = execution
        work = partial(self._run, execution)
        self._cloud.hub.spawn(name, work, execution.group)

    def stop(self, execution: Execution) -> None:
        """Stop an execution, whatever state it is in."""
        self._end(execution, "ABORTED")
        self._cloud.hub.kill(execution.group)

    def transitions(self) -> dict[str, tuple[int, int]]:
        """Return for each request the number of its executions, and of their transitions."""
        taken: dict[str, tuple[int, int]] = {}
        for execution in self.executions.values():
            request_id = execution.input["request_id"]
            executions, transitions = taken.get(request_id, (0, 0))
            taken[request_id] = (executions + 1, transitions + execution.transitions)
        return taken

    # -- interpreting --------------------------------------------------------------------------

    def _run(self, execution: Execution) -> None:
        definition = self._cloud.definition_of(execution.name)
        try:
            self._run_states(execution, Run(definition, execution.input))
        except StateFailed as failure:
            self._cloud.note("fails", (failure.error,), {})
            self._end(execution, "FAILED")
        else:
            self._cloud.note("succeeds")
            self._end(execution, "SUCCEEDED")

    def _end(self, execution: Execution, status: str) -> None:
        if execution.status == "RUNNING":
            execution.status = status
            del self.running[execution.name]

    def _run_states(self, execution: Execution, run: Run) -> Json:
        """Go from state to state up to the last; return its output."""
        while run.at is not None:
            self._enter(execution)
            if run.enter():
                continue
            if run.state["Type"] == "Wait":
                seconds = wait_s(run.state, run.data)
                execution.waits_until = self._cloud.hub.now + seconds
                self._cloud.hub.sleep(seconds)
                run.leave(run.data)
                continue
            try:
                result = self._with_retries(execution, run.state, run.data)
            except StateFailed as failure:
                run.fail(failure)
            else:
                run.leave(result)
        return run.data

    def _enter(self, execution: Execution) -> None:
        """Count a transition."""
        execution.transitions += 1

    def _begin_item(self, execution: Execution, state: State) -> Execution:
        """Return the execution that the states of an item of a Map belong to."""
        return execution

    def _with_retries(self, execution: Execution, state: State, data: Json) -> Json:
        do = self._do_task if state["Type"] == "Task" else self._do_map
        used: dict[int, int] = {}
        while True:
            try:
                return do(execution, state, data)
            except StateFailed as failure:
                retrier = matching(state.get("Retry", ()), failure.error)
                if retrier is None:
                    raise
                tries = used[id(retrier)] = used.get(id(retrier), 0) + 1
                if tries > retrier["MaxAttempts"]:
                    raise
            wait_s = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** (tries - 1)
            assert retrier["JitterStrategy"] == "FULL"
            wait_s = min(wait_s, retrier["MaxDelaySeconds"]) * self._cloud.draw()
            self._cloud.hub.sleep(wait_s)

    def _do_task(self, execution: Execution, state: State, data: Json) -> Json:
        self._token_count += 1
        token = f"t{self._token_count}"
        call = task_call(state, data, token)
        if call.awaits_token:
            return self._await(call, token, state["TimeoutSeconds"])
        return task_result(state, self._call(call))

    def _call(self, call: TaskCall) -> Json:
        """Invoke the function. Its own time limit lies within the task's."""
        self._cloud.hub.pause()
        try:
            return self._cloud.functions.call(_FUNCTIONS[call.function], call.payload)
        except FunctionError as error:
            raise StateFailed(error.name, error.cause) from error

    def _await(self, call: TaskCall, token: str, timeout_s: float) -> Json:
        """Invoke the function, and wait for the token; it may be sent while the function runs."""
        hub = self._cloud.hub
        failures = list[StateFailed]()
        done = self._tokens[token] = Signal(hub)

        def invoke() -> None:
            try:
                self._call(call)
            except StateFailed as failure:
                failures.append(failure)
                done.set()

        hub.spawn(f"{hub.actor.name}'", invoke, hub.actor.group)
        try:
            is_done = hub.wait(done, timeout_s)
        finally:
            self._tokens.pop(token, None)  # Even if the execution is stopped meanwhile.
        if failures:
            raise failures[0]
        if not is_done:
            raise StateFailed("States.Timeout", "the token was not sent in time")
        return {}

    def _do_map(self, execution: Execution, state: State, data: Json) -> Json:
        given = map_inputs(state, data, self._read_items)
        results: list[Json] = [None] * len(given)
        failures: list[StateFailed] = []
        hub = self._cloud.hub
        waiting = list(range(len(given)))
        at_once = map_concurrency(state, data)
        ended = [Signal(hub) for _ in range(min(len(given), at_once))]

        def work(ended: Signal) -> None:
            while waiting:
                index = waiting.pop(0)
                run = Run(state["ItemProcessor"], given[index])
                try:
                    results[index] = self._run_states(self._begin_item(execution, state), run)
                except StateFailed as failure:
                    failures.append(failure)
            ended.set()

        for number, signal in enumerate(ended):
            hub.spawn(f"{execution.name}/{number}", partial(work, signal), execution.group)
        for signal in ended:
            hub.wait(signal)
        return map_result(state, results, failures)

    def _read_items(self, parameters: dict[str, str]) -> list[Json]:
        if self._cloud.faults.strikes(Fault.REQUEST_LOST):
            raise StateFailed("States.ItemReaderFailed", "no answer")
        try:
            items: list[Json] = json.loads(self._cloud.blobs.get(parameters["Key"]))
        except NotFound as error:
            raise StateFailed("States.ItemReaderFailed", str(error)) from error
        return items
