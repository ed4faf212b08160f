"""conductor-python 2.0.0, unmodified, as a client and as a worker of the deployed stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conductor.client.configuration.configuration import Configuration
from conductor.client.configuration.settings.authentication_settings import AuthenticationSettings
from conductor.client.http.models import StartWorkflowRequest, TaskDef, TaskResult
from conductor.client.http.rest import ApiException, AuthorizationException
from conductor.client.orkes_clients import OrkesClients

from tests.integration.conftest import token_of
from tests.integration.lab import PATIENCE_S, Lab, unique, until

PROGRAM = Path(__file__).parent / "conductor_worker.py"
ENDED = ("COMPLETED", "FAILED", "TERMINATED")
#: Shorter than the long jobs, so that their leases must be extended.
RESPONSE_TIMEOUT_S = 5


def configuration(secret: str | None = None) -> Configuration:
    """Return the configuration that points a Conductor client at Shiftwork."""
    return Configuration(
        server_api_url=f"{os.environ['SHIFTWORK_URL']}/api",
        authentication_settings=AuthenticationSettings(
            key_id="tests", key_secret=secret or os.environ["SHIFTWORK_TOKEN"]
        ),
    )


@dataclass(frozen=True)
class Conductor:
    """The SDK's clients, and a task type with a worker process for it."""

    lab: Lab
    clients: OrkesClients
    task_type: str
    worker_id: str

    @property
    def tasks(self) -> Any:
        return self.clients.get_task_client()

    @property
    def workflows(self) -> Any:
        return self.clients.get_workflow_client()

    @property
    def metadata(self) -> Any:
        return self.clients.get_metadata_client()

    def start(self, what: str, number: int = 0, type: str | None = None) -> str:
        """Start a workflow of one task."""
        name = self.define(type)
        started: str = self.workflows.start_workflow_by_name(name, {"what": what, "number": number})
        return started

    def define(self, type: str | None = None) -> str:
        return self.lab.define([{"name": "act", "type": type or self.task_type}])

    def ended(self, workflow_id: str) -> Any:
        """Return the workflow once it has ended."""

        def look() -> Any:
            workflow = self.workflows.get_workflow(workflow_id)
            return workflow if workflow.status in ENDED else None

        return until(look, f"workflow {workflow_id} has ended")

    def task(self, workflow_id: str, status: str) -> Any:
        """Return the workflow's last task once it has this status."""

        def look() -> Any:
            tasks = self.workflows.get_workflow(workflow_id).tasks
            return tasks[-1] if tasks and tasks[-1].status == status else None

        return until(look, f"the task of {workflow_id} is {status}")


@pytest.fixture(scope="module")
def conductor(lab: Lab) -> Iterator[Conductor]:
    """Define the task type, then start the worker, which registers it again, nearly empty."""
    found = Conductor(lab, OrkesClients(configuration()), unique("act"), unique("worker"))
    found.metadata.register_task_def(
        TaskDef(
            name=found.task_type,
            retry_count=1,
            retry_logic="FIXED",
            retry_delay_seconds=1,
            response_timeout_seconds=RESPONSE_TIMEOUT_S,
            timeout_policy="RETRY",
            owner_email="ops@example.com",
        )
    )
    worker = subprocess.Popen(
        [sys.executable, str(PROGRAM), found.task_type, found.worker_id],
        env=os.environ
        | {
            "CONDUCTOR_SERVER_URL": f"{os.environ['SHIFTWORK_URL']}/api",
            "CONDUCTOR_AUTH_KEY": "tests",
            # It registers its task type, which a worker's token may not do.
            "CONDUCTOR_AUTH_SECRET": os.environ["SHIFTWORK_TOKEN"],
        },
        start_new_session=True,
    )
    try:
        yield found
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(PATIENCE_S)
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)


def test_a_map_is_a_tasks_output_and_its_workflows(conductor: Conductor) -> None:
    workflow = conductor.ended(conductor.start("map", 5))
    assert (workflow.status, workflow.output) == ("COMPLETED", {"number": 5, "poll_count": 1})
    assert workflow.input == {"what": "map", "number": 5}
    [task] = workflow.tasks
    assert (task.status, task.worker_id) == ("COMPLETED", conductor.worker_id)
    assert (task.reference_task_name, task.task_def_name) == ("act", conductor.task_type)
    assert 0 < task.scheduled_time <= task.start_time <= task.end_time
    assert workflow.create_time <= task.scheduled_time
    [line] = [line.log for line in conductor.tasks.get_task_logs(task.task_id)]
    assert line == "map begins"


def test_a_scalar_comes_as_a_result(conductor: Conductor) -> None:
    assert conductor.ended(conductor.start("scalar", 41)).output == {"result": 42}


def test_a_definition_keeps_its_settings_when_a_worker_registers_it(conductor: Conductor) -> None:
    conductor.ended(conductor.start("map"))  # So the worker has started.
    found = conductor.metadata.get_task_def(conductor.task_type)
    assert (found.retry_count, found.retry_delay_seconds) == (1, 1)
    assert found.response_timeout_seconds == RESPONSE_TIMEOUT_S
    assert (found.owner_email, found.enforce_schema) == ("ops@example.com", False)


def test_a_failure_is_retried(conductor: Conductor) -> None:
    workflow = conductor.ended(conductor.start("fail once"))
    assert (workflow.status, workflow.output) == ("COMPLETED", {"done": "fail once"})
    failed, done = workflow.tasks
    assert (failed.status, failed.reason_for_incompletion) == ("FAILED", "no ink")
    assert (done.status, done.retry_count) == ("COMPLETED", 1)
    assert done.retried_task_id == failed.task_id
    logs = "".join(line.log for line in conductor.tasks.get_task_logs(failed.task_id))
    assert "Traceback" in logs


def test_retries_run_out(conductor: Conductor) -> None:
    workflow = conductor.ended(conductor.start("fail always"))
    assert workflow.status == "FAILED"
    assert [t.status for t in workflow.tasks] == ["FAILED", "FAILED_WITH_TERMINAL_ERROR"]
    assert "never any ink" in workflow.reason_for_incompletion
    assert list(workflow.failed_reference_task_names) == ["act"]


def test_a_terminal_error_is_not_retried_until_somebody_asks_for_it(conductor: Conductor) -> None:
    workflow_id = conductor.start("fail for good")
    workflow = conductor.ended(workflow_id)
    assert (workflow.status, len(workflow.tasks)) == ("FAILED", 1)
    assert workflow.reason_for_incompletion == "no printer"
    conductor.workflows.retry_workflow(workflow_id)
    assert until(
        lambda: [t for t in conductor.ended(workflow_id).tasks if t.retry_count == 1],
        "it was tried again",
    )


def test_a_task_that_takes_turns_stays_the_same_task(conductor: Conductor) -> None:
    workflow = conductor.ended(conductor.start("take turns"))
    assert workflow.output == {"turn_1": True, "turn_2": True, "done": "take turns"}
    [task] = workflow.tasks
    assert (task.poll_count, task.retry_count) == (3, 0)


def test_a_task_that_takes_longer_than_its_lease_keeps_it(conductor: Conductor) -> None:
    workflow = conductor.ended(conductor.start("take long", 3 * RESPONSE_TIMEOUT_S))
    assert workflow.output == {"done": "take long"}
    assert [t.status for t in workflow.tasks] == ["COMPLETED"]


def test_a_late_update_is_accepted_and_changes_nothing(conductor: Conductor) -> None:
    workflow = conductor.ended(conductor.start("map", 1))
    [task] = workflow.tasks
    late = TaskResult(workflow.workflow_id, task.task_id, worker_id="who-was-held-up")
    late.status = "FAILED"
    late.reason_for_incompletion = "too late"
    assert conductor.tasks.update_task(late) == task.task_id
    again = conductor.workflows.get_workflow(workflow.workflow_id)
    assert (again.status, again.output) == (workflow.status, workflow.output)
    assert [t.status for t in again.tasks] == ["COMPLETED"]


def test_a_task_is_completed_from_outside_by_its_name(conductor: Conductor) -> None:
    """Like a person's approval: no worker polls for it."""
    approval = unique("approval")
    conductor.metadata.register_task_def(TaskDef(name=approval))
    name = conductor.lab.define([{"name": "ask", "type": approval, "for_each": "params.people"}])
    workflow_id = conductor.workflows.start_workflow_by_name(name, {"people": ["Ada"]})
    task = conductor.task(workflow_id, "SCHEDULED")
    assert conductor.tasks.get_queue_size_for_task(approval) == 1
    updated = conductor.tasks.update_task_by_ref_name(workflow_id, "ask[0]", "COMPLETED", {"ok": 1})
    assert updated == task.task_id
    assert conductor.ended(workflow_id).output == {"result": {"ok": 1}}
    assert conductor.tasks.get_task(task.task_id).status == "COMPLETED"


def test_a_client_can_poll_and_update_without_a_worker(conductor: Conductor) -> None:
    task_type = unique("by-hand")
    conductor.metadata.register_task_def(TaskDef(name=task_type, response_timeout_seconds=60))
    workflow_ids = {conductor.start("x", n, type=task_type) for n in range(3)}
    for workflow_id in workflow_ids:
        conductor.task(workflow_id, "SCHEDULED")
    # Where there is no task, the SDK makes an empty one.
    assert conductor.tasks.poll_task(task_type, "w", domain="elsewhere").task_id is None
    one = conductor.tasks.poll_task(task_type, "w")
    two = conductor.tasks.batch_poll_tasks(task_type, "w", count=5)
    assert {t.workflow_instance_id for t in [one, *two]} == workflow_ids
    for task in [one, *two]:
        conductor.tasks.add_task_log(task.task_id, 'says "hi"\nand goes')
        result = TaskResult(task.workflow_instance_id, task.task_id, worker_id="w")
        result.status = "COMPLETED"
        result.output_data = {"n": task.input_data["number"]}
        conductor.tasks.update_task(result)
        [line] = conductor.tasks.get_task_logs(task.task_id)
        assert line.log == 'says "hi"\nand goes'
    outputs = [conductor.ended(workflow_id).output["n"] for workflow_id in workflow_ids]
    assert sorted(outputs) == [0, 1, 2]
    polls = conductor.tasks.get_task_poll_data(task_type)
    assert {(p.worker_id, p.domain) for p in polls} == {("w", None), ("w", "elsewhere")}


def test_a_workflow_starts_with_every_option_of_conductor(conductor: Conductor) -> None:
    task_type = unique("somewhere")
    conductor.metadata.register_task_def(TaskDef(name=task_type))
    request = StartWorkflowRequest(
        name=conductor.define(task_type),
        version=1,
        input={"what": "x"},
        correlation_id="order-7",
        priority=9,
        task_to_domain={task_type: "eu"},
        idempotency_key=unique("key"),
    )
    workflow_id = conductor.workflows.start_workflow(request)
    assert conductor.task(workflow_id, "SCHEDULED").domain == "eu"
    workflow = conductor.workflows.get_workflow(workflow_id, include_tasks=False)
    assert (workflow.correlation_id, workflow.priority) == ("order-7", 9)
    assert workflow.task_to_domain == {task_type: "eu"}
    with pytest.raises(ApiException) as refused:
        conductor.workflows.start_workflow(request)
    assert refused.value.status == 409
    conductor.workflows.terminate_workflow(workflow_id, "no more money")
    ended = conductor.ended(workflow_id)
    assert (ended.status, ended.reason_for_incompletion) == ("TERMINATED", "no more money")
    assert conductor.tasks.batch_poll_tasks(task_type, "w", domain="eu") == []


def test_an_unsupported_call_is_refused_with_an_alternative(conductor: Conductor) -> None:
    with pytest.raises(ApiException) as refused:
        conductor.workflows.pause_workflow("anything")
    assert refused.value.status == 501
    assert "drain" in refused.value.body


def test_a_drained_worker_is_given_nothing_until_it_is_resumed(conductor: Conductor) -> None:
    conductor.ended(conductor.start("map"))  # So its record exists.
    running = conductor.start("take long", RESPONSE_TIMEOUT_S)
    conductor.task(running, "IN_PROGRESS")
    conductor.lab.api.drain(conductor.worker_id)
    waiting = conductor.start("map", 7)
    # What it runs finishes, and its next poll is empty.
    assert conductor.ended(running).status == "COMPLETED"
    assert conductor.task(waiting, "SCHEDULED").poll_count == 0
    conductor.lab.api.resume(conductor.worker_id)
    assert conductor.ended(waiting).output["number"] == 7


def test_a_token_is_renewed_when_it_has_expired(conductor: Conductor) -> None:
    """The tests' tokens are valid for seconds only; the worker keeps renewing its own."""
    settings = configuration()
    metadata = OrkesClients(settings).get_metadata_client()
    first: str | None = settings.AUTH_TOKEN
    assert first is not None

    def is_renewed() -> bool:
        # No call fails, whether its token is still valid or not.
        assert metadata.get_task_def(conductor.task_type).name == conductor.task_type
        token: str | None = settings.AUTH_TOKEN
        return token != first

    until(is_renewed, "the token was renewed")


def test_a_wrong_secret_is_refused(conductor: Conductor) -> None:
    clients = OrkesClients(configuration("wrong"))
    with pytest.raises(AuthorizationException):
        clients.get_task_client().get_task("anything")


def test_a_workers_token_allows_a_workers_calls_only(conductor: Conductor) -> None:
    clients = OrkesClients(configuration(token_of("worker")))
    assert clients.get_task_client().batch_poll_tasks(unique("nothing"), "w") == []
    with pytest.raises(AuthorizationException):
        clients.get_workflow_client().start_workflow_by_name("anything", {})
