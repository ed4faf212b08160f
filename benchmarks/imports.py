"""Measure cold starts: a fresh interpreter imports a function and builds its first client.

The figure is processor time: imports wait for little else, and other programs of this machine do
not count.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Figure, Section, at_most

PROJECT = Path(__file__).resolve().parent.parent
ROUNDS = 11
#: Of `import boto3` with one client, for the functions that are on the path of requests and calls.
BUDGET = 1.15
#: For those that switch workspaces: a minute's tick may start later than a call.
BUDGET_OF_WORKSPACES = 1.3

#: What each function builds for its first event, as its handler does.
FIRST_EVENT = {
    "advance_request": "from shiftwork_core import bootstrap; bootstrap.requests.advancer()",
    "run_jobs": "from shiftwork_core import bootstrap; bootstrap.requests.batch_runner()",
    "retry_jobs": "from shiftwork_core import bootstrap; bootstrap.world.batch_invoker()",
    "sweep": "from shiftwork_core import bootstrap; bootstrap.sweep.sweeper()",
    "serve_tasks": (
        "import task_routes; from shiftwork_core import bootstrap; bootstrap.polling.tasks()"
    ),
    "schedule_workspaces": (
        "from shiftwork_core import bootstrap; bootstrap.workspaces.scheduler()"
    ),
    "switch_workspaces": ("from shiftwork_core import bootstrap; bootstrap.workspaces.switcher()"),
    "count_outcomes": "from shiftwork_core import bootstrap; bootstrap.metrics.counter()",
    "measure_platform": "from shiftwork_core import bootstrap; bootstrap.gauges.reader()",
    "authorize": "from shiftwork_core import bootstrap; bootstrap.workers.access()",
    "api": "from shiftwork_core import bootstrap; bootstrap.stores.requests()",
}
_BASELINE = "import boto3; boto3.client('dynamodb')"
_DUMMY = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "TOKEN_SECRET": "none",
}


def measure() -> Section:
    """Time every function and `import boto3` with one client, in turn."""
    with tempfile.TemporaryDirectory() as bytecode:
        runs = {
            name: _Run(f"import app; {code}", name, bytecode) for name, code in FIRST_EVENT.items()
        }
        base = _Run(_BASELINE, None, bytecode)
        for run in (base, *runs.values()):
            run.once()  # Compiles the bytecode, and warms the disk's cache.
        for _ in range(ROUNDS):
            for run in (base, *runs.values()):
                run.times.append(run.once())
    figures = [Figure("import boto3 with one client", f"{base.median_ms:.0f} ms", note="= 1")]
    for name, run in runs.items():
        ratio = run.median_ms / base.median_ms
        note = f"{run.median_ms:.0f} ms"
        if name == "api":
            figures.append(Figure(f"import {name}", f"{ratio:.2f} x", note=f"{note}; not hot"))
        else:
            budget = BUDGET_OF_WORKSPACES if name.endswith("_workspaces") else BUDGET
            figures.append(at_most(f"import {name}", ratio, budget, "{:.2f} x", note))
    return Section(
        "Cold start: processor time of a fresh interpreter, until it could handle an event", figures
    )


def environment_of(function: str | None, bytecode: str | None = None) -> dict[str, str]:
    """Return the environment of a fresh interpreter that can import a function's `app`."""
    paths = [PROJECT / "layers/core"]
    if function:
        paths.insert(0, PROJECT / "functions" / function)
    found = _DUMMY | {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }
    return found | {"PYTHONPYCACHEPREFIX": bytecode} if bytecode else found


class _Run:
    """One program, run repeatedly in fresh interpreters."""

    def __init__(self, code: str, function: str | None, bytecode: str) -> None:
        self._command = [sys.executable, "-c", code]
        self._env = environment_of(function, bytecode)
        self.times: list[float] = []

    def once(self) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(self._command, env=self._env, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    @property
    def median_ms(self) -> float:
        return statistics.median(self.times) * 1000
