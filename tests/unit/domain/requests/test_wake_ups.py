"""Which messages to RetryJobs are acted on together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.requests.blocks import whole_block
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.wake_ups import jobs_of, together, wake_up

ATTEMPT = Attempt(
    request_id="r",
    key=AttemptKey(1, 0, 2),
    name="j",
    type="work",
    type_version=1,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
START: dict[str, Any] = {"request_id": "r"}


def message(job: int, size: int = 3, *, step: int = 1, **values: str) -> dict[str, Any]:
    return wake_up(replace(ATTEMPT, key=AttemptKey(step, job, 2), **values), size)  # type: ignore[arg-type]


def grouped(*messages: Any) -> list[list[int]]:
    return together(enumerate(messages))


def test_jobs_of_one_step_and_type_share_batches_of_its_size() -> None:
    assert grouped(*(message(job) for job in range(7))) == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize("other", [{"request_id": "q"}, {"step": 2}, {"type": "other"}])
def test_jobs_of_another_request_step_or_type_have_a_batch_of_their_own(other: Any) -> None:
    assert grouped(message(0), message(1, **other), message(2)) == [[0, 2], [1]]


def test_a_batch_size_that_has_changed_makes_another_batch() -> None:
    assert grouped(message(0), message(1, 5), message(2)) == [[0, 2], [1]]


def test_each_block_has_a_batch_of_its_own() -> None:
    blocks = [
        wake_up(replace(ATTEMPT, key=AttemptKey(1, job, 2), block=whole_block(0, 0, 9)), 3)
        for job in range(2)
    ]
    assert grouped(*blocks, message(2), message(3)) == [[0], [1], [2, 3]]


def test_messages_of_an_older_release_stay_alone() -> None:
    old = {"request_id": "r", "jobs": ["0001#000000#0002"]}
    assert grouped(old, old, message(1)) == [[2], [0], [1]]


def test_starts_stay_alone_and_come_last_as_they_may_wait() -> None:
    assert grouped(START, message(0), START) == [[1], [0], [2]]


def test_what_cannot_be_read_stays_alone() -> None:
    assert grouped({}, {}) == [[0], [1]]


def test_a_job_whose_message_came_twice_is_in_the_batch_once() -> None:
    assert jobs_of([message(0), message(1), message(0)]) == ["0001#000000#0002", "0001#000001#0002"]


@given(st.lists(st.sampled_from([START, *(message(n, 2, step=n % 2) for n in range(4))])))
def test_every_message_is_in_one_group_and_no_group_is_too_large(messages: list[Any]) -> None:
    groups = grouped(*messages)
    assert sorted(number for group in groups for number in group) == list(range(len(messages)))
    for group in groups:
        assert len(group) <= 2
        steps = {str(messages[number].get("jobs", [number])[0])[:4] for number in group}
        assert len(steps) == 1


def broken(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in (message(9) | values).items() if value is not ...}


BROKEN = [
    *(broken(jobs=jobs) for jobs in (None, 7, "0001#000000#0002", ["nonsense"], [1], [], [["a"]])),
    *(broken(request_id=request_id) for request_id in (..., ["r"], None)),
    *(broken(batch_size=size) for size in (..., [3], "9", None, 2.5)),
    *(broken(type=type) for type in (..., {"a": 1}, None)),
]


@pytest.mark.parametrize("bad", BROKEN, ids=str)
def test_a_broken_message_stays_alone_and_keeps_no_other_from_its_group(bad: Any) -> None:
    assert grouped(message(0), bad, bad, message(1)) == [[0, 3], [1], [2]]


@pytest.mark.parametrize("jobs", [None, 7, "0001#000000#0002", ["nonsense"], [1], [["a"]]])
def test_what_is_no_list_of_keys_is_run_by_nobody(jobs: Any) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        jobs_of([broken(jobs=jobs)])
