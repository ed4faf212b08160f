"""Functions and services run jobs on the deployed stack."""

from __future__ import annotations

import json

from tests.integration.lab import Lab, job, seconds_between, unique, until


def test_a_function_is_given_the_jobs_input_and_its_answer_is_the_result(lab: Lab) -> None:
    name = lab.define([job("a", "lambda", user="{params.user}")])
    request_id = lab.api.submit(name, {"user": "ada"}, extras={"seen": 1})["request_id"]
    request = lab.completed(request_id)
    assert request["extras"]["a"] == {
        "params": {"user": "ada"},
        "extras": {"seen": 1},
        "item": None,
        "request_id": request_id,
        "attempt_id": f"{request_id}.1.0.1",
        "job": "a",
        "attempt": 1,
        "fence": 1,
    }


def test_a_function_that_raises_is_retried(lab: Lab) -> None:
    request_id = lab.submit([job("a", "lambda", failures=1)])
    assert lab.completed(request_id)["extras"]["a"]["attempt"] == 2
    first = lab.attempts(request_id)[0]
    # The test ignores the error's type: the emulator loses the names of exception classes.
    assert first["status"] == "retry" and first["error"] is not None
    assert "down at attempt 1" in first["error"]["message"]
    lines = until(lambda: list(lab.api.job_logs(first["attempt_id"])), "the job's lines are there")
    assert "down at attempt 1" in lines[0]["message"]


def test_a_function_that_does_not_exist_fails_the_request(lab: Lab) -> None:
    request_id = lab.submit([job("a", "no-function")])
    error = lab.failed(request_id)["error"]
    assert error is not None and error["type"] == "ResourceNotFoundException"
    assert lab.history(request_id) == ["a 1 failure"]


def test_a_service_is_called_with_the_jobs_data_and_answers_the_result(lab: Lab) -> None:
    script = lab.script({"status": 201, "body": {"removed": True}})
    request_id = lab.submit(
        [job("a", "http", script=script, user="{params.user}", count="{params.count}")],
        user="ada / bob",
        count=3,
    )
    assert lab.completed(request_id)["extras"] == {"removed": True}
    (call,) = lab.calls(script)
    assert call["path"] == f"/{script}/users/ada%20%2F%20bob"
    assert call["headers"]["X-User"] == "ada / bob"
    assert json.loads(call["body"]) == {"user": "ada / bob", "count": 3, "text": "user ada / bob"}


def test_a_busy_service_is_called_again_when_it_says_under_the_same_idempotency_key(
    lab: Lab,
) -> None:
    busy = {"status": 503, "headers": {"Retry-After": "1"}, "body": {"why": "busy"}}
    script = lab.script(busy, {"status": 200, "body": {"done": 1}})
    request_id = lab.submit([job("a", "http", script=script, user="ada", count=1)])
    assert lab.completed(request_id)["extras"] == {"done": 1}
    first, second = lab.attempts(request_id)
    assert first["error"] is not None and first["error"]["type"] == "Http503"
    assert "busy" in first["error"]["message"]
    # The job type's own back-off is zero.
    assert seconds_between(second["created_at"], second["started_at"]) >= 1
    keys = [call["headers"]["Idempotency-Key"] for call in lab.calls(script)]
    assert keys == [f"{request_id}.1.0"] * 2


def test_a_service_that_refuses_fails_the_request_at_once(lab: Lab) -> None:
    script = lab.script({"status": 404, "body": {"detail": "no such user"}})
    request_id = lab.submit([job("a", "http", script=script, user="eve", count=1)])
    error = lab.failed(request_id)["error"]
    assert error is not None and error["type"] == "Http404"
    assert "no such user" in error["message"]
    assert len(lab.calls(script)) == 1


def test_only_services_of_the_deployment_can_be_named(lab: Lab) -> None:
    body = {"target": "http", "http": {"service": "elsewhere", "path": "/"}}
    name = unique("probe.elsewhere")
    try:
        lab.api.put_definition("job-type", name, body)
    except Exception as error:
        assert "elsewhere" in str(error)
    assert lab.rows_with(name) == 0
