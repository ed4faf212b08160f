"""The life of a task, as Conductor's workers see it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shiftwork_core.services.requests import definitions
from shiftwork_core.services.workers import everyone
from tests.unit.functions.serve_tasks.conftest import TaskApi, result_of
from tests.world.world import World

BEGIN_MS = 1767225600000  # The world's clock begins with 2026.


def test_a_task_has_every_field_of_conductors(api: TaskApi) -> None:
    body = {"name": "film", "input": {"title": "M"}, "correlationId": "c1", "priority": 7}
    workflow_id = api("POST", "/api/workflow", body).text
    api.world.run()
    api.world.clock.advance(2)
    [task] = api.poll()
    assert task == {
        "taskId": f"{workflow_id}.1.0.1",
        "taskType": "render",
        "taskDefName": "render",
        "status": "IN_PROGRESS",
        "inputData": {"title": "M", "params": {"title": "M"}, "extras": {}, "item": None},
        "outputData": {},
        "referenceTaskName": "render",
        "workflowInstanceId": workflow_id,
        "workflowType": "film",
        "workflowPriority": 7,
        "correlationId": "c1",
        "seq": 1,
        "retryCount": 0,
        "retriedTaskId": None,
        "retried": False,
        "executed": False,
        "pollCount": 1,
        "iteration": 0,
        "callbackFromWorker": True,
        "workerId": "w1",
        "domain": None,
        "scheduledTime": BEGIN_MS,
        "startTime": BEGIN_MS + 2000,
        "firstStartTime": BEGIN_MS + 2000,
        "endTime": 0,
        "updateTime": BEGIN_MS + 2000,
        "queueWaitTime": 2000,
        "startDelayInSeconds": 0,
        "callbackAfterSeconds": 0,
        "responseTimeoutSeconds": 60,
        "rateLimitPerFrequency": 0,
        "rateLimitFrequencyInSeconds": 1,
        "reasonForIncompletion": None,
    }
    assert api("GET", f"/api/tasks/{task['taskId']}").body == task


def test_a_completed_task_completes_its_workflow(api: TaskApi) -> None:
    workflow_id = api.start(title="M")
    [task] = api.poll()
    api.world.clock.advance(3)
    answer = api.update(task, "COMPLETED", outputData={"result": 42})
    assert (answer.status, answer.text) == (200, task["taskId"])
    assert answer.type == "text/plain; charset=utf-8"
    workflow = api.workflow(workflow_id)
    assert (workflow["status"], workflow["output"]) == ("COMPLETED", {"result": 42})
    assert workflow["input"] == {"title": "M"}
    [done] = workflow["tasks"]
    assert (done["status"], done["executed"]) == ("COMPLETED", True)
    assert (done["outputData"], done["endTime"]) == ({"result": 42}, BEGIN_MS + 3000)


def test_a_single_poll_gives_one_task_or_204(api: TaskApi) -> None:
    api.start("series", cuts=[1, 2])
    answers = [api("GET", "/api/tasks/poll/render", query="workerid=w1") for _ in range(3)]
    assert [a.status for a in answers] == [200, 200, 204]
    names = [a.body["referenceTaskName"] for a in answers[:2]]
    assert names == ["cut[0]", "cut[1]"]
    assert (answers[2].text, answers[2].type) == ("", "text/plain; charset=utf-8")


def test_a_batch_has_at_most_count_tasks_and_is_empty_when_there_are_none(api: TaskApi) -> None:
    api.start("series", cuts=[1, 2, 3])
    assert [len(api.poll(count=2)) for _ in range(3)] == [2, 1, 0]


def test_no_poll_gets_more_than_a_hundred_tasks(api: TaskApi) -> None:
    api.start("series", cuts=list(range(210)))
    assert len(api.poll(count=1000)) == 100
    wants = [{"type": "paint", "count": 30}, {"type": "render", "count": 1000}]
    body = {"worker_id": "w1", "wants": wants}
    assert len(api("POST", "/v1/tasks/exchange", body).body["tasks"]) == 70


def test_a_poll_waits_as_long_as_it_asks_to(api: TaskApi, world: World) -> None:
    before = world.clock()
    assert api.poll(timeout=2000) == []
    assert (world.clock() - before).total_seconds() == 2
    assert api.poll(timeout=100) == []
    assert (world.clock() - before).total_seconds() == 2


def test_a_waiting_poll_gets_a_new_task(api: TaskApi, world: World) -> None:
    api.start()
    [task] = api.poll()
    api.update(task, "FAILED", reasonForIncompletion="later")
    world.clock.advance(9)  # The back-off has ten seconds.
    [again] = api.poll(timeout=5000)
    assert again["retryCount"] == 1


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("timeout=5001", "timeout"),
        ("timeout=-1", "timeout"),
        ("timeout=x", "timeout"),
        ("count=0", "count"),
        ("count=1001", "count"),
        ("count=1.5", "count"),
        ("workerid=" + "x" * 201, "workerid"),
        ("workerid=a%0Ab", "workerid"),
        ("domain=" + "x" * 201, "domain"),
    ],
)
def test_a_bad_poll_is_400_and_names_the_fault(api: TaskApi, query: str, fault: str) -> None:
    answer = api("GET", "/api/tasks/poll/batch/render", query=query)
    assert (answer.status, set(answer.faults)) == (400, {fault})


def test_an_unknown_type_has_no_tasks(api: TaskApi) -> None:
    assert api.poll("nobody-knows-it") == []


def test_a_failed_task_is_tried_again_as_another_task(api: TaskApi, world: World) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    api.update(task, "FAILED", reasonForIncompletion="no ink")
    world.run()
    failed, waiting = api.workflow(workflow_id)["tasks"]
    assert (failed["status"], failed["reasonForIncompletion"]) == ("FAILED", "no ink")
    assert failed["retried"] is True
    assert (waiting["status"], waiting["startDelayInSeconds"]) == ("SCHEDULED", 10)
    assert waiting["retriedTaskId"] == task["taskId"]
    assert api.poll() == []
    world.clock.advance(10)
    [again] = api.poll()
    assert (again["taskId"], again["retryCount"]) == (f"{workflow_id}.1.0.2", 1)
    api.update(again, "FAILED", reasonForIncompletion="still no ink")
    workflow = api.workflow(workflow_id)
    assert workflow["status"] == "FAILED"
    assert workflow["failedReferenceTaskNames"] == ["render"]
    assert workflow["failedTaskNames"] == ["render"]
    assert "still no ink" in workflow["reasonForIncompletion"]


def test_a_terminal_error_fails_the_workflow_at_once(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    api.update(task, "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion="no printer")
    workflow = api.workflow(workflow_id)
    assert workflow["status"] == "FAILED"
    assert workflow["reasonForIncompletion"] == "no printer"
    [done] = workflow["tasks"]
    assert (done["status"], done["retried"]) == ("FAILED_WITH_TERMINAL_ERROR", False)


@pytest.mark.parametrize("delay", [30, 30.0, "30", "30.0"], ids=repr)
def test_a_task_put_back_is_given_out_as_the_same_task(
    api: TaskApi, world: World, delay: float | str
) -> None:
    """Conductor's server takes digits in text for a number."""
    api.start()
    [task] = api.poll()
    answer = api.update(task, "IN_PROGRESS", callbackAfterSeconds=delay, outputData={"done": 1})
    assert answer.status == 200
    seen = api("GET", f"/api/tasks/{task['taskId']}").body
    assert (seen["status"], seen["callbackAfterSeconds"]) == ("SCHEDULED", 30)
    assert api.poll() == []
    world.clock.advance(30)
    [again] = api.poll(worker="w2")
    assert again["taskId"] == task["taskId"]
    assert (again["pollCount"], again["retryCount"]) == (2, 0)
    assert (again["outputData"], again["workerId"]) == ({"done": 1}, "w2")
    assert again["firstStartTime"] == task["startTime"]


def test_a_lease_is_extended_without_a_worker_id(api: TaskApi, world: World) -> None:
    """Conductor's Python SDK sends its heartbeats so."""
    workflow_id = api.start()
    [task] = api.poll()
    for _ in range(3):
        world.clock.advance(48)
        beat = {"taskId": task["taskId"], "workflowInstanceId": workflow_id}
        answer = api("POST", "/api/tasks", beat | {"status": "IN_PROGRESS", "extendLease": True})
        assert answer.status == 200
    world.sweep()
    assert world.statuses(workflow_id) == ["render 1 inprogress"]
    world.clock.advance(61)
    world.sweep()
    assert world.statuses(workflow_id)[0] == "render 1 retry"


def test_a_late_update_is_200_and_changes_nothing(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    api.update(task, "COMPLETED", outputData={"a": 1})
    answer = api.update(task, "FAILED", reasonForIncompletion="too late")
    assert (answer.status, answer.text) == (200, task["taskId"])
    assert api.workflow(workflow_id)["output"] == {"a": 1}
    [attempt] = api.world.attempts(workflow_id)
    assert [u.reason for u in attempt.late_updates] == ["too late"]


def test_an_update_of_another_worker_changes_nothing(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll(worker="w1")
    assert api.update(task, "COMPLETED", workerId="w2").status == 200
    assert api.world.statuses(workflow_id) == ["render 1 inprogress"]


def test_a_worker_that_polled_without_a_name_may_update_under_one(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api("GET", "/api/tasks/poll/batch/render").body
    assert api.update(task, "COMPLETED", workerId="w2").status == 200
    assert api.workflow(workflow_id)["status"] == "COMPLETED"


def test_an_update_answers_with_the_next_task_of_the_same_type(api: TaskApi) -> None:
    api.start("series", cuts=[1, 2])
    [task] = api.poll(count=1)
    answer = api("POST", "/api/tasks/update-v2", result_of(task, "COMPLETED"))
    assert (answer.status, answer.body["referenceTaskName"]) == (200, "cut[1]")
    assert answer.body["workerId"] == "w1"
    last = api("POST", "/api/tasks/update-v2", result_of(answer.body, "COMPLETED"))
    assert (last.status, last.text) == (204, "")


def test_the_next_task_is_one_of_the_same_domain(api: TaskApi) -> None:
    for domain in ("eu", "eu", None):
        mapping = {"*": domain} if domain else None
        api("POST", "/api/workflow", {"name": "film", "input": {}, "taskToDomain": mapping})
    api.world.run()
    assert len(api.poll(domain="us")) == 0
    [task] = api.poll(domain="eu", count=1)
    assert task["domain"] == "eu"
    answer = api("POST", "/api/tasks/update-v2", result_of(task, "COMPLETED"))
    assert answer.body["domain"] == "eu"
    last = api("POST", "/api/tasks/update-v2", result_of(answer.body, "COMPLETED"))
    assert last.status == 204
    assert [t["domain"] for t in api.poll()] == [None]


def test_an_unknown_task_is_404_but_400_where_404_would_mean_no_such_route(api: TaskApi) -> None:
    for task_id in ("nobody", "f1.1.0.1", "f1.x.y.z", "f1.-1.0.1"):
        result = {"taskId": task_id, "workflowInstanceId": "f1", "status": "COMPLETED"}
        assert api("POST", "/api/tasks", result).status == 404
        assert api("GET", f"/api/tasks/{task_id}").status == 404
        assert api("GET", f"/api/tasks/{task_id}/log").status == 404
        answer = api("POST", "/api/tasks/update-v2", result)
        assert (answer.status, set(answer.faults)) == (400, {"taskId"})


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"taskId": None}, "taskId"),
        ({"taskId": 5}, "taskId"),
        ({"status": None}, "status"),
        ({"status": "DONE"}, "status"),
        ({"status": "SCHEDULED"}, "status"),
        ({"outputData": [1]}, "outputData"),
        ({"reasonForIncompletion": 5}, "reasonForIncompletion"),
        ({"callbackAfterSeconds": -1}, "callbackAfterSeconds"),
        ({"callbackAfterSeconds": 10**9}, "callbackAfterSeconds"),
        ({"callbackAfterSeconds": "-1"}, "callbackAfterSeconds"),
        ({"callbackAfterSeconds": "a minute"}, "callbackAfterSeconds"),
        ({"callbackAfterSeconds": ""}, "callbackAfterSeconds"),
        ({"callbackAfterSeconds": "٦٠"}, "callbackAfterSeconds"),
        ({"workerId": ["w"]}, "workerId"),
        ({"extendLease": "yes"}, "extendLease"),
        ({"logs": "hello"}, "logs"),
        ({"logs": ["hello"]}, "logs[0]"),
        ({"logs": [{"log": 5}]}, "logs[0].log"),
    ],
    ids=str,
)
def test_a_bad_result_is_400_and_changes_nothing(
    api: TaskApi, fields: dict[str, Any], fault: str
) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    for path in ("/api/tasks", "/api/tasks/update-v2"):
        answer = api("POST", path, result_of(task, "COMPLETED") | fields)
        assert (answer.status, set(answer.faults)) == (400, {fault})
    assert api.world.statuses(workflow_id) == ["render 1 inprogress"]


def as_sent(task: dict[str, Any], status: str, **fields: str) -> str:
    """Return a result as JSON text, whose fields are JSON text already."""
    more = "".join(f', "{name}": {text}' for name, text in fields.items())
    return json.dumps(result_of(task, status))[:-1] + more + "}"


def result_with_output(task: dict[str, Any], status: str, output: str) -> str:
    return as_sent(task, status).replace('"outputData": {}', f'"outputData": {output}')


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/update-v2"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("NaN", "loss: JSON has no NaN and no Infinity"),
        ("1e999", "loss: the number is out of range"),
        (r'"half \ud83d"', "loss: the text is not Unicode: half a surrogate pair"),
        ("[" * 40 + "]" * 40, "loss[0][0]: nested more than 32 levels deep"),
    ],
    ids=["nan", "number", "text", "depth"],
)
def test_an_output_that_is_no_json_fails_its_task_and_names_the_place(
    api: TaskApi, path: str, value: str, why: str
) -> None:
    """Conductor's clients drop a result that is refused: the task would wait for its lease."""
    workflow_id = api.start()
    [task] = api.poll()
    raw = result_with_output(task, "COMPLETED", f'{{"loss": {value}}}')
    assert api("POST", path, raw=raw).status in (200, 204)
    assert api.world.statuses(workflow_id) == ["render 1 failure"]
    [failed] = api.workflow(workflow_id)["tasks"]
    assert failed["reasonForIncompletion"] == f"the result is not JSON: {why}"


@pytest.mark.parametrize("status", ["FAILED", "FAILED_WITH_TERMINAL_ERROR", "CANCELED"])
def test_a_failure_counts_whatever_its_output_is(api: TaskApi, status: str) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    raw = result_with_output(task, status, '{"loss": NaN}')
    assert api("POST", "/api/tasks", raw=raw).status == 200
    assert api.world.attempts(workflow_id)[0].status in ("retry", "failure")


def test_an_output_so_far_that_is_no_json_is_400_and_changes_nothing(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    raw = result_with_output(task, "IN_PROGRESS", '{"loss": NaN}')
    assert api("POST", "/api/tasks", raw=raw).status == 400
    assert api.world.statuses(workflow_id) == ["render 1 inprogress"]


def test_texts_that_utf_8_cannot_write_are_written_out(api: TaskApi) -> None:
    """JavaScript sends half a pair when a text is cut within an emoji."""
    workflow_id = api.start()
    [task] = api.poll()
    half, path = r'"half \ud83d"', f"/api/tasks/{task['taskId']}/log"
    assert api("POST", path, raw=half).status == 200
    api.world.clock.advance(1)
    logs = f'[{{"log": {half}, "createdTime": 1e999}}]'
    raw = as_sent(task, "FAILED", reasonForIncompletion=half, logs=logs)
    assert api("POST", "/api/tasks", raw=raw).status == 200
    [first, *_] = api.workflow(workflow_id)["tasks"]
    assert first["reasonForIncompletion"] == r"half \ud83d"
    assert [line["log"] for line in api("GET", path).body] == [r"half \ud83d"] * 2
    # It comes too late now, and is kept all the same.
    assert api("POST", "/api/tasks", raw=raw.replace("half", "other")).status == 200
    [late] = api.world.attempts(workflow_id)[0].late_updates
    assert late.reason == r"other \ud83d"


def test_of_too_many_log_lines_the_last_are_kept(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    logs = [{"log": f"line {n}", "createdTime": BEGIN_MS + n} for n in range(1003)]
    assert api.update(task, "COMPLETED", logs=logs).status == 200
    assert api.world.statuses(workflow_id) == ["render 1 completed"]
    kept = [line["log"] for line in api("GET", f"/api/tasks/{task['taskId']}/log").body]
    assert (len(kept), kept[0], kept[-1]) == (1000, "line 3", "line 1002")


def test_null_and_unknown_fields_are_ignored(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    nothing = dict.fromkeys(
        ["reasonForIncompletion", "callbackAfterSeconds", "logs", "subWorkflowId", "newField",
         "externalOutputPayloadStoragePath", "extendLease", "outputData", "workerId"]
    )  # fmt: skip
    assert api.update(task, "COMPLETED", **nothing).status == 200
    assert api.workflow(workflow_id)["status"] == "COMPLETED"


def test_external_storage_is_not_offered(api: TaskApi) -> None:
    api.start()
    [task] = api.poll()
    answer = api.update(task, "COMPLETED", externalOutputPayloadStoragePath="a/b.json")
    assert answer.status == 501
    assert "outputData" in answer.body["message"]


def test_logs_are_sent_with_results_or_separately(api: TaskApi) -> None:
    api.start()
    [task] = api.poll()
    path = f"/api/tasks/{task['taskId']}/log"
    ms, seconds = BEGIN_MS + 5000, BEGIN_MS // 1000 + 7
    logs = [
        {"log": "one", "createdTime": ms},
        {"log": "two", "createdTime": seconds},
        {"log": "in text", "createdTime": str(ms)},
        {"log": ""},
    ]
    api.update(task, "IN_PROGRESS", logs=logs)
    api.world.clock.advance(9)
    # As the Python SDK sends it, as others do, and as plain text.
    assert api("POST", path, raw='say \\"hi\\"\\nthen go').status == 200
    assert api("POST", path, raw='"quoted"').status == 200
    plain = {"content-type": "text/plain"}
    assert api("POST", path, raw="C:\\new", headers=plain).status == 200
    lines = api("GET", path).body
    assert sorted(line["log"] for line in lines) == sorted(
        ["one", "two", "in text", 'say "hi"\nthen go', "quoted", "C:\\new"]
    )
    assert {line["taskId"] for line in lines} == {task["taskId"]}
    by_text = {line["log"]: line["createdTime"] for line in lines}
    assert by_text["one"] == by_text["in text"] == ms
    assert by_text["two"] == BEGIN_MS + 7000
    assert by_text["quoted"] == BEGIN_MS + 9000


@pytest.mark.parametrize(
    "time",
    ["9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00", 253_402_300_799_999],
)
def test_a_line_of_the_end_of_the_calendar_was_logged_now(api: TaskApi, time: Any) -> None:
    api.start()
    [task] = api.poll()
    logs = [{"log": "a" * 2500, "createdTime": time}]
    assert api.update(task, "IN_PROGRESS", logs=logs).status == 200
    lines = api("GET", f"/api/tasks/{task['taskId']}/log").body
    assert [line["createdTime"] for line in lines] == [BEGIN_MS, BEGIN_MS + 1, BEGIN_MS + 2]


def test_a_long_line_comes_back_in_pieces_and_in_order(api: TaskApi) -> None:
    api.start()
    [task] = api.poll()
    path = f"/api/tasks/{task['taskId']}/log"
    text = "".join(f"{n} " for n in range(2000, 0, -1)) + "x" * 3000
    api("POST", path, raw=text, headers={"content-type": "text/plain"})
    lines = [line["log"] for line in api("GET", path).body]
    assert max(map(len, lines)) == 1000
    assert "".join(lines) == text


def test_a_long_reason_loses_its_middle(api: TaskApi) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    reason = "begins" + "x" * 100_000 + "ends"
    api.update(task, "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion=reason)
    said = api.workflow(workflow_id)["reasonForIncompletion"]
    assert said.startswith("begins") and said.endswith("ends") and len(said) < 1100


def test_anybody_may_update_a_task_by_its_name(api: TaskApi) -> None:
    workflow_id = api.start("series", cuts=[1, 2])
    [held] = api.poll(count=1)
    path = f"/api/tasks/{workflow_id}"
    # A worker holds the first task, nobody the second. The SDK names its own host as the worker.
    first = api("POST", f"{path}/cut%5B0%5D/COMPLETED", {"a": 1}, query="workerid=my-laptop")
    assert (first.status, first.text) == (200, held["taskId"])
    second = api("POST", f"{path}/cut[1]/COMPLETED", {"b": 2})
    assert (second.status, second.text) == (200, f"{workflow_id}.1.1.1")
    workflow = api.workflow(workflow_id)
    assert (workflow["status"], workflow["output"]) == ("COMPLETED", {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("rest", "status"),
    [("nobody/COMPLETED", 404), ("render/DONE", 400), ("render/SCHEDULED", 400)],
)
def test_an_unknown_name_or_status_is_refused(api: TaskApi, rest: str, status: int) -> None:
    workflow_id = api.start()
    assert api("POST", f"/api/tasks/{workflow_id}/{rest}", {}).status == status
    assert api("POST", "/api/tasks/nobody/render/COMPLETED", {}).status == 404
    assert api.world.statuses(workflow_id) == ["render 1 new"]


def test_a_drained_worker_gets_no_task(api: TaskApi) -> None:
    api.start("series", cuts=[1, 2, 3])
    [task] = api.poll(count=1)
    api.world.workers.drain("w1")
    assert api.poll() == []
    assert api("POST", "/api/tasks/update-v2", result_of(task, "COMPLETED")).status == 204
    # While few tasks are queued, a worker with rivals gets its share at a time.
    assert sum(len(api.poll(worker="w2")) for _ in range(2)) == 2
    api.world.workers.resume("w1")
    assert api.poll() == []


def test_queues_have_sizes(api: TaskApi) -> None:
    api.start("series", cuts=[1, 2, 3])
    api("POST", "/api/workflow", {"name": "film", "taskToDomain": {"render": "eu"}})
    api.world.run()
    api.poll(count=1)
    assert api("GET", "/api/tasks/queue/size", query="taskType=render").text == "2"
    assert api("GET", "/api/tasks/queue/size", query="taskType=render&domain=eu").text == "1"
    assert api("GET", "/api/tasks/queue/size", query="taskType=x").text == "0"
    assert api("GET", "/api/tasks/queue/size").status == 400
    sizes = api("GET", "/api/tasks/queue/sizes", query="taskType=render&taskType=x").body
    assert (sizes["render"], sizes["x"]) == (2, 0)
    assert api("GET", "/api/tasks/queue/all").body["render"] == 2


def test_poll_data_says_who_polled_when(api: TaskApi, world: World) -> None:
    api.poll("render", "w1")
    world.clock.advance(60)
    api.poll("render", "w2", domain="eu")
    api.poll("paint", "w2")
    data = api("GET", "/api/tasks/queue/polldata", query="taskType=render").body
    assert sorted(data, key=lambda d: str(d["workerId"])) == [
        {"queueName": "render", "domain": None, "workerId": "w1", "lastPollTime": BEGIN_MS},
        {"queueName": "render", "domain": "eu", "workerId": "w2",
         "lastPollTime": BEGIN_MS + 60_000},
    ]  # fmt: skip
    everything = api("GET", "/api/tasks/queue/polldata/all").body
    assert len(everything) == 3


@pytest.mark.parametrize("path", ["/api/tasks/queue/all", "/api/metadata/taskdefs"])
def test_a_list_without_pages_is_refused_where_there_are_too_many_types(
    api: TaskApi, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    assert api("GET", path).status == 200
    monkeypatch.setattr(definitions, "MOST_TYPES", 0)
    answer = api("GET", path)
    assert (answer.status, answer.body["code"]) == (413, "ANSWER_TOO_LARGE")
    assert answer.body["message"].startswith("there are more than 0 job types")
    assert "GET /v1/job-types" in answer.body["message"]


def test_poll_data_is_refused_where_there_are_too_many_workers(
    api: TaskApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for worker_id in ("w1", "w2"):
        api.poll("render", worker_id)
    monkeypatch.setattr(everyone, "MOST_WORKERS", 2)
    assert len(api("GET", "/api/tasks/queue/polldata/all").body) == 2
    monkeypatch.setattr(everyone, "MOST_WORKERS", 1)
    for path in ("/api/tasks/queue/polldata/all", "/api/tasks/queue/polldata"):
        answer = api("GET", path, query="taskType=render")
        assert answer.body["message"].startswith("there are more than 1 records of workers")
