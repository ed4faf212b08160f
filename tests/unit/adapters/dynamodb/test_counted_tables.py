"""What reaches CountOutcomes of the tables' streams, and how its records are read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from shiftwork_core.adapters.dynamodb import items, namespaces
from shiftwork_core.adapters.dynamodb.counted_tables import (
    CountedTableNames,
    DynamoCountedTables,
    changes_in,
)
from shiftwork_core.adapters.dynamodb.expressions import Item, to_wire
from shiftwork_core.domain.metrics.happened import difference
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    LateUpdate,
    Request,
    Step,
)
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN, AttemptStatus, RequestStatus
from shiftwork_core.ports.metrics import Change, Table
from tests.template import resources

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ATTEMPT = Attempt("r1", AttemptKey(1, 0, 1), "send", "mail.send", 3, NOW)
REQUEST = Request("r1", "invoice", 1, {"mail.send": 3}, Payload("{}"), Payload("{}"), NOW)
NAMES = CountedTableNames("stack-Requests-1X", "stack-Jobs-2Y", "stack-LifecycleJobs-3Z")


def record(
    new: Item | None,
    old: Item | None = None,
    number: str = "111000000000000000001",
    keys: tuple[str, ...] = ("lot", "key"),
) -> dict[str, Any]:
    """Return a stream's record of a write, as Lambda gets it."""
    images = {"NewImage": new, "OldImage": old}
    image = new or old or {}
    key = {name: image[name] for name in keys if name in image}
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "REMOVE" if new is None else "MODIFY" if old else "INSERT",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/stack-Jobs-2Y/stream/2026",
        "dynamodb": {
            "ApproximateCreationDateTime": NOW.timestamp(),
            "SequenceNumber": number,
            "Keys": stored(key),
            **{name: stored(image) for name, image in images.items() if image is not None},
        },
    }


def stored(row: Item) -> Item:
    """Return a row, or a key, as the stream has it."""
    tables = (namespaces.JOBS, namespaces.REQUESTS, namespaces.LIFECYCLE_JOBS)
    keys = next((keys for keys in tables if keys.partition in row), None)
    return row if keys is None else namespaces.to_stored(keys, row)


def filters(event: str) -> list[dict[str, Any]]:
    """Return the patterns by which the template chooses the records of a stream."""
    function = resources("AWS::Serverless::Function")["CountOutcomesFunction"]
    criteria = function["Properties"]["Events"][event]["Properties"]["FilterCriteria"]
    return [json.loads(one["Pattern"]) for one in criteria["Filters"]]


def is_let_through(patterns: list[dict[str, Any]], record: dict[str, Any]) -> bool:
    """Whether any pattern fits, by the rules of Lambda's event filters that the template uses."""

    def fits(pattern: Any, value: Any) -> bool:
        if isinstance(pattern, dict):
            return isinstance(value, dict) and all(
                fits(rule, value.get(name)) for name, rule in pattern.items()
            )
        return any(
            value is not None if rule == {"exists": True} else value == rule for rule in pattern
        )

    return any(fits(pattern, record) for pattern in patterns)


def states_of_an_attempt() -> Iterator[Attempt]:
    """Yield an attempt in every state in which its row may be."""
    late = (LateUpdate(NOW, "COMPLETED", "w1", "too late"),)
    for status, is_polled, domain in product(AttemptStatus, (False, True), (None, "blue")):
        row = replace(ATTEMPT, status=status, is_polled=is_polled, domain=domain)
        if status not in ATTEMPT_OPEN:
            row = replace(row, started_at=NOW + SECOND, completed_at=NOW + 3 * SECOND)
            yield replace(row, late_updates=late)
        elif status is AttemptStatus.INPROGRESS:
            row = replace(row, started_at=NOW + SECOND, lease_until=NOW + 60 * SECOND)
            yield replace(row, lease_until=NOW + 80 * SECOND)
        yield row


def test_a_filter_leaves_out_no_attempt_of_which_something_is_counted() -> None:
    patterns = filters("Jobs")
    states = [None, *states_of_an_attempt()]
    let_through = left_out = 0
    for old, new in product(states, states):
        if new is None or (
            old is not None and (old.is_polled, old.domain) != (new.is_polled, new.domain)
        ):
            continue
        before = None if old is None else items.attempt_item(old)
        if is_let_through(patterns, record(items.attempt_item(new), before)):
            let_through += 1
        else:
            left_out += 1
            assert difference(old, new) == [], (old, new)
    assert let_through > 20
    assert left_out > 20


def test_no_filter_leaves_out_a_beat() -> None:
    for event in ("Requests", "Jobs", "LifecycleJobs"):
        beat = to_wire({"lot": "#beat", "key": "#beat", "beat_at": NOW})
        assert is_let_through(filters(event), record(beat))
        assert is_let_through(filters(event), record(beat, beat))


def test_log_lines_and_rows_that_expire_do_not_reach_the_function_of_jobs() -> None:
    line = to_wire(
        {
            "lot": "r1#0001#0000",
            "request_id": "r1",
            "key": "log#0001#000000#0001#x",
            "message": "well",
        }
    )
    assert not is_let_through(filters("Jobs"), record(line))
    expired = items.attempt_item(replace(ATTEMPT, status=AttemptStatus.COMPLETED))
    assert not is_let_through(filters("Jobs"), record(None, expired))
    assert not is_let_through(filters("Requests"), record(None, items.request_item(REQUEST)))


def test_a_record_has_the_row_before_and_after() -> None:
    claimed = replace(ATTEMPT, status=AttemptStatus.INPROGRESS, started_at=NOW + SECOND)
    done = replace(claimed, status=AttemptStatus.COMPLETED, completed_at=NOW + 2 * SECOND)
    [change] = changes_in(
        Table.JOBS, [record(items.attempt_item(done), items.attempt_item(claimed))]
    )
    assert change == Change("111000000000000000001", NOW, claimed, done)


def test_requests_and_steps_are_read_and_keys_are_not() -> None:
    step = Step("r1", 1, "send", 3, NOW, type="invoice")
    key = to_wire({"request_id": "key#ab", "part": "key", "for_request": "r1"})
    changes = changes_in(
        Table.REQUESTS,
        [record(items.request_item(REQUEST)), record(items.step_item(step)), record(key)],
    )
    assert [change.new for change in changes] == [REQUEST, step, None]
    assert all(change.is_readable for change in changes)


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        (Table.REQUESTS, ("request_id", "part")),
        (Table.JOBS, ("lot", "key")),
        (Table.LIFECYCLE_JOBS, ("id",)),
    ],
)
def test_a_beat_and_an_expired_row_are_changes_of_nothing(
    table: Table, keys: tuple[str, ...]
) -> None:
    beat = to_wire({**dict.fromkeys(keys, "#beat"), "beat_at": NOW})
    expired = items.request_item(replace(REQUEST, status=RequestStatus.FAILED))
    records = [record(beat, keys=keys), record(beat, beat, keys=keys), record(None, expired)]
    changes = changes_in(table, records)
    assert [change.is_beat for change in changes] == [True, True, False]
    for change in changes:
        assert (change.old, change.new, change.is_readable) == (None, None, True)


def test_a_record_that_cannot_be_read_is_logged_and_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    strange = to_wire(
        {"lot": "r1#0001#0000", "request_id": "r1", "key": "0001#000000#0001", "status": "melted"}
    )
    good = items.attempt_item(ATTEMPT)
    with caplog.at_level(logging.ERROR, "shiftwork.counted_tables"):
        changes = changes_in(Table.JOBS, [record(strange), record(good, number="2")])
    assert [change.is_readable for change in changes] == [False, True]
    assert "cannot be read" in caplog.text


def test_a_stream_is_known_by_its_tables_name() -> None:
    tables = DynamoCountedTables(None, NAMES)  # type: ignore[arg-type] # It makes no call.
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/{}/stream/2026-11-29T00:00:00.000"
    assert tables.table_of(arn.format("stack-Jobs-2Y")) is Table.JOBS
    assert tables.table_of(arn.format("stack-LifecycleJobs-3Z")) is Table.LIFECYCLE_JOBS
    with pytest.raises(ValueError, match="belongs to no table that is counted"):
        tables.table_of(arn.format("stack-Jobs-2"))
