"""GET /v1/metrics/series, and the routes of a rebuild."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.domain.metrics.counters import (
    TOOK,
    WAITED,
    Additions,
    CounterKey,
    Happened,
    Subject,
)
from shiftwork_core.domain.times import to_iso
from shiftwork_core.ports.metrics import Table
from tests.unit.functions.api.conftest import Api
from tests.world.counters import EPOCH

MAIL = CounterKey(Subject.JOBS, ("mail.send",))
MINUTE = timedelta(minutes=1)


def count(api: Api, minute: datetime, *happened: Happened) -> None:
    """Count what happened within a minute."""
    added = Additions()
    for one in happened:
        added.add(one, (EPOCH,), minute)
    api.counters.add(added, minute)


def as_text(query: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in query.items())


def series(api: Api, **query: str) -> Any:
    answer = api("GET", "/v1/metrics/series", query=as_text(query))
    assert answer.status == 200, answer.body
    return answer.body["items"]


def test_a_minute_says_how_often_what_happened_and_how_long_it_took(api: Api) -> None:
    minute = api.world.clock() - 10 * MINUTE
    durations = [0.2] * 10 + [3.0] * 9 + [40.0]
    took = [one for seconds in durations for one in TOOK.observe(MAIL, seconds, minute)]
    waited = WAITED.observe(MAIL, 90_000, minute)
    count(api, minute, Happened(MAIL, "completed", 19), Happened(MAIL, "retry"), *took, *waited)
    [one] = series(api)
    assert one == {
        "minute": to_iso(minute),
        "subject": "jobs",
        "labels": {"type": "mail.send"},
        "counts": {"completed": 19, "retry": 1},
        "durations": {
            "attempt_duration_seconds": {"count": 20, "sum_s": 69.0, "p50_s": 0.25, "p95_s": 5.0},
            "queue_wait_seconds": {
                "count": 1,
                "sum_s": 90_000.0,
                "p50_s": 21_600.0,
                "p95_s": 21_600.0,
            },
        },
    }


def test_minutes_are_in_order_from_since_to_before_until(api: Api) -> None:
    now = api.world.clock()
    for ago in (3, 1, 2, 4):
        count(api, now - ago * MINUTE, Happened(MAIL, "completed", ago))
    found = series(api, since=to_iso(now - 3 * MINUTE), until=to_iso(now - MINUTE))
    assert [one["counts"] for one in found] == [{"completed": 3}, {"completed": 2}]


def test_without_times_the_last_hour_is_read(api: Api) -> None:
    now = api.world.clock()
    for ago in (61, 60, 1, 0):
        count(api, now - ago * MINUTE, Happened(MAIL, "completed", ago + 1))
    assert [one["counts"]["completed"] for one in series(api)] == [61, 2]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T06:00:01Z"),
        ("2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z"),
        ("2026-01-01T02:00:00Z", "2026-01-01T01:00:00Z"),
        ("2026-01-01T00:00:00", "2026-01-01T01:00:00Z"),
        ("yesterday", "2026-01-01T01:00:00Z"),
    ],
)
def test_a_time_that_is_none_or_a_span_that_is_too_long_is_refused(
    api: Api, since: str, until: str
) -> None:
    answer = api("GET", "/v1/metrics/series", query=as_text({"since": since, "until": until}))
    assert answer.status == 422
    assert [fault["path"] for fault in answer.body["errors"]] == ["since"]


def test_a_rebuild_waits_first_and_to_begin_it_again_changes_nothing(api: Api) -> None:
    begun = api("POST", "/v1/metrics/rebuild")
    assert begun.status == 202
    assert begun.body["status"] == "waiting"
    now = api.world.clock()
    assert begun.body["cut"] == to_iso(now + timedelta(seconds=75))
    assert begun.body["reads_from"] == to_iso(now + timedelta(seconds=150))
    api.world.clock.advance(30)
    assert api("POST", "/v1/metrics/rebuild").body == begun.body
    assert api("GET", "/v1/metrics/rebuild").body == begun.body
    api.world.clock.advance(150)
    counting = api("GET", "/v1/metrics/rebuild").body
    assert (counting["status"], counting["table"], counting["rows"]) == ("counting", "requests", 0)


def test_without_a_rebuild_its_state_says_since_when_is_counted_and_what_is_missing(
    api: Api,
) -> None:
    state = api.counters.state()
    assert state is not None
    gap = api.world.clock() - timedelta(days=2)
    assert api.counters.save_state(replace(state, gaps={Table.JOBS: gap}))
    answer = api("GET", "/v1/metrics/rebuild").body
    assert (answer["status"], answer["since"]) == ("none", to_iso(state.since))
    assert answer["gaps"] == {"jobs": to_iso(gap)}
