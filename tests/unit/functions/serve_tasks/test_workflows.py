"""Requests as workflows: start, read, terminate and retry them."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import Kind
from tests.unit.functions.serve_tasks.conftest import TaskApi
from tests.world.world import World

BEGIN_MS = 1767225600000
START = "/api/workflow"


def test_a_workflow_has_conductors_fields(api: TaskApi) -> None:
    body = {
        "name": "film",
        "version": 1,
        "input": {"title": "M"},
        "correlationId": "c1",
        "priority": 3,
        "taskToDomain": {"render": "eu"},
    }
    workflow_id = api("POST", START, body).text
    api.world.clock.advance(1)
    workflow = api.workflow(workflow_id, includeTasks="False")
    assert workflow == {
        "workflowId": workflow_id,
        "workflowName": "film",
        "workflowType": "film",
        "workflowVersion": 1,
        "version": 1,
        "workflowDefinition": {"name": "film", "version": 1, "tasks": []},
        "status": "RUNNING",
        "input": {"title": "M"},
        "output": {},
        "variables": {},
        "correlationId": "c1",
        "priority": 3,
        "taskToDomain": {"render": "eu"},
        "createTime": BEGIN_MS,
        "startTime": BEGIN_MS,
        "endTime": 0,
        "updateTime": BEGIN_MS + 1000,
        "reasonForIncompletion": None,
        "failedReferenceTaskNames": [],
        "failedTaskNames": [],
    }
    assert [t["domain"] for t in api.workflow(workflow_id)["tasks"]] == ["eu"]


def test_a_workflow_is_started_by_name_with_its_input_as_the_body(api: TaskApi) -> None:
    query = "version=1&correlationId=c1&priority=5"
    answer = api("POST", f"{START}/film", {"title": "M"}, query=query)
    workflow = api.workflow(answer.text)
    assert (workflow["input"], workflow["priority"]) == ({"title": "M"}, 5)
    assert workflow["correlationId"] == "c1"


@pytest.mark.parametrize("is_by_name", [False, True])
def test_a_priority_that_no_task_can_honour_is_kept_and_refused_to_none_of_conductors_clients(
    api: TaskApi, world: World, *, is_by_name: bool
) -> None:
    world.job_type("cut", target="python")
    world.request_type("film", [{"name": "cut", "type": "cut"}])
    if is_by_name:
        answer = api("POST", f"{START}/film", {"title": "M"}, query="priority=5")
    else:
        body = {"name": "film", "input": {"title": "M"}, "priority": 5}
        answer = api("POST", START, body)
    assert answer.status == 200
    assert api.workflow(answer.text, includeTasks="False")["priority"] == 5


def test_numbers_may_be_digits_in_text(api: TaskApi) -> None:
    body = {"name": "film", "version": "1", "priority": "3"}
    workflow = api.workflow(api("POST", START, body).text)
    assert (workflow["version"], workflow["priority"]) == (1, 3)


def test_the_statuses_are_conductors(api: TaskApi, world: World) -> None:
    completed, failed, ended = (api.start() for _ in range(3))
    done, broken, _ = api.poll()
    assert api.workflow(completed)["status"] == "RUNNING"
    api.update(done, "COMPLETED")
    api.update(broken, "FAILED_WITH_TERMINAL_ERROR")
    api("DELETE", f"{START}/{ended}")
    assert [api.workflow(w)["status"] for w in (completed, failed, ended)] == [
        "COMPLETED", "FAILED", "TERMINATED"
    ]  # fmt: skip


def test_a_status_is_short(api: TaskApi) -> None:
    workflow_id = api.start(title="M")
    path = f"{START}/{workflow_id}/status"
    about = {"workflowId": workflow_id, "correlationId": None, "status": "RUNNING"}
    assert api("GET", path).body == about
    query = "includeOutput=true&includeVariables=true"
    assert api("GET", path, query=query).body == about | {"output": {}, "variables": {}}


def test_a_terminated_workflow_names_the_reason_and_starts_nothing(api: TaskApi) -> None:
    workflow_id = api.start("series", cuts=[1, 2])
    [task] = api.poll(count=1)
    answer = api("DELETE", f"{START}/{workflow_id}", query="reason=no%20money")
    assert (answer.status, answer.text) == (200, "")
    workflow = api.workflow(workflow_id)
    assert (workflow["status"], workflow["reasonForIncompletion"]) == ("TERMINATED", "no money")
    assert [t["status"] for t in workflow["tasks"]] == ["IN_PROGRESS", "CANCELED"]
    assert api.poll() == []
    assert api.update(task, "COMPLETED").status == 200


def test_only_a_running_workflow_can_be_terminated_and_only_a_failed_one_retried(
    api: TaskApi,
) -> None:
    workflow_id = api.start()
    assert api("POST", f"{START}/{workflow_id}/retry").status == 409
    [task] = api.poll()
    api.update(task, "COMPLETED")
    api.world.run()
    answer = api("DELETE", f"{START}/{workflow_id}")
    assert (answer.status, answer.body["code"], answer.body["retryable"]) == (
        409, "CONFLICT", False
    )  # fmt: skip


def test_a_failed_workflow_is_retried(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    api.update(task, "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion="no ink")
    api.world.run()
    answer = api("POST", f"{START}/{workflow_id}/retry", {})
    assert (answer.status, answer.text) == (204, "")
    assert api.workflow(workflow_id)["status"] == "RUNNING"
    [again] = api.poll()
    assert (again["retryCount"], again["retriedTaskId"]) == (1, task["taskId"])
    api.update(again, "COMPLETED")
    assert api.workflow(workflow_id)["status"] == "COMPLETED"


def test_jobs_of_other_targets_are_tasks_too(api: TaskApi, world: World) -> None:
    world.job_type("add", lambda job: {"sum": 3})
    world.request_type("sum", [{"name": "add", "type": "add"}])
    workflow_id = api.start("sum")
    workflow = api.workflow(workflow_id)
    [task] = workflow["tasks"]
    assert (task["taskType"], task["status"]) == ("add", "COMPLETED")
    assert workflow["output"] == {"sum": 3}


def test_a_very_wide_workflow_is_shown_without_its_tasks(api: TaskApi) -> None:
    workflow_id = api.start("series", cuts=list(range(1001)))
    answer = api("GET", f"{START}/{workflow_id}")
    assert (answer.status, answer.body["code"]) == (413, "ANSWER_TOO_LARGE")
    assert api.workflow(workflow_id, includeTasks="false")["status"] == "RUNNING"


@pytest.mark.parametrize("path", ["", "/status"])
def test_an_unknown_workflow_is_404(api: TaskApi, path: str) -> None:
    answer = api("GET", f"{START}/nobody{path}")
    assert (answer.status, answer.body["code"]) == (404, "NOT_FOUND")
    assert api("DELETE", f"{START}/nobody").status == 404
    assert api("POST", f"{START}/nobody/retry").status == 404


def test_an_unknown_type_or_version_is_404(api: TaskApi) -> None:
    assert api("POST", START, {"name": "nobody"}).status == 404
    assert api("POST", f"{START}/nobody", {}).status == 404
    assert api("POST", START, {"name": "film", "version": 9}).status == 404


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"version": "one"}, "version"),
        ({"version": -1}, "version"),
        ({"input": [1]}, "input"),
        ({"correlationId": 5}, "correlationId"),
        ({"correlationId": "x" * 201}, "correlationId"),
        ({"priority": 100}, "priority"),
        ({"priority": True}, "priority"),
        ({"taskToDomain": ["eu"]}, "taskToDomain"),
        ({"taskToDomain": {"render": 5}}, "taskToDomain"),
        ({"taskToDomain": {"render": "eu,NO_DOMAIN"}}, "taskToDomain"),
        ({"idempotencyKey": 5}, "idempotencyKey"),
        ({"idempotencyStrategy": "FAIL_ON_RUNNING"}, "idempotencyStrategy"),
    ],
    ids=str,
)
def test_a_bad_start_is_400(api: TaskApi, fields: dict[str, Any], fault: str) -> None:
    answer = api("POST", START, {"name": "film", "input": {}} | fields)
    assert (answer.status, set(answer.faults)) == (400, {fault})
    assert not api.world.tables.requests


def test_input_is_checked_against_the_types_schema(api: TaskApi, world: World) -> None:
    body = world.definitions.get(Kind.REQUEST_TYPE, "film").body
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    world.definitions.put(Kind.REQUEST_TYPE, "film", body | {"params": schema})
    answer = api("POST", f"{START}/film", {"title": 5})
    assert (answer.status, set(answer.faults)) == (400, {"input.title"})
    assert api("POST", f"{START}/film", {"title": "M"}).status == 200


def test_an_input_that_is_too_large_is_413(api: TaskApi) -> None:
    answer = api("POST", f"{START}/film", {"title": "x" * 300_000})
    assert (answer.status, answer.body["code"]) == (413, "TOO_LARGE")


def test_an_idempotency_key_starts_one_workflow(api: TaskApi) -> None:
    body = {"name": "film", "input": {"title": "M"}, "idempotencyKey": "k1"}
    first = api("POST", START, body)
    assert api("POST", START, body).status == 409
    again = api("POST", START, body | {"idempotencyStrategy": "RETURN_EXISTING"})
    assert (again.status, again.text) == (200, first.text)
    other = body | {"idempotencyStrategy": "RETURN_EXISTING", "input": {}}
    assert api("POST", START, other).status == 409
    headers = {"X-Idempotency-Key": "k1", "X-On-Conflict": "RETURN_EXISTING"}
    by_name = api("POST", f"{START}/film", {"title": "M"}, headers=headers)
    assert by_name.text == first.text


def test_inline_definitions_and_external_payloads_are_not_offered(api: TaskApi) -> None:
    for field in ("workflowDef", "externalInputPayloadStoragePath"):
        answer = api("POST", START, {"name": "film", field: {"name": "film"}})
        assert (answer.status, answer.body["code"]) == (501, "NOT_IMPLEMENTED")
