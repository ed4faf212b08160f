"""Run many seeds (`make simulate SEEDS=10000 FROM=0`), or one seed again with its trace."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation.shrinking import parse_kinds, replay_options, shrink
from tests.simulation.simulation import Case, Failure, run_case
from tests.simulation.workload import Limits

#: How many seeds a process runs at a time.
_CHUNK = 25
#: How often a line of progress is printed where there is no terminal.
_LINE_EVERY_S = 10.0


def main() -> int:
    """Run what the command line asks for; return 1 if an invariant does not hold."""
    options = _parser().parse_args()
    console = Console(highlight=False, soft_wrap=True)
    if options.seed is None:
        failure = _run_many(options.first, options.seeds, console)
    else:
        limits = Limits(options.requests, options.steps, options.jobs, options.workspaces)
        kinds = None if options.faults is None else parse_kinds(options.faults)
        failure = _run_one(Case(options.seed, limits, kinds, options.salt), options, console)
    if failure is None:
        return 0
    if options.shrink:
        console.print("\nLooking for a smaller case that fails too.")
        failure = shrink(failure, console.print)
        _print_trace(failure, console)
        _print_failure(failure, console)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    add = parser.add_argument
    add("--seeds", type=int, default=10_000, help="how many seeds to run (10,000 unless given)")
    add("--from", type=int, default=0, dest="first", help="the first seed")
    add("--seed", type=int, help="run this seed alone")
    add("--trace", action="store_true", help="print the events of the seed, should it fail")
    add("--no-shrink", action="store_false", dest="shrink", help="look for no smaller case")
    add("--requests", type=int, default=99, help="submit at most this many requests")
    add("--steps", type=int, default=99, help="at most this many steps in a request")
    add("--jobs", type=int, default=99, help="at most this many jobs in an entry of a step")
    add("--workspaces", type=int, default=99, help="at most this many workspaces")
    add("--faults", help="only these kinds of fault, separated by commas, or `none`")
    add("--salt", type=int, default=0, help="draw another order of events")
    return parser


def _run_one(case: Case, options: argparse.Namespace, console: Console) -> Failure | None:
    failure = run_case(case, is_traced=options.trace)
    if failure is None:
        console.print(f"seed {case.seed}: every invariant holds")
        return None
    if options.trace:
        _print_trace(failure, console)
    _print_failure(failure, console)
    if options.trace:
        options.shrink = False
    return failure


def _run_many(first: int, seeds: int, console: Console) -> Failure | None:
    """Run seeds on all cores; stop at the first that fails."""
    started = time.monotonic()
    done = 0
    gc.freeze()  # Collections skip what is imported by now.
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        numbers = iter(range(first, first + seeds))
        chunks = iter(lambda: list(islice(numbers, _CHUNK)), [])
        results = pool.imap(_run_chunk, chunks)
        for count, failure in _with_progress(results, seeds, console):
            done += count
            if failure is not None:
                pool.terminate()
                _print_failure(failure, console)
                return failure
    taken_s = time.monotonic() - started
    rate = seeds / max(taken_s, 0.001)
    console.print(
        f"{done:,} seeds from {first}: no violation ({taken_s:,.0f} s, {rate:,.0f} seeds a second)"
    )
    return None


ChunkResult = tuple[int, Failure | None]


def _run_chunk(seeds: list[int]) -> ChunkResult:
    for count, seed in enumerate(seeds):
        try:
            failure = run_case(Case(seed))
        except Exception as error:
            raise RuntimeError(f"the simulation itself fails at seed {seed}") from error
        if failure is not None:
            return count, failure
    return len(seeds), None


def _with_progress(
    results: Iterator[ChunkResult], seeds: int, console: Console
) -> Iterator[ChunkResult]:
    if not console.is_terminal:
        yield from _with_lines(results, seeds)
        return
    columns = (
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("seeds", total=seeds, rate="")
        done = 0
        for result in results:
            done += result[0]
            rate = f"{done / (time.monotonic() - started):,.0f} a second"
            progress.update(task, completed=done, rate=rate)
            yield result


def _with_lines(results: Iterator[ChunkResult], seeds: int) -> Iterator[ChunkResult]:
    started = told = time.monotonic()
    done = 0
    for result in results:
        done += result[0]
        now = time.monotonic()
        if now - told >= _LINE_EVERY_S:
            told = now
            print(
                f"{done:,} of {seeds:,} seeds, {done / (now - started):,.0f} a second", flush=True
            )
        yield result


def _print_trace(failure: Failure, console: Console) -> None:
    for line in failure.trace.lines:
        console.print(line, markup=False)


def _print_failure(failure: Failure, console: Console) -> None:
    console.print(f"\nseed {failure.case.seed} violates: {failure.invariant}", style="bold red")
    console.print(failure.detail, markup=False)
    replay = f".venv/bin/python -m tests.simulation {replay_options(failure.case)} --trace"
    console.print(f"replay it: {replay}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
