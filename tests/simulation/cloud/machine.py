"""Step Functions: interprets the project's own state machine, with its time limits and retries.

Branches of a Map run side by side. Of the Amazon States Language it knows what `statemachines/`
uses, and refuses the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from shiftwork_core.errors import NotFound
from tests.simulation.cloud.functions import FunctionError
from tests.simulation.faults import Fault
from tests.simulation.hub import Group, Signal
from tests.world.paths import Json, choose, fill, get, load_definition, place, text

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

State = dict[str, Any]

_FUNCTIONS = {
    "${AdvanceRequestFunctionArn}": "advance_request",
    "${RunJobsFunctionArn}": "run_jobs",
}
_KNOWN_FIELDS = {
    "Task": {
        "Type", "Comment", "Resource", "Parameters", "ResultSelector", "ResultPath", "OutputPath",
        "TimeoutSeconds", "Retry", "Catch", "Next", "End",
    },
    "Map": {
        "Type", "Comment", "Label", "ItemsPath", "ItemReader", "ItemSelector", "ItemProcessor",
        "MaxConcurrency", "ToleratedFailurePercentage", "ResultSelector", "ResultPath", "Retry",
        "Catch", "Next", "End",
    },
    "Pass": {"Type", "Comment", "Parameters", "Next", "End"},
    "Choice": {"Type", "Comment", "Choices", "Default"},
    "Succeed": {"Type", "Comment"},
    "Fail": {"Type", "Comment", "Error", "Cause", "ErrorPath", "CausePath"},
}  # fmt: skip


class StateFailed(Exception):
    """A state failed, with the name and cause that Retry, Catch and the execution see."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Execution:
    """One execution. Stopping it ends its own actors; the functions it called run on."""

    def __init__(self, name: str, state: Json) -> None:
        self.name = name
        self.input = state
        self.group = Group(name)
        self.status = "RUNNING"
        self.transitions = 0


class Machine:
    """The state machine's executions, and the tokens they wait with."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._definition = load_definition()
        _check_fields(self._definition)
        self.executions: dict[str, Execution] = {}
        #: Those that run, in the order of their start.
        self.running: dict[str, Execution] = {}
        #: Requests of which somebody has started an execution by hand.
        self.twins: dict[str, None] = {}
        self._tokens: dict[str, Signal] = {}
        self._token_count = 0

    # -- what the platform calls ---------------------------------------------------------------

    def start(self, request_id: str, execution: int) -> None:
        """Start an execution; a name that was used stands for the execution that has it."""
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
        self._simulation.hub.spawn(name, work, execution.group)

    def stop(self, execution: Execution) -> None:
        """Stop an execution, wherever it is."""
        self._end(execution, "ABORTED")
        self._simulation.hub.kill(execution.group)

    def transitions(self) -> dict[str, tuple[int, int]]:
        """Return of each request how many executions it took, and how many transitions these."""
        taken: dict[str, tuple[int, int]] = {}
        for execution in self.executions.values():
            request_id = execution.input["request_id"]
            executions, transitions = taken.get(request_id, (0, 0))
            taken[request_id] = (executions + 1, transitions + execution.transitions)
        return taken

    # -- interpreting --------------------------------------------------------------------------

    def _run(self, execution: Execution) -> None:
        try:
            self._run_states(execution, self._definition, execution.input)
        except StateFailed as failure:
            self._simulation.note("fails", (failure.error,), {})
            self._end(execution, "FAILED")
        else:
            self._simulation.note("succeeds")
            self._end(execution, "SUCCEEDED")

    def _end(self, execution: Execution, status: str) -> None:
        if execution.status == "RUNNING":
            execution.status = status
            del self.running[execution.name]

    def _run_states(self, execution: Execution, machine: State, data: Json) -> Json:
        """Go from state to state until one is the last; return what it leaves."""
        at = machine["StartAt"]
        while True:
            state = machine["States"][at]
            execution.transitions += 1
            match state["Type"]:
                case "Choice":
                    at = choose(state, data)
                    continue
                case "Succeed":
                    return data
                case "Fail":
                    raise StateFailed(text(state, "Error", data), text(state, "Cause", data))
                case "Pass":
                    data = fill(state["Parameters"], data, {})
                case _:
                    try:
                        result = self._with_retries(execution, state, data)
                    except StateFailed as failure:
                        catcher = _matching(state.get("Catch", ()), failure.error)
                        if catcher is None:
                            raise
                        output = {"Error": failure.error, "Cause": failure.cause}
                        data = place(data, catcher.get("ResultPath", "$"), output)
                        at = catcher["Next"]
                        continue
                    data = place(data, state.get("ResultPath", "$"), result)
                    data = get(state.get("OutputPath", "$"), data, {})
            if state.get("End"):
                return data
            at = state["Next"]

    def _with_retries(self, execution: Execution, state: State, data: Json) -> Json:
        do = self._do_task if state["Type"] == "Task" else self._do_map
        used: dict[int, int] = {}
        while True:
            try:
                return do(execution, state, data)
            except StateFailed as failure:
                retrier = _matching(state.get("Retry", ()), failure.error)
                if retrier is None:
                    raise
                tries = used[id(retrier)] = used.get(id(retrier), 0) + 1
                if tries > retrier["MaxAttempts"]:
                    raise
            wait_s = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** (tries - 1)
            assert retrier["JitterStrategy"] == "FULL"
            wait_s = min(wait_s, retrier["MaxDelaySeconds"]) * self._simulation.draw()
            self._simulation.hub.sleep(wait_s)

    def _do_task(self, execution: Execution, state: State, data: Json) -> Json:
        resource = state["Resource"].removeprefix("arn:aws:states:::")
        call: Callable[[State, Json, Json], Json]
        call = {"lambda:invoke": self._call, "lambda:invoke.waitForTaskToken": self._await}[
            resource
        ]
        self._token_count += 1
        token = f"t{self._token_count}"
        context = {"Task": {"Token": token}, "Execution": {"Name": execution.name}}
        result = call(state, data, context)
        if "ResultSelector" in state:
            result = fill(state["ResultSelector"], result, context)
        return result

    def _call(self, state: State, data: Json, context: Json) -> Json:
        """Invoke the function. Its own time limit lies within the task's."""
        parameters = fill(state["Parameters"], data, context)
        payload = json.loads(json.dumps(parameters["Payload"]))
        function = _FUNCTIONS[parameters["FunctionName"]]
        self._simulation.hub.pause()
        try:
            answer = self._simulation.functions.call(function, payload)
        except FunctionError as error:
            raise StateFailed(error.name, error.cause) from error
        return {"Payload": json.loads(json.dumps(answer))}

    def _await(self, state: State, data: Json, context: Json) -> Json:
        """Invoke the function, and wait for the token; it may be sent while the function runs."""
        hub = self._simulation.hub
        token, failures = context["Task"]["Token"], list[StateFailed]()
        done = self._tokens[token] = Signal(hub)

        def call() -> None:
            try:
                self._call(state, data, context)
            except StateFailed as failure:
                failures.append(failure)
                done.set()

        hub.spawn(f"{hub.actor.name}'", call, hub.actor.group)
        try:
            is_done = hub.wait(done, state["TimeoutSeconds"])
        finally:
            self._tokens.pop(token, None)  # A stopped execution waits for nothing either.
        if failures:
            raise failures[0]
        if not is_done:
            raise StateFailed("States.Timeout", "the token was not sent in time")
        return {}

    def _do_map(self, execution: Execution, state: State, data: Json) -> Json:
        if "ItemReader" in state:
            items = self._read_items(fill(state["ItemReader"]["Parameters"], data, {}))
        else:
            items = get(state["ItemsPath"], data, {})
        results: list[Json] = [None] * len(items)
        failures: list[StateFailed] = []
        hub = self._simulation.hub
        waiting = list(range(len(items)))
        ended = [Signal(hub) for _ in range(min(len(items), state["MaxConcurrency"]))]

        def work(ended: Signal) -> None:
            while waiting:
                index = waiting.pop(0)
                context = {"Map": {"Item": {"Value": items[index]}}}
                child = fill(state["ItemSelector"], data, context)
                try:
                    results[index] = self._run_states(execution, state["ItemProcessor"], child)
                except StateFailed as failure:
                    failures.append(failure)
            ended.set()

        for number, signal in enumerate(ended):
            hub.spawn(f"{execution.name}/{number}", partial(work, signal), execution.group)
        for signal in ended:
            hub.wait(signal)
        if failures and state.get("ToleratedFailurePercentage", 0) < 100:
            raise failures[0]
        return fill(state["ResultSelector"], results, {}) if "ResultSelector" in state else results

    def _read_items(self, parameters: dict[str, str]) -> list[Json]:
        if self._simulation.faults.strikes(Fault.REQUEST_LOST):
            raise StateFailed("States.ItemReaderFailed", "no answer")
        try:
            items: list[Json] = json.loads(self._simulation.blobs.get(parameters["Key"]))
        except NotFound as error:
            raise StateFailed("States.ItemReaderFailed", str(error)) from error
        return items


def _matching(handlers: Any, error: str) -> Any:
    """Return the first Retry or Catch that names the error."""
    for handler in handlers:
        if error in handler["ErrorEquals"] or "States.ALL" in handler["ErrorEquals"]:
            return handler
    return None


def _check_fields(machine: State) -> None:
    """Refuse a machine that uses what is not interpreted here."""
    for name, state in machine["States"].items():
        if unknown := set(state) - _KNOWN_FIELDS[state["Type"]]:
            raise NotImplementedError(f"{name}: {', '.join(sorted(unknown))}")
        if "ItemProcessor" in state:
            _check_fields(state["ItemProcessor"])
