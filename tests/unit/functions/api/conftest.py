"""The API over an engine in memory, with every answer checked against openapi.json."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from shiftwork_core import bootstrap
from shiftwork_core.adapters.memory import (
    MemoryCountedTables,
    MemoryLifecycleJobStore,
    MemoryWorkspaceStore,
)
from shiftwork_core.adapters.threads import side_by_side
from shiftwork_core.callbacks import CALLBACKS
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.workspaces.records import Operation, Sighting, Workspace, WorkspaceState
from shiftwork_core.ports.workspaces import Driver, DriverError
from shiftwork_core.routes import ROUTES, match
from shiftwork_core.services.metrics.gauges import GaugeReader
from shiftwork_core.services.metrics.rebuild import Rebuilder
from shiftwork_core.services.metrics.series import MetricSeries
from shiftwork_core.services.requests.requests import CheckSchema, Requests
from shiftwork_core.settings import Settings
from shiftwork_platform.gateway import GatewayAnswer
from tests.world.counters import Counted, sources_of
from tests.world.declared import check_declared
from tests.world.world import RULES, Queue, World

CONTEXT = SimpleNamespace(
    function_name="api",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:api",
    aws_request_id="call-1",
)


class Answer(GatewayAnswer):
    """What the function answered."""

    @property
    def faults(self) -> dict[str, str]:
        """Return the messages of a problem by path."""
        return {e["path"]: e["message"] for e in self.body["errors"]}


def short(value: object) -> str:
    """Return a test's id; a set has none, since its order differs between processes."""
    return "" if isinstance(value, set) else str(value)[:60]


def http_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    raw: str | None = None,
    query: str = "",
    headers: dict[str, str] | None = None,
    is_base64: bool = False,
    caller: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the event of an HTTP API, payload 2.0.

    `raw` is a body as it is sent, `caller` what the authorizer says of the token.
    """
    text = raw if body is None else json.dumps(body)
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "queryStringParameters": {name: value for name, _, value in pairs},
        "headers": {"content-type": "application/json"} | (headers or {}),
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "203.0.113.1"},
            "requestId": "call-1",
            "stage": "$default",
            **({"authorizer": {"lambda": caller}} if caller is not None else {}),
        },
        "body": text,
        "isBase64Encoded": is_base64,
    }


@dataclass
class FakeDriver(Driver):
    """A driver that sees what a test tells it to, and switches nothing."""

    sighting: Sighting = field(default_factory=lambda: Sighting(WorkspaceState.STOPPED, "1 of 1"))
    look_error: DriverError | None = None
    plan_error: DriverError | None = None

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        if self.look_error is not None:
            raise self.look_error
        return self.sighting

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        return memory

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        if self.plan_error is not None:
            raise self.plan_error
        return [f"{operation} instance i-1"]

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        raise AssertionError("the API switches nothing itself")


class Lifecycle:
    """Workspaces over the tables and the clock of `world`, without a scheduler or a switcher."""

    def __init__(self, world: World) -> None:
        self.clock = world.clock
        self.store = MemoryWorkspaceStore(world.tables)
        self.jobs = MemoryLifecycleJobStore(world.tables)
        self.queue = Queue(world.clock)
        self.driver = FakeDriver()
        ids = itertools.count(1)
        services = world.another(
            workspaces=self.store,
            lifecycle_jobs=self.jobs,
            switch_queue=self.queue,
            driver_for=lambda kind: self.driver,
            almanac_for=bootstrap.workspaces.almanac_for,
            new_id=lambda letter: f"j{next(ids)}",
        )
        self.logs = services.lifecycle_logs
        self.service = services.workspaces
        self.explainer = services.workspace_explainer

    def change(self, name: str, **values: Any) -> Workspace:
        """Change a row behind the API's back, as the scheduler and the switcher do."""
        row = self.store.get(name)
        assert row is not None
        after = self.store.save(replace(row, **values)).row
        assert after is not None
        return after


class Api:
    """Calls the API function, and shows the engine behind it.

    Every answer is checked against the schema in openapi.json of its route and status.
    """

    def __init__(
        self, app: ModuleType, world: World, lifecycle: Lifecycle, counters: Counted
    ) -> None:
        self.app = app
        self.counters = counters
        self.world = world
        self.lifecycle = lifecycle
        self.document = app.openapi_document.build(app.app)

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        result = self.app.handler(http_event(method, path, body, **options), CONTEXT)
        answer = Answer(result["statusCode"], result.get("headers") or {}, result["body"])
        route = match(method, path, ROUTES)
        if route is not None and method != "HEAD" and answer.status != 500:
            check_declared(self.document, route, answer.status, answer.headers, answer.text)
        return answer

    @property
    def has_written(self) -> bool:
        """Whether a call has written or started anything beyond the fixture's definitions."""
        tables, world = self.world.tables, self.world
        return bool(
            tables.requests
            or tables.keys
            or tables.blobs
            or tables.attempts
            or world.machine.executions
            or world.queue.messages
            or tables.workers
            or tables.used_tokens
            or tables.workspaces
            or tables.lifecycle_jobs
            or self.lifecycle.queue.messages
            or sum(map(len, tables.definitions.values())) != 2
        )


@pytest.fixture
def world() -> Iterator[World]:
    """Return an engine that has one request type and its job type."""
    before = dict(CALLBACKS)
    world = World()
    world.job_type("add", lambda job: {"sum": sum(job.params["numbers"])})
    world.request_type("sum", [{"name": "add", "type": "add"}])
    yield world
    CALLBACKS.clear()
    CALLBACKS.update(before)


@pytest.fixture
def request_ids() -> Iterator[str]:
    """Return the ids of requests to come."""
    return (f"r{number}" for number in itertools.count(1))


@pytest.fixture
def api(
    import_app: Callable[[str], ModuleType],
    world: World,
    request_ids: Iterator[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Api]:
    """Return the API over `world`."""

    def requests_service(check_schema: CheckSchema) -> Requests:
        return world.another(
            check_schema=check_schema, new_id=lambda letter: next(request_ids)
        ).requests

    settings = Settings.from_env(
        {
            "SERVICES": '{"crm": "http://crm.test"}',
            "RUN_JOBS_LOG_GROUP": "/aws/lambda/run-jobs",
            "STAGE": "test",
        }
    )
    monkeypatch.setattr(bootstrap.requests, "service", requests_service)
    monkeypatch.setattr(bootstrap.requests, "definitions", lambda: world.definitions)
    monkeypatch.setattr(bootstrap.world, "settings", lambda: settings)
    monkeypatch.setattr(bootstrap.workers, "access", lambda: world.access)
    monkeypatch.setattr(bootstrap.watch, "liveness", lambda: RULES)
    monkeypatch.setattr(bootstrap.watch, "records", lambda: world.workers)
    monkeypatch.setattr(bootstrap.workers, "registrations", lambda: world.registrations)
    monkeypatch.setattr(bootstrap.workers, "explainer", lambda: world.worker_explainer)
    lifecycle = Lifecycle(world)
    counters = Counted()
    gauges = GaugeReader(sources_of(world, counters), RULES, world.clock, side_by_side)
    monkeypatch.setattr(bootstrap.gauges, "reader", lambda: gauges)
    series = MetricSeries(counters, world.clock)
    monkeypatch.setattr(bootstrap.metrics, "series", lambda: series)
    rebuilder = Rebuilder(
        counters, MemoryCountedTables(world.tables), world.clock, timedelta(seconds=75)
    )
    monkeypatch.setattr(bootstrap.metrics, "rebuilder", lambda: rebuilder)
    monkeypatch.setattr(bootstrap.world, "now", world.clock)
    monkeypatch.setattr(bootstrap.workspaces, "service", lambda: lifecycle.service)
    monkeypatch.setattr(bootstrap.workspaces, "explainer", lambda: lifecycle.explainer)
    app = import_app("api")
    services = (
        app.metric_routes.gauges,
        app.series_routes.series,
        app.rebuild_routes.rebuilder,
        app.request_routes.service,
        app.worker_routes.workers,
        app.worker_routes.registrations,
        app.workspace_routes.workspaces,
    )
    for service in services:
        service.cache_clear()
    yield Api(app, world, lifecycle, counters)
    for service in services:
        service.cache_clear()
