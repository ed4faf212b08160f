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

#: Half of what the function has, for steps of blocks from a manifest.
BUDGET_OF_BLOCKS_MB = 256.0
WIDE = (100_000, 1_000_000)
BLOCK = 100
_OF_BLOCKS = "items of a gzip CSV; results collected as lines"


def measure() -> Section:
    """Settle steps of several widths, each in a process of its own."""
    figures: list[Figure] = []
    for width in WIDTHS:
        name = f"settle {width:,} results of 7.5 KB"
        note = "the whole process, imports included"
        figures.append(at_most(name, peak_mb(width, RESULT_BYTES), BUDGET_MB, "{:.0f} MB", note))
    for what in ("plan", "settle"):
        for jobs in WIDE:
            name = f"{what} {jobs:,} jobs in blocks of {BLOCK}"
            peak = peak_of_blocks(what, jobs, BLOCK)
            figures.append(at_most(name, peak, BUDGET_OF_BLOCKS_MB, "{:.0f} MB", _OF_BLOCKS))
    return Section("Peak memory of AdvanceRequest", figures)


def peak_mb(jobs: int, result_bytes: int) -> float:
    """Return the peak of a process that settles so many results."""
    return _peak_of("benchmarks.programs.settle", str(jobs), str(result_bytes))


def peak_of_blocks(what: str, jobs: int, block: int) -> float:
    """Return the peak of a process that plans or settles a step of blocks."""
    return _peak_of("benchmarks.programs.blocks", what, str(jobs), str(block))


def _peak_of(*program: str) -> float:
    command = [sys.executable, "-m", *program]
    ran = subprocess.run(
        command,
        env=environment_of("advance_request"),
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ran.stdout)
