"""What is no name never reaches a store, wherever a path of the task API has a name."""

from __future__ import annotations

import pytest

from shiftwork_core.routes import TASK_ROUTES, Route
from tests.unit.functions.hostile_names import HOSTILE, path_with, paths_of, require_strict_keys
from tests.unit.functions.serve_tasks.conftest import TaskApi

BODIES: dict[str, dict[str, str]] = {"POST": {}, "PUT": {}}


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize(("route", "place"), paths_of(TASK_ROUTES))
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_can_be_no_name_is_absent_from_every_route(
    api: TaskApi, monkeypatch: pytest.MonkeyPatch, route: Route, place: int, text: str
) -> None:
    request_id = api.start()
    names = {"workflow_id": request_id, "type": "render", "task_id": f"{request_id}.1.0.1"}
    before = api.world.tables.copy()
    require_strict_keys(monkeypatch)
    path = path_with(route, place, text, names)
    answer = api(route.method, path, BODIES.get(route.method))
    # An empty text makes it the path of another route, which may have no such method.
    assert answer.status == 404 or (text == "" and answer.status in (400, 405, 501)), answer.text
    answer.text.encode()
    assert api.world.tables.copy() == before


@pytest.mark.parametrize("place", ["taskId", "workerId"])
def test_what_can_be_no_name_is_refused_by_its_place_in_a_report(api: TaskApi, place: str) -> None:
    for text in ("x" * 3000, "a\0b", "a\nb"):
        body = {"taskId": "r.1.0.1", "workerId": "w", "status": "COMPLETED"} | {place: text}
        answer = api("POST", "/api/tasks", body)
        assert (answer.status, list(answer.faults)) == (400, [place])


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("/api/tasks/poll/render", "domain=a%23b", "domain"),
        ("/api/tasks/poll/render", "domain=" + "x" * 201, "domain"),
        ("/api/tasks/poll/render", "workerid=a%00", "workerid"),
        ("/api/tasks/queue/size", "taskType=render%23eu", "taskType"),
        ("/api/tasks/queue/sizes", "taskType=render%23", "taskType"),
        ("/api/tasks/queue/sizes", "taskType=render%23eu%23de", "taskType"),
        ("/api/tasks/queue/polldata", "taskType=a%0A", "taskType"),
    ],
)
def test_what_can_be_no_name_is_refused_by_its_place_in_a_query(
    api: TaskApi, path: str, query: str, place: str
) -> None:
    answer = api("GET", path, query=query)
    assert (answer.status, list(answer.faults)) == (400, [place])


def test_a_queue_is_named_by_its_type_and_domain(api: TaskApi) -> None:
    answer = api("GET", "/api/tasks/queue/sizes", query="taskType=render%23eu&taskType=render")
    assert answer.body == {"render#eu": 0, "render": 0}
