"""Measure the figures of docs/reference/figures.md on a local stack of their own.

python -m benchmarks                    everything
python -m benchmarks time counts        some of: authors, cli, imports, memory, sizes, time,
                                        workers, polled, contention, counts, counting, quotas,
                                        ticks, switches, delays
python -m benchmarks workspaces         the last three: the lifecycle of workspaces
python -m benchmarks markdown           print the last results as tables for docs/reference
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import (
    authors,
    command_line,
    counting,
    counts,
    delays,
    imports,
    memory,
    sizes,
    switches,
    ticks,
    timing,
    workers,
)
from benchmarks.deployment import Deployment
from benchmarks.quotas import measure as quotas
from benchmarks.report import Figure, Section
from shiftwork.local import LocalStackError, Stack

RESULTS = Path(__file__).with_name("results") / "latest.json"
LIFECYCLE = ("ticks", "switches", "delays")
PARTS = (
    "authors",
    "cli",
    "imports",
    "memory",
    "sizes",
    "time",
    "workers",
    "polled",
    "contention",
    "counts",
    "counting",
    "quotas",
    *LIFECYCLE,
)
#: Parts that need no stack.
ALONE = {"authors", "cli", "imports", "memory", "ticks", "counting", "quotas"}


def main() -> int:
    """Measure the parts that the arguments name; return 1 if no stack can be started."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, "workspaces", "markdown", []], metavar="part"
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="measure the stack of this environment, not one of its own",
    )
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    if "workspaces" in parts:
        parts = [*parts, *LIFECYCLE]
    if "markdown" in parts:
        _print_markdown()
    elif arguments.here or ALONE.issuperset(parts):
        _measure(parts)
    else:
        command = [sys.executable, "-m", "benchmarks", "--here", *parts]
        try:
            return Stack.find().run_with_ephemeral(command, lambda line: print(line, flush=True))
        except LocalStackError as error:
            print(f"{error.message}\n{error.next_step}", file=sys.stderr)
            return 1
    return 0


def _measure(parts: Sequence[str]) -> None:
    """Measure and print; keep the results beside those of other parts."""
    deployment = None if ALONE.issuperset(parts) else Deployment()
    missed = 0
    for part in [p for p in PARTS if p in parts]:
        sections, details = _measure_part(part, deployment)
        for section in sections:
            section.print()
            missed += sum(figure.is_held is False for figure in section.figures)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[part] = {
            "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
            "machine": f"{os.cpu_count()} processors, {platform.machine()}, {platform.system()}, "
            f"{platform.python_implementation()} {platform.python_version()}",
            "sections": [asdict(section) for section in sections],
            "details": details,
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(f"{missed} budgets are missed." if missed else "Every budget is held.")


def _measure_part(part: str, deployment: Deployment | None) -> tuple[list[Section], dict[str, Any]]:
    if part == "authors":
        return [authors.measure()], {}
    if part == "cli":
        return [command_line.measure()], {}
    if part == "ticks":
        return ticks.measure()
    if part == "counting":
        return counting.measure()
    if part == "quotas":
        return quotas.measure()
    if part == "memory":
        return [memory.measure()], {}
    if deployment is None or part == "imports":
        return [imports.measure()], {}
    if part == "sizes":
        return [sizes.measure(deployment)], {}
    if part == "time":
        return [timing.measure(deployment)], {}
    if part == "workers":
        return workers.measure(deployment)
    if part == "polled":
        return workers.measure_writes(deployment)
    if part == "contention":
        return workers.measure_contention(deployment)
    if part == "switches":
        return switches.measure(deployment)
    if part == "delays":
        return delays.measure(deployment)
    return counts.measure(deployment)


def _print_markdown() -> None:
    for part, found in json.loads(RESULTS.read_text()).items():
        print(f"## {part}\n\n`python -m benchmarks {part}`, {found['measured_at']}.")
        print(f"{found['machine']}.\n")
        for kept in found["sections"]:
            figures = [Figure(**figure) for figure in kept["figures"]]
            print(Section(kept["title"], figures).to_markdown())


if __name__ == "__main__":
    sys.exit(main())
