"""Measure an author's loop beside others': a test of a request, and a server for development.

Both sides run in turn on this machine, so the figures are ratios. The others are installed in an
environment of their own, from requirements/peers.txt.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Figure, Section, at_most
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.env_file import read_env_file
from shiftwork.definition_files import Definition
from shiftwork.testing import Engine

ROOT = Path(__file__).resolve().parents[1]
_PEERS = ROOT / ".shiftwork" / "peers"
_PROGRAMS = ROOT / "benchmarks" / "peers"
_BIN = Path(sys.executable).parent
_ROUNDS = 3
#: Python keeps what it has compiled, as it does for users, wherever this runs.
_ENV = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
#: Of what the others take: a test of a request, and 1,000 jobs of a server for development.
_BUDGET_OF_TESTS, _BUDGET_OF_SERVER = 1.0, 0.2
_JOBS = 1_000
_DEFINITIONS = """\
kind: job-type
name: noop
target: python
---
kind: request-type
name: many
steps:
  - name: one
    jobs: [{name: job, type: noop, for_each: params.items}]
"""
_CALLBACKS = """\
from shiftwork_core.callbacks import callback

@callback("noop")
def noop(job):
    return None
"""


def measure() -> Section:
    """Measure ours and the others', in turn."""
    python = _peers()
    figures = []
    for steps, jobs in ((3, 20), (1, _JOBS)):
        theirs = _peer(python, "durable.py", steps, jobs)
        ours = min(_test_s(steps, jobs) for _ in range(_ROUNDS))
        note = f"{ours:.2f} s beside {theirs:.2f} s of Lambda's test runner of durable functions"
        name = f"a test of {steps} x {jobs:,} no-op jobs"
        figures.append(at_most(name, ours / theirs, _BUDGET_OF_TESTS, "{:.2f} x", note))
    theirs = _peer(python, "queued.py", _JOBS)
    starts, ours = _served()
    note = f"{ours:.2f} s beside {theirs:.2f} s of DBOS on SQLite"
    name = f"{_JOBS:,} no-op jobs of `shiftwork dev`"
    figures.append(at_most(name, ours / theirs, _BUDGET_OF_SERVER, "{:.2f} x", note))
    base = statistics.median(_python_s("import boto3; boto3.client('dynamodb')") for _ in range(5))
    note = f"{starts:.2f} s; the ratio to starting Python with boto3 and one client"
    figures.append(Figure("`shiftwork dev` until it answers", f"{starts / base:.2f} x", note=note))
    return Section("The author's loop", figures)


def _peers() -> Path:
    """Return the Python of the others' environment, which is made if need be."""
    python = _PEERS / "bin" / "python"
    if not python.exists():
        _run(_BIN / "uv", "venv", "-q", "--python", sys.executable, _PEERS)
    lock = ROOT / "requirements" / "peers.txt"
    _run(_BIN / "uv", "pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock)
    return python


def _peer(python: Path, program: str, *numbers: int) -> float:
    return float(_run(python, _PROGRAMS / program, *numbers).split()[-1])


def _run(*command: object) -> str:
    """Run a command; return what it prints."""
    done = subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True, env=_ENV
    )
    return done.stdout


def _test_s(steps: int, jobs: int) -> float:
    """Return how many seconds a test of a request takes, with its engine."""
    entry = {"name": "job", "type": "noop", "for_each": "params.items"}
    body = {"steps": [{"name": f"s{number}", "jobs": [entry]} for number in range(steps)]}
    definitions = [
        Definition("job-type", "noop", {"target": "python"}, ""),
        Definition("request-type", "many", body, ""),
    ]
    began = time.perf_counter()
    with closing(Engine(definitions, {"noop": lambda job: None}.get)) as engine:
        request = engine.run("many", items=list(range(jobs)))
        assert request.completed
    return time.perf_counter() - began


def _served() -> tuple[float, float]:
    """Return after how many seconds a server answers, and how many its jobs take."""
    starts, runs = [], []
    for _ in range(_ROUNDS):
        with TemporaryDirectory() as folder:
            start, run = _serve_once(Path(folder))
        starts.append(start)
        runs.append(run)
    return min(starts), min(runs)


def _serve_once(folder: Path) -> tuple[float, float]:
    (folder / "shiftwork.toml").touch()
    for name, text in (("definitions/a.yaml", _DEFINITIONS), ("callbacks/a.py", _CALLBACKS)):
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(_BIN / "shiftwork"), "dev", "--port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=_ENV)
    try:
        url = f"http://127.0.0.1:{port}"
        while not _answers(url):
            time.sleep(0.005)
        start = time.perf_counter() - began
        token = read_env_file(folder / ".shiftwork" / "local.env")["SHIFTWORK_TOKEN"]
        return start, _jobs_s(ShiftworkClient(url, token))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/heartbeat", timeout=30):
            return True
    except urllib.error.URLError:
        return False


def _jobs_s(client: ShiftworkClient) -> float:
    began = time.perf_counter()
    request = client.submit("many", {"items": list(range(_JOBS))})
    while client.get(request["request_id"])["status"] in ("Queuing", "Inprogress"):
        time.sleep(0.02)
    return time.perf_counter() - began


def _python_s(code: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"AWS_DEFAULT_REGION": "us-east-1"}
    )
    return time.perf_counter() - began
