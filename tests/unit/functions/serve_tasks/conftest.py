"""The task API over an engine in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from shiftwork_core import bootstrap
from shiftwork_core.routes import TASK_ROUTES, match
from shiftwork_core.services.requests.requests import CheckSchema, Requests
from shiftwork_core.settings import Settings
from tests.world.declared import check_declared
from tests.world.world import World

CONTEXT = SimpleNamespace(
    function_name="serve-tasks",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:serve-tasks",
    aws_request_id="call-1",
)
TOKENS = {"admin": "a-token", "worker": "w-token"}
JSON_TYPE = "application/json"
DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[4] / "docs" / "reference" / "openapi.json").read_text()
)


@dataclass(frozen=True)
class Answer:
    """What the function answered."""

    status: int
    type: str | None
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def faults(self) -> dict[str, str]:
        """Return the messages of Conductor's error by path."""
        return {e["path"]: e["message"] for e in self.body["validationErrors"] or []}


def http_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    raw: str | None = None,
    query: str = "",
    headers: dict[str, str] | None = None,
    authorizer: dict[str, str] | None = None,
    is_base64: bool = False,
) -> dict[str, Any]:
    """Return the event of an HTTP API, payload 2.0. `raw` is a body as it is sent."""
    context = {"scope": "admin"} if authorizer is None else authorizer
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": JSON_TYPE} | (headers or {}),
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "203.0.113.1"},
            "authorizer": {"lambda": context},
            "stage": "$default",
        },
        "body": raw if body is None else json.dumps(body),
        "isBase64Encoded": is_base64,
    }


class TaskApi:
    """Calls the function, and shows the engine behind it.

    Every answer is checked against the schema in openapi.json of its route and status.
    """

    def __init__(self, app: ModuleType, world: World) -> None:
        self.app = app
        self.world = world

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        result = self.app.handler(http_event(method, path, body, **options), CONTEXT)
        status, headers, text = result["statusCode"], result["headers"], result["body"]
        route = match(method, path, TASK_ROUTES)
        if route is not None and method != "HEAD" and status not in (405, 500):
            check_declared(DOCUMENT, route, status, headers, text)
        return Answer(result["statusCode"], result["headers"].get("Content-Type"), result["body"])

    # -- what a worker does ----------------------------------------------------------------------

    def poll(self, type: str = "render", worker: str = "w1", **query: Any) -> list[Any]:
        """Poll a batch; return the tasks."""
        given = {"workerid": worker, "count": 10, **query}
        text = "&".join(f"{name}={quote(str(value))}" for name, value in given.items())
        answer = self("GET", f"/api/tasks/poll/batch/{type}", query=text)
        assert answer.status == 200, answer.text
        tasks: list[Any] = answer.body
        return tasks

    def update(self, task: dict[str, Any], status: str, **fields: Any) -> Answer:
        """Report on a task as its worker."""
        return self("POST", "/api/tasks", result_of(task, status, **fields))

    # -- what a user does --------------------------------------------------------------------------

    def start(self, type: str = "film", **input: Any) -> str:
        """Start a workflow, and let it run as far as it goes; return its id."""
        answer = self("POST", f"/api/workflow/{type}", input)
        assert (answer.status, answer.type) == (200, "text/plain; charset=utf-8"), answer.text
        self.world.run()
        return answer.text

    def workflow(self, workflow_id: str, **query: Any) -> Any:
        """Return a workflow."""
        text = "&".join(f"{name}={value}" for name, value in query.items())
        self.world.run()
        answer = self("GET", f"/api/workflow/{workflow_id}", query=text)
        assert answer.status == 200, answer.text
        return answer.body


def result_of(task: dict[str, Any], status: str, **fields: Any) -> dict[str, Any]:
    """Return a TaskResult as Conductor's Python SDK sends it."""
    return {
        "workflowInstanceId": task["workflowInstanceId"],
        "taskId": task["taskId"],
        "workerId": task["workerId"],
        "status": status,
        "outputData": {},
        "extendLease": False,
        **fields,
    }


@pytest.fixture
def world() -> World:
    """Return an engine that has one polled job type, and a request type of it."""
    world = World()
    retry = {"max_attempts": 2, "backoff": "fixed", "delay_s": 10, "jitter": "none"}
    world.job_type("render", target="worker", retry=retry, timeout_s=600)
    world.request_type("film", [{"name": "render", "type": "render"}])
    world.request_type("series", [{"name": "cut", "type": "render", "for_each": "params.cuts"}])
    return world


@pytest.fixture
def api(
    import_app: Callable[[str], ModuleType], world: World, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TaskApi]:
    """Return the function over `world`."""

    def requests_service(check_schema: CheckSchema) -> Requests:
        return world.another(
            check_schema=check_schema, new_id=lambda letter: f"f{next(world.ids)}"
        ).requests

    access = world.another(read_token_secret=lambda: json.dumps(TOKENS)).access
    monkeypatch.setattr(bootstrap.requests, "service", requests_service)
    monkeypatch.setattr(bootstrap.requests, "definitions", lambda: world.definitions)
    monkeypatch.setattr(bootstrap.polling, "tasks", lambda: world.tasks)
    monkeypatch.setattr(bootstrap.stores, "jobs", lambda: world.jobs)
    monkeypatch.setattr(bootstrap.stores, "requests", lambda: world.store)
    monkeypatch.setattr(bootstrap.stores, "workers", lambda: world.worker_store)
    monkeypatch.setattr(bootstrap.workers, "access", lambda: access)
    monkeypatch.setattr(bootstrap.world, "settings", lambda: Settings.from_env({}))
    monkeypatch.setattr(bootstrap.world, "now", world.clock)
    app = import_app("serve_tasks")
    import long_polling  # type: ignore[import-not-found]
    import workflow_routes  # type: ignore[import-not-found]

    # No unit test waits: a sleep moves the clock and runs the engine.
    def sleep(seconds: float) -> None:
        world.clock.advance(seconds)
        world.run()

    monkeypatch.setattr(long_polling, "sleep", sleep)
    monkeypatch.setattr(long_polling, "monotonic", lambda: world.clock.now.timestamp())
    workflow_routes.service.cache_clear()
    yield TaskApi(app, world)
    workflow_routes.service.cache_clear()
