"""The whole HTTP API over one engine in memory: API Gateway, Authorize, Api and ServeTasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from shiftwork_core import bootstrap
from shiftwork_core.callbacks import CALLBACKS
from shiftwork_core.services.workers.access import Access
from shiftwork_platform.gateway import Gateway
from tests.unit.functions.api.conftest import Api
from tests.unit.functions.api.conftest import api as api
from tests.unit.functions.api.conftest import request_ids as request_ids
from tests.unit.functions.serve_tasks.conftest import TaskApi
from tests.unit.functions.serve_tasks.conftest import api as task_api
from tests.world.world import World

__all__ = ["api", "request_ids", "task_api"]

SECRET = {
    "admin": "a-token",
    "submit": "s-token",
    "read": "r-token",
    "operate": "o-token",
    "worker": "w-token",
}


@pytest.fixture
def world() -> Iterator[World]:
    """Return an engine that has a request type of callbacks, and one of polled jobs."""
    before = dict(CALLBACKS)
    world = World()
    world.job_type("add", lambda job: {"sum": sum(job.params["numbers"])})
    world.request_type("sum", [{"name": "add", "type": "add"}])
    retry = {"max_attempts": 2, "backoff": "fixed", "delay_s": 10, "jitter": "none"}
    world.job_type("render", target="worker", retry=retry, timeout_s=600)
    world.request_type("film", [{"name": "render", "type": "render"}])
    yield world
    CALLBACKS.clear()
    CALLBACKS.update(before)


@pytest.fixture
def access(world: World) -> Access:
    """Return what judges tokens, by the secret and the workers of `world`."""
    return Access(lambda: json.dumps(SECRET), world.workers.generation_of, lambda: 0.0)


@pytest.fixture
def gateway(
    import_app: Callable[[str], ModuleType],
    access: Access,
    task_api: TaskApi,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
) -> Gateway:
    """Return the gateway before the functions, over `world`."""
    monkeypatch.setattr(bootstrap.workers, "access", lambda: access)
    apps = {"authorize": import_app("authorize"), "api": api.app, "serve_tasks": task_api.app}
    return Gateway({name: app.handler for name, app in apps.items()})
