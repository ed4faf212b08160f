"""The pauses between polls that find no task."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork.worker.pauses import LONGEST_PAUSE_S, Pauses


def test_pauses_grow_to_four_seconds_while_no_task_comes_and_begin_anew_after_one() -> None:
    pauses = Pauses(lambda: 1.0)
    assert [pauses.next_s(1.0) for _ in range(6)] == [1.0, 1.5, 2.25, 3.375, 4.0, 4.0]
    pauses.end()
    assert pauses.next_s(1.0) == 1.0


def test_chance_shortens_a_pause_by_up_to_a_quarter() -> None:
    pauses = Pauses(lambda: 0.0)
    assert [pauses.next_s(1.0) for _ in range(6)][-1] == 3.0


@given(st.floats(0.01, 100.0), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_no_pause_is_shorter_than_asked_nor_longer_than_the_longest(
    shortest_s: float, draws: list[float]
) -> None:
    pauses = Pauses(iter(draws).__next__)
    for _ in draws:
        assert shortest_s <= pauses.next_s(shortest_s) <= max(LONGEST_PAUSE_S, shortest_s)


def test_processes_that_start_together_soon_poll_at_different_times() -> None:
    """A thousand of them: no tenth of a second has more than a tenth of a pause's polls."""
    draw = random.Random(1).random
    polls_at = []
    for _ in range(1000):
        pauses = Pauses(draw)
        polls_at.append(sum(pauses.next_s(1.0) for _ in range(20)))
    tenths = [round(at * 10) for at in polls_at]
    assert max(map(tenths.count, tenths)) < 100
    assert max(polls_at) - min(polls_at) > 2


@pytest.mark.parametrize("shortest_s", [0.01, 5.0])
def test_the_interval_of_the_worker_is_the_first_pause(shortest_s: float) -> None:
    assert Pauses().next_s(shortest_s) == shortest_s
