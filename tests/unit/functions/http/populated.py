"""A deployment with one of everything, for tests that call every route."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from shiftwork_platform.gateway import Gateway
from tests.world.world import World

ADMIN = "a-token"
#: Names that a store may choke on.
_HOSTILE = ["\x00", "x" * 3000]


@dataclass
class Populated:
    """The gateway of such a deployment.

    Attributes
    ----------
    tokens
        A token of each caller.
    names
        Names and ids of what there is, by the beginnings of paths.
    """

    gateway: Gateway
    world: World
    tokens: dict[str, str]
    names: dict[str, list[str]]

    def known(self, path: str) -> list[str]:
        """Return names and ids that lead somewhere on a path, and some that nobody has."""
        found = next(names for start, names in self.names.items() if path.startswith(start))
        return [*found, *_HOSTILE]


def populate(gateway: Gateway, world: World) -> Populated:
    """Have requests in several states, workers, a claimed task, and a workspace with its jobs."""

    def call(method: str, path: str, body: Any = None, token: str = ADMIN) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        sent = b"" if body is None else json.dumps(body).encode()
        answer = gateway(method, path, headers=headers, body=sent)
        assert answer.status < 300, (method, path, answer)
        return json.loads(answer.text) if "json" in answer.headers["Content-Type"] else answer.text

    def register(name: str) -> str:
        invitation = call("POST", "/v1/worker-registrations", {"hostname": name})["token"]
        token: str = call("POST", "/v1/workers", {"hostname": name}, invitation)["token"]
        return token

    def submit(name: str, **params: Any) -> str:
        request_id: str = call("POST", "/v1/requests", {"type": name, "params": params})[
            "request_id"
        ]
        world.run()
        return request_id

    worker = register("host-1")
    register("host-2")
    failed, claimed = submit("film"), submit("film")
    path = "/api/tasks/poll/render"
    tasks = [call("GET", path, token=worker) for _ in (failed, claimed)]
    result = {"taskId": tasks[0]["taskId"], "status": "FAILED_WITH_TERMINAL_ERROR"}
    call("POST", "/api/tasks", result, worker)
    world.run()
    requests = [failed, claimed, submit("film"), submit("sum", numbers=[1, 2])]
    driver = {"type": "ec2", "instance_ids": ["i-01234567"]}
    call("PUT", "/v1/workspaces/lab", {"driver": driver})
    started = call("POST", "/v1/workspaces/lab/start")
    attempts = [a.attempt_id for request in requests for a in world.attempts(request)]
    names = {
        "/v1/request-types": ["film", "sum"],
        "/v1/job-types": ["render", "add"],
        "/v1/requests": requests,
        "/v1/jobs": attempts,
        "/v1/workers": ["host-1", "host-2"],
        "/v1/workspaces": ["lab"],
        "/v1/lifecycle-jobs": [started["id"]],
        "/api/tasks/poll": ["render"],
        "/api/tasks/{workflow_id}": [*requests, "render", "COMPLETED", "IN_PROGRESS"],
        "/api/tasks": attempts,
        "/api/metadata": ["render", "add"],
        "/api/workflow": ["film", "sum", *requests],
        "": ["film", "sum", "render", "add", "lab", "host-1", "crm", *requests, *attempts],
    }
    gateway.before = _restorer(world)
    return Populated(gateway, world, {"admin": ADMIN, "worker": worker}, names)


def _restorer(world: World) -> Callable[[], None]:
    """Return what brings the world back to where it is now."""
    tables, now = world.tables.copy(), world.clock.now
    executions, messages = dict(world.machine.executions), list(world.queue.messages)

    def restore() -> None:
        state = tables.copy()
        for row in fields(state):
            if row.name != "lock":
                setattr(world.tables, row.name, getattr(state, row.name))
        world.clock.now = now
        world.machine.executions = dict(executions)
        world.queue.messages = list(messages)

    return restore
