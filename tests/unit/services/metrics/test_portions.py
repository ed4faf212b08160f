"""What is counted is cut into portions that fit into one transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shiftwork_core.domain.metrics.counters import MINUTES_KEPT, CounterKey, Happened, Subject
from shiftwork_core.ports.metrics import MAX_ROWS
from shiftwork_core.services.metrics.portions import Counted, portions, to_count

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def counted(number: int, minute: datetime | None = NOW) -> Counted:
    """Return a completion of a type of its own in this minute: a total and a minute to write."""
    happened = Happened(CounterKey(Subject.JOBS, (f"type-{number}",)), "completed")
    return Counted(happened, (1,), minute)


def sizes(types: list[int], most: int | None = None, minute: datetime | None = NOW) -> list[int]:
    """Return how many of the completions each portion has."""
    things = [(place, [counted(number, minute)]) for place, number in enumerate(types)]
    return [portion.size for portion in portions(things, most)]


def test_a_portion_is_as_large_as_one_transaction() -> None:
    half = MAX_ROWS // 2
    assert sizes([*range(half)]) == [half]
    assert sizes([*range(half + 1)]) == [half, 1]


def test_what_is_added_to_the_same_counters_takes_no_more_room() -> None:
    half = MAX_ROWS // 2
    assert sizes([*range(half)] * 3) == [3 * half]


def test_what_is_in_no_series_takes_room_for_its_total_alone() -> None:
    assert sizes([*range(MAX_ROWS)], minute=None) == [MAX_ROWS]
    assert sizes([*range(MAX_ROWS + 1)], minute=None) == [MAX_ROWS, 1]


def test_a_portion_has_no_more_than_was_asked_for() -> None:
    assert sizes([7] * 5, most=2) == [2, 2, 1]


def test_nothing_has_no_portion() -> None:
    assert sizes([]) == []


def test_a_series_begins_two_weeks_ago() -> None:
    happened = counted(1).happened
    begin = NOW - MINUTES_KEPT
    times = (begin, begin + datetime.resolution)
    minutes = [to_count({1: None}, happened, at, NOW).minute for at in times]
    assert minutes == [None, begin]


def test_an_epoch_counts_what_happened_from_its_beginning_on_and_the_series_all() -> None:
    happened = counted(1).happened
    before = NOW - datetime.resolution
    epochs = {1: None, 2: NOW}
    minute = NOW - timedelta(minutes=1)
    assert to_count(epochs, happened, before, NOW) == Counted(happened, (1,), minute)
    assert to_count(epochs, happened, NOW, NOW) == Counted(happened, (1, 2), NOW)


def test_what_adds_nothing_has_its_place_in_a_portion() -> None:
    nothing = Counted(counted(1).happened, ())
    [portion] = portions([("a", [nothing]), ("b", [])])
    assert (portion.last, portion.size, portion.additions.size) == ("b", 2, 0)
    assert portion.happened
