"""Build the part of openapi.json about tasks from the table of routes and that of operations.

Each route of the table is in it: one without an operation answers 501.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from answers import ProblemAnswer
from operations import MEANINGS
from shiftwork_core.routes import TASK_ROUTES, Route
from task_api import views
from task_api.operations import OPERATIONS, TaskOperation

_REF = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"\{\*?(\w+)\}")
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
#: What a status says under /api where it is not what it says elsewhere.
_CONDUCTORS_MEANINGS = {
    400: "The input has faults, each of which is named; or the body is not JSON",
    413: "The input or the answer is too large",
    501: "Conductor has this, Shiftwork does not: `message` says what to use instead",
}
_CONDUCTORS_KINDS = {401: views.ConductorUnauthorized}
#: Refusals that every route may answer.
_ALWAYS = (400, 401, 413, 503)

Types = dict[str, Any]
Schemas = dict[str, Any]


def paths() -> dict[str, dict[str, Any]]:
    """Return the path items of all routes of tasks, by path."""
    schemas, _ = _schemas()
    found: dict[str, dict[str, Any]] = {}
    for route in TASK_ROUTES:
        found.setdefault(path_of(route), {})[route.method.lower()] = _operation(route, schemas)
    return found


def path_of(route: Route) -> str:
    """Return a route's path as OpenAPI writes it.

    Routes of one shape share a path, whatever each calls its variables: OpenAPI allows no other.
    """
    shape = _VARIABLE.sub("{}", route.path)
    first = next(r for r in TASK_ROUTES if _VARIABLE.sub("{}", r.path) == shape)
    return _VARIABLE.sub(r"{\1}", first.path)


def components() -> dict[str, Any]:
    """Return the schemas that the paths refer to, by name."""
    return _schemas()[1]


def _types() -> Types:
    """Return every type of a body or an answer, by its written form."""
    given = [views.ConductorError, views.ConductorUnauthorized, ProblemAnswer]
    for operation in OPERATIONS.values():
        given += [operation.body, *(kind for _, kind in operation.answers.values())]
    return {str(kind): kind for kind in given if kind not in (None, str)}


@cache
def _schemas() -> tuple[Schemas, dict[str, Any]]:
    """Return the schema of each type, and the components. Nobody changes what this returns."""
    by_type, shared = TypeAdapter.json_schemas(
        [(key, "validation", TypeAdapter(kind)) for key, kind in _types().items()],
        ref_template=_REF,
    )
    return {key: schema for (key, _), schema in by_type.items()}, shared["$defs"]


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    known = OPERATIONS.get((route.method, route.path))
    is_ours = route.path.startswith("/v1/")
    problems = {*_ALWAYS, *(known.problems if known else (501,)), *([422] if is_ours else [])}
    found: dict[str, Any] = {
        "tags": ["tasks" if is_ours else "conductor"],
        "summary": known.summary if known else "Refuse what Shiftwork does not offer",
        "operationId": known.name if known else _name_of(route),
    }
    if parameters := [*_in_path(route), *(known.parameters if known else ())]:
        found["parameters"] = parameters
    if known and known.body is not None:
        found["requestBody"] = _body(known, schemas)
    answers = known.answers if known else {}
    found["responses"] = {
        **{str(status): _answer(*given, schemas) for status, given in answers.items()},
        **_refusals(sorted(problems), schemas, is_ours=is_ours),
    }
    return found


def _in_path(route: Route) -> list[dict[str, Any]]:
    """Return the parameters of the path; one that another route has named says what it is here."""
    schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
    names = zip(_VARIABLE.findall(path_of(route)), _VARIABLE.findall(route.path), strict=True)
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        | ({"description": f"the {own}"} if own != name else {})
        for name, own in names
    ]


def _name_of(route: Route) -> str:
    """Return the id of an operation that is not offered: its method and the words of its path."""
    words = re.findall(r"\w+", route.path.removeprefix("/api"))
    return route.method.lower() + "".join(word.title().replace("_", "") for word in words)


def _body(operation: TaskOperation, schemas: Schemas) -> dict[str, Any]:
    is_text = operation.body is str
    content = _TEXT if is_text else {"application/json": {"schema": schemas[str(operation.body)]}}
    about = {"description": "a text, even if it is called JSON"} if is_text else {}
    return {"required": operation.needs_body, "content": content, **about}


def _answer(description: str, kind: Any, schemas: Schemas) -> dict[str, Any]:
    if kind is None:
        return {"description": description}
    content = _TEXT if kind is str else {"application/json": {"schema": schemas[str(kind)]}}
    return {"description": description, "content": content}


def _refusals(statuses: Iterable[int], schemas: Schemas, *, is_ours: bool) -> dict[str, Any]:
    meanings = MEANINGS if is_ours else MEANINGS | _CONDUCTORS_MEANINGS
    media_type = "application/problem+json" if is_ours else "application/json"
    found = {}
    for status in statuses:
        kind = ProblemAnswer if is_ours else _CONDUCTORS_KINDS.get(status, views.ConductorError)
        content = {media_type: {"schema": schemas[str(kind)]}}
        found[str(status)] = {"description": meanings[status], "content": content}
    return found
