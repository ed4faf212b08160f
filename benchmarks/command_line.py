"""Measure how soon the command line answers, beside a Python that imports a little.

All processes run in turn, so the figures are ratios. `shiftwork` is installed in an environment of
its own, with the versions of requirements/dev.txt: what else the checkout's environment has would
be looked through with each import.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.report import Section, at_most

ROOT = Path(__file__).resolve().parents[1]
_ENVIRONMENT = ROOT / ".shiftwork" / "command-line"
_UV = Path(sys.executable).parent / "uv"
_ROUNDS = 30
#: The best times, against that of a Python that imports argparse, json and ssl.
_BUDGET_OF_HELP, _BUDGET_OF_LIST = 2.5, 4.0
_BASE = "import argparse, json, ssl"
_REQUEST = {
    "request_id": "0f8c6a1e-6f0b-4e51-9a53-6f3c1c5b7d10",
    "type": "index-documents",
    "status": "Completed",
    "current_step": 3,
    "created_at": "2026-01-01T00:00:00Z",
    "completed_at": "2026-01-01T00:00:05Z",
}


def measure() -> Section:
    """Measure the help and a list of 20 requests, in turn with the base."""
    binaries = _install()
    commands = {
        "base": [binaries / "python", "-c", _BASE],
        "help": [binaries / "shiftwork", "--help"],
        "list": [binaries / "shiftwork", "requests"],
    }
    answers: list[float] = []
    with _served(answers) as url:
        env = {"PATH": os.environ["PATH"], "SHIFTWORK_URL": url, "SHIFTWORK_TOKEN": "t"}
        best = dict.fromkeys(commands, float("inf"))
        for _ in range(_ROUNDS):
            for name, command in commands.items():
                best[name] = min(best[name], _process_s(command, env))
    base, list_s = best["base"], best["list"] - min(answers)
    note = "{:.0f} ms beside {:.0f} ms"
    return Section(
        "The command line",
        [
            at_most(
                "`shiftwork --help`",
                best["help"] / base,
                _BUDGET_OF_HELP,
                "{:.2f} x",
                note.format(best["help"] * 1000, base * 1000),
            ),
            at_most(
                "`shiftwork requests`, without its answer's time",
                list_s / base,
                _BUDGET_OF_LIST,
                "{:.2f} x",
                note.format(list_s * 1000, base * 1000),
            ),
        ],
    )


def _install() -> Path:
    """Return the folder of an environment's programs, in which this checkout is installed."""
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        _run(_UV, "venv", "-q", "--python", sys.executable, _ENVIRONMENT)
    lock = ROOT / "requirements" / "dev.txt"
    package = ["--reinstall-package", "shiftwork", ROOT / "sdk"]
    _run(
        _UV, "pip", "install", "-q", "--compile-bytecode", "--python", python, "-c", lock, *package
    )
    return python.parent


def _run(*command: object) -> None:
    subprocess.run(list(map(str, command)), check=True)


def _process_s(command: list[Any], env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    return time.perf_counter() - began


@contextmanager
def _served(answers: list[float]) -> Iterator[str]:
    """Serve a page of requests at the URL; note how many seconds each answer takes."""
    content = json.dumps({"items": [_REQUEST] * 20, "next_token": None}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            began = time.perf_counter()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            answers.append(time.perf_counter() - began)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
