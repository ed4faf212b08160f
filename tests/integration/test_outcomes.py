"""Retries, failures, timeouts and logs of jobs on the deployed stack."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.lab import Lab, job, seconds_between, unique, until


def test_each_retry_is_a_new_row_and_the_history_stays(lab: Lab) -> None:
    request_id = lab.submit([job("a", "flaky", failures=2), job("b", "note")], user="ada")
    request = lab.completed(request_id)
    assert request["extras"]["a"] == 3
    assert request["steps"][0]["jobs"] == {
        "new": 0, "inprogress": 0, "completed": 2, "failure": 0, "retry": 2, "cancelled": 0,
    }  # fmt: skip
    first, second, third, other = lab.attempts(request_id)
    assert [a["status"] for a in (first, second, third)] == ["retry", "retry", "completed"]
    assert [a["attempt"] for a in (first, second, third)] == [1, 2, 3]
    assert first["error"] == {"type": "Retry", "message": "down at attempt 1"}
    assert second["error"] == {"type": "Retry", "message": "down at attempt 2"}
    assert third["error"] is None
    for name in ("job", "type", "step", "params", "item"):
        assert first[name] == second[name] == third[name]
    assert first["created_at"] < second["created_at"] < third["created_at"]
    # The job type's back-off, without jitter.
    assert seconds_between(second["created_at"], second["started_at"]) >= 0.5
    assert other["status"] == "completed"


def test_a_step_waits_for_its_retries_with_one_task_token(lab: Lab) -> None:
    request_id = lab.submit(
        [job(f"j{n}", "flaky", failures=n % 3) for n in range(9)], [job("after", "note")]
    )
    request = lab.completed(request_id)
    assert request["extras"]["after"]["extras"] == [f"j{n}" for n in range(9)]
    assert lab.states_entered(request_id).count("AwaitStep") == 1


def test_the_last_granted_attempt_becomes_a_failure_and_fails_the_request(lab: Lab) -> None:
    request_id = lab.submit([job("a", "flaky", failures=99)], [job("never", "note")])
    request = lab.failed(request_id)
    assert lab.history(request_id) == ["a 1 retry", "a 2 retry", "a 3 retry", "a 4 failure"]
    assert request["error"] == {
        "type": "Retry",
        "message": "down at attempt 4 (gave up after 4 attempts)",
        "step": 1,
        "job": "a",
        "attempt_id": f"{request_id}.1.0.4",
    }


def test_a_typed_failure_ends_its_request_at_once(lab: Lab) -> None:
    gate = unique("gate")
    request_id = lab.submit(
        [
            # Its first attempt asks for a retry in a minute, so its second is still new.
            job("sibling", "flaky", failures=1, delay_s=60),
            job("bad", "wait-then-fail", gate=gate),
            job("good", "echo", kept=1),
        ],
        [job("never", "note")],
    )
    is_ready = {"sibling 2 new", "good 1 completed"}.issubset
    until(lambda: is_ready(lab.history(request_id)), "its siblings stand where they should")
    lab.open(gate)
    request = lab.failed(request_id)
    assert request["error"] is not None
    assert request["error"]["type"] == "Failure"
    assert request["error"]["message"] == "this can never work"
    assert (request["error"]["job"], request["error"]["step"]) == ("bad", 1)
    lab.at_rest(request_id)
    assert lab.history(request_id, step=1) == [
        "sibling 1 retry",
        "sibling 2 cancelled",
        "bad 1 failure",
        "good 1 completed",
    ]
    assert lab.attempts(request_id, step=2) == []
    assert [s["status"] for s in request["steps"]] == ["failed", "pending"]
    assert request["extras"] == {"kept": 1}
    ended = lab.execution_ended(lab.execution_arn(request_id))
    assert (ended["status"], ended["error"], ended["cause"]) == (
        "FAILED",
        "Failure",
        "this can never work",
    )


def test_a_step_that_is_to_finish_shows_every_failure_in_one_round(lab: Lab) -> None:
    gate, size = unique("gate"), 20_000
    jobs = [
        job("bad", "mendable", gate=gate),
        job("large", "large", letter="x", size=size),
        job("worse", "mendable", gate=gate),
        job("slow", "flaky", failures=2),
        job("spent", "flaky", failures=99),
    ]
    steps = [
        {"name": "s1", "jobs": jobs, "on_failure": "finish"},
        {"name": "s2", "jobs": [job("never", "note")]},
    ]
    name = unique("request")
    lab.api.put_definition("request-type", name, {"steps": steps})
    request_id = lab.api.submit(name, {})["request_id"]
    request = lab.failed(request_id)
    assert request["error"] is not None
    assert request["error"]["message"] == "not fixed yet (and 2 more jobs failed)"
    failed = [a["job"] for a in lab.api.jobs(request_id, status="failure")]
    assert failed == ["bad", "worse", "spent"]
    # What the others returned after the first failure is kept, also what lies in S3.
    assert request["extras"] == {"large": "x" * size, "large-found": {}, "slow": 3}
    lab.open(gate)
    lab.api.retry(request_id)
    again = lab.failed(request_id)
    assert again["error"] is not None and again["error"]["job"] == "spent"
    assert {"bad 2 completed", "worse 2 completed"}.issubset(lab.history(request_id))
    assert again["extras"] == {**request["extras"], "bad": 2, "worse": 2}
    assert lab.attempts(request_id, step=2) == []


def test_an_untyped_exception_is_retried_by_the_job_types_policy(lab: Lab) -> None:
    request_id = lab.submit([job("a", "raise", failures=1)])
    lab.completed(request_id)
    first, second = lab.attempts(request_id)
    assert (first["status"], second["status"]) == ("retry", "completed")
    assert first["error"] is not None
    assert first["error"]["type"] == "ZeroDivisionError"
    message = r"a bug, met by attempt 1 \(at callbacks/probes\.py:\d+\)"
    assert re.fullmatch(message, first["error"]["message"])


def test_an_untyped_exception_fails_the_request_once_the_policy_grants_no_more(lab: Lab) -> None:
    request_id = lab.submit([job("a", "raise", failures=9)])
    request = lab.failed(request_id)
    assert lab.history(request_id) == ["a 1 retry", "a 2 failure"]
    assert request["error"] is not None and request["error"]["type"] == "ZeroDivisionError"


def test_a_module_that_cannot_be_imported_fails_the_jobs_of_its_callbacks_and_says_why(
    lab: Lab,
) -> None:
    request_id = lab.submit([job("a", "forgotten")])
    error = lab.failed(request_id)["error"]
    assert error is not None and error["type"] == "CallbackNotImported"
    assert "probe.forgotten" in error["message"]
    assert "callbacks.broken: ImportError: it needs a package that is not there" in error["message"]


@pytest.mark.parametrize(
    "ends, type, message",
    [
        ("half a character", "ValueError", r"half a character: \ud83d"),
        ("a long message", "ValueError", "xxx"),
        ("an exit", "SystemExit", "the callback ends the program"),
        ("no message", "_NoMessage", "RuntimeError"),
        ("a deep result", "InvalidResult", "levels"),
    ],
)
def test_however_a_callback_ends_its_job_fails_at_once_with_the_reason(
    lab: Lab, ends: str, type: str, message: str
) -> None:
    request_id = lab.submit([job("a", "awkward", ends=ends)])
    error = lab.failed(request_id)["error"]
    assert error is not None and error["type"] == type
    assert message in error["message"]
    assert lab.history(request_id) == ["a 1 failure"]


def test_a_job_past_its_timeout_is_given_up_and_its_siblings_are_not(lab: Lab) -> None:
    request_id = lab.submit(
        [job("slow", "hurried", seconds=20), job("quick", "hurried", seconds=0)]
    )
    error = lab.failed(request_id)["error"]
    assert error is not None and error["type"] == "Timeout"
    assert lab.history(request_id) == ["slow 1 retry", "slow 2 failure", "quick 1 completed"]


def test_a_step_that_cannot_be_planned_fails_its_request_with_the_reason(lab: Lab) -> None:
    request_id = lab.submit([job("each", "note", for_each="params.items")], items="no list")
    error = lab.failed(request_id)["error"]
    assert error is not None and error["type"] == "PlanFault"
    assert "params.items" in error["message"]


def test_the_logs_route_returns_what_the_job_logged_and_nothing_of_its_siblings(lab: Lab) -> None:
    words = {name: unique(name) for name in ("apple", "pear")}
    request_id = lab.submit([job(name, "log", word=word) for name, word in words.items()])
    lab.completed(request_id)
    first = lab.attempts(request_id)[0]["attempt_id"]
    lines = until(lambda: list(lab.api.job_logs(first)), "the job's lines are there")
    messages = [json.loads(line["message"])["message"] for line in lines]
    assert f"found {words['apple']}" in messages
    assert not any(words["pear"] in line["message"] for line in lines)
