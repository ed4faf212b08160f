"""Build openapi.json from what Powertools knows of the routes, and each route's scope.

`tools/draw_openapi.py` draws docs/reference/openapi.json.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.models import (
    APIKey,
    APIKeyIn,
    HTTPBearer,
    Server,
)

from shiftwork_core.routes import ROUTES

VERSION = "1"
_DESCRIPTION = (
    "Requests of ordered steps of parallel jobs. Every route but /heartbeat wants a token, and the "
    "token the scope that the route names under x-scope; admin implies all. Errors are RFC 9457 "
    "problems that name every fault and what to do next."
)


@cache
def build(app: APIGatewayHttpResolver) -> dict[str, Any]:
    """Return the document of all the routes of `app`."""
    text = app.get_openapi_json_schema(
        title="Shiftwork",
        version=VERSION,
        description=_DESCRIPTION,
        servers=[Server(url="/")],
        security_schemes={
            "bearer": HTTPBearer(),
            "token": APIKey.model_validate({"name": "X-Authorization", "in": APIKeyIn.header}),
        },
    )
    document: dict[str, Any] = json.loads(text)
    for route in ROUTES:
        operation = document["paths"][route.path][route.method.lower()]
        if route.scope is None:
            operation["security"] = []
        else:
            operation["security"] = [{"bearer": []}, {"token": []}]
            operation["x-scope"] = route.scope.value
        if not route.path.startswith("/v1/"):  # These take nothing and touch nothing.
            answers = ("200",) if route.scope is None else ("200", "401")
            operation["responses"] = {status: operation["responses"][status] for status in answers}
    # Powertools documents its own errors, which this API never shows.
    for name in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
