"""Each deployed function accepts each of its sample events."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.lab import Lab
from tests.template import resources

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"
SAM = ROOT / ".shiftwork" / "venvs" / "sam" / "bin" / "sam"
SAMPLES = sorted(str(path.relative_to(EVENTS)) for path in EVENTS.glob("*/*.json"))

#: The API's answer to each sample, on a stack with nothing but what samples put there.
STATUS = {
    "cancel-request": 404,
    "explain-request": 404,
    "get-job-logs": 404,
    "get-metrics": 200,
    "get-request": 404,
    "heartbeat": 200,
    "list-job-types": 200,
    "list-jobs": 404,
    "list-lifecycle-jobs": 200,
    "list-requests": 200,
    "list-workers": 200,
    "openapi": 200,
    "override-workspace": 404,
    "plan-workspace": 200,
    "put-job-type": 201,
    "put-request-type": 201,
    "put-request-type-with-faults": 422,
    "put-workspace": 201,
    "put-workspace-with-faults": 422,
    "refresh-worker-of-another": 403,
    "refresh-worker-with-expired-token": 401,
    "register-worker": 201,
    "retry-request": 404,
    "start-workspace": 404,
    "submit-not-json": 400,
    "submit-request": 422,
    "submit-unknown-type": 422,
    "unknown-path": 404,
}

#: The task API's answer to each of its samples.
TASK_STATUS = {
    "create-task-definitions": 200,
    "exchange": 200,
    "get-workflow": 404,
    "pause-workflow": 501,
    "poll": 204,
    "poll-batch": 200,
    "poll-for-too-long": 400,
    "start-unknown-workflow": 404,
    "token-with-wrong-secret": 401,
    "update-task": 404,
    "update-task-v2": 400,
    "update-unknown-task-definition": 404,
}


def answer_to(lab: Lab, sample: str) -> Any:
    """Invoke the sample's function with it, and return the answer."""
    folder = sample.split("/")[0]
    function = "".join(part.title() for part in folder.split("_"))
    payload = (EVENTS / sample).read_text()
    for table in ("Jobs", "Requests"):  # CountOutcomes knows a stream by its table's name.
        payload = payload.replace(f"shiftwork-dev-{table}Table", lab.outputs[f"{table}TableName"])
    # A record as old as the sample would mean that others were lost.
    payload = payload.replace(": 1793611800", f": {int(time.time())}")
    answer = lab.client("lambda").invoke(
        FunctionName=lab.function(function), Payload=payload.encode()
    )
    content = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, content
    return content


def test_every_function_has_samples() -> None:
    functions = resources("AWS::Serverless::Function").values()
    folders = {entry["Properties"]["CodeUri"].removeprefix("functions/") for entry in functions}
    assert {sample.split("/")[0] for sample in SAMPLES} == folders
    for folder, statuses in (("api/", STATUS), ("serve_tasks/", TASK_STATUS)):
        assert {Path(s).stem for s in SAMPLES if s.startswith(folder)} == set(statuses)


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.startswith("api/")])
def test_api_answers_its_samples(lab: Lab, sample: str) -> None:
    if sample == "api/put-request-type.json":  # Its jobs are of the other sample's type.
        answer_to(lab, "api/put-job-type.json")
    if sample == "api/plan-workspace.json":
        answer_to(lab, "api/put-workspace.json")
    answer = answer_to(lab, sample)
    expected = STATUS[Path(sample).stem]
    # A definition that another test or run has put is not new.
    may_be = {200, 201} if expected == 201 else {expected}
    if sample == "api/submit-request.json":  # Its type may be there, for another test's sake.
        may_be |= {200, 201}
    assert answer["statusCode"] in may_be, answer["body"]


@pytest.mark.parametrize("sample", TASK_STATUS)
def test_the_task_api_answers_its_samples(lab: Lab, sample: str) -> None:
    answer = answer_to(lab, f"serve_tasks/{sample}.json")
    assert answer["statusCode"] == TASK_STATUS[sample], answer["body"]


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.startswith("authorize")])
def test_authorizer_refuses_its_samples(lab: Lab, sample: str) -> None:
    assert answer_to(lab, sample)["isAuthorized"] is False


@pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if sample.startswith("advance_request")]
)
def test_advance_request_ends_an_execution_that_has_no_request(lab: Lab, sample: str) -> None:
    """There is no request behind the samples, so there is nothing to advance."""
    answer = answer_to(lab, sample)
    if "await" not in sample:
        assert answer["action"] in ("fail", "done")
        assert answer["batches"] == []


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.startswith("run_jobs")])
def test_run_jobs_leaves_what_does_not_exist(lab: Lab, sample: str) -> None:
    assert answer_to(lab, sample) == {"is_waiting": False}


def test_retry_jobs_returns_only_messages_that_it_cannot_read(lab: Lab) -> None:
    bad = "batch-with-a-bad-message"
    [failure] = answer_to(lab, f"retry_jobs/{bad}.json")["batchItemFailures"]
    records = json.loads((EVENTS / "retry_jobs" / f"{bad}.json").read_text())["Records"]
    assert failure == {"itemIdentifier": records[1]["messageId"]}
    for sample in SAMPLES:
        if sample.startswith("retry_jobs") and bad not in sample:
            assert answer_to(lab, sample) == {"batchItemFailures": []}


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.startswith("sweep")])
def test_sweep_accepts_its_samples(lab: Lab, sample: str) -> None:
    assert answer_to(lab, sample)["acted"] >= 0


@pytest.mark.parametrize("sample", [s for s in SAMPLES if "_workspaces/" in s])
def test_the_functions_of_workspaces_accept_their_samples(lab: Lab, sample: str) -> None:
    """The job and the workspace that they name do not exist."""
    answer = answer_to(lab, sample)
    if sample.endswith("tick.json"):
        assert answer.keys() <= {"looked_at", "executed"}
    else:
        assert answer == {"batchItemFailures": []}


@pytest.mark.skipif(not SAM.exists(), reason="needs the SAM CLI that shiftwork up installs")
def test_sam_remote_invoke_accepts_a_sample() -> None:
    stack = os.environ["SHIFTWORK_STACK"]
    sample = EVENTS / "api" / "heartbeat.json"
    done = subprocess.run(
        [SAM, "remote", "invoke", "ApiFunction", "--stack-name", stack, "--event-file", sample],
        env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["statusCode"] == 200
