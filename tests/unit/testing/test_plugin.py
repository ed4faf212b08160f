"""A project with tests of its own, as pytest runs them: nothing here is imported by these tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.template import ROOT

DEFINITIONS = """\
kind: job-type
name: invoices.send
target: python
retry: {max_attempts: 5}
---
kind: request-type
name: send-invoices
params: {type: object, required: [customers], properties: {customers: {type: array}}}
steps:
  - name: send
    jobs: [{name: send, type: invoices.send, for_each: params.customers}]
"""
CALLBACKS = """\
from shiftwork_core.callbacks import Failure, callback

@callback("invoices.send")
def send(job):
    if "email" not in job.item:
        raise Failure("the customer has no address")
    return {job.item["id"]: "sent"}
"""
TESTS = """\
from shiftwork_core.callbacks import Retry

def test_a_busy_server_is_tried_again(engine):
    engine.job("invoices.send").on(item="c2").raises(Retry("busy"), times=1)
    request = engine.run("send-invoices", customers=[{"id": "c2", "email": "a"}])
    assert request.completed, request.error
    assert [a.status for a in request.attempts("send", item="c2")] == ["retry", "completed"]

def test_each_test_has_an_engine_of_its_own(engine):
    assert engine.requests == []

def test_that_fails(engine):
    assert engine.run("send-invoices", customers=[{"id": "c1"}]).completed
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for place, text in {
        "shiftwork.toml": "",
        "definitions/invoices.yaml": DEFINITIONS,
        "callbacks/invoices.py": CALLBACKS,
        "tests/test_invoices.py": TESTS,
    }.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text)
    return tmp_path


def run_tests(project: Path) -> str:
    """Run the tests of the project; return what pytest says."""
    plugins = [
        *("-p", "shiftwork_platform.testing.plugin"),
        # These take seconds to import.
        *("-p", "no:conductor-agents-testing", "-p", "no:schemathesis", "-p", "no:cacheprovider"),
    ]
    paths = [str(ROOT / "layers" / "core"), str(ROOT / "sdk")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "tests"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def test_a_project_has_its_engine_and_a_test_that_fails_shows_what_became_of_its_requests(
    project: Path,
) -> None:
    said = run_tests(project)
    assert "1 failed, 2 passed" in said
    assert "what became of its requests" in said
    assert "send: send[0] attempt 1 failure (Failure: the customer has no address)" in said


def test_definitions_with_faults_fail_each_test_with_their_places(project: Path) -> None:
    file = project / "definitions" / "invoices.yaml"
    file.write_text(DEFINITIONS.replace("for_each:", "for_eahc:"))
    said = run_tests(project)
    assert "3 errors" in said
    assert "invoices.yaml:11:46: steps[0].jobs[0].for_eahc: is not a known field" in said
    assert "did you mean for_each?" in said


def test_callbacks_that_are_missing_fail_a_test_and_say_what_cannot_be_imported(
    project: Path,
) -> None:
    (project / "callbacks" / "invoices.py").write_text("from pathlb import Path\n")
    customers = '[{"id": "c1"}, {"id": "c2"}, {"id": "c3"}]'
    (project / "tests" / "test_invoices.py").write_text(
        f"def test_all(engine):\n    engine.run('send-invoices', customers={customers})\n"
    )
    said = run_tests(project)
    assert "INTERNALERROR" not in said
    assert "1 failed" in said
    assert "no callback is named 'invoices.send'" in said
    assert "No module named 'pathlb' (at invoices.py:1)" in said


def test_a_folder_in_no_project_says_how_to_make_one(project: Path) -> None:
    (project / "shiftwork.toml").unlink()
    said = run_tests(project)
    assert "is in no project" in said
    assert "shiftwork.toml" in said
