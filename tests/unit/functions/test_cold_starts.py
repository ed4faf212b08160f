"""What a cold start imports, function by function: counts of modules, for times differ by machine.

`python -m benchmarks imports` measures the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.imports import FIRST_EVENT, environment_of
from tests.template import ROOT

#: Packages that take long to import and that no hot function needs for its first event.
SLOW = {
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes",
    "aws_xray_sdk",
    "boto3",
    "httpx",
    "httpx2",
    "icalendar",
    "jsonschema",
    "multiprocessing.managers",
    "prometheus_client",
    "pydantic",
    "re2",
    "requests",
    "s3transfer",
    "yaml",
}
#: How many modules of ours a function may import until it could handle its first event. Whoever
#: raises a bound pays for it with each cold start: most modules take 0.2 to 1 ms.
MODULES_OF_OURS = {
    "authorize": 40,
    "retry_jobs": 35,
    "run_jobs": 93,
    "advance_request": 94,
    "sweep": 103,
    "serve_tasks": 111,
    "schedule_workspaces": 88,
    "switch_workspaces": 92,
    "count_outcomes": 70,
    "measure_platform": 88,
}
#: How many modules of others a function may import beyond those of botocore with one client.
MODULES_OF_OTHERS = 55

_REPORT = """
import gc, json, sys
print(json.dumps({
    "modules": sorted(sys.modules), "is_collecting": gc.isenabled(), "frozen": gc.get_freeze_count()
}))
"""
_BOTOCORE = "import botocore.session; botocore.session.get_session().create_client('dynamodb')"


def start(function: str, code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code + _REPORT],
        env=environment_of(function),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def botocore() -> set[str]:
    """Return the modules of botocore with one client."""
    return set(start("authorize", _BOTOCORE)["modules"])


def test_every_function_but_the_api_is_hot_and_has_its_first_event() -> None:
    functions = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert FIRST_EVENT.keys() == functions
    assert MODULES_OF_OURS.keys() == functions - {"api"}


@pytest.mark.parametrize("function", sorted(MODULES_OF_OURS))
def test_a_hot_function_imports_little_until_it_could_handle_an_event(
    function: str, botocore: set[str]
) -> None:
    started = start(function, f"import app\n{FIRST_EVENT[function]}")
    modules = set(started["modules"])
    assert not SLOW & modules
    of_its_folder = {path.stem for path in (ROOT / "functions" / function).rglob("*.py")}
    ours = {
        name
        for name in modules
        if name.startswith("shiftwork_core") or name.rpartition(".")[2] in of_its_folder - botocore
    }
    assert {"app", "shiftwork_core.bootstrap.world"} <= ours
    assert len(ours) <= MODULES_OF_OURS[function]
    assert len(modules - ours - botocore) <= MODULES_OF_OTHERS


def test_what_the_first_imports_make_is_never_looked_through_for_garbage() -> None:
    started = start("authorize", "import app")
    assert started["frozen"] > 10_000
    assert started["is_collecting"]
