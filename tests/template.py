"""Read template.yaml as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from shiftwork.local.template import read_template

ROOT = Path(__file__).resolve().parents[1]


@cache
def load_template() -> dict[str, Any]:
    """Read template.yaml. Callers must not change it."""
    return read_template(ROOT)


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return the resources of a type by logical id, each as its whole entry."""
    return {
        name: entry for name, entry in load_template()["Resources"].items() if entry["Type"] == kind
    }


def memory_mb(function: str) -> int:
    """Return the memory of a function, by its logical id."""
    template = load_template()
    own = template["Resources"][function]["Properties"].get("MemorySize")
    return int(own or template["Globals"]["Function"]["MemorySize"])


def listed(value: Any) -> list[Any]:
    """Return a value that may stand for a list of one as that list."""
    return value if isinstance(value, list) else [value]


def choices(value: Any) -> Iterator[Any]:
    """Yield what a value can be: itself, or each side of its condition; never `AWS::NoValue`."""
    match value:
        case {"Ref": "AWS::NoValue"}:
            return
        case {"Fn::If": [_, *sides]}:
            for side in sides:
                yield from choices(side)
        case _:
            yield value


def statements_of(policies: Any, among: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the statements of a function's `Policies`, and of the managed ones that they name."""
    for policy in listed(policies):
        for chosen in choices(policy):
            if "Ref" in chosen:
                document = among[chosen["Ref"]]["Properties"]["PolicyDocument"]
                yield from statements_of([document], among)
            for statement in listed(chosen.get("Statement", [])):
                yield from choices(statement)


def as_text(value: Any) -> str:
    """Return a value as `Fn::Sub` would write it: a reference to X as `${X}`."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": name}:
            return f"${{{name}}}"
        case {"Fn::Sub": text}:
            return str(text)
        case _:
            return str(value)
