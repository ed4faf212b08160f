"""Who may do what to whose worker record: every route of /v1, every caller, every token.

The calls go through API Gateway, the authorizer and the function.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from shiftwork_core.adapters.memory import MemoryTables
from shiftwork_core.domain.workers.tokens import Claims
from shiftwork_core.routes import ROUTES, Route, Scope, grants
from shiftwork_core.services.workers.access import Access
from shiftwork_platform.gateway import Gateway
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
from tests.world.world import World

#: The scopes with which workers come: to invite, to register, and to work.
_WORKERS = (Scope.INVITE, Scope.REGISTER, Scope.WORKER)

#: A call of each route that is about workers, or that one may make: about host-1, which runs in
#: the workspace `lab`.
SAMPLES: dict[tuple[str, str], Sample] = {
    ("POST", "/v1/worker-registrations"): (
        "/v1/worker-registrations", "", {"hostname": "host-3"},
    ),
    ("POST", "/v1/workers"): ("/v1/workers", "", {"hostname": "host-1"}),
    ("GET", "/v1/workers"): ("/v1/workers", "", None),
    ("GET", "/v1/workers/{worker_id}"): ("/v1/workers/host-1", "", None),
    ("PUT", "/v1/workers/{worker_id}"): ("/v1/workers/host-1", "", {"build_limit": 5}),
    ("DELETE", "/v1/workers/{worker_id}"): ("/v1/workers/host-1", "", None),
    ("POST", "/v1/workers/{worker_id}/refresh"): ("/v1/workers/host-1/refresh", "", None),
    ("POST", "/v1/workers/{worker_id}/drain"): ("/v1/workers/host-1/drain", "", None),
    ("POST", "/v1/workers/{worker_id}/resume"): ("/v1/workers/host-1/resume", "", None),
    ("POST", "/v1/workers/{worker_id}/revoke"): ("/v1/workers/host-1/revoke", "", None),
    ("GET", "/v1/workers/{worker_id}/explain"): ("/v1/workers/host-1/explain", "", None),
    ("POST", "/v1/workspaces/{name}/activity"): ("/v1/workspaces/lab/activity", "", None),
}  # fmt: skip
#: What each answers when all is well.
_SUCCESS = {
    ("POST", "/v1/worker-registrations"): 201,
    ("POST", "/v1/workers"): 201,
    ("DELETE", "/v1/workers/{worker_id}"): 204,
}
#: What another worker is told; for it the workspaces that it does not run in are absent.
_TO_ANOTHER = {("POST", "/v1/workspaces/{name}/activity"): 404}

WORKER_ROUTES = [route for route in ROUTES if (route.method, route.path) in SAMPLES]


def _name(route: Route) -> str:
    return f"{route.method} {route.path}"


each_route = pytest.mark.parametrize("route", ROUTES, ids=_name)
each_worker_route = pytest.mark.parametrize("route", WORKER_ROUTES, ids=_name)


def sample_of(route: Route) -> Sample:
    """Return a call of a route; of one without a sample, about things that there are none of."""
    nobodys = (re.sub(r"\{[^}]*\}", "nobody", route.path), "", None)
    return SAMPLES.get((route.method, route.path), nobodys)


@pytest.fixture
def doors(gateway: Gateway, access: Access, world: World) -> Doors:
    """Have two workers, and the workspace in which one of them runs."""
    register(world, "host-1", "host-2", "team-a")
    tokens = tokens_of(access, world)
    invitation = Claims("register", "host-1", world.clock() + timedelta(minutes=1), "i-1")
    tokens |= {
        "invited": access.issue(invitation),
        "invited, another": access.issue(replace(invitation, subject="host-2", token_id="i-2")),
        "invited, expired": access.issue(replace(invitation, expires_at=world.clock())),
    }
    doors = Doors(gateway, world, tokens)
    driver = {"type": "ec2", "instance_ids": ["i-01234567"]}
    body = {"driver": driver, "hosts": {"workers": ["host-1"], "job_types": ["render"]}}
    answer = doors.call("admin", "PUT", ("/v1/workspaces/lab", "", body))
    assert answer is not None and answer.status == 201, answer
    return doors


def state(doors: Doors) -> MemoryTables:
    """Return all rows as they are."""
    return doors.world.tables.copy()


def test_every_route_about_workers_or_for_one_has_a_sample() -> None:
    about = {r for r in ROUTES if r.path.startswith("/v1/worker")}
    open_to = {r for r in ROUTES if r.scope and any(grants(scope, r) for scope in _WORKERS)}
    assert set(SAMPLES) == {(r.method, r.path) for r in about | open_to}


@each_route
def test_a_worker_does_what_is_its_own_and_gets_nothing_else(doors: Doors, route: Route) -> None:
    answer = doors.call("its worker", route.method, sample_of(route))
    assert (answer is not None) == grants(Scope.WORKER, route)
    if answer is not None:
        assert answer.status == 200, answer


@each_route
@pytest.mark.parametrize("caller", OTHER_WORKERS)
def test_another_worker_learns_and_changes_nothing(doors: Doors, route: Route, caller: str) -> None:
    before = state(doors)
    answer = doors.call(caller, route.method, sample_of(route))
    assert (answer is not None) == grants(Scope.WORKER, route)
    if answer is not None and route.scope is not None:
        assert answer.status == _TO_ANOTHER.get((route.method, route.path), 403), answer
        assert "build_limit" not in answer.text
    assert state(doors) == before


@each_route
@pytest.mark.parametrize("caller", ENDED)
def test_a_token_that_has_ended_does_nothing(doors: Doors, route: Route, caller: str) -> None:
    before = state(doors)
    answer = doors.call(caller, route.method, sample_of(route))
    assert answer is not None
    assert answer.status == (401 if route.scope else 200), answer
    assert state(doors) == before


@each_route
def test_the_secrets_worker_token_invites_and_does_nothing_else(doors: Doors, route: Route) -> None:
    before = state(doors)
    answer = doors.call("static worker", route.method, sample_of(route))
    if grants(Scope.INVITE, route):
        assert answer is not None and answer.status in (200, 201)
    elif grants(Scope.WORKER, route):
        assert answer is not None
        assert (answer.status, "invites workers" in answer.text) == (403, True)
    else:
        assert answer is None
    assert state(doors) == before


@each_worker_route
@pytest.mark.parametrize("caller", PEOPLE)
def test_people_do_what_the_table_of_routes_says(doors: Doors, route: Route, caller: str) -> None:
    answer = doors.call(caller, route.method, sample_of(route))
    assert (answer is not None) == grants(SCOPES[caller], route)
    if answer is not None:
        assert answer.status == _SUCCESS.get((route.method, route.path), 200), answer


@each_route
@pytest.mark.parametrize(
    ("caller", "status"), [("invited", 201), ("invited, another", 403), ("invited, expired", 401)]
)
def test_an_invitation_registers_its_worker_once_and_does_nothing_else(
    doors: Doors, route: Route, caller: str, status: int
) -> None:
    is_registering = (route.method, route.path) == ("POST", "/v1/workers")
    answers = [doors.call(caller, route.method, sample_of(route)) for _ in range(2)]
    statuses = [answer and answer.status for answer in answers]
    if route.scope is None:
        assert statuses[0] == 200
    elif is_registering:
        # What is refused for its name does not use it up.
        assert statuses == [status, 401 if status == 201 else status]
    elif status == 401:
        assert statuses == [401, 401]
    else:
        assert statuses == [None, None]


def test_a_keys_worker_has_a_record_apart_from_that_of_every_other_worker(
    doors: Doors, access: Access, world: World
) -> None:
    before = world.workers.get("host-1")
    of_key = Claims("worker", "host", world.clock() + timedelta(minutes=20), "t", is_group=True)
    doors.tokens["key"] = access.issue(of_key)
    poll = ("/api/tasks/poll/render", "workerid=1", None)
    assert (answer := doors.call("key", "GET", poll)) and answer.status == 204
    assert world.workers.get("host-1") == before
    answer = doors.call("read", "GET", ("/v1/workers/host~1", "", None))
    assert answer is not None and answer.body["hostname"] == "host/1"


def test_a_worker_registers_by_no_name_that_looks_like_one_of_a_keys_workers(
    doors: Doors,
) -> None:
    for name in ("team-a~host-1", "team-a/host-1"):
        sample = ("/v1/worker-registrations", "", {"hostname": name})
        answer = doors.call("admin", "POST", sample)
        assert answer is not None and answer.status == 422


def test_a_keys_workers_run_in_the_workspace_that_is_called_as_the_key(
    doors: Doors, access: Access, world: World
) -> None:
    driver = {"type": "ec2", "instance_ids": ["i-01234567"]}
    doors.call("admin", "PUT", ("/v1/workspaces/team-a", "", {"driver": driver}))
    until = world.clock() + timedelta(minutes=20)
    for key, status in (("team-a", 200), ("team", 404)):
        doors.tokens["key"] = access.issue(Claims("worker", key, until, "t", is_group=True))
        answer = doors.call("key", "POST", ("/v1/workspaces/team-a/activity", "", None))
        assert answer is not None and answer.status == status, key
