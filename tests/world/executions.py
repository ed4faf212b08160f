"""Step Functions in memory: a test steps its executions from state to state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_platform.machine.interpreter import (
    Run,
    State,
    StateFailed,
    load_machine,
    map_inputs,
    map_result,
    task_call,
    task_result,
    wait_s,
)
from shiftwork_platform.machine.paths import Json
from shiftwork_platform.tree import STATE_MACHINE

#: Calls a function by its logical id, e.g. `RunJobs`, with a payload.
Invoke = Callable[[str, Json], Json]


@dataclass
class Execution:
    """One execution. `step` enters and does one state; `transitions` counts as AWS bills.

    There are no retries: a task whose function raises has failed.
    """

    name: str
    run: Run
    invoke: Invoke
    read_items: Callable[[dict[str, str]], list[Json]]
    sleep: Callable[[float], None]
    status: str = "RUNNING"
    error: tuple[str, str] | None = None
    transitions: int = 0
    #: The token that it waits for, if it waits.
    token: str | None = None
    #: The states that it has entered; those of a map's items do not count.
    history: list[str] = field(default_factory=list)

    @property
    def is_runnable(self) -> bool:
        return self.status == "RUNNING" and self.token is None

    def wake(self) -> None:
        """Go on after the task that waited for the token."""
        self.token = None
        self.run.leave({})

    def step(self) -> None:
        """Enter the next state and do it."""
        assert self.run.at is not None
        self.history.append(self.run.at)
        try:
            self._step(self.run)
        except StateFailed as failure:
            self.status, self.error = "FAILED", (failure.error, failure.cause)
        else:
            if self.run.at is None:
                self.status = "SUCCEEDED"

    def _step(self, run: Run) -> None:
        self.transitions += 1
        if run.enter():
            return
        try:
            match run.state["Type"]:
                case "Task":
                    self._do_task(run)
                case "Wait":
                    self.sleep(wait_s(run.state, run.data))
                    run.leave(run.data)
                case _:
                    run.leave(self._do_map(run.state, run.data))
        except StateFailed as failure:
            self.token = None
            run.fail(failure)

    def _do_task(self, run: Run) -> None:
        state, token = run.state, f"{self.name}:{self.transitions}"
        call = task_call(state, run.data, token)
        if call.awaits_token:
            self.token = token
        try:
            answer = self.invoke(call.function, call.payload)
        except Exception as error:
            if call.awaits_token and self.token is None:
                return  # It was woken before the function failed.
            raise StateFailed(type(error).__name__, str(error)) from error
        if not call.awaits_token:  # Otherwise `wake` goes on, and perhaps already has.
            run.leave(task_result(state, answer))

    def _do_map(self, state: State, data: Json) -> Json:
        results, failures = [], []
        for given in map_inputs(state, data, self.read_items):
            run = Run(state["ItemProcessor"], given)
            try:
                while run.at is not None:
                    self._step(run)
            except StateFailed as failure:
                failures.append(failure)
            results.append(run.data)
        return map_result(state, results, failures)


@dataclass
class Machine:
    """The state machine: its executions by name, and the tokens they wait for.

    `sleep` lets the seconds of a Wait pass.
    """

    invoke: Invoke
    read_items: Callable[[dict[str, str]], list[Json]]
    sleep: Callable[[float], None]
    executions: dict[str, Execution] = field(default_factory=dict)
    #: The file of the state machine.
    definition: Path = STATE_MACHINE

    def start(self, request_id: str, execution: int) -> None:
        name = request_id if execution == 1 else f"{request_id}-{execution}"
        if name not in self.executions:
            self.start_as(name, request_id, execution)

    def start_as(self, name: str, request_id: str, execution: int) -> None:
        """Start an execution under any name, as people may."""
        state: JsonObject = {"request_id": request_id, "execution": execution, "events": 0}
        run = Run(load_machine(self.definition), state)
        self.executions[name] = Execution(name, run, self.invoke, self.read_items, self.sleep)

    def wake_execution(self, token: str) -> bool:
        waiting = [
            execution
            for execution in self.executions.values()
            if execution.token == token and execution.status == "RUNNING"
        ]
        for execution in waiting:
            execution.wake()
        return bool(waiting)
