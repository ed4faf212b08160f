"""POST /v1/tasks/exchange: one call takes results and gives tasks."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.domain.workers.workers import WorkerReport
from tests.unit.functions.serve_tasks.conftest import Answer, TaskApi
from tests.world.world import World

WANT = {"type": "render", "count": 5}
PATH = "/v1/tasks/exchange"


def exchange(api: TaskApi, **fields: Any) -> Any:
    answer = call(api, **fields)
    assert answer.status == 200, answer.text
    return answer.body


def call(api: TaskApi, **fields: Any) -> Answer:
    return api("POST", PATH, {"worker_id": "w1", "exchange_id": "e1", **fields})


def result(task: dict[str, Any], status: str = "COMPLETED", **fields: Any) -> dict[str, Any]:
    return {"task_id": task["task_id"], "fence": task["fence"], "status": status, **fields}


def test_a_task_has_all_that_a_worker_needs(api: TaskApi) -> None:
    body = {"name": "film", "input": {"title": "M"}, "correlationId": "c1", "priority": 7}
    request_id = api("POST", "/api/workflow", body).text
    api.world.run()
    answer = exchange(api, wants=[WANT])
    assert answer == {
        "outcomes": [],
        "stop": [],
        "drained": False,
        "tasks": [
            {
                "task_id": f"{request_id}.1.0.1",
                "fence": 1,
                "type": "render",
                "job": "render",
                "request_id": request_id,
                "request_type": "film",
                "attempt": 1,
                "tries": 1,
                "params": {"title": "M"},
                "extras": {},
                "item": None,
                "output": {},
                "created_at": "2026-01-01T00:00:00.000Z",
                "lease_until": "2026-01-01T00:01:00.000Z",
                "response_timeout_s": 60.0,
                "timeout_s": 600,
                "poll_count": 1,
                "correlation_id": "c1",
                "priority": 7,
            }
        ],
    }


def test_results_go_in_as_tasks_come_out(api: TaskApi) -> None:
    api.start("series", cuts=[1, 2, 3])
    one, two = exchange(api, wants=[{"type": "render", "count": 2}])["tasks"]
    results = [result(one, output={"a": 1}), result(two, "FAILED", reason="no ink"),
               {"task_id": "nobody", "status": "COMPLETED"}]  # fmt: skip
    answer = exchange(api, exchange_id="e2", results=results, wants=[WANT], running=[])
    assert answer["outcomes"] == ["recorded", "recorded", "unknown"]
    assert [t["job"] for t in answer["tasks"]] == ["cut[2]"]


def test_the_same_exchange_again_has_the_same_answer(api: TaskApi) -> None:
    api.start("series", cuts=[1, 2])
    [task] = exchange(api, wants=[{"type": "render", "count": 1}])["tasks"]
    given = {"exchange_id": "e2", "results": [result(task)], "wants": [WANT]}
    first = exchange(api, **given)
    assert exchange(api, **given) == first
    assert [t["job"] for t in first["tasks"]] == ["cut[1]"]


def test_all_outcomes_have_names(api: TaskApi, world: World) -> None:
    api.start("series", cuts=[1, 2, 3])
    one, two, three = exchange(api, wants=[WANT])["tasks"]
    world.clock.advance(1)
    results = [
        result(one, "IN_PROGRESS", callback_after_s=5, output={"a": 1}),
        result(two, "IN_PROGRESS", extend_lease=True),
        result(three),
    ]
    answer = exchange(api, exchange_id="e2", results=results)
    assert answer["outcomes"] == ["put-back", "renewed", "recorded"]
    late = exchange(api, exchange_id="e3", results=[result(three, "FAILED", reason="x")])
    assert late["outcomes"] == ["late"]
    world.clock.advance(5)
    [back] = exchange(api, exchange_id="e4", wants=[WANT])["tasks"]
    assert (back["task_id"], back["output"], back["fence"]) == (one["task_id"], {"a": 1}, 2)


def test_an_exchange_names_the_tasks_to_stop(api: TaskApi, world: World) -> None:
    request_id = api.start()
    [task] = exchange(api, wants=[WANT])["tasks"]
    api("DELETE", f"/api/workflow/{request_id}")
    world.clock.advance(30)
    answer = exchange(api, exchange_id="e2", running=[task["task_id"], "nobody"])
    assert set(answer["stop"]) == {task["task_id"], "nobody"}


def test_an_exchange_says_that_its_worker_is_drained(api: TaskApi) -> None:
    api.start()
    exchange(api, wants=[{"type": "paint", "count": 1}])
    api.world.workers.drain("w1")
    answer = exchange(api, exchange_id="e2", wants=[WANT])
    assert (answer["drained"], answer["tasks"]) == (True, [])


def test_an_exchange_waits_only_if_the_worker_wants_a_task(api: TaskApi, world: World) -> None:
    before = world.clock()
    assert exchange(api, wants=[WANT], wait_s=3)["tasks"] == []
    assert (world.clock() - before).total_seconds() == 3
    assert exchange(api, exchange_id="e2", wait_s=20)["tasks"] == []
    assert (world.clock() - before).total_seconds() == 3
    api.start()
    assert len(exchange(api, exchange_id="e3", wants=[WANT], wait_s=20)["tasks"]) == 1
    assert (world.clock() - before).total_seconds() == 3


def test_a_waiting_exchange_ends_once_its_worker_leaves(
    api: TaskApi, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.clock()
    exchange(api, wants=[WANT])
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        world.clock.advance(seconds)
        waited.append(seconds)
        if len(waited) == 3:
            world.workers.report("w1", WorkerReport(active=False), by_itself=True)

    monkeypatch.setattr("long_polling.sleep", sleep)
    answer = exchange(api, exchange_id="e2", wants=[WANT], wait_s=20)
    assert (answer["drained"], answer["tasks"]) == (True, [])
    assert (world.clock() - before).total_seconds() == 1.5


@pytest.mark.parametrize("is_exchange", [True, False])
def test_a_waiting_call_gets_nothing_once_its_worker_has_let_a_lease_run_out(
    api: TaskApi, world: World, monkeypatch: pytest.MonkeyPatch, is_exchange: bool
) -> None:
    """Its worker has probably died, and nobody reads the answer."""
    api.start()
    [held] = exchange(api, wants=[WANT])["tasks"]

    def sleep(seconds: float) -> None:
        world.clock.advance(seconds)
        if world.workers.get("w1").running_build_ids:
            world.workers.lapsed("w1", held["task_id"], world.clock())
            api.start()

    monkeypatch.setattr("long_polling.sleep", sleep)
    if is_exchange:
        answer = exchange(api, exchange_id="e2", wants=[WANT], wait_s=4)
        assert (answer["drained"], answer["tasks"]) == (False, [])
    else:
        assert api.poll(workerid="w1", timeout=4000) == []
    assert len(exchange(api, exchange_id="e3", wants=[WANT])["tasks"]) == 1


def test_a_drained_worker_may_wait_until_it_is_resumed(
    api: TaskApi, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange(api, wants=[WANT])
    world.workers.drain("w1")
    api.start()

    def sleep(seconds: float) -> None:
        world.clock.advance(seconds)
        world.workers.resume("w1")

    monkeypatch.setattr("long_polling.sleep", sleep)
    answer = exchange(api, exchange_id="e2", wants=[WANT], wait_s=20)
    assert (answer["drained"], len(answer["tasks"])) == (False, 1)


def test_results_are_recorded_once_however_long_the_exchange_waits(
    api: TaskApi, world: World
) -> None:
    api.start()
    [task] = exchange(api, wants=[WANT])["tasks"]
    given = {"results": [result(task)], "wants": [WANT], "running": [], "wait_s": 2}
    answer = exchange(api, exchange_id="e2", **given)
    assert answer["outcomes"] == ["recorded"]


def test_a_workers_error_is_in_its_record(api: TaskApi) -> None:
    exchange(api, wants=[WANT], status="error", error="no GPU")
    row = api.world.workers.get("w1")
    assert (row.status, row.error) == ("error", "no GPU")
    exchange(api, exchange_id="e2", wants=[WANT], status="ok", error="")
    assert api.world.workers.get("w1").error is None


def test_a_workers_own_token_is_valid_for_that_worker_only(api: TaskApi) -> None:
    own = {"scope": "worker", "subject": "w1"}
    body = {"worker_id": "w1", "wants": [WANT]}
    assert api("POST", PATH, body, authorizer=own).status == 200
    answer = api("POST", PATH, body | {"worker_id": "w2"}, authorizer=own)
    assert (answer.status, answer.type) == (403, "application/problem+json")
    path = "/api/tasks/poll/batch/render"
    assert api("GET", path, query="workerid=w2", authorizer=own).status == 403
    assert api("GET", path, authorizer=own).status == 200
    late = {"taskId": "f1.1.0.1", "status": "COMPLETED", "workerId": "w2"}
    assert api("POST", "/api/tasks", late, authorizer=own).status == 403


def test_a_body_that_is_not_json_is_a_problem(api: TaskApi) -> None:
    answer = api("POST", PATH, raw="{")
    assert (answer.status, answer.type) == (400, "application/problem+json")
    assert answer.body["type"] == "https://shiftwork.dev/problems/malformed"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"worker_id": None}, "worker_id"),
        ({"worker_id": "x" * 201}, "worker_id"),
        ({"wait_s": 21}, "wait_s"),
        ({"wants": {}}, "wants"),
        ({"wants": [5]}, "wants[0]"),
        ({"wants": [{"count": 1}]}, "wants[0].type"),
        ({"wants": [{"type": "a", "count": 0}]}, "wants[0].count"),
        ({"wants": [{"type": "a", "count": "1"}]}, "wants[0].count"),
        ({"wants": [{"type": "a", "count": 1, "domain": 5}]}, "wants[0].domain"),
        ({"wants": [WANT] * 101}, "wants"),
        ({"results": "x"}, "results"),
        ({"results": [5]}, "results[0]"),
        ({"results": [{"status": "COMPLETED"}]}, "results[0].task_id"),
        ({"results": [{"task_id": "a"}]}, "results[0].status"),
        ({"results": [{"task_id": "a", "status": "COMPLETED", "fence": "1"}]}, "results[0].fence"),
        ({"results": [{"task_id": "a", "status": "COMPLETED", "output": 5}]}, "results[0].output"),
        ({"running": "x"}, "running"),
        ({"running": [5]}, "running[0]"),
        ({"status": "fine"}, "status"),
        ({"error": 5}, "error"),
        ({"exchange_id": 5}, "exchange_id"),
    ],
    ids=str,
)
def test_a_bad_exchange_is_a_problem_that_names_the_fault(
    api: TaskApi, fields: dict[str, Any], fault: str
) -> None:
    answer = call(api, **fields)
    assert (answer.status, answer.type) == (422, "application/problem+json")
    assert answer.body["type"] == "https://shiftwork.dev/problems/invalid"
    assert [e["path"] for e in answer.body["errors"]] == [fault]
