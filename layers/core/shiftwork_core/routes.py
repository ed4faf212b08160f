"""The one table of the HTTP API's routes, with the scope that a token needs for each.

The authorizer decides by it, and the functions answer 404 to any other route. The API function
answers `ROUTES`, ServeTasks answers `TASK_ROUTES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import takewhile
from urllib.parse import unquote

from shiftwork_core.domain.names import MAX_NAME_LENGTH, name_fault
from shiftwork_core.domain.texts import written_out
from shiftwork_core.errors import NotFound


class Scope(StrEnum):
    """What a token may do. `admin` implies all others; no other implies another."""

    #: Change definitions and workspaces.
    ADMIN = "admin"
    #: Post requests.
    SUBMIT = "submit"
    #: Look at everything.
    READ = "read"
    #: Cancel and retry; switch workspaces.
    OPERATE = "operate"
    #: Take jobs and report on them, as one worker or as the workers of one key, and see nothing of
    #: others; only signed tokens have it.
    WORKER = "worker"
    #: Invite workers: the secret's `worker` token.
    INVITE = "invite"
    #: Register one worker, once; only signed tokens have it.
    REGISTER = "register"


_NAME = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, in which `{name}` stands for a name or an id. Scope None: open.

    `{*name}` stands for any text without a slash, as a job of a list is called `invite[0]`. Each
    scope in `also` is enough, too.
    """

    method: str
    path: str
    scope: Scope | None
    also: tuple[Scope, ...] = ()
    parts: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Split the path once."""
        object.__setattr__(self, "parts", tuple(self.path.split("/")))

    def fits(self, path: str) -> bool:
        """Whether `path` is one of this route's."""
        given = path.split("/")
        return len(given) == len(self.parts) and all(map(_fits, self.parts, given))

    def parameters(self, path: str) -> list[str]:
        """Return the values of the route's names in a path that fits, unescaped and in order.

        Every function reads them here, before anything else, so that no other text is ever looked
        up.

        Raises
        ------
        NotFound
            If nothing can have such a name: see `shiftwork_core.domain.names`.
        """
        return [_named(part, given) for part, given in self._pairs(path)]

    def first(self, path: str) -> str | None:
        """Return the first of the values, whatever it is; None if the route has no name."""
        return next((unquote(given) for _, given in self._pairs(path)), None)

    def _pairs(self, path: str) -> list[tuple[str, str]]:
        pairs = zip(self.parts, path.split("/"), strict=True)
        return [(part, given) for part, given in pairs if part.startswith("{")]


def _fits(part: str, given: str) -> bool:
    if part.startswith("{*"):
        return bool(given)
    return _NAME.fullmatch(given) is not None if part.startswith("{") else part == given


def _named(part: str, given: str) -> str:
    """Return the text that a segment of a path stands for."""
    try:
        text = unquote(given, errors="strict")
        fault = name_fault(text)
    except UnicodeDecodeError:
        text, fault = given, "must be UTF-8"
    if fault is not None:
        shown = written_out(text[:MAX_NAME_LENGTH])
        raise NotFound(f"nothing is called {shown!r}: {part.strip('{*}')} {fault}")
    return text


ROUTES = (
    Route("GET", "/heartbeat", None),
    Route("GET", "/openapi.json", Scope.READ),
    Route("GET", "/metrics", Scope.READ),
    Route("GET", "/v1/metrics/series", Scope.READ),
    Route("POST", "/v1/metrics/rebuild", Scope.OPERATE),
    Route("GET", "/v1/metrics/rebuild", Scope.READ),
    Route("GET", "/v1/request-types", Scope.READ),
    Route("GET", "/v1/request-types/{name}", Scope.READ),
    Route("GET", "/v1/request-types/{name}/plan", Scope.READ),
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
    Route("GET", "/v1/requests/{request_id}/failures", Scope.READ),
    Route("GET", "/v1/requests/{request_id}/explain", Scope.READ),
    Route("GET", "/v1/requests/{request_id}/logs", Scope.READ),
    Route("POST", "/v1/requests/{request_id}/cancel", Scope.OPERATE),
    Route("POST", "/v1/requests/{request_id}/retry", Scope.OPERATE),
    Route("GET", "/v1/jobs/{attempt_id}/logs", Scope.READ),
    Route("POST", "/v1/worker-registrations", Scope.INVITE),
    Route("POST", "/v1/workers", Scope.REGISTER),
    Route("GET", "/v1/workers", Scope.READ),
    Route("GET", "/v1/workers/{worker_id}", Scope.READ, (Scope.WORKER,)),
    Route("PUT", "/v1/workers/{worker_id}", Scope.WORKER),
    Route("DELETE", "/v1/workers/{worker_id}", Scope.ADMIN),
    Route("POST", "/v1/workers/{worker_id}/refresh", Scope.WORKER),
    Route("POST", "/v1/workers/{worker_id}/drain", Scope.OPERATE),
    Route("POST", "/v1/workers/{worker_id}/resume", Scope.OPERATE),
    Route("POST", "/v1/workers/{worker_id}/revoke", Scope.OPERATE),
    Route("GET", "/v1/workers/{worker_id}/explain", Scope.READ),
    Route("PUT", "/v1/workspaces/{name}", Scope.ADMIN),
    Route("GET", "/v1/workspaces", Scope.READ),
    Route("GET", "/v1/workspaces/{name}", Scope.READ),
    Route("DELETE", "/v1/workspaces/{name}", Scope.ADMIN),
    Route("POST", "/v1/workspaces/{name}/start", Scope.OPERATE),
    Route("POST", "/v1/workspaces/{name}/stop", Scope.OPERATE),
    Route("PUT", "/v1/workspaces/{name}/override", Scope.OPERATE),
    Route("DELETE", "/v1/workspaces/{name}/override", Scope.OPERATE),
    # A worker reports activity in its workspace with the token by which it claims its jobs.
    Route("POST", "/v1/workspaces/{name}/activity", Scope.OPERATE, (Scope.WORKER,)),
    Route("PUT", "/v1/workspaces/{name}/deadline", Scope.OPERATE),
    Route("GET", "/v1/workspaces/{name}/plan", Scope.READ),
    Route("GET", "/v1/workspaces/{name}/explain", Scope.READ),
    Route("GET", "/v1/lifecycle-jobs", Scope.READ),
    Route("GET", "/v1/lifecycle-jobs/{job_id}", Scope.READ),
    Route("POST", "/v1/lifecycle-jobs/{job_id}/cancel", Scope.OPERATE),
    Route("GET", "/v1/lifecycle-jobs/{job_id}/logs", Scope.READ),
)

_ANY = tuple(Scope)
_LOOK = (Scope.WORKER,)
_OPERATE = (Scope.OPERATE,)

#: What Conductor's clients call, and how Shiftwork's own workers get and return tasks. The first
#: route that fits counts. Those that any token may call answer 501: see not_offered.py.
TASK_ROUTES = (
    Route("POST", "/v1/tasks/exchange", Scope.WORKER),
    Route("POST", "/api/token", None),
    Route("GET", "/api/tasks/poll/{*type}", Scope.WORKER),
    Route("GET", "/api/tasks/poll/batch/{*type}", Scope.WORKER),
    Route("POST", "/api/tasks", Scope.WORKER, _OPERATE),
    Route("POST", "/api/tasks/update-v2", Scope.WORKER),
    Route("GET", "/api/tasks/queue/size", Scope.READ, _LOOK),
    Route("GET", "/api/tasks/queue/sizes", Scope.READ, _LOOK),
    Route("GET", "/api/tasks/queue/all", Scope.READ, _LOOK),
    Route("GET", "/api/tasks/queue/polldata", Scope.READ, _LOOK),
    Route("GET", "/api/tasks/queue/polldata/all", Scope.READ, _LOOK),
    Route("GET", "/api/tasks/queue/all/verbose", Scope.READ, _ANY),
    Route("POST", "/api/tasks/queue/requeue/{*type}", Scope.READ, _ANY),
    Route("GET", "/api/tasks/search", Scope.READ, _ANY),
    Route("GET", "/api/tasks/search-v2", Scope.READ, _ANY),
    Route("GET", "/api/tasks/externalstoragelocation", Scope.READ, _ANY),
    Route("POST", "/api/tasks/{*task_id}/log", Scope.WORKER),
    Route("GET", "/api/tasks/{*task_id}/log", Scope.READ, _LOOK),
    Route("POST", "/api/tasks/{*workflow_id}/{*status}/signal", Scope.READ, _ANY),
    Route("POST", "/api/tasks/{*workflow_id}/{*name}/{*status}", Scope.WORKER, _OPERATE),
    Route("GET", "/api/tasks/{*task_id}", Scope.READ, _LOOK),
    Route("GET", "/api/metadata/taskdefs", Scope.READ, _LOOK),
    Route("POST", "/api/metadata/taskdefs", Scope.ADMIN),
    Route("PUT", "/api/metadata/taskdefs", Scope.ADMIN),
    Route("GET", "/api/metadata/taskdefs/{*type}", Scope.READ, _LOOK),
    Route("DELETE", "/api/metadata/taskdefs/{*type}", Scope.ADMIN),
    *(
        Route(method, f"/api/metadata/workflow{rest}", Scope.READ, _ANY)
        for rest in ("", "/{*name}", "/{*name}/{*version}")
        for method in ("GET", "POST", "PUT", "DELETE")
    ),
    *(
        Route("GET", f"/api/workflow/{search}", Scope.READ, _ANY)
        for search in ("search", "search-v2", "search-by-tasks", "search-by-tasks-v2")
    ),
    Route("GET", "/api/workflow/running/{*name}", Scope.READ, _ANY),
    Route("GET", "/api/workflow/externalstoragelocation", Scope.READ, _ANY),
    Route("POST", "/api/workflow/correlated/batch", Scope.READ, _ANY),
    Route("POST", "/api/workflow/test", Scope.READ, _ANY),
    Route("POST", "/api/workflow/start/{*name}/{*version}", Scope.READ, _ANY),
    Route("GET", "/api/workflow/execute/{*name}", Scope.READ, _ANY),
    Route("POST", "/api/workflow/execute/{*name}", Scope.READ, _ANY),
    Route("POST", "/api/workflow/execute/{*name}/{*version}", Scope.READ, _ANY),
    Route("POST", "/api/workflow/bulk/{*action}", Scope.READ, _ANY),
    Route("PUT", "/api/workflow/bulk/{*action}", Scope.READ, _ANY),
    Route("PUT", "/api/workflow/decide/{*workflow_id}", Scope.READ, _ANY),
    Route("POST", "/api/workflow", Scope.SUBMIT),
    Route("POST", "/api/workflow/{*name}", Scope.SUBMIT),
    Route("GET", "/api/workflow/{*workflow_id}", Scope.READ),
    Route("DELETE", "/api/workflow/{*workflow_id}", Scope.OPERATE),
    Route("GET", "/api/workflow/{*workflow_id}/status", Scope.READ),
    Route("POST", "/api/workflow/{*workflow_id}/retry", Scope.OPERATE),
    Route("POST", "/api/workflow/{*workflow_id}/restart", Scope.READ, _ANY),
    Route("POST", "/api/workflow/{*workflow_id}/rerun", Scope.READ, _ANY),
    Route("PUT", "/api/workflow/{*workflow_id}/pause", Scope.READ, _ANY),
    Route("PUT", "/api/workflow/{*workflow_id}/resume", Scope.READ, _ANY),
    Route("PUT", "/api/workflow/{*workflow_id}/skiptask/{*name}", Scope.READ, _ANY),
    Route("DELETE", "/api/workflow/{*workflow_id}/remove", Scope.READ, _ANY),
)
_ALL = ROUTES + TASK_ROUTES


def match(method: str, path: str, routes: Iterable[Route] = _ALL) -> Route | None:
    """Return the route of a call, None if there is none. HEAD has the route of GET."""
    wanted = "GET" if method == "HEAD" else method
    return next((r for r in routes if r.method == wanted and r.fits(path)), None)


@cache
def words_beside(route: Route) -> frozenset[str]:
    """Return the fixed words that other routes have where this one has its first variable.

    Such a word is never a name or an id there, whatever the method and whatever follows it.
    """
    fixed = list(takewhile(lambda part: not part.startswith("{"), route.parts))
    place = len(fixed)
    siblings = (r.parts for r in _ALL if len(r.parts) > place and list(r.parts[:place]) == fixed)
    return frozenset(parts[place] for parts in siblings if not parts[place].startswith("{"))


def misplaced_word(route: Route, path: str) -> str | None:
    """Return the fixed word that a fitting path has where the route has its first name or id."""
    given = route.first(path)
    return given if given in words_beside(route) else None


def allowed_methods(path: str) -> list[str]:
    """Return the methods that `path` has, whichever function answers them; none for no route."""
    routes = [r for r in _ALL if r.fits(path) and misplaced_word(r, path) is None]
    methods = list(dict.fromkeys(r.method for r in routes))
    # Only the API function answers HEAD: it changes nothing, and a poll claims.
    has_head = any(r.method == "GET" and r in ROUTES for r in routes)
    return [*methods, "HEAD"] if has_head else methods


def grants(scope: Scope | None, route: Route | None) -> bool:
    """Whether a token of `scope` (None: no token, or an unknown one) may call `route`.

    A call that no route fits needs `admin`: so nothing is open because it was forgotten, and an
    administrator who mistypes a path gets the API's 404 rather than a 403.
    """
    if scope is Scope.ADMIN:
        return True
    return route is not None and (route.scope in (None, scope) or scope in route.also)


def path_of(event: dict[str, object]) -> tuple[str, str]:
    """Return the method and path of an HTTP API event, without the stage before the path."""
    context = event["requestContext"]
    assert isinstance(context, dict)
    method, path, stage = context["http"]["method"], str(event["rawPath"]), context.get("stage")
    prefix = f"/{stage}/"
    if stage != "$default" and path.startswith(prefix):
        path = path[len(prefix) - 1 :]
    return str(method), path
