"""The emulator's process: found again later, and never confused with another."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shiftwork.local.emulator import Emulator, free_port, require_free
from shiftwork.local.errors import LocalStackError

#: Answers and has a child as the emulator does, and prints what it was started with.
STAND_IN = """#!{python}
import http.server, json, os, pathlib, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/_ministack/health" else 404)
        self.end_headers()

child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("facts.json").write_text(json.dumps({{"env": dict(os.environ), "child": child.pid}}))
address = (os.environ["BIND_HOST"], int(os.environ["GATEWAY_PORT"]))
http.server.HTTPServer(address, Handler).serve_forever()
"""


def script(path: Path, text: str) -> Path:
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.fixture
def stand_in(tmp_path: Path) -> list[str]:
    return [str(script(tmp_path / "ministack", STAND_IN))]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    home = tmp_path / "home"
    home.mkdir()
    yield Emulator(home)
    Emulator(home).stop()


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not just an exit status to be collected."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_running_emulator_is_found_by_later_processes(
    emulator: Emulator, stand_in: list[str]
) -> None:
    assert emulator.running() is None
    started = emulator.start(stand_in, free_port())
    assert Emulator(emulator.home).running() == started


def test_the_hosts_environment_does_not_leak_into_the_emulator(
    emulator: Emulator, stand_in: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    port = free_port()
    emulator.start(stand_in, port)
    seen = json.loads((emulator.home / "emulator" / "facts.json").read_text())["env"]
    assert seen["BIND_HOST"] == "127.0.0.1"
    assert seen["GATEWAY_PORT"] == str(port)
    assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL", "HTTPS_PROXY"} & set(seen)


def test_stop_ends_its_functions_too_and_leaves_only_the_log(
    emulator: Emulator, stand_in: list[str]
) -> None:
    started = emulator.start(stand_in, free_port())
    child = json.loads((emulator.home / "emulator" / "facts.json").read_text())["child"]
    assert is_alive(child)
    assert emulator.stop()
    assert not is_alive(started.pid)
    deadline = time.monotonic() + 10
    while is_alive(child):  # It got the signal; the kernel may take its time.
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [path.name for path in emulator.home.iterdir()] == ["emulator.log"]
    assert not emulator.stop()


def test_emulator_that_was_killed_is_not_running(emulator: Emulator, stand_in: list[str]) -> None:
    started = emulator.start(stand_in, free_port())
    os.killpg(started.pid, signal.SIGKILL)
    os.waitpid(started.pid, 0)
    assert emulator.running() is None


def test_process_that_only_has_the_recorded_id_is_left_alone(emulator: Emulator) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        (emulator.home / "emulator.lock").touch()
        record = {"pid": stranger.pid, "port": 1}
        (emulator.home / "emulator.json").write_text(json.dumps(record))
        assert emulator.running() is None
        assert not emulator.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_stacks_side_by_side_do_not_disturb_each_other(
    emulator: Emulator, stand_in: list[str], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Emulator(tmp_path / "other")
    emulator.start(stand_in, free_port())
    kept = other.start(stand_in, free_port())
    try:
        emulator.stop()
        assert other.running() == kept
    finally:
        other.stop()


def test_the_output_of_an_emulator_that_ends_at_once_is_quoted(
    emulator: Emulator, tmp_path: Path
) -> None:
    broken = script(tmp_path / "broken", "#!/bin/sh\necho no room on this machine\nexit 3\n")
    with pytest.raises(LocalStackError, match="no room on this machine") as raised:
        emulator.start([str(broken)], free_port())
    assert str(emulator.log) in raised.value.next_step
    assert emulator.running() is None


def test_taken_port_is_refused_and_a_free_one_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LocalStackError, match=f"Port {port} is taken") as raised:
            require_free(port)
    assignment, make, up = raised.value.next_step.split()
    assert (make, up) == ("make", "up")
    with suppress(LocalStackError):  # Somebody may have taken it since.
        require_free(int(assignment.removeprefix("SHIFTWORK_PORT=")))
