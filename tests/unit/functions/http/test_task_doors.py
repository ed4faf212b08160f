"""Who may do what to whose task: every route of the task API, every caller, every token.

The calls go through API Gateway, the authorizer and the function.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.workers.tokens import Claims
from shiftwork_core.routes import TASK_ROUTES, Route, Scope, grants
from shiftwork_core.services.workers.access import GENERATION_AGE_S, Access
from shiftwork_platform.gateway import Gateway, GatewayAnswer
from tests.unit.functions.http.conftest import SECRET
from tests.unit.functions.http.doors import (
    ENDED,
    OTHER_WORKERS,
    PEOPLE,
    SCOPES,
    Doors,
    Sample,
    register,
    tokens_of,
)
from tests.unit.functions.serve_tasks.conftest import result_of
from tests.world.world import World
from tools.draw_routes import is_offered


class TaskDoors(Doors):
    """A deployment with a task of a worker."""

    task: dict[str, Any]

    def attempts(self) -> list[Attempt]:
        return self.world.attempts(self.task["workflowInstanceId"])

    def try_route(self, caller: str, route: Route) -> GatewayAnswer | None:
        """Make a sample call; None if the authorizer refuses it."""
        return self.call(caller, route.method, SAMPLES[route.method, route.path](self.task))


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
def doors(
    request: pytest.FixtureRequest, gateway: Gateway, access: Access, world: World
) -> TaskDoors:
    """Have a task held by a registered worker, or by one that got its token by a key."""
    register(world, "host-1", "host-2", "team-a")
    tokens = tokens_of(access, world, is_of_key=request.param != "host-1")
    doors = TaskDoors(gateway, world, tokens)
    world.submit("film")
    world.run()
    sample = ("/api/tasks/poll/render", "workerid=host-1", None)
    answer = doors.call("its worker", "GET", sample)
    assert answer is not None
    doors.task = answer.body
    assert doors.task["workerId"] == request.param
    return doors


def test_every_route_that_a_worker_may_call_has_a_sample(gateway: Gateway) -> None:
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
    doors: TaskDoors, route: Route
) -> None:
    answer = doors.try_route("its worker", route)
    assert answer is not None
    assert answer.status in (200, 204), answer.text
    if route.path == "/v1/tasks/exchange":
        # It names no worker: that is its own name, but a key's is that of none of its workers.
        is_own = doors.task["workerId"] == "host-1"
        assert answer.body["outcomes"] == (["renewed"] if is_own else ["stop"])


@each_route
@pytest.mark.parametrize("caller", OTHER_WORKERS)
def test_for_another_worker_the_task_is_absent_and_stays_as_it_is(
    doors: TaskDoors, route: Route, caller: str
) -> None:
    [before] = doors.attempts()
    answer = doors.try_route(caller, route)
    assert answer is not None
    expected = ABOUT_A_TASK.get((route.method, route.path))
    assert answer.status == (expected or answer.status)
    if expected:
        assert "there is no" in answer.text
    assert doors.task["taskId"] not in answer.text.replace(f"'{doors.task['taskId']}'", "")
    if route.path == "/v1/tasks/exchange":
        assert answer.body["outcomes"] == ["unknown"]
    assert doors.attempts() == [before]
    assert doors.world.jobs.logs(before.request_id, before.key) == []


def test_another_worker_learns_neither_which_requests_there_are_nor_their_jobs(
    doors: TaskDoors,
) -> None:
    told = set()
    for request_id, name in (("r1", "render"), ("r1", "nothing"), ("r0", "render")):
        sample: Sample = (f"/api/tasks/{request_id}/{name}/COMPLETED", "", {})
        answer = doors.call("another worker", "POST", sample)
        assert answer is not None and answer.status == 404
        told.add(answer.text.replace(request_id, "ID"))
    assert len(told) == 1


def test_an_exchange_sent_again_brings_no_task_of_a_type_that_the_token_no_longer_names(
    doors: TaskDoors,
) -> None:
    def exchange(caller: str, kind: str) -> list[str]:
        body = {"worker_id": "host-1", "exchange_id": "e1", "wants": [{"type": kind, "count": 1}]}
        answer = doors.call(caller, "POST", ("/v1/tasks/exchange", "", body))
        assert answer is not None and answer.status == 200, answer
        return [task["type"] for task in answer.body["tasks"]]

    doors.world.submit("film")
    doors.world.run()
    assert exchange("its worker", "render") == ["render"]
    assert exchange("for another type", "cut") == []
    assert exchange("its worker", "render") == ["render"], "its answer may have been lost"


@each_route
def test_a_worker_is_given_and_told_only_of_the_types_that_its_token_names(
    doors: TaskDoors, route: Route
) -> None:
    answer = doors.try_route("for another type", route)
    assert answer is not None
    key = route.method, route.path
    if key in ABOUT_A_TYPE:
        assert (answer.status, "is for jobs of cut, mix" in answer.text) == (403, True)
    else:
        assert answer.status == ABOUT_A_TASK.get(key, 200)
        assert "render" not in answer.text


@each_route
@pytest.mark.parametrize("caller", ENDED)
def test_a_token_that_has_ended_does_nothing(doors: TaskDoors, route: Route, caller: str) -> None:
    answer = doors.try_route(caller, route)
    assert answer is not None
    assert answer.status == 401, answer.text


@each_route
def test_the_secrets_worker_token_acts_as_no_worker(doors: TaskDoors, route: Route) -> None:
    answer = doors.try_route("static worker", route)
    if grants(Scope.INVITE, route):
        pytest.fail("no task route is for the one who invites workers")
    assert answer is not None
    assert (answer.status, "invites workers" in answer.text) == (403, True)


@each_route
@pytest.mark.parametrize("caller", PEOPLE)
def test_people_do_what_the_table_of_routes_says(
    doors: TaskDoors, route: Route, caller: str
) -> None:
    answer = doors.try_route(caller, route)
    assert (answer is not None) == grants(SCOPES[caller], route)
    # Only the exchange needs to know who works.
    needs_a_name = route.path == "/v1/tasks/exchange"
    assert answer is None or answer.status in (200, 204) or needs_a_name


def test_a_revoked_worker_is_let_in_no_longer_than_half_a_minute(world: World) -> None:
    now = [0.0]
    access = Access(lambda: json.dumps(SECRET), world.workers.generation_of, lambda: now[0])
    world.workers.register("host-1", "", [], 1, generation="g1")
    until = world.clock() + timedelta(minutes=20)
    token = access.issue(Claims("worker", "host-1", until, "t", "g1"))
    assert access.grant_of(token, world.clock()).scope is Scope.WORKER
    world.workers.revoke("host-1", "g2")
    now[0] = GENERATION_AGE_S
    assert access.grant_of(token, world.clock()).fault is not None
