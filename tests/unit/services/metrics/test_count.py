"""CountOutcomes: each change is counted once, and a gap is noted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryCounterStore
from shiftwork_core.domain.metrics.counters import MINUTES_KEPT, CounterKey, Subject, Tally
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.retries import Retried
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Throttled
from shiftwork_core.ports.metrics import MAX_ROWS, Change, CounterState, Table
from shiftwork_core.services.metrics.count import GAP_AFTER, OutcomeCounter

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MARGIN = timedelta(seconds=75)
MAIL = CounterKey(Subject.JOBS, ("mail.send",))


class Counting:
    """A counter over a store in memory."""

    def __init__(self) -> None:
        self.now = NOW
        self.store = MemoryCounterStore()
        self.counter = OutcomeCounter(self.store, lambda: self.now, MARGIN)
        self.store.save_state(CounterState(epoch=1, since=NOW))

    def count(self, *changes: Change) -> Any:
        counted: Tally = {}
        self.counter.count(Table.JOBS, changes, counted)
        return counted

    @property
    def completed(self) -> int:
        return self.store.totals(1).get(MAIL, Counter())["completed"]


@pytest.fixture
def counting() -> Counting:
    return Counting()


def ended(number: int, type: str = "mail.send", at: datetime = NOW) -> Change:
    """Return the change by which an attempt completed."""
    row = Attempt("r1", AttemptKey(1, number, 1), "send", type, 1, at)
    row = replace(row, status=AttemptStatus.INPROGRESS, started_at=at)
    done = replace(row, status=AttemptStatus.COMPLETED, completed_at=at)
    return Change(str(1000 + number), at, row, done)


def beat(number: int, at: datetime = NOW) -> Change:
    """Return a change of nothing, which says that the stream is counted so far."""
    return Change(str(1000 + number), at, is_beat=True)


def test_what_was_added_is_returned_once(counting: Counting) -> None:
    added = counting.count(ended(1), ended(2))
    assert added[MAIL]["completed"] == 2
    assert counting.count(ended(1), ended(2)) == {}
    assert counting.completed == 2


@pytest.mark.parametrize("second", [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4, 5]])
def test_a_batch_that_comes_again_shorter_or_longer_counts_only_what_is_new(
    counting: Counting, second: list[int]
) -> None:
    counting.count(*map(ended, [1, 2, 3]))
    counting.count(*map(ended, second))
    rest = [n for n in range(1, 8) if n > second[-1]]
    counting.count(*map(ended, rest))
    assert counting.completed == 7


def test_a_stream_that_is_read_again_from_an_earlier_batch_is_counted_once(
    counting: Counting,
) -> None:
    for batch in ([1, 2], [3, 4, 5], [6]):
        counting.count(*map(ended, batch))
    counting.count(*map(ended, range(3, 9)))
    counting.count(*map(ended, range(1, 10)))
    assert counting.completed == 9


def test_a_change_that_is_twice_in_a_batch_is_counted_once(counting: Counting) -> None:
    counting.count(ended(1), ended(1), ended(2), ended(2))
    assert counting.completed == 2


def test_changes_of_nothing_before_a_batch_do_not_make_it_another(counting: Counting) -> None:
    counting.count(beat(1))
    counting.count(ended(2), beat(3), ended(4))
    counting.count(beat(1), ended(2), beat(3), ended(4), beat(5))
    assert counting.completed == 2


def test_of_a_change_by_which_nothing_happened_nothing_is_written(counting: Counting) -> None:
    counting.count(beat(1), ended(2))
    assert counting.store.counted_with(Table.JOBS, "1001") is None
    assert counting.store.counted_with(Table.JOBS, "1002") == ("1002",)


def test_a_batch_of_many_types_is_counted_in_portions_and_goes_on_where_it_failed(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [ended(n, f"type-{n}") for n in range(MAX_ROWS)]
    count, calls = MemoryCounterStore.count, 0

    def fail_at_the_second(self: Any, *args: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Throttled("too many writes")
        return count(self, *args)

    monkeypatch.setattr(MemoryCounterStore, "count", fail_at_the_second)
    with pytest.raises(Throttled):
        counting.count(*many)
    assert 0 < len(counting.store.totals(1)) < MAX_ROWS
    counting.count(*many)
    totals = counting.store.totals(1)
    assert len(totals) == MAX_ROWS
    assert all(numbers["completed"] == 1 for numbers in totals.values())


def test_two_processes_with_the_same_batch_count_it_once(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second counts it between the first one's look and its write."""
    look = MemoryCounterStore.counted_with
    rival = OutcomeCounter(counting.store, lambda: NOW, MARGIN)
    is_first = True

    def look_before_the_rival(self: Any, table: Table, first: str) -> Any:
        nonlocal is_first
        seen = look(self, table, first)
        if is_first:
            is_first = False
            rival.count(Table.JOBS, [ended(1), ended(2)], {})
        return seen

    monkeypatch.setattr(MemoryCounterStore, "counted_with", look_before_the_rival)
    counting.count(*map(ended, [1, 2, 3]))
    assert counting.completed == 3


def test_what_cannot_be_read_is_counted_as_that(counting: Counting) -> None:
    counting.count(Change("1", NOW, is_readable=False), ended(2))
    unreadable = CounterKey(Subject.STREAMS, ("jobs",))
    assert counting.store.totals(1)[unreadable] == Counter(unreadable=1)
    assert counting.completed == 1


def test_the_series_has_each_change_in_its_own_minute_but_for_two_weeks_only(
    counting: Counting,
) -> None:
    old, recent = NOW - MINUTES_KEPT - SECOND, NOW - timedelta(hours=3, seconds=30)
    counting.store.save_state(replace(_state(counting), gaps={Table.JOBS: old}))
    counting.count(ended(1, at=old), ended(2, at=recent), ended(3, at=recent))
    series = counting.store.minutes(old - timedelta(days=1), NOW)
    minutes = {minute: tally[MAIL]["completed"] for minute, tally in series.items()}
    assert minutes == {recent.replace(second=0): 2}
    assert counting.completed == 3


def test_a_change_is_in_the_minute_in_which_it_happened_not_in_that_of_its_write(
    counting: Counting,
) -> None:
    counting.count(replace(ended(1), written_at=NOW + timedelta(minutes=2)))
    assert [*counting.store.minutes(NOW, NOW + timedelta(hours=1))] == [NOW]


def test_what_has_no_time_in_its_row_is_in_the_minute_of_its_write(counting: Counting) -> None:
    failed = Request("r1", "invoice", 1, {}, Payload("{}"), Payload("{}"), NOW)
    failed = replace(failed, status=RequestStatus.FAILED, completed_at=NOW)
    again = replace(
        failed,
        status=RequestStatus.INPROGRESS,
        completed_at=None,
        generation=1,
        retries=(Retried(RequestStatus.FAILED, None, None),),
    )
    later = NOW + timedelta(minutes=2)
    counting.counter.count(Table.REQUESTS, [Change("1", later, failed, again)], {})
    key = CounterKey(Subject.REQUESTS, ("invoice",))
    series = counting.store.minutes(NOW, NOW + timedelta(hours=1))
    assert series == {later: {key: Counter(retries=1)}}


def test_an_empty_batch_adds_nothing(counting: Counting) -> None:
    assert counting.count() == {}
    assert counting.store.progress() == []


def _state(counting: Counting) -> Any:
    counting.count(beat(0))
    return counting.store.state()


def test_progress_is_kept_even_if_nothing_is_counted(counting: Counting) -> None:
    counting.count(beat(1, NOW - 30 * SECOND))
    [progress] = counting.store.progress()
    assert progress.counted_to == NOW - 30 * SECOND


def test_how_far_is_counted_is_said_by_beats_alone_and_after_what_came_before(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting.count(ended(1))
    assert counting.store.progress() == []

    def fail(self: Any, *args: Any) -> bool:
        raise Throttled("too many writes")

    with monkeypatch.context() as failing:
        failing.setattr(MemoryCounterStore, "count", fail)
        with pytest.raises(Throttled):
            counting.count(ended(2), beat(3))
    assert counting.store.progress() == []


def test_a_stream_that_was_not_read_for_a_day_has_a_gap_since_it_was_last_counted(
    counting: Counting,
) -> None:
    counting.count(beat(1))
    counting.now = NOW + GAP_AFTER + timedelta(hours=3)
    counting.count(beat(2, counting.now - GAP_AFTER + SECOND))
    assert _gaps(counting) == {}
    counting.count(beat(3, counting.now - GAP_AFTER))
    # That was the newest that had been counted.
    assert _gaps(counting) == {Table.JOBS: counting.now - GAP_AFTER + SECOND}
    counting.count(beat(4, counting.now))
    assert _gaps(counting) == {Table.JOBS: counting.now - GAP_AFTER + SECOND}


def test_a_gap_stays_as_wide_as_it_was_when_it_goes_on(counting: Counting) -> None:
    counting.count(beat(1))
    counting.now = NOW + 2 * GAP_AFTER
    counting.count(beat(2, NOW + GAP_AFTER / 2))
    counting.count(beat(3, NOW + GAP_AFTER))
    assert _gaps(counting) == {Table.JOBS: NOW}


def test_a_tables_gap_begins_where_that_table_was_last_counted(counting: Counting) -> None:
    counting.count(beat(1))
    counting.now = NOW + GAP_AFTER
    counting.counter.count(Table.REQUESTS, [beat(1, counting.now)], {})
    counting.count(beat(2))
    assert _gaps(counting) == {Table.JOBS: NOW}


def _gaps(counting: Counting) -> Any:
    state = counting.store.state()
    assert state is not None
    return state.gaps


def test_what_a_sweep_found_is_added(counting: Counting) -> None:
    counting.counter.count_finds("workers", 2)
    counting.counter.count_finds("workers", 3)
    key = CounterKey(Subject.SWEEPS, ("workers",))
    assert counting.store.totals(1) == {key: Counter(finds=5)}
