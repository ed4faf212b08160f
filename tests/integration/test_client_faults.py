"""AWS calls of deployed functions fail and their processes die: nothing is lost or doubled.

Each test has a stack of its own, apart from the one that all others share, so that only its own
requests are harmed. `make faults` does the same at greater length, with every mix of faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults import kills, runs, workload
from tests.faults.deployed.client_faults import Fate, Plan
from tests.faults.stack import FaultyLab, faulty_lab
from tests.integration.lab import Lab


@contextmanager
def prepared(lab: Lab) -> Iterator[FaultyLab]:
    with faulty_lab(lab) as faulty:
        workload.define(faulty)
        yield faulty


def test_requests_end_as_they_should_while_calls_are_dropped_throttled_and_lost(lab: Lab) -> None:
    plan = Plan("10 % of each", dropped=0.1, throttled=0.1, lost=0.1)
    with prepared(lab) as faulty:
        found = runs.run(faulty, plan, requests=8)
    assert found.verdict.faults == []
    assert (found.verdict.ended, found.verdict.doubled) == (8, 0)
    for fate in (Fate.DROPPED, Fate.THROTTLED, Fate.LOST):
        assert found.fates[fate] > 20


@pytest.mark.parametrize("function", kills.SIDE_BY_SIDE)
def test_a_process_killed_after_one_of_its_calls_loses_nothing(lab: Lab, function: str) -> None:
    """At every third call; `make faults` kills before and after each."""
    with prepared(lab) as faulty:
        killed = kills.kill_side_by_side(faulty, function, at_once=12, when=[True], every=3)
    assert killed.verdict.faults == []
    assert killed.verdict.ended == killed.verdict.requests >= killed.calls / 3
    assert killed.verdict.doubled == 0
    assert killed.kills > killed.calls / 6
