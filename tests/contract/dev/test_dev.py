"""`shiftwork dev` as its author sees it: a process that serves a project, and is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shiftwork.api.client import ShiftworkClient
from shiftwork.api.env_file import read_env_file
from shiftwork.api.errors import Unauthorized, Unreachable
from tests.template import ROOT

DEFINITIONS = """\
kind: job-type
name: invoices.send
target: python
retry: {max_attempts: 5, delay_s: 0.1}
---
kind: job-type
name: render
target: worker
---
kind: request-type
name: send-invoices
params: {type: object, required: [customers], properties: {customers: {type: array}}}
steps:
  - name: send
    jobs: [{name: send, type: invoices.send, for_each: params.customers}]
---
kind: request-type
name: film
steps:
  - name: render
    jobs: [{name: render, type: render}]
"""
CALLBACKS = """\
from pathlib import Path
from time import sleep

from shiftwork_core.callbacks import callback

@callback("invoices.send")
def send(job):
    print("to", job.item)
    with Path("begun").open("a") as begun:
        begun.write(job.item)
    while Path("hold").exists():
        sleep(0.01)
    return {job.item: "sent"}
"""
#: The same, with a breakpoint.
STOPPING = CALLBACKS.replace("    return", "    breakpoint()\n    return")
#: A slow machine may take that long to do anything.
PATIENCE_S = 60.0


def until(what: Callable[[], Any]) -> Any:
    """Wait until something is so; return it."""
    ends_at = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    return found


class Dev:
    """A project, and the process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> ShiftworkClient:
        """Serve the project; return a client once it answers."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("SHIFTWORK_")}
        command = [sys.executable, "-c", "from shiftwork.cli import main; main()", "dev"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *options],
                cwd=self.folder,
                env={**env, "PYTHONPATH": str(ROOT / "sdk")},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        file = self.folder / ".shiftwork" / "local.env"
        url = f"http://127.0.0.1:{self.port}"
        settings = until(lambda: self.lives and (found := read_env_file(file)) and found)
        assert settings["SHIFTWORK_URL"] == url
        client = ShiftworkClient(url, settings["SHIFTWORK_TOKEN"])
        until(lambda: self.lives and answers(client))
        return client

    @property
    def lives(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said
        return True

    @property
    def said(self) -> str:
        return self.log.read_text()

    def types(self, *lines: str) -> None:
        """Write lines to the process's terminal."""
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process; return its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


def answers(client: ShiftworkClient) -> bool:
    try:
        client.heartbeat()
    except Unreachable:
        return False
    return True


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    for place, text in {
        "shiftwork.toml": "",
        "definitions/invoices.yaml": DEFINITIONS,
        "callbacks/invoices.py": CALLBACKS,
    }.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text)
    dev = Dev(tmp_path)
    yield dev
    if dev.process is not None and dev.process.poll() is None:
        dev.end(signal.SIGKILL)


def ended(client: ShiftworkClient, request_id: str) -> dict[str, Any]:
    """Wait for a request's end; return it."""

    def look() -> Any:
        found = client.get(request_id)
        return found if found["status"] not in ("Queuing", "Inprogress") else None

    found: dict[str, Any] = until(look)
    return found


def test_a_request_runs_and_the_terminal_tells_what_happens(dev: Dev) -> None:
    client = dev.start()
    request = client.submit("send-invoices", {"customers": ["a", "b"]})
    assert ended(client, request["request_id"])["extras"] == {"a": "sent", "b": "sent"}
    assert "send-invoices: submitted" in dev.said
    until(lambda: "send-invoices: Completed in" in dev.said)
    assert "send[1]: to b" in dev.said
    [attempt, _] = client.jobs(request["request_id"])
    [line] = client.job_logs(attempt["attempt_id"])
    assert '"message": "to a"' in line["message"]
    followed = client.follow_logs(request["request_id"])["items"]
    lines = [(line["job"], json.loads(line["message"])["message"]) for line in followed]
    assert sorted(lines) == [("send[0]", "to a"), ("send[1]", "to b")]
    with pytest.raises(Unauthorized):
        ShiftworkClient(f"http://127.0.0.1:{dev.port}", "another").list()
    assert dev.end() == 0
    assert not (dev.folder / ".shiftwork" / "local.env").exists()


def test_what_is_saved_is_live_and_what_has_a_fault_leaves_the_old_version(dev: Dev) -> None:
    client = dev.start()
    callbacks = dev.folder / "callbacks" / "invoices.py"
    callbacks.write_text(CALLBACKS.replace('"sent"', '"mailed"'))
    until(lambda: "callbacks are loaded again" in dev.said)
    request = client.submit("send-invoices", {"customers": ["a"]})
    assert ended(client, request["request_id"])["extras"] == {"a": "mailed"}
    callbacks.write_text("from nowhere import nothing")
    until(lambda: "callbacks.invoices cannot be imported" in dev.said)
    definitions = dev.folder / "definitions" / "invoices.yaml"
    definitions.write_text(DEFINITIONS.replace("for_each:", "for_eahc:"))
    until(lambda: "did you mean for_each?" in dev.said)
    assert "invoices.yaml:15:46: steps[0].jobs[0].for_eahc" in dev.said
    request = client.submit("send-invoices", {"customers": ["b"]})
    assert ended(client, request["request_id"])["extras"] == {"b": "mailed"}
    definitions.write_text(DEFINITIONS.replace("max_attempts: 5", "max_attempts: 6"))
    until(lambda: client.definition("job-type", "invoices.send")["version"] == 2)


def test_a_killed_process_goes_on_where_it_was(dev: Dev) -> None:
    client = dev.start()
    (dev.folder / "hold").touch()
    request = client.submit("send-invoices", {"customers": ["a", "b"]})
    until(lambda: len((dev.folder / "begun").read_text()) == 2 if begun(dev) else False)
    dev.end(signal.SIGKILL)
    (dev.folder / "hold").unlink()
    client = dev.start()
    found = ended(client, request["request_id"])
    assert (found["status"], found["extras"]) == ("Completed", {"a": "sent", "b": "sent"})
    [first, *_] = client.jobs(request["request_id"])
    assert first["error"] is not None
    assert first["error"]["type"] == "LeaseExpired"
    dev.end()
    client = dev.start("--fresh")
    assert client.list()["items"] == []


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_ends_at_once_although_a_job_runs_which_is_tried_again(
    how: signal.Signals, code: int, dev: Dev
) -> None:
    client = dev.start()
    (dev.folder / "hold").touch()
    request = client.submit("send-invoices", {"customers": ["a"]})
    until(lambda: begun(dev))
    assert dev.end(how) == code
    assert "ended; 1 job will be tried again at the next start" in dev.said
    (dev.folder / "hold").unlink()
    assert ended(dev.start(), request["request_id"])["extras"] == {"a": "sent"}


def test_a_retry_that_was_to_come_comes_after_a_restart(dev: Dev) -> None:
    file = dev.folder / "definitions" / "invoices.yaml"
    file.write_text(DEFINITIONS.replace("delay_s: 0.1", "delay_s: 4, jitter: none"))
    client = dev.start()
    (dev.folder / "callbacks" / "invoices.py").write_text(
        CALLBACKS.replace("import callback", "import Retry, callback").replace(
            "    return", "    if not Path('again').exists():\n        raise Retry\n    return"
        )
    )
    until(lambda: "callbacks are loaded again" in dev.said)
    request = client.submit("send-invoices", {"customers": ["a"]})
    until(lambda: "attempt 1, is retried" in dev.said)
    dev.end(signal.SIGKILL)
    (dev.folder / "again").touch()
    before = time.monotonic()
    assert ended(dev.start(), request["request_id"])["status"] == "Completed"
    # A sweep would find it after 20 s more.
    assert time.monotonic() - before < 20


def test_the_stack_s_commands_leave_it_alone(dev: Dev) -> None:
    client = dev.start()
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHIFTWORK_")}
    done = subprocess.run(
        [sys.executable, "-c", "from shiftwork.cli import main; main()", "down"],
        cwd=dev.folder,
        env={**env, "PYTHONPATH": str(ROOT / "sdk")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode != 0
    assert "`shiftwork dev` serves" in done.stderr
    assert answers(client)
    assert (dev.folder / ".shiftwork" / "local.env").exists()


def begun(dev: Dev) -> bool:
    return (dev.folder / "begun").exists()


def test_breakpoint_stops_a_job_which_does_not_run_out_of_its_time_meanwhile(dev: Dev) -> None:
    timed = DEFINITIONS.replace("target: python", "target: python\ntimeout_s: 1", 1)
    (dev.folder / "definitions" / "invoices.yaml").write_text(timed)
    (dev.folder / "callbacks" / "invoices.py").write_text(STOPPING)
    client = dev.start()
    request = client.submit("send-invoices", {"customers": ["ada"]})
    until(lambda: "(Pdb)" in dev.said)
    # Its author looks for longer than it may take.
    dev.types("import time; time.sleep(3)", "p 'it is ' + job.item", "c")
    found = ended(client, request["request_id"])
    assert (found["status"], found["extras"]) == ("Completed", {"ada": "sent"})
    assert "'it is ada'" in dev.said
    [attempt] = client.jobs(request["request_id"])
    assert attempt["status"] == "completed"


def test_a_job_whose_author_leaves_the_debugger_fails_at_once(dev: Dev) -> None:
    (dev.folder / "callbacks" / "invoices.py").write_text(STOPPING)
    client = dev.start()
    request = client.submit("send-invoices", {"customers": ["ada"]})
    until(lambda: "(Pdb)" in dev.said)
    dev.types("q")
    found = ended(client, request["request_id"])
    assert (found["status"], found["error"]["type"]) == ("Failed", "BdbQuit")


def test_a_worker_polls_as_anywhere(dev: Dev) -> None:
    client = dev.start()
    request = client.submit("film", {})
    headers = {"Authorization": f"Bearer {client.config.token}"}
    url = f"http://127.0.0.1:{dev.port}"
    import httpx2

    tasks = until(
        lambda: httpx2.get(f"{url}/api/tasks/poll/batch/render?workerid=w1", headers=headers).json()
    )
    result = {
        "workflowInstanceId": tasks[0]["workflowInstanceId"],
        "taskId": tasks[0]["taskId"],
        "workerId": "w1",
        "status": "COMPLETED",
        "outputData": {"frames": 3},
    }
    assert httpx2.post(f"{url}/api/tasks", json=result, headers=headers).status_code == 200
    assert ended(client, request["request_id"])["extras"] == {"frames": 3}


def test_a_port_that_is_taken_is_named_with_a_way_out(dev: Dev) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", dev.port))
        taken.listen()
        with pytest.raises(AssertionError, match=f"port {dev.port} is taken"):
            dev.start()
    assert "Name another" in dev.said


def test_a_project_is_served_once_since_its_tables_are_in_one_process(dev: Dev) -> None:
    dev.start()
    other = Dev(dev.folder)
    other.log = dev.folder / "other.log"
    with pytest.raises(AssertionError):
        other.start("--fresh")
    until(lambda: "is served by another process already" in other.said)
    assert dev.lives
