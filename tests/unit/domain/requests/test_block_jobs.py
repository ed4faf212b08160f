"""The jobs that an attempt at a block stands for: what is shown of each, and how many are what."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.block_jobs import (
    block_of,
    counts_of_block,
    jobs_of,
    tried_by,
)
from shiftwork_core.domain.requests.blocks import Block, Results, Todo
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.step_state import count_by_status, counts_of

COMPLETED, FAILURE, RETRY = AttemptStatus.COMPLETED, AttemptStatus.FAILURE, AttemptStatus.RETRY
NEW, INPROGRESS, CANCELLED = AttemptStatus.NEW, AttemptStatus.INPROGRESS, AttemptStatus.CANCELLED
SINGLE = Attempt("r", AttemptKey(1, 3, 2), "load", "t", 1, datetime(2026, 1, 1, tzinfo=UTC))
#: It is to do four of seven jobs, after one of them has been tried and another has failed.
BLOCK = Block(20, 10, 7, (Todo(range(1, 2), 2), Todo(range(4, 7))), failed=(range(1),))
AT_BLOCK = replace(SINGLE, block=BLOCK, item=Payload("[]"), output=Payload("{}"))
BAD, BUSY = JobError("Bad", "row"), JobError("Busy", "later")
RESULTS = Results({1: {"n": 1}}, {4: BAD}, {5: BUSY})


def at_block(status: AttemptStatus, **of: Any) -> Attempt:
    return replace(AT_BLOCK, status=status, block=replace(BLOCK, **of))


@pytest.mark.parametrize(
    ("status", "begun", "statuses"),
    [
        (NEW, 0, [NEW] * 4),
        (INPROGRESS, 0, [NEW] * 4),
        (INPROGRESS, 2, [INPROGRESS, INPROGRESS, NEW, NEW]),
        (INPROGRESS, 4, [INPROGRESS] * 4),
        (RETRY, 2, []),
        (FAILURE, 2, [CANCELLED] * 4),
        (CANCELLED, 0, [CANCELLED] * 4),
    ],
)
def test_jobs_without_an_outcome_are_what_their_attempt_is(
    status: AttemptStatus, begun: int, statuses: list[AttemptStatus]
) -> None:
    jobs = list(jobs_of(at_block(status, begun=begun), Results(), []))
    assert [job.status for job in jobs] == statuses
    assert {(job.item, job.output, job.error, job.block) for job in jobs} <= {(None,) * 4}


@pytest.mark.parametrize("status", [INPROGRESS, RETRY, FAILURE])
def test_each_job_has_its_own_number_item_and_outcome(status: AttemptStatus) -> None:
    items: list[Any] = list("abcdef")  # The last one cannot be read.
    jobs = list(jobs_of(at_block(status, begun=4), RESULTS, items))
    shown = [(str(j.key), j.name, j.tries, j.status, j.item, j.output, j.error) for j in jobs]
    assert shown[:3] == [
        ("0001#000021#0002", "load[11]", 2, COMPLETED, Payload('"b"'), Payload('{"n":1}'), None),
        ("0001#000024#0002", "load[14]", 1, FAILURE, Payload('"e"'), None, BAD),
        ("0001#000025#0002", "load[15]", 1, RETRY, Payload('"f"'), None, BUSY),
    ]
    last = {INPROGRESS: INPROGRESS, FAILURE: CANCELLED}.get(status)
    assert shown[3:] == (
        [("0001#000026#0002", "load[16]", 1, last, None, None, None)] if last else []
    )


ENDED = {"completed": 1, "given_up": 1, "retried": 1}


@pytest.mark.parametrize(
    ("status", "of", "counts"),
    [
        (NEW, {}, {NEW: 4}),
        (CANCELLED, {}, {CANCELLED: 4}),
        (INPROGRESS, {}, {NEW: 4}),
        (INPROGRESS, {"begun": 3}, {INPROGRESS: 3, NEW: 1}),
        (
            INPROGRESS,
            {"begun": 3, "completed": 1},
            {COMPLETED: 1, INPROGRESS: 2, NEW: 1},
        ),
        (INPROGRESS, {"begun": 2} | ENDED, {COMPLETED: 1, FAILURE: 1, RETRY: 1, NEW: 1}),
        (RETRY, {"begun": 3} | ENDED, {COMPLETED: 1, FAILURE: 1, RETRY: 1}),
        (
            FAILURE,
            {"begun": 3, "left": (range(6, 7),)} | ENDED,
            {COMPLETED: 1, FAILURE: 1, RETRY: 1, CANCELLED: 1},
        ),
        (COMPLETED, {"begun": 4, "completed": 4}, {COMPLETED: 4}),
    ],
)
def test_a_block_counts_as_its_jobs(
    status: AttemptStatus, of: dict[str, Any], counts: dict[AttemptStatus, int]
) -> None:
    attempt = at_block(status, **of)
    assert +counts_of_block(attempt) == +counts_of(attempt) == Counter(counts)
    beside = count_by_status([attempt, replace(SINGLE, status=status)])
    assert +Counter(beside) == Counter({s.value: n for s, n in counts.items()}) + Counter([status])


def test_a_job_with_a_row_of_its_own_is_no_block() -> None:
    assert counts_of(SINGLE) == {NEW: 1}
    with pytest.raises(AssertionError, match="is no attempt at a block"):
        block_of(SINGLE)


def test_what_failed_before_a_users_retry_is_not_what_its_attempts_have_come_to() -> None:
    first = at_block(RETRY, failed=(range(1),))
    second = at_block(FAILURE, failed=(range(1), range(4, 5)))
    again = replace(at_block(FAILURE, failed=(range(4, 5),)), generation=1)
    found = tried_by([first, second])
    assert (found.latest, found.failed) == (second, {0: first, 4: second})
    assert tried_by([first, second, again]).failed == {4: again}
    with pytest.raises(AssertionError, match="without an attempt"):
        tried_by([])
