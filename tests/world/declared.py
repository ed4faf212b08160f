"""Check answers against what openapi.json declares of their routes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from shiftwork_core.routes import Route


def shape(path: str) -> str:
    """Return a path without the names of its variables."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def operation_of(document: dict[str, Any], route: Route) -> dict[str, Any]:
    """Return what the document says of a route."""
    [item] = [item for path, item in document["paths"].items() if shape(path) == shape(route.path)]
    operation: dict[str, Any] = item[route.method.lower()]
    return operation


def check_declared(
    document: dict[str, Any], route: Route, status: int, headers: Mapping[str, str], text: str
) -> None:
    """Check that the route may answer so: its status, its media type, and its schema."""
    content = operation_of(document, route)["responses"][str(status)].get("content", {})
    media_type = headers.get("Content-Type", "").partition(";")[0]
    if content:
        assert media_type in content
    else:
        assert not text
    if media_type in content and "json" in media_type and "schema" in content[media_type]:
        schema = content[media_type]["schema"] | {"components": document["components"]}
        Draft202012Validator(schema).validate(json.loads(text))
