"""The one table of the HTTP API: every route, and the scope that a token needs for it.

The authorizer decides by it, and the API answers 404 to whatever is not in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """What a token may do. `admin` implies all others; no other implies another."""

    #: Change definitions.
    ADMIN = "admin"
    #: Post requests.
    SUBMIT = "submit"
    #: Look at everything.
    READ = "read"
    #: Cancel and retry.
    OPERATE = "operate"
    #: Take jobs and report on them.
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, in which `{name}` stands for a name or an id. Scope None: open."""

    method: str
    path: str
    scope: Scope | None
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the path."""
        segments = [
            "[A-Za-z0-9._-]+" if part.startswith("{") else re.escape(part)
            for part in self.path.split("/")
        ]
        object.__setattr__(self, "_regex", re.compile("/".join(segments)))

    def fits(self, path: str) -> bool:
        """Whether `path` is one of this route's."""
        return self._regex.fullmatch(path) is not None


ROUTES = (
    Route("GET", "/heartbeat", None),
    Route("GET", "/openapi.json", Scope.READ),
    Route("GET", "/v1/request-types", Scope.READ),
    Route("GET", "/v1/request-types/{name}", Scope.READ),
    Route("PUT", "/v1/request-types/{name}", Scope.ADMIN),
    Route("DELETE", "/v1/request-types/{name}", Scope.ADMIN),
    Route("GET", "/v1/job-types", Scope.READ),
    Route("GET", "/v1/job-types/{name}", Scope.READ),
    Route("PUT", "/v1/job-types/{name}", Scope.ADMIN),
    Route("DELETE", "/v1/job-types/{name}", Scope.ADMIN),
    Route("POST", "/v1/requests", Scope.SUBMIT),
    Route("GET", "/v1/requests", Scope.READ),
    Route("GET", "/v1/requests/{request_id}", Scope.READ),
    Route("GET", "/v1/requests/{request_id}/jobs", Scope.READ),
    Route("GET", "/v1/requests/{request_id}/explain", Scope.READ),
    Route("POST", "/v1/requests/{request_id}/cancel", Scope.OPERATE),
    Route("POST", "/v1/requests/{request_id}/retry", Scope.OPERATE),
    Route("GET", "/v1/jobs/{attempt_id}/logs", Scope.READ),
)


def match(method: str, path: str) -> Route | None:
    """Return the route that a call meets. HEAD meets the route of GET."""
    wanted = "GET" if method == "HEAD" else method
    return next((r for r in ROUTES if r.method == wanted and r.fits(path)), None)


def allowed_methods(path: str) -> list[str]:
    """Return the methods that `path` has, none if there is no such path."""
    methods = [r.method for r in ROUTES if r.fits(path)]
    return [*methods, "HEAD"] if "GET" in methods else methods


def grants(scope: Scope | None, route: Route | None) -> bool:
    """Whether a token of `scope` (None: no token, or an unknown one) may call `route`.

    A call that the table does not name wants `admin`: nothing is open because it was forgotten,
    and an administrator who mistypes a path is told so by the API's 404 rather than by a 403.
    """
    if scope is Scope.ADMIN:
        return True
    return route is not None and route.scope in (None, scope)


def path_of(event: dict[str, object]) -> tuple[str, str]:
    """Return method and path of an HTTP API event, without the stage that may lead the path."""
    context = event["requestContext"]
    assert isinstance(context, dict)
    method, path, stage = context["http"]["method"], str(event["rawPath"]), context.get("stage")
    prefix = f"/{stage}/"
    if stage != "$default" and path.startswith(prefix):
        path = path[len(prefix) - 1 :]
    return str(method), path
