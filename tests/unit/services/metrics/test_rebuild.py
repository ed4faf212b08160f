"""A rebuild counts all rows again while the platform runs, and goes on after a crash."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.memory import (
    MemoryCountedTables,
    MemoryCounterStore,
    MemoryTables,
)
from shiftwork_core.domain.metrics.counters import CounterKey, Subject
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.retries import Retried
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.metrics import Change, CounterState, Scanned, Table
from shiftwork_core.services.metrics import rebuild
from shiftwork_core.services.metrics.count import OutcomeCounter
from shiftwork_core.services.metrics.rebuild import Rebuilder

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
MARGIN = timedelta(seconds=75)
MAIL = CounterKey(Subject.JOBS, ("mail.send",))


class Platform:
    """Attempts that complete, their stream, the counters and a rebuilder."""

    def __init__(self, *, is_new: bool = False) -> None:
        self.now = NOW
        self.tables = MemoryTables()
        self.store = MemoryCounterStore()
        self.counter = OutcomeCounter(self.store, lambda: self.now, MARGIN)
        if not is_new:
            assert self.store.save_state(CounterState(epoch=1, since=NOW))
        self.changes = 0

    def rebuilder(self) -> Rebuilder:
        """Return the rebuilder of a new process."""
        tables = MemoryCountedTables(self.tables)
        return Rebuilder(self.store, tables, lambda: self.now, MARGIN)

    def complete(self, at: datetime, *, is_counted: bool = True) -> Change:
        """Let an attempt complete; count it from the stream, unless that comes later, or never."""
        self.changes += 1
        key = AttemptKey(1, self.changes, 1)
        row = Attempt("r1", key, "send", "mail.send", 1, at, AttemptStatus.INPROGRESS)
        row = replace(row, started_at=at)
        done = replace(row, status=AttemptStatus.COMPLETED, completed_at=at)
        self.tables.put_attempt(done)
        change = Change(str(self.changes), at, row, done)
        if is_counted:
            self.counter.count(Table.JOBS, [change], {})
        return change

    @property
    def completed(self) -> int:
        state = self.store.state()
        assert state is not None
        return self.store.totals(state.epoch).get(MAIL, Counter())["completed"]


@pytest.fixture
def platform() -> Platform:
    platform = Platform()
    for _ in range(5):
        platform.complete(NOW - timedelta(hours=1))
    return platform


def always() -> bool:
    return True


def test_a_rebuild_counts_what_was_never_counted(platform: Platform) -> None:
    platform.complete(NOW - timedelta(days=2), is_counted=False)
    assert platform.completed == 5
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    assert platform.completed == 6
    state = platform.store.state()
    assert state is not None
    assert (state.rebuild, state.since) == (None, platform.now)


def test_what_happens_meanwhile_is_counted_once(platform: Platform) -> None:
    """Before the cut by the rows, from it on by the stream; and the old counters go on."""
    platform.rebuilder().begin()
    for after in (timedelta(0), MARGIN / 2, MARGIN, MARGIN * 3 / 2):
        platform.now = NOW + after
        platform.complete(platform.now)
    assert platform.completed == 9
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    assert platform.completed == 9
    platform.complete(platform.now)
    assert platform.completed == 10


@pytest.mark.parametrize("is_new", [False, True])
def test_a_rebuild_may_begin_before_anything_was_counted(is_new: bool) -> None:
    platform = Platform(is_new=is_new)
    platform.complete(NOW, is_counted=False)
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    assert platform.completed == 1


def test_what_a_row_tells_without_a_time_is_counted_and_is_in_no_series(
    platform: Platform,
) -> None:
    retries = (Retried(RequestStatus.FAILED, None, None, 2),)
    row = Request("r1", "invoice", 1, {}, Payload("{}"), Payload("{}"), NOW, retries=retries)
    platform.tables.requests["r1"] = row
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    key = CounterKey(Subject.REQUESTS, ("invoice",))
    assert platform.store.totals(2)[key] == Counter(Queuing=1, Failed=2, retries=2)
    assert platform.store.minutes(NOW, NOW + timedelta(hours=1)) == {}


def test_no_row_is_read_before_all_that_was_under_way_is_written(platform: Platform) -> None:
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN - timedelta(seconds=1)
    assert not platform.rebuilder().advance(always)
    state = platform.store.state()
    assert state is not None
    assert state.rebuild is not None
    assert state.rebuild.rows == 0


def test_to_begin_again_while_one_is_under_way_changes_nothing(platform: Platform) -> None:
    begun = platform.rebuilder().begin()
    platform.now += timedelta(seconds=30)
    assert platform.rebuilder().begin().rebuild == begun.rebuild


def test_a_rebuild_that_is_stopped_or_dies_goes_on_where_it_was(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_ROWS_AT_ONCE", 2)
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert not platform.rebuilder().advance(lambda: False)  # Two rows, then time is up.
    count_rows = MemoryCounterStore.count_rows

    def lose_the_reply(self: Any, *args: Any) -> bool:
        count_rows(self, *args)
        raise Unavailable("the reply was lost")

    with monkeypatch.context() as dying:
        dying.setattr(MemoryCounterStore, "count_rows", lose_the_reply)
        with pytest.raises(Unavailable):
            platform.rebuilder().advance(always)  # Two rows more.
    state = platform.store.state()
    assert state is not None
    assert state.rebuild is not None
    assert state.rebuild.rows == 4
    assert platform.rebuilder().advance(always)
    assert platform.completed == 5


@pytest.mark.parametrize("rows", [1, 2])
def test_of_two_that_go_on_at_once_each_row_is_counted_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """One row is the same to both; with two, the rival is ahead of what this one writes."""
    monkeypatch.setattr(rebuild, "_ROWS_AT_ONCE", 1)
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    rival = iter([False])

    def let_the_rival_go_on() -> bool:
        if next(rival, True) is False:
            more = iter([True] * (rows - 1))
            platform.rebuilder().advance(lambda: next(more, False))
        return True

    while not platform.rebuilder().advance(let_the_rival_go_on):
        pass
    assert next(rival, "it has gone on") == "it has gone on"
    assert platform.completed == 5


def test_the_sweeps_finds_are_kept_though_no_row_tells_them(platform: Platform) -> None:
    platform.counter.count_finds("workers", 3)
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    platform.rebuilder().advance(always)
    assert platform.store.totals(2)[CounterKey(Subject.SWEEPS, ("workers",))]["finds"] == 3


def test_a_rebuild_closes_the_gaps_from_before_its_cut(platform: Platform) -> None:
    platform.rebuilder().begin()
    state = platform.store.state()
    assert state is not None
    gaps = {Table.JOBS: NOW - timedelta(days=1), Table.REQUESTS: NOW + MARGIN}
    platform.store.save_state(replace(state, gaps=gaps))
    platform.now = NOW + 2 * MARGIN
    platform.rebuilder().advance(always)
    state = platform.store.state()
    assert state is not None
    assert state.gaps == {Table.REQUESTS: NOW + MARGIN}


@pytest.mark.parametrize("is_new", [False, True])
def test_without_a_rebuild_there_is_nothing_to_go_on_with(is_new: bool) -> None:
    assert Platform(is_new=is_new).rebuilder().advance(always)


def test_counters_begin_with_a_rebuild_of_the_rows_that_are_there_already() -> None:
    platform = Platform(is_new=True)
    platform.complete(NOW - timedelta(days=3), is_counted=False)
    platform.complete(NOW)
    state = platform.store.state()
    assert state is not None
    assert set(state.gaps) == set(Table)
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    assert platform.completed == 2
    state = platform.store.state()
    assert state is not None
    assert state.gaps == {}


def test_what_a_stream_still_has_when_its_rows_were_counted_is_not_counted_again(
    platform: Platform,
) -> None:
    held_up = [platform.complete(NOW - timedelta(hours=1), is_counted=False) for _ in range(3)]
    platform.rebuilder().begin()
    after = platform.complete(NOW + MARGIN, is_counted=False)
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    assert platform.completed == 8
    platform.counter.count(Table.JOBS, [*held_up, after], {})
    assert platform.completed == 9


def test_a_batch_that_was_counted_before_the_replacement_is_known_after_it(
    platform: Platform,
) -> None:
    """Its first records are from before the cut, and add nothing to the new totals."""
    before, after = NOW, NOW + MARGIN
    batch = [platform.complete(at, is_counted=False) for at in (before, before, after)]
    platform.rebuilder().begin()
    platform.counter.count(Table.JOBS, batch, {})
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    platform.counter.count(Table.JOBS, batch, {})
    assert platform.completed == 8


def test_a_record_from_before_the_cut_is_no_gap_however_old(platform: Platform) -> None:
    old = platform.complete(NOW, is_counted=False)
    platform.rebuilder().begin()
    platform.now = NOW + timedelta(days=2)
    assert platform.rebuilder().advance(always)
    platform.counter.count(Table.JOBS, [old], {})
    state = platform.store.state()
    assert state is not None
    assert state.gaps == {}


def test_what_was_written_at_the_cut_and_is_found_a_day_later_is_a_gap(platform: Platform) -> None:
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    at_the_cut = platform.complete(NOW + MARGIN, is_counted=False)
    platform.now = NOW + timedelta(days=2)
    platform.counter.count(Table.JOBS, [at_the_cut], {})
    state = platform.store.state()
    assert state is not None
    assert set(state.gaps) == {Table.JOBS}


def test_a_row_that_cannot_be_read_is_counted_as_that_and_holds_up_no_other(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = MemoryCountedTables.scan

    def one_is_unreadable(self: Any, table: Table, after: Any) -> Any:
        for scanned in scan(self, table, after):
            is_it = scanned.key.get("key") == str(AttemptKey(1, 2, 1))
            yield Scanned(scanned.key, None, is_readable=False) if is_it else scanned

    monkeypatch.setattr(MemoryCountedTables, "scan", one_is_unreadable)
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    key = CounterKey(Subject.STREAMS, ("jobs",))
    assert platform.store.totals(2)[key] == Counter(unreadable=1)
    assert platform.completed == 4


def test_totals_that_were_replaced_are_deleted_later_some_at_a_time(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_DROPPED_AT_ONCE", 1)
    platform.counter.count_finds("workers", 1)
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    sizes = []
    for _ in range(4):
        platform.now += timedelta(minutes=3)
        assert platform.rebuilder().advance(always)
        sizes.append(len(platform.store.totals(1)))
    assert sizes == [2, 1, 0, 0]
    state = platform.store.state()
    assert state is not None
    assert state.replaced == ()


def test_totals_are_kept_for_five_minutes_after_they_were_replaced(platform: Platform) -> None:
    platform.rebuilder().begin()
    platform.now = NOW + 2 * MARGIN
    assert platform.rebuilder().advance(always)
    replaced_at = platform.now
    for minutes, left in ((4.99, 1), (5, 0)):
        platform.now = replaced_at + timedelta(minutes=minutes)
        assert platform.rebuilder().advance(always)
        assert len(platform.store.totals(1)) == left
