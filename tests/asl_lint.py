"""Find faults of a state machine that neither `sam validate --lint` nor cfn-lint finds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_RETRY_FIELDS = (
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
)


def lint(machine: Json, substitutions: set[str]) -> list[str]:
    """Return every fault of a machine; `substitutions` are those that the template provides."""
    faults = [*_lint_scope(machine, "machine")]
    names = [name for name, _ in every_state(machine)]
    faults += [f"{name}: two states of this name" for name in {*names} if names.count(name) > 1]
    used = set(re.findall(r"\$\{(\w+)\}", json.dumps(machine)))
    faults += [f"${{{name}}}: the template does not provide it" for name in used - substitutions]
    faults += [f"${{{name}}}: nothing uses it" for name in substitutions - used]
    return faults


def every_state(scope: Json) -> Iterator[tuple[str, Json]]:
    """Yield the states of a machine with their names, those inside maps included."""
    for name, state in scope["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from every_state(state["ItemProcessor"])


def targets(state: Json) -> list[str]:
    """Return the names of the states that may follow a state."""
    named = [state.get("Next"), state.get("Default")]
    named += [branch.get("Next") for branch in (*state.get("Choices", []), *state.get("Catch", []))]
    return [name for name in named if name is not None]


def _lint_scope(scope: Json, where: str) -> Iterator[str]:
    """Yield the faults of one scope of states: the machine's, or those of a map's items."""
    states = scope["States"]
    reached, open_ends = set(), [scope["StartAt"]]
    while open_ends:
        name = open_ends.pop()
        if name not in states:
            yield f"{where}: leads to {name}, which does not exist"
        elif name not in reached:
            reached.add(name)
            open_ends += targets(states[name])
    yield from (f"{name}: cannot be reached" for name in states if name not in reached)
    for name, state in states.items():
        yield from _lint_state(name, state)


def _lint_state(name: str, state: Json) -> Iterator[str]:
    kind = state["Type"]
    if kind in ("Task", "Map", "Pass", "Wait") and ("Next" in state) == ("End" in state):
        yield f"{name}: wants either Next or End"
    if kind in ("Task", "Map"):
        yield from _lint_handlers(name, state)
    match kind:
        case "Task":
            if "TimeoutSeconds" not in state:
                yield f"{name}: no TimeoutSeconds"
            if not state.get("Retry"):
                yield f"{name}: no Retry"
        case "Map":
            if ("MaxConcurrency" in state) == ("MaxConcurrencyPath" in state):
                yield f"{name}: wants either MaxConcurrency or MaxConcurrencyPath"
            yield from _lint_scope(state["ItemProcessor"], name)
        case "Choice":
            if "Default" not in state:
                yield f"{name}: no Default"
        case "Fail":
            for field in ("Error", "Cause"):
                if field not in state and f"{field}Path" not in state:
                    yield f"{name}: no {field}"
        case "Wait":
            if "SecondsPath" not in state:
                yield f"{name}: no SecondsPath"
        case "Pass" | "Succeed":
            pass
        case _:
            yield f"{name}: {kind} is not a type that we use"


def _lint_handlers(name: str, state: Json) -> Iterator[str]:
    for retry in state.get("Retry", []):
        for field in _RETRY_FIELDS:
            if field not in retry:
                yield f"{name}: a Retry without {field}"
        if retry.get("JitterStrategy") != "FULL":
            yield f"{name}: a Retry without full jitter"
    for field in ("Retry", "Catch"):
        errors = [handler["ErrorEquals"] for handler in state.get(field, [])]
        if any("States.ALL" in equals for equals in errors[:-1]):
            yield f"{name}: {field} names errors after States.ALL"
