"""Build openapi.json from what Powertools knows of the API's routes, and the tables of the others.

One document describes what both functions answer, since it is one API at one address: tags tell
apart what is whose. `tools/draw_openapi.py` draws docs/reference/openapi.json.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

from operations import MEANINGS
from shiftwork_core.routes import ROUTES, TASK_ROUTES, Route, Scope, grants

VERSION = "1"
_DESCRIPTION = (
    "Requests of ordered steps of parallel jobs. Every route but /heartbeat and /api/token wants a "
    "token, and the token the scope that the route names under x-scope, or one of those under "
    "x-also; admin implies all. Errors are RFC 9457 problems that name every fault and what to do "
    "next, but those under /api, which are Conductor's."
)
_TAGS = [
    {"name": "tasks", "description": "How Shiftwork's own workers get and return tasks."},
    {"name": "conductor", "description": "What a Conductor server answers; its clients call it."},
]
#: API Gateway's own answer, before any function is called.
_GATEWAYS = {
    "type": "object",
    "properties": {"message": {"type": "string"}},
    "required": ["message"],
    "description": "A refusal of API Gateway's.",
}
_BY_GATEWAY = {"application/json": {"schema": {"$ref": "#/components/schemas/GatewayRefusal"}}}


@cache
def build(app: APIGatewayHttpResolver) -> dict[str, Any]:
    """Return the document of all the routes of `app`, and of those that ServeTasks answers."""
    # Only this call needs these: they import slowly.
    from aws_lambda_powertools.event_handler.openapi import models

    from task_api import document as task_document

    text = app.get_openapi_json_schema(
        title="Shiftwork",
        version=VERSION,
        description=_DESCRIPTION,
        servers=[models.Server(url="/")],
        security_schemes={
            "bearer": models.HTTPBearer(),
            "token": models.APIKey.model_validate(
                {"name": "X-Authorization", "in": models.APIKeyIn.header}
            ),
        },
    )
    document: dict[str, Any] = json.loads(text)
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        if not route.path.startswith("/v1/"):  # These take nothing and touch nothing.
            answers = ("200",) if route.scope is None else ("200", "401")
            operation["responses"] = {status: operation["responses"][status] for status in answers}
        _guard(operation, route)
    paths = task_document.paths()
    for route in TASK_ROUTES:
        _guard(paths[task_document.path_of(route)][route.method.lower()], route)
    document["paths"] |= paths
    document["tags"] = _TAGS
    schemas = document["components"]["schemas"]
    schemas |= task_document.components() | {"GatewayRefusal": _GATEWAYS}
    # Powertools documents its own errors, which this API never shows.
    for name in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        schemas.pop(name, None)
    return document


def _guard(operation: dict[str, Any], route: Route) -> None:
    """Add to an operation which tokens it wants, and what it answers before it reads the call."""
    responses = operation["responses"]
    if "{" in route.path:  # Not every text is a name.
        responses.setdefault("404", _refusal(404, route))
    if route.scope is None:
        operation["security"] = []
    else:
        operation["security"] = [{"bearer": []}, {"token": []}]
        operation["x-scope"] = route.scope.value
        by_function = _refusal(403, route)["content"] if grants(Scope.WORKER, route) else {}
        by_function |= responses.get("403", {}).get("content", {})
        content = _merged(by_function, _BY_GATEWAY)
        responses["403"] = {"description": MEANINGS[403], "content": content}
    if route.also:
        operation["x-also"] = sorted(scope.value for scope in route.also)
    responses["429"] = {"description": "Too many calls at once", "content": _BY_GATEWAY}


def _refusal(status: int, route: Route) -> dict[str, Any]:
    """Return the refusal of this status by the function that answers the route."""
    is_conductors = route.path.startswith("/api/")
    media_type, name = (
        ("application/json", "ConductorError")
        if is_conductors
        else ("application/problem+json", "ProblemAnswer")
    )
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    return {"description": MEANINGS[status], "content": content}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the content of answers of one status, each of which is one of the two."""
    both = {
        media_type: {"schema": {"anyOf": [one[media_type]["schema"], other[media_type]["schema"]]}}
        for media_type in one.keys() & other.keys()
    }
    return one | other | both
