"""Go from state to state of the project's own state machine.

`Run` goes from state to state. Its caller does the tasks, maps and waits, with `task_call`,
`task_result`, `map_inputs`, `map_result` and `wait_s`, and decides about time limits, retries and
faults. This knows what `statemachines/` uses of the Amazon States Language, and refuses the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shiftwork_platform.machine.paths import Json, choose, fill, get, load_definition, place, text
from shiftwork_platform.tree import STATE_MACHINE

State = dict[str, Any]

_KNOWN_FIELDS = {
    "Task": {
        "Type", "Comment", "Resource", "Parameters", "ResultSelector", "ResultPath", "OutputPath",
        "TimeoutSeconds", "Retry", "Catch", "Next", "End",
    },
    "Map": {
        "Type", "Comment", "Label", "ItemsPath", "ItemReader", "ItemSelector", "ItemProcessor",
        "MaxConcurrency", "MaxConcurrencyPath", "ToleratedFailurePercentage", "ResultSelector",
        "ResultPath", "Retry",
        "Catch", "Next", "End",
    },
    "Pass": {"Type", "Comment", "Parameters", "Next", "End"},
    "Wait": {"Type", "Comment", "SecondsPath", "Next"},
    "Choice": {"Type", "Comment", "Choices", "Default"},
    "Succeed": {"Type", "Comment"},
    "Fail": {"Type", "Comment", "Error", "Cause", "ErrorPath", "CausePath"},
}  # fmt: skip
#: Whether a task of this resource waits for its token.
_RESOURCES = {
    "arn:aws:states:::lambda:invoke": False,
    "arn:aws:states:::lambda:invoke.waitForTaskToken": True,
}


class StateFailed(Exception):
    """A state failed, with the name and cause that Retry, Catch and the execution see."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class Run:
    """A run through the states of a machine, or through those of one item of a Map.

    `at` names the state it stands at, and is None once it has succeeded; `data` is what the states
    hand on.
    """

    __slots__ = ("_states", "at", "data")

    def __init__(self, machine: State, data: Json) -> None:
        self._states = machine["States"]
        self.at: str | None = machine["StartAt"]
        self.data = data

    @property
    def state(self) -> State:
        """The state it stands at."""
        assert self.at is not None
        state: State = self._states[self.at]
        return state

    def enter(self) -> bool:
        """Do the state; return False for a Task, Map or Wait: `leave` or `fail` must follow.

        Raises
        ------
        StateFailed
            If it is a Fail.
        """
        state = self.state
        match state["Type"]:
            case "Choice":
                self.at = choose(state, self.data)
            case "Pass":
                self.leave(fill(state["Parameters"], self.data, {}))
            case "Succeed":
                self.at = None
            case "Fail":
                raise StateFailed(text(state, "Error", self.data), text(state, "Cause", self.data))
            case _:
                return False
        return True

    def leave(self, result: Json) -> None:
        """Go on to the next state with the result of this one."""
        state = self.state
        data = place(self.data, state.get("ResultPath", "$"), result)
        self.data = get(state.get("OutputPath", "$"), data, {})
        self.at = None if state.get("End") else state["Next"]

    def fail(self, failure: StateFailed) -> None:
        """Go where the state's Catch sends the failure.

        Raises
        ------
        StateFailed
            The failure itself, if nothing catches it.
        """
        catcher = matching(self.state.get("Catch", ()), failure.error)
        if catcher is None:
            raise failure
        output = {"Error": failure.error, "Cause": failure.cause}
        self.data = place(self.data, catcher.get("ResultPath", "$"), output)
        self.at = catcher["Next"]


def matching(handlers: Sequence[State], error: str) -> State | None:
    """Return the first Retry or Catch that names the error."""
    for handler in handlers:
        if error in handler["ErrorEquals"] or "States.ALL" in handler["ErrorEquals"]:
            return handler
    return None


@dataclass(frozen=True, slots=True)
class TaskCall:
    """The call of a function that a Task makes; `function` is its logical id, e.g. `RunJobs`."""

    function: str
    payload: Json
    awaits_token: bool


def task_call(state: State, data: Json, token: str) -> TaskCall:
    """Return the call that a Task makes; `token` is its token, should it want one."""
    parameters = fill(state["Parameters"], data, {"Task": {"Token": token}})
    function = parameters["FunctionName"].removeprefix("${").removesuffix("FunctionArn}")
    return TaskCall(function, _copied(parameters["Payload"]), _RESOURCES[state["Resource"]])


def task_result(state: State, answer: Json) -> Json:
    """Return the result of a Task whose function has answered."""
    return _selected(state, {"Payload": _copied(answer)})


def wait_s(state: State, data: Json) -> int:
    """Return how many seconds a Wait takes."""
    return int(get(state["SecondsPath"], data, {}))


def map_concurrency(state: State, data: Json) -> int:
    """Return how many items of a Map run at once; in older releases that is a number."""
    fixed: int | None = state.get("MaxConcurrency")
    at_once: int = get(state["MaxConcurrencyPath"], data, {}) if fixed is None else fixed
    return at_once


def map_inputs(
    state: State, data: Json, read_items: Callable[[dict[str, str]], list[Json]]
) -> list[Json]:
    """Return the input of each item's run; `read_items` reads a bucket's key."""
    if "ItemReader" in state:
        items = read_items(fill(state["ItemReader"]["Parameters"], data, {}))
    else:
        items = get(state["ItemsPath"], data, {})
    return [fill(state["ItemSelector"], data, {"Map": {"Item": {"Value": item}}}) for item in items]


def map_result(state: State, results: list[Json], failures: Sequence[StateFailed]) -> Json:
    """Return the result of a Map whose items' runs have ended.

    Raises
    ------
    StateFailed
        If one of them failed, and the Map does not tolerate it.
    """
    if failures and state.get("ToleratedFailurePercentage", 0) < 100:
        raise failures[0]
    return _selected(state, results)


def _selected(state: State, result: Json) -> Json:
    return fill(state["ResultSelector"], result, {}) if "ResultSelector" in state else result


def _copied(value: Json) -> Json:
    """Return the value as JSON carries it."""
    return json.loads(json.dumps(value))


@cache
def load_machine(path: Path = STATE_MACHINE) -> State:
    """Read a state machine, by default the project's. Nobody changes what this returns.

    Raises
    ------
    NotImplementedError
        If it uses what is not interpreted here.
    """
    machine = load_definition(path)
    _check_fields(machine)
    return machine


def _check_fields(machine: State) -> None:
    for name, state in machine["States"].items():
        if unknown := set(state) - _KNOWN_FIELDS[state["Type"]]:
            raise NotImplementedError(f"{name}: {', '.join(sorted(unknown))}")
        if "ItemProcessor" in state:
            _check_fields(state["ItemProcessor"])
