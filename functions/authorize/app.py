"""Authorize: tell API Gateway whether a call is allowed (HTTP API, payload 2.0)."""

from __future__ import annotations

from typing import Any

from shiftwork_core import bootstrap
from shiftwork_core.caller import ONLY_INVITES, context_of
from shiftwork_core.routes import Scope, grants, match, path_of
from shiftwork_core.services.workers.access import Grant
from shiftwork_core.telemetry import logger


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
    """Allow the call if its token has the scope that its route wants.

    A signed token that is not good is let through without a scope and with its fault: the function
    behind tells the caller, who may then renew it. API Gateway could only answer 403. So is the
    secret's `worker` token where a worker's own is needed.
    """
    method, path = path_of(event)
    route = match(method, path)
    token = token_in(event.get("headers") or {})
    grant = (
        bootstrap.workers.access().grant_of(token, bootstrap.world.now()) if token else Grant(None)
    )
    fault: str | None = grant.fault
    if grant.scope is Scope.INVITE and not grants(Scope.INVITE, route):
        fault = ONLY_INVITES if grants(Scope.WORKER, route) else None
    is_allowed = fault is not None or grants(grant.scope, route)
    logger.info(
        "allowed" if is_allowed else "refused",
        extra={
            "method": method,
            "route": route.path if route else None,
            "wants": route.scope if route else None,
            "scope": grant.scope,
            "subject": grant.claims.subject if grant.claims else "",
            "fault": fault,
            "has_token": bool(token),
        },
    )
    return {
        "isAuthorized": is_allowed,
        "context": context_of(grant.scope, grant.claims, fault),
    }
