"""What a request remembers of its ends that a retry followed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shiftwork_core.domain.requests.retries import (
    MAX_KEPT,
    Retried,
    retries_from_text,
    retries_to_text,
    with_retry,
)
from shiftwork_core.domain.requests.states import RequestStatus

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
FAILED, COMPLETED = RequestStatus.FAILED, RequestStatus.COMPLETED


def ends(count: int) -> list[Retried]:
    """Return so many ends, of which every third was completed."""
    return [
        Retried(COMPLETED if n % 3 == 2 else FAILED, at := NOW + timedelta(seconds=n), at)
        for n in range(count)
    ]


def remembered(count: int) -> tuple[Retried, ...]:
    kept: tuple[Retried, ...] = ()
    for one in ends(count):
        kept = with_retry(kept, one)
    return kept


def test_the_last_ends_keep_their_times() -> None:
    assert remembered(MAX_KEPT) == tuple(ends(MAX_KEPT))


def test_of_the_ends_before_only_their_number_is_kept() -> None:
    kept = remembered(MAX_KEPT + 7)
    assert kept[-MAX_KEPT:] == tuple(ends(MAX_KEPT + 7)[-MAX_KEPT:])
    assert set(kept[:-MAX_KEPT]) == {
        Retried(FAILED, None, None, 5),
        Retried(COMPLETED, None, None, 2),
    }


def test_a_row_keeps_them() -> None:
    kept = remembered(MAX_KEPT + 7)
    assert retries_from_text(retries_to_text(kept)) == kept
    assert retries_to_text(()) is None
    assert retries_from_text(None) == ()
