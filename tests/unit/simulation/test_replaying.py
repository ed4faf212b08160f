"""A seed alone decides what happens, and a failing seed can be shrunk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from shiftwork_core.adapters.memory import MemoryJobStore
from shiftwork_core.domain.requests.states import AttemptEvent
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.guarantees.invariants import Invariant
from shiftwork_platform.tree import ROOT
from tests.simulation import simulation
from tests.simulation.shrinking import parse_kinds, replay_options, shrink
from tests.simulation.simulation import Case, Failure, run_case
from tests.simulation.workload import Limits

SEEDS = [1, 2, 8, 18, 61]
PRINT_TRACE = """
import logging
from tests.simulation.simulation import *
trace = Trace(is_kept=True)
logging.disable()
Simulation(Case({seed}), trace).run()
print("\\n".join(trace.lines))
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_replays_identically_in_another_process(seed: int) -> None:
    traces = []
    for hash_seed in ("1", "2"):
        path = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "core")])
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        command = [sys.executable, "-c", PRINT_TRACE.format(seed=seed)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        traces.append(done.stdout)
    assert traces[0] == traces[1]
    assert len(traces[0].splitlines()) > 50


def test_a_seed_leaves_nothing_behind_in_the_process() -> None:
    def trace(seed: int) -> list[str]:
        kept = Trace(is_kept=True)
        simulation.Simulation(Case(seed), kept).run()
        return kept.lines

    first = trace(SEEDS[0])
    for seed in SEEDS[1:]:
        trace(seed)
    assert trace(SEEDS[0]) == first


def test_the_options_of_a_case_replay_it() -> None:
    case = Case(7, Limits(steps=2, jobs=1), (Fault.ECHO, Fault.KILLED), salt=3)
    assert replay_options(case) == "--seed 7 --salt 3 --steps 2 --jobs 1 --faults echo,killed"
    assert replay_options(Case(7, kinds=())) == "--seed 7 --faults none"
    assert parse_kinds("echo,killed") == case.kinds
    assert parse_kinds("none") == ()


@pytest.fixture
def failure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failure]:
    """Return the failure that a bug causes in a large case: a completed job is completed again."""
    held = MemoryJobStore._held

    def is_always_held(self: MemoryJobStore, attempt, event, *, lapsed=False):  # type: ignore[no-untyped-def]
        if event is AttemptEvent.COMPLETE:
            return self._tables.attempt(attempt.request_id, attempt.key)
        return held(self, attempt, event, lapsed=lapsed)

    monkeypatch.setattr(MemoryJobStore, "_held", is_always_held)
    found = (failure for seed in range(300) if (failure := run_case(Case(seed))))
    yield next(f for f in found if f.invariant == Invariant.ONE_END)


def test_a_failing_case_is_shrunk_and_replays(failure: Failure) -> None:
    small = shrink(failure)
    assert small.invariant == failure.invariant
    assert small.case.kinds is not None and len(small.case.kinds) <= 2
    assert small.trace.lines
    again = run_case(small.case, is_traced=True)
    assert again is not None and again.trace.lines == small.trace.lines
