"""Run the mutants: `make mutants`, or `python -m tests.mutants --only services/sweep.py`."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.mutants.child import Suite, warm_up, with_tests
from tests.mutants.covering import BaselineError, coverage_of
from tests.mutants.equivalents import Marks, marks_of
from tests.mutants.generating import mutants_of
from tests.mutants.loading import enter
from tests.mutants.mutant import Mutant
from tests.mutants.running import Runner, Verdict
from tests.mutants.scope import ENGINE, Scope

#: Seconds between two lines of progress.
_LINE_EVERY_S = 15.0

#: Columns of output to a file or pipe, whose readers can scroll.
_WIDTH_OF_FILES = 240


def main(arguments: Sequence[str] | None = None, scope: Scope = ENGINE) -> int:
    """Do what the command line asks for; return 1 if a mutant survives or an entry fits none."""
    options = _parser().parse_args(arguments)
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    console = Console(highlight=False, soft_wrap=True, width=width)
    enter(scope)
    mutants = mutants_of(scope)
    if options.show is not None:
        console.print(mutants[options.show].diff(), markup=False)
        return 0
    marks = marks_of(scope.equivalents, mutants)
    chosen = [
        mutant
        for number, mutant in enumerate(mutants)
        if re.search(options.only, _title(mutant))
        and (number in marks.reasons) is options.equivalents
    ]
    numbers = {mutant: number for number, mutant in enumerate(mutants)}
    if options.list:
        for mutant in chosen:
            console.print(f"{numbers[mutant]:5} {_title(mutant)}", markup=False)
        console.print(f"{len(chosen)} mutants")
        _print_unfitting(marks, scope, console)
        return 1 if marks.unfitting else 0
    started = time.monotonic()
    try:
        verdicts = _try(scope, chosen, options.jobs, console)
    except BaselineError as error:
        console.print(str(error), style="bold red", markup=False)
        return 1
    survivors = [verdict for verdict in verdicts if verdict.killer is None]
    console.print(_table(verdicts, numbers))
    if survivors and not options.equivalents:
        console.print("\nsurvivors", style="bold red")
        console.print(_table(survivors, numbers))
    _print_unfitting(marks, scope, console)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    console.print(
        f"{len(verdicts)} mutants: {len(verdicts) - len(survivors)} killed, "
        f"{len(survivors)} survived; {len(marks.reasons)} more are marked as equivalent "
        f"({minutes} min {seconds} s)"
    )
    is_good = len(survivors) == (len(verdicts) if options.equivalents else 0)
    return 0 if is_good and not marks.unfitting else 1


def _print_unfitting(marks: Marks, scope: Scope, console: Console) -> None:
    for entry in marks.unfitting:
        console.print(f"{scope.equivalents.name}: no such mutant: {entry}", style="bold red")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="only where file:line, function or code match"
    )
    parser.add_argument("--list", action="store_true", help="list the mutants, and run none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many to run at once")
    parser.add_argument("--show", type=int, metavar="N", help="print the change of mutant N")
    parser.add_argument(
        "--equivalents",
        action="store_true",
        help="run the mutants marked as equivalent, and fail if a test notices one",
    )
    return parser


def _try(scope: Scope, mutants: list[Mutant], jobs: int, console: Console) -> list[Verdict]:
    console.print("Running the tests once to see which lines each covers, unless that is known.")
    covered = coverage_of(scope)
    verdicts: list[Verdict] = []

    def work(suite: Suite) -> None:
        warm_up(suite, scope)
        kept = scope.cache / "killers.json"
        killers: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
        runner = Runner(scope, suite, covered, killers, jobs)
        for verdict in runner.run([None]):
            if verdict.killer is not None:
                raise BaselineError(f"red without any mutant: {verdict.killer}")
        told = time.monotonic()
        for verdict in runner.run(mutants):
            verdicts.append(verdict)
            assert verdict.mutant is not None
            if verdict.killer is None:
                console.print(f"survived: {_title(verdict.mutant)}", style="red", markup=False)
            else:
                killers[verdict.mutant.key] = verdict.killer
            if time.monotonic() - told >= _LINE_EVERY_S:
                told = time.monotonic()
                console.print(f"{len(verdicts)} of {len(mutants)} mutants")
                kept.write_text(json.dumps(killers))
        kept.write_text(json.dumps(killers))

    # However this process ends, the processes that it started end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with_tests(scope, work)
    places = {mutant: place for place, mutant in enumerate(mutants)}
    return sorted(verdicts, key=lambda v: places[v.mutant])  # type: ignore[index]


def _table(verdicts: list[Verdict], numbers: dict[Mutant, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, is_folded in [("N", False), ("where", False), ("change", True), ("killed by", True)]:
        table.add_column(name, overflow="fold" if is_folded else "ellipsis")
    for verdict in verdicts:
        mutant = verdict.mutant
        assert mutant is not None
        change = f"{mutant.was} -> {mutant.becomes}"
        cells = [str(numbers[mutant]), mutant.place, change, verdict.killer or "nothing"]
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    return table


def _title(mutant: Mutant) -> str:
    return f"{mutant.place} {mutant.function}: {mutant.was} -> {mutant.becomes}"


if __name__ == "__main__":
    sys.exit(main())
