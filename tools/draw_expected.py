"""Draw what `shiftwork verify` expects from the benchmarks: `python tools/draw_expected.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "sdk" / "shiftwork" / "local" / "verify" / "expected.json"
_COUNTS = ROOT / "benchmarks" / "results" / "latest.json"
JOBS, BATCH_SIZE = 1000, 100
#: It counts the same functions and tables as the command does.
_FUNCTIONS = ("AuthorizeFunction", "ApiFunction", "AdvanceRequestFunction", "RunJobsFunction")
_READ = ("RequestsTable", "PayloadsTable", "JobsTable")


def draw() -> str:
    """Return the file: what one request with one step of 1,000 jobs uses."""
    counts: dict[str, Any] = json.loads(_COUNTS.read_text())["counts"]
    found = counts["details"][f"1 step of {JOBS:,} jobs, {BATCH_SIZE} a batch"]

    def units(kind: str, is_counted: Callable[[str], bool]) -> float:
        return sum(float(c[kind]) for c in found["calls"] if is_counted(c["table"]))

    expected = {
        "jobs": JOBS,
        "batch_size": BATCH_SIZE,
        "measured_at": counts["measured_at"],
        "figures": {
            "job_write_units": units("write_units", lambda table: table == "JobsTable") / JOBS,
            "request_write_units": units("write_units", lambda table: table == "RequestsTable"),
            "read_units": units("read_units", lambda table: table in _READ) / JOBS,
            "invocations": sum(found["invocations"][name] for name in _FUNCTIONS),
            "transitions": sum(found["transitions"].values()),
        },
    }
    return json.dumps(expected, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(draw())
