"""Tests against the deployed stack: `shiftwork exec -- pytest tests/integration`.

The stack must be the tests' own: before they begin it is fitted out with the callbacks and job
types of this folder, a service that its jobs can call, and tokens of every scope. The product stays
clean of all that.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.integration import service
from tests.integration.lab import SERVICE_URL, Lab

HERE = Path(__file__).parent
#: The target of the job type `probe.lambda`.
TARGET = "shiftwork-tests-target"
#: How many invocations of RunJobs may be under way: a bound for small machines.
MAX_RUN_JOBS = 16
#: How long tokens of POST /api/token are valid: so short that a test sees them renewed.
API_TOKEN_S = 20
SCOPES = ("submit", "read", "operate", "worker")


def _has_stack() -> bool:
    # Only with AWS_ENDPOINT_URL, so that no real AWS account is ever prepared for tests.
    return {"SHIFTWORK_URL", "SHIFTWORK_STACK", "AWS_ENDPOINT_URL"} <= os.environ.keys()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that have no stack to run on.

    Otherwise begin with what waits for a minute of the clock, or for leases: the others fill that.
    """
    if _has_stack():
        items.sort(key=lambda item: "test_workspaces" not in item.nodeid)
        return
    reason = "needs a stack of its own: make test, or shiftwork exec -- pytest tests/integration"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Prepare the stack once, before pytest-xdist starts the processes that test it."""
    is_worker = hasattr(session.config, "workerinput")
    if _has_stack() and not is_worker and not session.config.option.collectonly:
        _fit_out(Lab())


def _fit_out(lab: Lab) -> None:
    url = service.start()
    os.environ[SERVICE_URL] = url
    _add_callbacks(lab)
    services = {"SERVICES": json.dumps({"tests": {"url": url, "private": True}})}
    changes = {
        "RunJobs": services,
        "Api": services,
        "ScheduleWorkspaces": services,
        "SwitchWorkspaces": services,
        "ServeTasks": {"API_TOKEN_S": str(API_TOKEN_S)},
    }
    for function, change in changes.items():
        variables = lab.environment(function) | change
        lab.client("lambda").update_function_configuration(
            FunctionName=lab.function(function), Environment={"Variables": variables}
        )
        lab.client("lambda").get_waiter("function_updated_v2").wait(
            FunctionName=lab.function(function)
        )
    # For each invocation that is under way the emulator starts a process. What is over the bound
    # is throttled, and the state machine retries it.
    lab.client("lambda").put_function_concurrency(
        FunctionName=lab.function("RunJobs"), ReservedConcurrentExecutions=MAX_RUN_JOBS
    )
    _create_target(lab)
    _add_tokens(lab)
    for definition in yaml.safe_load_all((HERE / "definitions" / "probes.yaml").read_text()):
        lab.api.put_definition(definition.pop("kind"), definition.pop("name"), definition)


def _add_callbacks(lab: Lab) -> None:
    """Put the tests' callbacks beside the product's, in the code that is deployed."""
    functions = lab.client("lambda")
    location = functions.get_function(FunctionName=lab.function("RunJobs"))["Code"]["Location"]
    code = io.BytesIO(httpx2.get(location).raise_for_status().content)
    with zipfile.ZipFile(code, "a") as archive:
        for file in sorted((HERE / "callbacks").glob("*.py")):
            if f"callbacks/{file.name}" not in archive.namelist():
                archive.write(file, f"callbacks/{file.name}")
    functions.update_function_code(FunctionName=lab.function("RunJobs"), ZipFile=code.getvalue())
    functions.get_waiter("function_updated_v2").wait(FunctionName=lab.function("RunJobs"))


def _create_target(lab: Lab) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(HERE / "target_function.py", "target_function.py")
    functions = lab.client("lambda")
    if TARGET in [f["FunctionName"] for f in functions.list_functions()["Functions"]]:
        functions.delete_function(FunctionName=TARGET)
    functions.create_function(
        FunctionName=TARGET,
        Runtime="python3.13",
        # Any role that exists: an emulator that enforces permissions looks it up.
        Role=functions.get_function(FunctionName=lab.function("RunJobs"))["Configuration"]["Role"],
        Handler="target_function.handler",
        Code={"ZipFile": code.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=TARGET)


def _add_tokens(lab: Lab) -> None:
    secret, arn = lab.client("secretsmanager"), lab.outputs["TokenSecretArn"]
    tokens = json.loads(secret.get_secret_value(SecretId=arn)["SecretString"])
    tokens |= {scope: token_of(scope) for scope in SCOPES}
    secret.put_secret_value(SecretId=arn, SecretString=json.dumps(tokens))


def token_of(scope: str) -> str:
    """Return the token that the tests' stack knows for a scope."""
    return f"tests-{scope}-token"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab().api as api:
        yield Lab(api)


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    """A plain HTTP client of the API: it sends exactly what the test says."""
    with httpx2.Client(base_url=os.environ["SHIFTWORK_URL"], timeout=120) as client:
        yield client


@pytest.fixture(scope="session")
def admin() -> dict[str, Any]:
    """The headers of a call with every permission."""
    return {"Authorization": f"Bearer {os.environ['SHIFTWORK_TOKEN']}"}
