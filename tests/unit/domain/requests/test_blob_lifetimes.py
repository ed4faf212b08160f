"""How long a blob is kept: longer than any row that names it can need it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.requests.blob_lifetimes import (
    GRACE,
    LIFETIMES_DAYS,
    is_young,
    lifetime_days,
    needed_until,
)

STORED_AT = datetime(2026, 1, 31, tzinfo=UTC)
YEAR = timedelta(days=366)
LONGEST_RETENTION = timedelta(days=1825)


@given(
    retention=st.timedeltas(timedelta(days=1), LONGEST_RETENTION),
    delay=st.timedeltas(timedelta(0), YEAR),
)
def test_a_blob_outlives_two_retentions_from_the_begin_of_its_request(
    retention: timedelta, delay: timedelta
) -> None:
    days = lifetime_days(retention, delay)
    assert days in LIFETIMES_DAYS
    assert timedelta(days=days) >= delay + 2 * retention + GRACE


@given(
    retention=st.timedeltas(timedelta(days=1), LONGEST_RETENTION),
    delay=st.timedeltas(timedelta(0), YEAR),
    length=st.timedeltas(timedelta(0), LONGEST_RETENTION),
)
def test_a_request_that_ends_within_a_retention_needs_no_renewal(
    retention: timedelta, delay: timedelta, length: timedelta
) -> None:
    begun_at = STORED_AT + delay
    expires_at = STORED_AT + timedelta(days=lifetime_days(retention, delay))
    assert expires_at >= needed_until(retention, begun_at + min(length, retention))


@given(st.timedeltas(timedelta(days=1), LONGEST_RETENTION))
def test_what_is_renewed_outlives_a_request_that_ends_at_once(retention: timedelta) -> None:
    renewed_until = STORED_AT + timedelta(days=lifetime_days(retention))
    assert renewed_until > needed_until(retention, STORED_AT)


@pytest.mark.parametrize(
    ("retention_days", "delay_days", "days"),
    [(1, 0, 32), (1, 1, 64), (17, 0, 64), (90, 0, 256), (90, -5, 256), (90, 366, 1024)],
)
def test_the_shortest_lifetime_that_suffices_is_taken(
    retention_days: int, delay_days: int, days: int
) -> None:
    delay = timedelta(days=delay_days)
    assert lifetime_days(timedelta(days=retention_days), delay) == days


@pytest.mark.parametrize(
    ("retention_days", "hours", "young"),
    [(90, 167, True), (90, 168, False), (2, 23, True), (2, 24, False)],
)
def test_a_request_is_young_for_a_week_and_for_less_if_its_rows_live_less(
    retention_days: int, hours: int, young: bool
) -> None:
    assert is_young(timedelta(hours=hours), timedelta(days=retention_days)) is young
