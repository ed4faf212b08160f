"""Answers API Gateway whether a call may go on: HTTP API, payload 2.0, simple response."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

from shiftwork_core import bootstrap
from shiftwork_core.adapters.secrets import Secret
from shiftwork_core.routes import grants, match, path_of
from shiftwork_core.services.access import Access
from shiftwork_core.telemetry import logger


@cache
def access() -> Access:
    """Return this process's cache of the tokens."""
    secret = Secret(bootstrap.client("secretsmanager"), os.environ["TOKEN_SECRET"])
    return Access(secret, time.monotonic)


def token_in(headers: dict[str, str]) -> str:
    """Return the token of a call, empty if it has none.

    `Authorization: Bearer <token>`, or `X-Authorization: <token>` as Conductor's SDKs send it.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    scheme, _, token = by_name.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return by_name.get("x-authorization", "").strip()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Allow the call if its token has the scope that its route wants."""
    method, path = path_of(event)
    route = match(method, path)
    token = token_in(event.get("headers") or {})
    scope = access().scope_of(token) if token else None
    is_allowed = grants(scope, route)
    logger.info(
        "allowed" if is_allowed else "refused",
        extra={
            "method": method,
            "route": route.path if route else None,
            "wants": route.scope if route else None,
            "scope": scope,
            "has_token": bool(token),
        },
    )
    return {"isAuthorized": is_allowed, "context": {"scope": scope or ""}}
