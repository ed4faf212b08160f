"""A batch of records: each is handled, whatever becomes of the others."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.record_batches import handle_each, handle_groups
from shiftwork_core.telemetry import logger


def message(number: int) -> dict[str, Any]:
    return {"messageId": f"message-{number}", "body": str(number)}


def change(number: int) -> dict[str, Any]:
    """Return a record of a stream. Its event id is no place to go on from."""
    return {"eventID": f"event-{number}", "dynamodb": {"SequenceNumber": f"sequence-{number}"}}


def named(*ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": id} for id in ids]}


class Handler:
    """A handler that cannot handle some records."""

    def __init__(self, *bad: Any) -> None:
        self.handled: list[Any] = []
        self._bad = bad

    def __call__(self, record: Any) -> None:
        self.handled.append(record)
        if record in self._bad:
            raise ValueError(f"bad: {record}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(logger.logger_handler, "stream", text)
    return text


def test_a_batch_without_a_failure_names_none() -> None:
    assert handle_each([message(1), message(2)], Handler()) == named()


def test_an_empty_batch_names_none() -> None:
    assert handle_each([], Handler()) == named()


@pytest.mark.parametrize("bad", range(3))
def test_one_bad_message_stops_no_other_and_is_named_by_its_id(bad: int) -> None:
    messages = [message(number) for number in range(3)]
    handler = Handler(messages[bad])
    assert handle_each(messages, handler) == named(f"message-{bad}")
    assert handler.handled == messages


def test_a_record_of_a_stream_is_named_by_its_sequence_number() -> None:
    changes = [change(1), change(2)]
    assert handle_each(changes, Handler(changes[1])) == named("sequence-2")


def test_a_failure_is_logged_with_the_id_of_its_message_and_its_error(log: io.StringIO) -> None:
    handle_each([message(1), message(2)], Handler(message(2)))
    [line] = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["record_ids"]) == ("ERROR", ["message-2"])
    assert line["exception_name"] == "ValueError"
    assert "bad: " in line["exception"]


def test_an_invocation_fails_if_every_record_has_failed(log: io.StringIO) -> None:
    """An alarm watches failed invocations, and Lambda delivers the whole batch again."""
    messages = [message(1), message(2)]
    handler = Handler(*messages)
    with pytest.raises(ValueError, match="message-2"):
        handle_each(messages, handler)
    assert handler.handled == messages
    assert [json.loads(line)["record_ids"] for line in log.getvalue().splitlines()] == [
        ["message-1"],
        ["message-2"],
    ]


def test_a_group_fails_together(log: io.StringIO) -> None:
    groups = [[message(1), message(2)], [message(3)]]

    def handle(group: Any) -> None:
        if len(group) == 2:
            raise ValueError

    assert handle_groups(groups, handle) == named("message-1", "message-2")
    with pytest.raises(ValueError):
        handle_groups(groups[:1], handle)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_process_is_no_failure_of_a_record(end: type[BaseException]) -> None:
    def handle(record: Any) -> None:
        raise end

    with pytest.raises(end):
        handle_each([message(1), message(2)], handle)


@given(st.lists(st.booleans(), min_size=1, max_size=12).filter(any))
def test_exactly_those_that_failed_are_named_in_their_order(is_good: list[bool]) -> None:
    messages = [message(number) for number in range(len(is_good))]
    bad = [one for one, good in zip(messages, is_good, strict=True) if not good]
    handler = Handler(*bad)
    assert handle_each(messages, handler) == named(*(one["messageId"] for one in bad))
    assert handler.handled == messages
