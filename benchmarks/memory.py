"""Measure the peak memory of AdvanceRequest while it settles a wide step."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.imports import environment_of
from benchmarks.report import Figure, Section, at_most

#: The function has 512 MB; a quarter of that leaves room for larger results.
BUDGET_MB = 128.0
WIDTHS = (100, 1_000, 10_000)
RESULT_BYTES = 7_500


def measure() -> Section:
    """Settle steps of several widths, each in a process of its own."""
    figures: list[Figure] = []
    for width in WIDTHS:
        name = f"settle {width:,} results of 7.5 KB"
        note = "the whole process, imports included"
        figures.append(at_most(name, peak_mb(width, RESULT_BYTES), BUDGET_MB, "{:.0f} MB", note))
    return Section("Peak memory of AdvanceRequest", figures)


def peak_mb(jobs: int, result_bytes: int) -> float:
    """Return the peak of a process that settles so many results."""
    command = [sys.executable, "-m", "benchmarks.programs.settle", str(jobs), str(result_bytes)]
    ran = subprocess.run(
        command,
        env=environment_of("advance_request"),
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ran.stdout)
