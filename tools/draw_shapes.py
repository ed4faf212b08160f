"""Draw the SDK's shapes from docs/reference/openapi.json: `python tools/draw_shapes.py`."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import wrap
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "reference" / "openapi.json"
MODULE = ROOT / "sdk" / "shiftwork" / "api" / "shapes.py"

Schema = dict[str, Any]

#: The SDK's names, where they are not the document's without its `Answer`.
_NAMES = {
    "Counts": "JobCounts",
    "ExchangeAnswer": "ExchangeAnswer",
    "JobErrorAnswer": "AttemptError",
    "PendingAnswer": "PendingJob",
    "PendingAnswers": "PendingJobs",
    "WorkerAnswer": "WorkerView",
}
#: What an answer is not made of: refusals, which `shiftwork.api.errors` reads.
_LEFT_OUT = ("Fault", "ProblemAnswer", "GatewayRefusal")
#: The beginning of what Conductor's clients are answered, which the SDK is none of.
_CONDUCTORS = "Conductor"
#: Shapes that the document cannot express: these keys are missing, never null.
_PRECISE = {"PendingAnswers": "dict[Operation, PendingJob]"}
#: Enumerations that have a name, by their first values. Others are written out.
_ENUMERATIONS = {
    ("Queuing", "Inprogress"): "RequestStatus",
    ("idle", "available"): "WorkerStatus",
    ("new", "inprogress"): "AttemptStatus",
    ("on", "off"): "Desired",
    ("recorded", "late"): "ReportOutcome",
    ("running", "stopped"): "WorkspaceState",
    ("schedule", "deadline"): "Cause",
    ("start", "stop"): "Operation",
    ("trace", "debug"): "LogLevel",
}
_SCALARS = {
    "boolean": "bool",
    "integer": "int",
    "null": "None",
    "number": "float",
    "string": "str",
}

_HEAD = '''\
# long: drawn by `python tools/draw_shapes.py` from docs/reference/openapi.json; do not edit it.
"""The shapes of the API's answers, as typed dictionaries. Times are ISO 8601 UTC texts.

Those of a worker's record are seconds since 1970.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Json = Any
JsonObject = dict[str, Json]
'''


def draw() -> str:
    """Return the module's text."""
    schemas: dict[str, Schema] = json.loads(DOCUMENT.read_text())["components"]["schemas"]
    enumerations: dict[str, str] = {}
    shapes = {
        _name(component): _shape(component, schema, enumerations)
        for component, schema in schemas.items()
        if not component.endswith("Input")
        and not component.startswith(_CONDUCTORS)
        and component not in _LEFT_OUT
        and "enum" not in schema
    }
    # What is no class is evaluated at once, so it comes after the classes that it names.
    classes = "".join(f"\n\n{shapes[n]}" for n in sorted(shapes) if shapes[n].startswith("class"))
    others = "".join(f"\n{shapes[n]}" for n in sorted(shapes) if shapes[n].startswith("#"))
    names = "".join(f"{name} = {enumerations[name]}\n" for name in sorted(enumerations))
    return f"{_HEAD}\n{names}{classes}\n{others}"


def _name(component: str) -> str:
    return _NAMES.get(component) or component.removesuffix("Answer")


def _shape(component: str, schema: Schema, enumerations: dict[str, str]) -> str:
    """Return the definition of a shape; note the enumerations that it names."""
    name, description = _name(component), schema["description"]
    if component in _PRECISE:
        return f"#: {description}\n{name} = {_PRECISE[component]}\n"
    if schema.get("additionalProperties"):  # A typed dictionary has no keys but its own.
        return f"#: {description}\n{name} = JsonObject\n"
    if optional := schema["properties"].keys() - set(schema.get("required", ())):
        raise ValueError(f"{component}: say in _PRECISE what it means that {optional} may be away")
    lines = wrap(description, 88)
    text = "\n    ".join(lines) + ("\n    " if len(lines) > 1 else "")
    fields = (
        f"    {key}: {_type(value, enumerations)}\n" for key, value in schema["properties"].items()
    )
    return f'class {name}(TypedDict):\n    """{text}"""\n\n{"".join(fields)}'


def _type(schema: Schema, enumerations: dict[str, str]) -> str:
    match schema:
        case {"$ref": reference}:
            return _name(reference.rpartition("/")[2])
        case {"anyOf": choices}:
            return " | ".join(_type(choice, enumerations) for choice in choices)
        case {"enum": values}:
            literal = f"Literal[{', '.join(map(json.dumps, values))}]"
            name = _ENUMERATIONS.get(tuple(values[:2]))
            if name is None:
                return literal
            enumerations[name] = literal
            return name
        case {"const": value}:
            return f"Literal[{json.dumps(value)}]"
        case {"type": "array", "items": items}:
            return f"list[{_type(items, enumerations)}]"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"dict[str, {_type(values, enumerations)}]"
        case {"type": "object"}:
            return "JsonObject"
        case {"type": scalar}:
            return _SCALARS[scalar]
    return "Json"


if __name__ == "__main__":
    MODULE.write_text(draw())
