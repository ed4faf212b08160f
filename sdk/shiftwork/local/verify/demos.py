"""Run the demos against the throw-away stack, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from shiftwork.local.reporting import Report
from shiftwork.local.signals import wait_or_kill
from shiftwork.local.verify.report import Part, Verdict

DEMOS = ("demo", "demo-workers", "demo-workspaces")
#: Why a demo cannot run in an account.
NEEDS_LOCAL = {
    "demo-workspaces": "It switches EC2 instances that the local stack makes up, and a service on "
    "this machine, which a stack on AWS cannot reach.",
}
_WITHIN_S = 900.0
_GRACE_S = 40.0
_LINES = 20


def run_demo(name: str, project: Path, env: Mapping[str, str], log: Path, report: Report) -> Part:
    """Run a demo; its output goes to the file `log`, and into the note if it fails."""
    report(f"running shiftwork {name}; its output is in {log}")
    command = [sys.executable, "-m", "shiftwork", name]
    if name == "demo":
        command += ["--folder", str(project / "docs")]
    began = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=project, env={**os.environ, **env}, stdout=file, stderr=file
        )
        try:
            code: int | None = process.wait(_WITHIN_S)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    took_s = time.monotonic() - began
    if code == 0:
        return Part(f"shiftwork {name}", Verdict.PASSED, took_s)
    ended = f"it took over {_WITHIN_S:.0f} s" if code is None else f"exit code {code}"
    tail = log.read_text(errors="replace").splitlines()[-_LINES:]
    return Part(f"shiftwork {name}", Verdict.FAILED, took_s, "\n".join([ended, *tail]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a demo as Ctrl-C does: so it stops its own workers."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    wait_or_kill(process, _GRACE_S)
