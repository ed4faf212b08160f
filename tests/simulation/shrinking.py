"""Shrink a failing case: remove requests, jobs and faults while it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from random import Random

from shiftwork_platform.cloud.faults import Fault, Faults
from shiftwork_platform.guarantees.invariants import Invariant
from tests.simulation.simulation import Case, Failure, run_case
from tests.simulation.workload import Limits

#: How many orders of events each smaller case is tried with: it rarely fails in the very order in
#: which the larger one did.
_SALTS = 40


def shrink(failure: Failure, tell: Callable[[str], None] = lambda text: None) -> Failure:
    """Return the smallest failure of the same invariant that can be found, with its trace."""
    best = failure
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for case in _smaller(best.case):
            if found := _first_failure(case, failure.invariant):
                best, is_smaller = found, True
                tell(f"still fails: {replay_options(best.case)}")
                break
    return run_case(best.case, is_traced=True) or best


def _first_failure(case: Case, invariant: Invariant) -> Failure | None:
    for salt in [case.salt, *range(_SALTS)]:
        found = run_case(replace(case, salt=salt))
        if found is not None and found.invariant == invariant:
            return found
    return None


def _smaller(case: Case) -> Iterator[Case]:
    """Yield the case with one thing less, the largest things first."""
    kinds = case.kinds
    if kinds is None:
        kinds = tuple(Faults(Random(f"{case.seed} faults"), Random(0)).rates)
        yield replace(case, kinds=kinds)
    if len(kinds) > 1:
        yield replace(case, kinds=())
    for kind in kinds:
        yield replace(case, kinds=tuple(k for k in kinds if k is not kind))
    limits = case.limits
    for workspaces in _below(limits.workspaces, 3, least=0):
        yield replace(case, limits=replace(limits, workspaces=workspaces))
    least = 1 if limits.workspaces == 0 else 0
    for requests in _below(limits.requests, 3, least=least):
        yield replace(case, limits=replace(limits, requests=requests))
    for steps in _below(limits.steps, 5):
        yield replace(case, limits=replace(limits, steps=steps))
    for jobs in _below(limits.jobs, 30):
        yield replace(case, limits=replace(limits, jobs=jobs))


def _below(limit: int, most: int, least: int = 1) -> Iterator[int]:
    """Yield smaller limits, the smallest first."""
    for smaller in count(least):
        if smaller >= min(limit, most + 1):
            return
        yield smaller


def replay_options(case: Case) -> str:
    """Return the command line options that replay a case."""
    options = [f"--seed {case.seed}"]
    if case.salt:
        options.append(f"--salt {case.salt}")
    unlimited = Limits()
    for name in ("requests", "steps", "jobs", "workspaces"):
        if (value := getattr(case.limits, name)) != getattr(unlimited, name):
            options.append(f"--{name} {value}")
    if case.kinds is not None:
        options.append(f"--faults {','.join(case.kinds) or 'none'}")
    return " ".join(options)


def parse_kinds(text: str) -> tuple[Fault, ...]:
    """Return the kinds of fault that `--faults` names."""
    return () if text == "none" else tuple(Fault(name) for name in text.split(","))
