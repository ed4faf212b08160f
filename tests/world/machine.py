"""Interprets the project's own state machine, so that tests cannot drift from it.

Of the Amazon States Language it knows what `statemachines/` uses, and refuses the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.world.paths import Json, choose, fill, get, place, text

#: Calls a function by its substitution, e.g. `${RunJobsFunctionArn}`, with a payload.
Invoke = Callable[[str, Json], Json]


class Waiting(Exception):
    """The execution waits for its task token."""


@dataclass
class Execution:
    """One execution. `step` enters and does one state; `transitions` counts as AWS bills."""

    name: str
    state: Json
    definition: dict[str, Any]
    invoke: Invoke
    read_items: Callable[[dict[str, str]], list[Json]]
    at: str | None = None
    status: str = "RUNNING"
    error: tuple[str, str] | None = None
    transitions: int = 0
    token: str | None = None
    history: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = self.definition["StartAt"]

    @property
    def is_runnable(self) -> bool:
        return self.status == "RUNNING" and self.token is None

    def wake(self) -> None:
        """Go on behind the state whose token this was."""
        assert self.at is not None
        self.token = None
        self._leave(self.definition["States"][self.at], {})

    def step(self) -> None:
        """Enter the next state and do it; a task that fails goes the way of its Catch."""
        assert self.at is not None
        state = self.definition["States"][self.at]
        self.transitions += 1
        self.history.append(self.at)
        match state["Type"]:
            case "Task":
                self._do_task(state)
            case "Map":
                results = self._map(state)
                self._leave(state, results)
            case "Pass":
                self._leave(state, fill(state["Parameters"], self.state, {}))
            case "Choice":
                self.at = choose(state, self.state)
            case "Succeed":
                self.status = "SUCCEEDED"
            case "Fail":
                self.status = "FAILED"
                self.error = (
                    text(state, "Error", self.state),
                    text(state, "Cause", self.state),
                )
            case other:
                raise NotImplementedError(other)

    def _do_task(self, state: dict[str, Any]) -> None:
        token = f"{self.name}:{self.transitions}"
        context = {"Task": {"Token": token}, "Execution": {"Name": self.name}}
        waits = state["Resource"].endswith(".waitForTaskToken")
        if waits:
            self.token = token
        try:
            result = self._call(state, self.state, context)
        except Exception as error:
            self.token = None
            self._catch(state, error)
            return
        if not waits:
            self._leave(state, result)

    def _call(self, state: dict[str, Any], data: Json, context: Json) -> Json:
        parameters = fill(state["Parameters"], data, context)
        payload = self.invoke(
            parameters["FunctionName"], json.loads(json.dumps(parameters["Payload"]))
        )
        result = {"Payload": json.loads(json.dumps(payload))}
        if "ResultSelector" in state:
            result = fill(state["ResultSelector"], result, context)
        return result

    def _catch(self, state: dict[str, Any], error: Exception) -> None:
        for catcher in state.get("Catch", []):
            if "States.ALL" in catcher["ErrorEquals"]:
                output = {"Error": type(error).__name__, "Cause": str(error)}
                self.state = place(self.state, catcher.get("ResultPath", "$"), output)
                self.at = catcher["Next"]
                return
        self.status, self.error = "FAILED", (type(error).__name__, str(error))

    def _map(self, state: dict[str, Any]) -> Json:
        if "ItemReader" in state:
            items = self.read_items(fill(state["ItemReader"]["Parameters"], self.state, {}))
        else:
            items = get(state["ItemsPath"], self.state, {})
        processor = state["ItemProcessor"]
        results = []
        for item in items:
            context = {"Map": {"Item": {"Value": item}}, "Execution": {"Name": self.name}}
            child = Execution(
                self.name,
                fill(state["ItemSelector"], self.state, context),
                processor,
                self.invoke,
                self.read_items,
            )
            while child.status == "RUNNING":
                child.step()
            self.transitions += child.transitions
            results.append(child.state)
        return fill(state["ResultSelector"], results, {}) if "ResultSelector" in state else results

    def _leave(self, state: dict[str, Any], result: Json) -> None:
        if "ResultPath" in state:
            result = place(self.state, state["ResultPath"], result)
        elif state["Type"] == "Map" and "ResultPath" not in state:
            pass
        self.state = get(state.get("OutputPath", "$"), result, {})
        if state.get("End"):
            self.status = "SUCCEEDED"
        else:
            self.at = state["Next"]
