"""Who may do what to whose task: every route of the task API, every caller, every token.

The tests go through the authorizer's decision and the function, as a call does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.caller import ONLY_INVITES, context_of
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.workers.tokens import Claims
from shiftwork_core.routes import TASK_ROUTES, Route, Scope, grants
from shiftwork_core.services.workers.access import GENERATION_AGE_S, Access, Grant
from tests.unit.functions.serve_tasks.conftest import Answer, TaskApi, result_of
from tests.world.world import World
from tools.draw_routes import is_offered

SECRET = """{"admin": "a-token", "submit": "s-token", "read": "r-token", "operate": "o-token",
"worker": "w-token"}"""

#: A route's path, query and body in a call that is about a task.
Sample = tuple[str, str, Any]


@dataclass
class Doors:
    """A deployment with a task of a worker, and tokens of several callers."""

    api: TaskApi
    access: Access
    task: dict[str, Any]
    tokens: dict[str, str]
    now_s: float = 0.0

    def grant(self, token: str) -> Grant:
        return self.access.grant_of(token, self.api.world.clock())

    def attempts(self) -> list[Attempt]:
        return self.api.world.attempts(self.task["workflowInstanceId"])

    def call(self, caller: str, route: Route) -> Answer | None:
        """Make a sample call; None if the authorizer refuses it."""
        grant = self.grant(self.tokens[caller])
        fault: str | None = grant.fault
        if grant.scope is Scope.INVITE and grants(Scope.WORKER, route):
            fault = ONLY_INVITES
        if fault is None and not grants(grant.scope, route):
            return None
        path, query, body = SAMPLES[route.method, route.path](self.task)
        context = context_of(grant.scope, grant.claims, fault)
        return self.api(route.method, path, body, query=query, authorizer=context)


def _by_name(task: dict[str, Any]) -> Sample:
    return f"/api/tasks/{task['workflowInstanceId']}/render/IN_PROGRESS", "", {}


def _exchange(task: dict[str, Any]) -> Sample:
    result = {"task_id": task["taskId"], "status": "IN_PROGRESS", "extend_lease": True}
    wants = [{"type": "render", "count": 1}]
    return "/v1/tasks/exchange", "", {"results": [result], "wants": wants}


def _renewal(task: dict[str, Any]) -> Any:
    """Return a report that names no worker."""
    body = result_of(task, "IN_PROGRESS", extendLease=True)
    del body["workerId"]
    return body


#: What a call of each route that a worker may make is about: the task, or its type.
SAMPLES: dict[tuple[str, str], Callable[[dict[str, Any]], Sample]] = {
    ("POST", "/v1/tasks/exchange"): _exchange,
    ("GET", "/api/tasks/poll/{*type}"): lambda t: ("/api/tasks/poll/render", "", None),
    ("GET", "/api/tasks/poll/batch/{*type}"): lambda t: ("/api/tasks/poll/batch/render", "", None),
    ("POST", "/api/tasks"): lambda t: ("/api/tasks", "", _renewal(t)),
    ("POST", "/api/tasks/update-v2"): lambda t: ("/api/tasks/update-v2", "", _renewal(t)),
    ("GET", "/api/tasks/queue/size"): lambda t: ("/api/tasks/queue/size", "taskType=render", None),
    ("GET", "/api/tasks/queue/sizes"): lambda t: (
        "/api/tasks/queue/sizes", "taskType=render", None,
    ),
    ("GET", "/api/tasks/queue/all"): lambda t: ("/api/tasks/queue/all", "", None),
    ("GET", "/api/tasks/queue/polldata"): lambda t: (
        "/api/tasks/queue/polldata", "taskType=render", None,
    ),
    ("GET", "/api/tasks/queue/polldata/all"): lambda t: (
        "/api/tasks/queue/polldata/all", "", None,
    ),
    ("POST", "/api/tasks/{*task_id}/log"): lambda t: (
        f"/api/tasks/{t['taskId']}/log", "", "a line",
    ),
    ("GET", "/api/tasks/{*task_id}/log"): lambda t: (f"/api/tasks/{t['taskId']}/log", "", None),
    ("POST", "/api/tasks/{*workflow_id}/{*name}/{*status}"): _by_name,
    ("GET", "/api/tasks/{*task_id}"): lambda t: (f"/api/tasks/{t['taskId']}", "", None),
    ("GET", "/api/metadata/taskdefs"): lambda t: ("/api/metadata/taskdefs", "", None),
    ("GET", "/api/metadata/taskdefs/{*type}"): lambda t: (
        "/api/metadata/taskdefs/render", "", None,
    ),
}  # fmt: skip
ROUTES = [r for r in TASK_ROUTES if (r.method, r.path) in SAMPLES]
#: The routes that are about one task: for a worker those of others are absent.
ABOUT_A_TASK = {
    ("POST", "/api/tasks"): 404,
    # For Conductor's SDK a 404 would mean that there is no such route.
    ("POST", "/api/tasks/update-v2"): 400,
    ("POST", "/api/tasks/{*task_id}/log"): 404,
    ("GET", "/api/tasks/{*task_id}/log"): 404,
    ("POST", "/api/tasks/{*workflow_id}/{*name}/{*status}"): 404,
    ("GET", "/api/tasks/{*task_id}"): 404,
}
ABOUT_A_TYPE = {
    ("GET", "/api/tasks/poll/{*type}"),
    ("GET", "/api/tasks/poll/batch/{*type}"),
    ("GET", "/api/tasks/queue/size"),
    ("GET", "/api/tasks/queue/sizes"),
    ("GET", "/api/metadata/taskdefs/{*type}"),
    ("POST", "/v1/tasks/exchange"),
}
IDS = [f"{route.method} {route.path}" for route in ROUTES]

each_route = pytest.mark.parametrize("route", ROUTES, ids=IDS)


@pytest.fixture(params=["host-1", "team-a/host-1"], ids=["registered", "of a key"])
def doors(request: pytest.FixtureRequest, api: TaskApi, world: World) -> Iterator[Doors]:
    """Have a task held by a registered worker, or by one that got its token by a key."""
    now = [0.0]
    access = Access(lambda: SECRET, world.workers.generation_of, lambda: now[0])
    until = world.clock() + timedelta(minutes=20)
    for name in ("host-1", "host-2"):
        world.workers.register(name, "", ["render"], 9, generation=f"g-{name}")
    own = Claims("worker", "host-1", until, "t", "g-host-1")
    group = replace(own, subject="team-a", generation="", is_group=True)
    is_group = request.param != "host-1"
    if is_group:
        own = replace(group, source=access.source_of("w-token"))
    tokens = {
        "its worker": access.issue(own),
        "another worker": access.issue(
            replace(own, subject="host-2", generation="g-host-2", is_group=False)
        ),
        "another key": access.issue(replace(group, subject="team")),
        "for another type": access.issue(replace(own, job_types=("cut", "mix"))),
        "expired": access.issue(replace(own, expires_at=world.clock())),
        "revoked": access.issue(replace(own, generation="g-0", is_group=False, subject="host-1")),
        "of a deleted worker": access.issue(replace(own, is_group=False, subject="host-0")),
        "of a rotated token": access.issue(replace(own, source="0" * 16)),
        "forged": access.issue(own)[:-2] + "AA",
        "static worker": "w-token",
        "operate": "o-token",
        "read": "r-token",
        "submit": "s-token",
        "admin": "a-token",
        "unknown": "x-token",
    }
    api.start()
    context = context_of(Scope.WORKER, own, None)
    answer = api("GET", "/api/tasks/poll/render", query="workerid=host-1", authorizer=context)
    task = answer.body
    assert task["workerId"] == request.param
    yield Doors(api, access, task, tokens)


def test_every_route_that_a_worker_may_call_has_a_sample(api: TaskApi) -> None:
    from not_offered import NOT_OFFERED  # type: ignore[import-not-found]

    routes = {
        (r.method, r.path)
        for r in TASK_ROUTES
        if grants(Scope.WORKER, r) and r.scope is not None and (r.method, r.path) not in NOT_OFFERED
    }
    assert set(SAMPLES) == routes
    assert set(ABOUT_A_TASK) < routes
    assert routes > ABOUT_A_TYPE
    # The page on security leaves these out.
    shown = {(r.method, r.path) for r in TASK_ROUTES if is_offered(r)}
    assert shown == {(r.method, r.path) for r in TASK_ROUTES} - set(NOT_OFFERED)


@each_route
def test_a_worker_may_do_it_to_its_own_task_without_saying_who_it_is(
    doors: Doors, route: Route
) -> None:
    answer = doors.call("its worker", route)
    assert answer is not None
    assert answer.status in (200, 204), answer.text
    if route.path == "/v1/tasks/exchange":
        # It names no worker: that is its own name, but a key's is that of none of its workers.
        is_own = doors.task["workerId"] == "host-1"
        assert answer.body["outcomes"] == (["renewed"] if is_own else ["stop"])


@each_route
@pytest.mark.parametrize("caller", ["another worker", "another key"])
def test_for_another_worker_the_task_is_absent_and_stays_as_it_is(
    doors: Doors, route: Route, caller: str
) -> None:
    [before] = doors.attempts()
    answer = doors.call(caller, route)
    assert answer is not None
    expected = ABOUT_A_TASK.get((route.method, route.path))
    assert answer.status == (expected or answer.status)
    if expected:
        assert "there is no" in answer.text
    assert doors.task["taskId"] not in answer.text.replace(f"'{doors.task['taskId']}'", "")
    if route.path == "/v1/tasks/exchange":
        assert answer.body["outcomes"] == ["unknown"]
    assert doors.attempts() == [before]
    assert doors.api.world.jobs.logs(before.request_id, before.key) == []


@each_route
def test_a_worker_is_given_and_told_only_of_the_types_that_its_token_names(
    doors: Doors, route: Route
) -> None:
    answer = doors.call("for another type", route)
    assert answer is not None
    key = route.method, route.path
    if key in ABOUT_A_TYPE:
        assert (answer.status, "is for jobs of cut, mix" in answer.text) == (403, True)
    else:
        assert answer.status == ABOUT_A_TASK.get(key, 200)
        assert "render" not in answer.text


@each_route
@pytest.mark.parametrize(
    "caller", ["expired", "revoked", "of a deleted worker", "of a rotated token", "forged"]
)
def test_a_token_that_has_ended_does_nothing(doors: Doors, route: Route, caller: str) -> None:
    answer = doors.call(caller, route)
    assert answer is not None
    assert answer.status == 401, answer.text


@each_route
def test_the_secrets_worker_token_acts_as_no_worker(doors: Doors, route: Route) -> None:
    answer = doors.call("static worker", route)
    if grants(Scope.INVITE, route):
        pytest.fail("no task route is for the one who invites workers")
    assert answer is not None
    assert (answer.status, "invites workers" in answer.text) == (403, True)


@each_route
@pytest.mark.parametrize("caller", ["operate", "read", "submit", "admin", "unknown"])
def test_people_do_what_the_table_of_routes_says(doors: Doors, route: Route, caller: str) -> None:
    scope = doors.grant(doors.tokens[caller]).scope
    answer = doors.call(caller, route)
    assert (answer is not None) == grants(scope, route)
    # Only the exchange needs to know who works.
    needs_a_name = route.path == "/v1/tasks/exchange"
    assert answer is None or answer.status in (200, 204) or needs_a_name


def test_a_revoked_worker_is_let_in_no_longer_than_half_a_minute(world: World) -> None:
    now = [0.0]
    access = Access(lambda: SECRET, world.workers.generation_of, lambda: now[0])
    world.workers.register("host-1", "", [], 1, generation="g1")
    until = world.clock() + timedelta(minutes=20)
    token = access.issue(Claims("worker", "host-1", until, "t", "g1"))
    assert access.grant_of(token, world.clock()).scope is Scope.WORKER
    world.workers.revoke("host-1", "g2")
    now[0] = GENERATION_AGE_S
    assert access.grant_of(token, world.clock()).fault is not None
