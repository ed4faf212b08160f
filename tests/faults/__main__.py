"""Break the AWS calls of running functions, kill their processes, and report the outcomes.

shiftwork exec -- python -m tests.faults             everything
shiftwork exec -- python -m tests.faults kills       some of: runs, kills
python -m tests.faults page                          write the page again from the last results

Results are kept in benchmarks/results/faults.json, and written into docs/guarantees.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.faults import kills, report, runs, workload
from tests.faults.deployed.client_faults import Plan
from tests.faults.stack import FaultyLab, faulty_lab
from tests.integration.lab import Lab

PROJECT = Path(__file__).resolve().parents[2]
RESULTS = PROJECT / "benchmarks" / "results" / "faults.json"
PAGE = PROJECT / "docs" / "guarantees.md"
PARTS = ("runs", "kills")
#: How often the mix with an aim is run.
_TIMES = 3


def main() -> int:
    """Do what the arguments name; return 1 if a request is damaged or the aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "page", []], metavar="part")
    parser.add_argument("--requests", type=int, default=16, help="requests of each run")
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if parts == ["page"]:
        _write_page(results)
        return 0
    if "SHIFTWORK_STACK" not in os.environ:
        print("It needs a stack to break: make faults", file=sys.stderr)
        return 2
    console = Console(highlight=False, soft_wrap=True)
    with faulty_lab(Lab()) as lab:
        workload.define(lab)
        for part in (part for part in PARTS if part in parts):
            if part == "runs":
                found = _measure(lab, arguments.requests, console)
            else:
                found = _kill(lab, console)
            for results[part] in found:
                RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
                _write_page(results)
    console.print(report.to_markdown(results), markup=False)
    return _verdict(results, parts, console)


def _write_page(results: dict[str, Any]) -> None:
    PAGE.write_text(report.put_into(PAGE.read_text(), results))


def _measure(lab: FaultyLab, requests: int, console: Console) -> Iterator[dict[str, Any]]:
    """Yield all results so far after each mix."""
    rows = []

    def times(plan: Plan) -> int:
        return _TIMES if plan == runs.AIM else 1

    for found in runs.measure(lab, runs.MIXES, requests=requests, times=times):
        if isinstance(found, runs.Row):
            rows.append(report.row_to_json(found))
            yield report.about_this_run(requests=requests) | {"rows": rows}
            continue
        console.print(
            f"{found.plan.name}: {found.verdict.ended} of {requests} requests in "
            f"{found.seconds:.1f} s, {found.verdict.doubled} jobs with several outcomes"
        )
        for fault in found.verdict.faults:
            console.print(f"  {fault}", markup=False)


def _kill(lab: FaultyLab, console: Console) -> Iterator[dict[str, Any]]:
    """Yield all results so far after each function."""
    rows = []
    for function in (*kills.SIDE_BY_SIDE, *kills.ONE_BY_ONE):
        killed = kills.kill_at_every_call(lab, function)
        rows.append(report.killed_to_json(killed))
        console.print(
            f"{function}: {killed.kills} kills, {killed.verdict.ended} of {killed.verdict.requests}"
            f" requests, {killed.verdict.doubled} jobs with several outcomes"
        )
        for fault in killed.verdict.faults:
            console.print(f"  {fault}", markup=False)
        yield report.about_this_run() | {"rows": rows}


def _verdict(results: dict[str, Any], parts: tuple[str, ...] | list[str], console: Console) -> int:
    """Print whether everything held; return 1 if not."""
    rows = [row for part in parts for row in results[part]["rows"]]
    harmed = [row for row in rows if row["faults"] or row["doubled"]]
    aim = [row for row in rows if row.get("name") == runs.AIM.name]
    missed = [
        row
        for row in aim
        if row["goodput"] < report.MIN_GOODPUT or row["writes"] > report.MAX_WRITES
    ]
    if harmed:
        console.print("Requests were damaged: see above.")
    if missed:
        console.print("The aim is missed.")
    if harmed or missed:
        return 1
    console.print("Every request ended as it should, every outcome was recorded once.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
