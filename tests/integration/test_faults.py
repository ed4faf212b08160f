"""Processes die, messages arrive twice or never: requests still complete, each outcome once.

Sweeps are run directly, as their schedules do, so that nothing waits for a schedule's minute.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from shiftwork.api.shapes import Request
from shiftwork_core.services.requests.requests import Submission
from tests.integration.lab import Lab, LostMachine, job, unique, until


def assert_each_outcome_once(lab: Lab, request: Request, jobs: dict[int, int]) -> None:
    """Check that each step has so many jobs, each completed by exactly one attempt."""
    for step, count in jobs.items():
        attempts = lab.attempts(request["request_id"], step)
        completed = [a["job"] for a in attempts if a["status"] == "completed"]
        assert len(completed) == len(set(completed)) == count
        assert all(a["status"] in ("completed", "retry") for a in attempts)
        assert all(a["fence"] == a["attempt"] for a in attempts)
        counts = request["steps"][step - 1]["jobs"]
        assert (counts["completed"], counts["new"], counts["inprogress"]) == (count, 0, 0)
    assert {a["step"] for a in lab.attempts(request["request_id"])} == jobs.keys()


# -- processes that die ------------------------------------------------------------------------


def test_a_process_killed_while_its_jobs_run_costs_an_attempt_and_no_more(lab: Lab) -> None:
    # The doomed jobs share one batch and so one process; the others run beside it.
    request_id = lab.submit(
        [*(job(f"doomed{n}", "die") for n in range(3)), job("other", "note")],
        [job("after", "note")],
    )
    request = lab.completed(request_id, "inprogress-requests")
    assert_each_outcome_once(lab, request, {1: 4, 2: 1})
    assert [request["extras"][f"doomed{n}"] for n in range(3)] == [2, 2, 2]
    errors = [a["error"]["type"] for a in lab.attempts(request_id) if a["error"]]
    assert errors == ["LeaseExpired"] * 3


def test_a_job_that_does_not_stop_is_given_up_and_its_process_ends(lab: Lab) -> None:
    request_id = lab.submit([job("a", "stubborn"), job("b", "note")])
    request = lab.completed(request_id)
    assert lab.history(request_id) == ["a 1 retry", "a 2 completed", "b 1 completed"]
    first = lab.attempts(request_id)[0]
    assert first["error"] is not None and first["error"]["type"] == "Timeout"

    # The emulator may miss the line that the process writes as it ends.
    lines = until(lambda: list(lab.api.job_logs(first["attempt_id"])), "the job's lines are there")
    going_on = json.loads(lines[0]["message"])
    assert (going_on["attempt_id"], going_on["is_stopping"]) == (first["attempt_id"], True)
    process = int(going_on["message"].removeprefix("goes on in process "))
    until(lambda: not is_alive(process), f"process {process} has ended")
    assert request["extras"]["a"] != process


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_execution_stopped_while_its_jobs_run_is_replaced(lab: Lab) -> None:
    gate = unique("gate")
    request_id = lab.submit(
        [job("slow", "wait", gate=gate), job("quick", "note")], [job("after", "note")]
    )
    lab.running(request_id)
    arn = lab.execution_arn(request_id)
    lab.client("stepfunctions").stop_execution(executionArn=arn)
    lab.open(gate)
    request = lab.completed(request_id, "inprogress-requests")
    assert_each_outcome_once(lab, request, {1: 2, 2: 1})
    assert lab.execution_ended(arn)["status"] == "ABORTED"
    assert lab.execution_ended(lab.execution_arn(request_id, 2))["status"] == "SUCCEEDED"


def test_an_execution_stopped_while_it_waits_for_a_retry_is_replaced(lab: Lab) -> None:
    gate = unique("gate")
    request_id = lab.submit([job("a", "wait-when-retried", gate=gate)], [job("after", "note")])
    lab.execution_waits(request_id)
    lab.client("stepfunctions").stop_execution(executionArn=lab.execution_arn(request_id))
    lab.open(gate)
    request = lab.completed(request_id, "inprogress-requests")
    assert_each_outcome_once(lab, request, {1: 1, 2: 1})


def test_an_execution_stopped_as_soon_as_it_has_started_is_replaced(lab: Lab) -> None:
    request_id = lab.submit([job("a", "note")], [job("b", "note")])
    with suppress(lab.client("stepfunctions").exceptions.ValidationException):  # It has ended.
        lab.client("stepfunctions").stop_execution(executionArn=lab.execution_arn(request_id))
    request = lab.completed(request_id, "new-requests", "inprogress-requests")
    assert_each_outcome_once(lab, request, {1: 1, 2: 1})


def submit_lost(lab: Lab, type: str) -> str:
    """Submit a request whose execution is never started."""
    submission = Submission(type, {}, {})
    return lab.service(LostMachine()).submit(submission, None)[0].request_id


def test_a_request_whose_execution_never_started_is_found_by_the_new_requests_sweep(
    lab: Lab,
) -> None:
    request_id = submit_lost(lab, lab.define([job("a", "note")]))
    assert lab.api.get(request_id)["status"] == "Queuing"
    request = lab.completed(request_id, "new-requests")
    assert_each_outcome_once(lab, request, {1: 1})


def test_an_execution_that_dies_between_two_of_its_calls_is_replaced(
    lab: Lab,
) -> None:
    # The test plays the execution: it plans the step, runs one of its batches, and stops. Up to
    # four batches would be called, and run at once.
    jobs = [job(f"j{n}", "one-a-batch") for n in range(5)]
    request_id = submit_lost(lab, lab.define(jobs, [job("after", "note")]))
    state = {"request_id": request_id, "execution": 1}
    decision = lab.invoke("AdvanceRequest", state | {"events": 0})
    assert (decision["action"], len(decision["batches"])) == ("run", 5)
    lab.invoke("RunJobs", state | decision["batches"][0])
    # More than one, if a sweep that another test runs has found it already.
    assert lab.api.get(request_id)["steps"][0]["jobs"]["completed"] >= 1
    request = lab.completed(request_id, "inprogress-requests")
    assert_each_outcome_once(lab, request, {1: 5, 2: 1})


# -- messages ----------------------------------------------------------------------------------


def send(lab: Lab, message: dict[str, Any]) -> None:
    lab.client("sqs").send_message(
        QueueUrl=lab.outputs["WakeQueueUrl"], MessageBody=json.dumps(message)
    )


def test_a_message_delivered_repeatedly_runs_its_job_once(lab: Lab) -> None:
    gate = unique("gate")
    request_id = lab.submit([job("a", "wait-when-retried", gate=gate)])
    until(lambda: "a 2 inprogress" in lab.history(request_id), "the retry is running")
    held = lab.attempts(request_id)[1]
    message = {"request_id": request_id, "jobs": ["0001#000000#0002"]}
    for _ in range(3):
        send(lab, message)
    until(
        lambda: len(lab.lines("RunJobs", request_id, '"held":1')) >= 3,
        "each delivery has found that the job is held",
    )
    lab.open(gate)
    assert_each_outcome_once(lab, lab.completed(request_id), {1: 1})
    completed = lab.attempts(request_id)[1]
    assert completed["started_at"] == held["started_at"]
    send(lab, message)
    until(
        lambda: lab.lines("RunJobs", request_id, "batch done", '"counts":{}'),
        "the late delivery has found that the request has ended",
    )
    assert lab.attempts(request_id)[1] == completed


@contextmanager
def deaf_queue(lab: Lab) -> Iterator[None]:
    """Keep RetryJobs from receiving messages; other tests' retries just wait."""
    functions = lab.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=lab.function("RetryJobs"))[
        "EventSourceMappings"
    ]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def take_message(lab: Lab, request_id: str) -> bool:
    """Take the request's message out of the queue, and put back all others."""
    sqs, url = lab.client("sqs"), lab.outputs["WakeQueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    is_found = False
    for message in answer.get("Messages", []):
        handle: dict[str, Any] = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        if json.loads(message["Body"])["request_id"] == request_id:
            sqs.delete_message(**handle)
            is_found = True
        else:
            sqs.change_message_visibility(**handle, VisibilityTimeout=0)
    return is_found


def test_a_sweep_replaces_a_lost_message(lab: Lab) -> None:
    with deaf_queue(lab):
        request_id = lab.submit([job("a", "flaky", failures=1), job("b", "note")])
        until(lambda: take_message(lab, request_id), "the message is taken")
    assert "a 2 new" in lab.history(request_id)
    request = lab.completed(request_id, "inprogress-requests")
    assert_each_outcome_once(lab, request, {1: 2})


# -- several at once ---------------------------------------------------------------------------


def test_two_executions_of_one_request_at_once_do_no_harm(lab: Lab) -> None:
    name = lab.define(
        [job(f"a{n}", "one-a-batch") for n in range(6)],
        [job("b0", "flaky", failures=1), *(job(f"b{n}", "note") for n in range(1, 6))],
        [job("c", "note")],
    )
    request_id = lab.api.submit(name)["request_id"]
    twins = [lab.start_execution(request_id, f"{request_id}-twin{n}") for n in range(2)]
    request = lab.completed(request_id, "inprogress-requests")
    assert_each_outcome_once(lab, request, {1: 6, 2: 6, 3: 1})
    for arn in (lab.execution_arn(request_id), *twins):
        assert lab.execution_ended(arn)["status"] == "SUCCEEDED"


def test_all_sweeps_at_any_time_change_nothing_of_a_healthy_request(lab: Lab) -> None:
    request_id = lab.submit([job("a", "sleep", seconds=1)], [job("b", "flaky", failures=1)])
    request = lab.completed(request_id, "new-requests", "inprogress-requests", "jobs")
    assert_each_outcome_once(lab, request, {1: 1, 2: 1})
    assert [a["attempt"] for a in lab.attempts(request_id)] == [1, 1, 2]
