"""Interprets the project's own state machine, so that tests cannot drift from it.

Of the Amazon States Language it knows what `statemachines/` uses, and refuses what it does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = ROOT / "statemachines" / "run_request.asl.yaml"

Json = Any
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
                self._leave(state, _fill(state["Parameters"], self.state, {}))
            case "Choice":
                self.at = _choose(state, self.state)
            case "Succeed":
                self.status = "SUCCEEDED"
            case "Fail":
                self.status = "FAILED"
                self.error = (
                    _text(state, "Error", self.state),
                    _text(state, "Cause", self.state),
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
        parameters = _fill(state["Parameters"], data, context)
        payload = self.invoke(parameters["FunctionName"], json.loads(json.dumps(parameters["Payload"])))
        result = {"Payload": json.loads(json.dumps(payload))}
        if "ResultSelector" in state:
            result = _fill(state["ResultSelector"], result, context)
        return result

    def _catch(self, state: dict[str, Any], error: Exception) -> None:
        for catcher in state.get("Catch", []):
            if "States.ALL" in catcher["ErrorEquals"]:
                output = {"Error": type(error).__name__, "Cause": str(error)}
                self.state = _place(self.state, catcher.get("ResultPath", "$"), output)
                self.at = catcher["Next"]
                return
        self.status, self.error = "FAILED", (type(error).__name__, str(error))

    def _map(self, state: dict[str, Any]) -> Json:
        if "ItemReader" in state:
            items = self.read_items(_fill(state["ItemReader"]["Parameters"], self.state, {}))
        else:
            items = _get(state["ItemsPath"], self.state, {})
        processor = state["ItemProcessor"]
        results = []
        for item in items:
            context = {"Map": {"Item": {"Value": item}}, "Execution": {"Name": self.name}}
            child = Execution(
                self.name,
                _fill(state["ItemSelector"], self.state, context),
                processor,
                self.invoke,
                self.read_items,
            )
            while child.status == "RUNNING":
                child.step()
            self.transitions += child.transitions
            results.append(child.state)
        return _fill(state["ResultSelector"], results, {}) if "ResultSelector" in state else results

    def _leave(self, state: dict[str, Any], result: Json) -> None:
        if "ResultPath" in state:
            result = _place(self.state, state["ResultPath"], result)
        elif state["Type"] == "Map" and "ResultPath" not in state:
            pass
        self.state = _get(state.get("OutputPath", "$"), result, {})
        if state.get("End"):
            self.status = "SUCCEEDED"
        else:
            self.at = state["Next"]


def load_definition() -> dict[str, Any]:
    """Read the project's state machine."""
    loaded: dict[str, Any] = yaml.safe_load(DEFINITION.read_text())
    return loaded


def _place(data: Json, path: str | None, value: Json) -> Json:
    if path is None:
        return data
    if path == "$":
        return value
    return data | {path.removeprefix("$."): value}


def _fill(template: Json, data: Json, context: Json) -> Json:
    if isinstance(template, list):
        return [_fill(item, data, context) for item in template]
    if not isinstance(template, dict):
        return template
    filled = {}
    for key, value in template.items():
        if key.endswith(".$"):
            filled[key[:-2]] = _get(value, data, context)
        else:
            filled[key] = _fill(value, data, context)
    return filled


def _get(path: str, data: Json, context: Json) -> Json:
    if path.startswith("States."):
        name, arguments = re.fullmatch(r"States\.(\w+)\((.*)\)", path).groups()  # type: ignore[union-attr]
        values = [_argument(a.strip(), data, context) for a in arguments.split(",")]
        match name:
            case "ArrayContains":
                return values[1] in values[0]
            case "MathAdd":
                return values[0] + values[1]
        raise NotImplementedError(path)
    source = context if path.startswith("$$") else data
    return _walk(source, path.lstrip("$"))


def _argument(text: str, data: Json, context: Json) -> Json:
    return _get(text, data, context) if text.startswith("$") else json.loads(text)


def _walk(value: Json, rest: str) -> Json:
    for part in _parts(rest):
        if part == "*":
            remaining = rest.split("[*]", 1)[1]
            return [_walk(item, remaining) for item in value]
        value = value[part]
    return value


def _parts(rest: str) -> Iterator[str]:
    for match in re.finditer(r"\.(\w+)|\[(\*)\]", rest):
        yield match[1] or match[2]


def _choose(state: dict[str, Any], data: Json) -> str:
    for choice in state["Choices"]:
        if _holds(choice, data):
            return str(choice["Next"])
    return str(state["Default"])


def _holds(choice: dict[str, Any], data: Json) -> bool:
    if "Or" in choice:
        return any(_holds(inner, data) for inner in choice["Or"])
    if "And" in choice:
        return all(_holds(inner, data) for inner in choice["And"])
    value = _get(choice["Variable"], data, {})
    if "StringEquals" in choice:
        return bool(value == choice["StringEquals"])
    if "BooleanEquals" in choice:
        return bool(value is choice["BooleanEquals"])
    raise NotImplementedError(choice)


def _text(state: dict[str, Any], key: str, data: Json) -> str:
    return str(state[key] if key in state else _get(state[f"{key}Path"], data, {}))
