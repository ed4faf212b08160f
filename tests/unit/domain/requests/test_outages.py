"""How long a request is tried again that no execution can advance, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shiftwork_core.domain.requests.outages import (
    MAX_TIME,
    MIN_EXECUTIONS,
    after_failure,
    after_restart,
    failure_of,
    outage_from_text,
    outage_to_text,
    told,
)
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Outage, RequestError

SINCE = datetime(2026, 7, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ERROR = JobError("Throttled", "too much at once")


def test_each_restart_counts_and_keeps_since_when_and_by_what() -> None:
    assert after_restart(None, SINCE) == Outage(1, SINCE)
    assert after_restart(Outage(4, SINCE, ERROR), SINCE + SECOND) == Outage(5, SINCE, ERROR)


def test_an_execution_that_can_tell_leaves_what_it_ended_by() -> None:
    assert after_failure(None, ERROR, SINCE) == Outage(0, SINCE, ERROR)
    known = Outage(4, SINCE, JobError("Unavailable", "no answer"))
    assert after_failure(known, ERROR, SINCE + SECOND) == Outage(4, SINCE, ERROR)


def test_a_request_fails_by_its_outage_after_a_day_in_which_it_was_tried() -> None:
    end = SINCE + MAX_TIME
    assert failure_of(None, end) is None
    assert failure_of(Outage(MIN_EXECUTIONS, SINCE, ERROR), end - SECOND) is None
    assert failure_of(Outage(MIN_EXECUTIONS - 1, SINCE, ERROR), end) is None
    assert failure_of(Outage(MIN_EXECUTIONS, SINCE, ERROR), end) == RequestError(
        "Throttled",
        "since 2026-07-01T12:00:00.000Z 100 executions could not advance it: "
        "Throttled: too much at once",
    )


def test_an_outage_of_which_nothing_is_known_says_where_to_look() -> None:
    failure = failure_of(Outage(1440, SINCE), SINCE + MAX_TIME)
    assert failure == RequestError(
        "NotAdvanced",
        "since 2026-07-01T12:00:00.000Z 1,440 executions could not advance it: "
        "see the log of AdvanceRequest",
    )
    assert "since 2026-07-01T12:00:00.000Z 1 execution could not" in told(Outage(1, SINCE))


@pytest.mark.parametrize(
    "outage", [None, Outage(3, SINCE), Outage(3, SINCE, ERROR)], ids=["none", "unknown", "known"]
)
def test_a_row_keeps_an_outage_as_it_is(outage: Outage | None) -> None:
    assert outage_from_text(outage_to_text(outage)) == outage
