"""The tests that are likeliest to kill a mutant run first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.covering import Coverage
from tests.mutants.mutant import Mutant

FILE = Path("gate/keeper.py")
MUTANT = Mutant(
    file=FILE, line=5, start=0, end=0, text="", function="may_enter", was="a and b", becomes="a",
    lines=frozenset({5}), is_at_import=False, names=frozenset(),
)  # fmt: skip
QUICK, SLOW, OTHER, ELSEWHERE = "a.py::quick", "a.py::slow", "b.py::other", "b.py::elsewhere"
COVERED = Coverage(
    root=Path(),
    seconds={SLOW: 2.0, QUICK: 0.1, OTHER: 0.5, ELSEWHERE: 0.01},
    tests={str(FILE): {5: [SLOW, QUICK, OTHER], 6: [ELSEWHERE]}},
)


@pytest.mark.parametrize(
    "killers, first",
    [
        ({}, [QUICK, OTHER, SLOW]),
        ({MUTANT.key: SLOW}, [SLOW, QUICK, OTHER]),
        ({MUTANT.key: f"{SLOW} (hangs)", "x": OTHER}, [SLOW, OTHER, QUICK]),
        ({"x": OTHER, "y": f"{OTHER} (hangs)", "z": QUICK}, [QUICK, OTHER, SLOW]),
        ({"x": ELSEWHERE, "y": "seed 7"}, [QUICK, OTHER, SLOW]),
    ],
    ids=["nothing is known", "its killer", "its killer hung", "kills a second", "not covering"],
)
def test_the_likeliest_killers_run_first(killers: dict[str, str], first: list[str]) -> None:
    assert list(COVERED.order(MUTANT, killers)) == first
