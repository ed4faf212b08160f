"""Evaluate what `statemachines/` uses of paths, templates and choices in the States Language.

Anything else is refused, so that the interpreter cannot drift from the real machine.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from shiftwork_platform.tree import STATE_MACHINE

Json = Any

_PART = re.compile(r"\.(\w+)|\[(\*)\]")
_INTRINSIC = re.compile(r"States\.(\w+)\((.*)\)")


@cache
def load_definition(path: Path = STATE_MACHINE) -> dict[str, Any]:
    """Read a state machine, by default the project's. Nobody changes what this returns."""
    # The loader that is written in C takes a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: dict[str, Any] = yaml.load(path.read_text(), loader)
    return loaded


def place(data: Json, path: str | None, value: Json) -> Json:
    """Return the data with the value at a ResultPath."""
    if path is None:
        return data
    if path == "$":
        return value
    return data | {path.removeprefix("$."): value}


def fill(template: Json, data: Json, context: Json) -> Json:
    """Return the template with its `.$` fields replaced by what their paths yield."""
    if isinstance(template, list):
        return [fill(item, data, context) for item in template]
    if not isinstance(template, dict):
        return template
    filled = {}
    for key, value in template.items():
        if key.endswith(".$"):
            filled[key[:-2]] = get(value, data, context)
        else:
            filled[key] = fill(value, data, context)
    return filled


def get(path: str, data: Json, context: Json) -> Json:
    """Return what a path or an intrinsic function yields."""
    if path.startswith("States."):
        name, arguments = _INTRINSIC.fullmatch(path).groups()  # type: ignore[union-attr]
        values = [_argument(a.strip(), data, context) for a in arguments.split(",")]
        match name:
            case "ArrayContains":
                return values[1] in values[0]
            case "MathAdd":
                return values[0] + values[1]
            case "JsonToString":
                return json.dumps(values[0])
        raise NotImplementedError(path)
    return _walk(context if path.startswith("$$") else data, _parts(path.lstrip("$")))


def _argument(text: str, data: Json, context: Json) -> Json:
    return get(text, data, context) if text.startswith("$") else json.loads(text)


def _walk(value: Json, parts: tuple[str, ...]) -> Json:
    for at, part in enumerate(parts):
        if part == "*":
            return [_walk(item, parts[at + 1 :]) for item in value]
        value = value[part]
    return value


@cache
def _parts(rest: str) -> tuple[str, ...]:
    return tuple(match[1] or match[2] for match in _PART.finditer(rest))


def choose(state: dict[str, Any], data: Json) -> str:
    """Return the state that a Choice leads to."""
    for choice in state["Choices"]:
        if _holds(choice, data):
            return str(choice["Next"])
    return str(state["Default"])


def _holds(choice: dict[str, Any], data: Json) -> bool:
    if "Or" in choice:
        return any(_holds(inner, data) for inner in choice["Or"])
    if "And" in choice:
        return all(_holds(inner, data) for inner in choice["And"])
    value = get(choice["Variable"], data, {})
    if "StringEquals" in choice:
        return bool(value == choice["StringEquals"])
    if "BooleanEquals" in choice:
        return bool(value is choice["BooleanEquals"])
    raise NotImplementedError(choice)


def text(state: dict[str, Any], key: str, data: Json) -> str:
    """Return the Error or Cause of a Fail."""
    return str(state[key] if key in state else get(state[f"{key}Path"], data, {}))
