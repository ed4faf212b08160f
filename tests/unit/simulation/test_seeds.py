"""Simulate the first thousand seeds; `make simulate` runs as many as you like."""

from __future__ import annotations

import pytest

from tests.simulation.shrinking import replay_options
from tests.simulation.simulation import Case, run_case

_CHUNK = 50


@pytest.mark.parametrize("first", range(0, 1000, _CHUNK))
def test_every_invariant_holds(first: int) -> None:
    for seed in range(first, first + _CHUNK):
        failure = run_case(Case(seed))
        if failure is not None:
            again = f".venv/bin/python -m tests.simulation {replay_options(failure.case)}"
            pytest.fail(f"seed {seed}: {failure.invariant}: {failure.detail}\nagain: {again}")
