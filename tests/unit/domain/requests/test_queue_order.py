"""The order in which a poller tries the jobs of a queue, and how much of it it reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shiftwork_core.domain.requests.queue_order import (
    MAX_WINDOW,
    Queued,
    pick,
    window_size,
)
from shiftwork_core.domain.requests.records import AttemptKey

NOW = datetime(2026, 1, 1, 9, tzinfo=UTC)


def queued(number: int, priority: int = 0, *, waits_s: int = 0) -> Queued:
    at = NOW - timedelta(seconds=waits_s)
    return Queued("render", "r", AttemptKey(1, number, 1), 1, at, priority)


def test_a_poller_without_rivals_reads_what_it_wants_and_no_more() -> None:
    assert window_size(4, rivals=0) == 4


def test_a_poller_with_rivals_reads_more_the_more_they_are_up_to_a_bound() -> None:
    assert 4 < window_size(4, rivals=1) < window_size(4, rivals=2) < MAX_WINDOW
    assert window_size(4, rivals=1_000) == MAX_WINDOW
    assert window_size(1_000, rivals=0) == MAX_WINDOW


def test_without_rivals_jobs_are_tried_by_priority_and_then_by_their_wait() -> None:
    found = [queued(0), queued(1, waits_s=9), queued(2, priority=5), queued(3, waits_s=9)]
    order = pick(found, lambda: 0.5, is_contended=False)
    assert [job.key.job for job in order] == [2, 1, 3, 0]


def test_with_rivals_jobs_are_tried_in_the_order_that_is_drawn() -> None:
    draws = iter([0.9, 0.1, 0.5])
    found = [queued(0, priority=9), queued(1), queued(2)]
    order = pick(found, lambda: next(draws), is_contended=True)
    assert [job.key.job for job in order] == [1, 2, 0]
