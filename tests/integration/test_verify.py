"""`shiftwork verify` on the emulator: it compares, reports, and leaves nothing, also if ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import boto3
import jmespath

from shiftwork.local.verify.figures import FIGURES

COMMAND = [sys.executable, "-m", "shiftwork", "verify", "local"]
#: They take minutes; each has tests of its own.
SKIP = ["--skip", "demo-workers", "--skip", "demo-workspaces"]


def named(text: str) -> str:
    """Return the name of the throw-away stack that a run tells first."""
    found = re.search(r"shiftwork-verify-\w+", text)
    assert found, text
    return found[0]


def left_of(stack: str) -> Iterator[str]:
    """Yield the names of everything in the emulator that belongs to a stack."""
    for service, operation, query in (
        ("dynamodb", "list_tables", "TableNames[]"),
        ("s3", "list_buckets", "Buckets[].Name"),
        ("logs", "describe_log_groups", "logGroups[].logGroupName"),
        ("lambda", "list_functions", "Functions[].FunctionName"),
        ("stepfunctions", "list_state_machines", "stateMachines[].name"),
        ("secretsmanager", "list_secrets", "SecretList[].Name"),
        ("cloudformation", "describe_stacks", "Stacks[].StackName"),
    ):
        client = boto3.client(service)  # type: ignore[call-overload]  # Any of them.
        pages = (
            client.get_paginator(operation).paginate()
            if client.can_paginate(operation)
            else [getattr(client, operation)()]
        )
        for page in pages:
            found = jmespath.search(query, page)
            yield from (f"{service}: {name}" for name in found if stack in name)


def test_what_belongs_to_a_stack_is_found() -> None:
    """Otherwise nothing would be left of any."""
    kinds = {one.partition(":")[0] for one in left_of(os.environ["SHIFTWORK_STACK"])}
    assert len(kinds) == 7


def test_a_verification_passes_on_the_local_stack_and_leaves_nothing() -> None:
    done = subprocess.run(
        [*COMMAND, *SKIP], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("# shiftwork verify: passed\n")
    rows = {
        cells[1]: cells[4]
        for line in done.stdout.splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) > 5
    }
    verdicts = {figure.key: rows[figure.title] for figure in FIGURES}
    assert verdicts.pop("read_units") == "skipped"
    assert set(verdicts.values()) == {"passed"}
    assert "| shiftwork demo | passed |" in done.stdout
    assert [*left_of(named(done.stderr))] == []


def test_a_verification_that_is_ended_leaves_nothing() -> None:
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    stack = named(process.stderr.readline())
    for line in process.stderr:
        if line.startswith("running a step"):
            break
    assert [*left_of(stack)]
    process.send_signal(signal.SIGTERM)
    report, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "| interrupted by SIGTERM | FAILED |" in report
    assert "Nothing: all that was made is removed." in report
    assert [*left_of(stack)] == []
