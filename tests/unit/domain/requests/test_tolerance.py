"""How many failures a step tolerates, and what is said of one too many."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shiftwork_core.domain.requests.blocks import whole_block
from shiftwork_core.domain.requests.definitions import JobSpec, OnFailure, StepSpec
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.tolerance import excess, limit_of, most_tolerated

LOAD = JobSpec("load", "t", "params.items", tolerate=2)
CHECK = JobSpec("check", "t", "params.items", tolerate="10%")
STRICT = JobSpec("strict", "t")
SPEC = StepSpec("s", (LOAD, CHECK, STRICT))
BAD = JobError("Bad", "row")


def attempt(
    job: int,
    entry: str = "load",
    status: AttemptStatus = AttemptStatus.FAILURE,
    generation: int = 0,
) -> Attempt:
    return Attempt(
        "r",
        AttemptKey(1, job, 1),
        f"{entry}[{job}]",
        "t",
        1,
        datetime(2026, 1, 1, tzinfo=UTC),
        status,
        generation=generation,
        on_failure=OnFailure.TOLERATE,
        error=BAD,
    )


def told(*attempts: Attempt, generation: int = 0) -> str | None:
    error = excess(SPEC, attempts, generation, 1, lambda first: first)
    return None if error is None else error.message


@pytest.mark.parametrize(
    ("tolerate", "jobs", "limit"),
    [
        (None, 100, 0),
        (0, 100, 0),
        (3, 100, 3),
        ("10%", 100, 10),
        ("10%", 99, 9),
        ("0.1%", 999, 0),
        ("0.1%", 1000, 1),
        ("29%", 100, 29),
    ],
)
def test_a_share_of_the_jobs_is_rounded_down(
    tolerate: int | str | None, jobs: int, limit: int
) -> None:
    assert limit_of(replace(LOAD, tolerate=tolerate), jobs) == limit


def test_no_step_tolerates_more_than_its_entries_do_together() -> None:
    assert most_tolerated(SPEC, 30) == 2 + 3


def test_an_entry_is_told_by_its_first_failure_once_more_have_failed_than_may() -> None:
    load = [attempt(job) for job in range(3)]
    assert told(*load[:2], attempt(7, "check", AttemptStatus.COMPLETED)) is None
    assert told(*load) == (
        "of 3 jobs of 'load' 3 have failed, and 2 may; the first is load[0]: Bad: row"
    )
    assert told(*load[:2], attempt(7, "check")) == (
        "of 1 jobs of 'check' 1 has failed, and 10% may; the first is check[7]: Bad: row"
    )


def test_the_jobs_of_a_block_count_each() -> None:
    block = replace(whole_block(0, 0, 20), failed=(range(2), range(4, 5)))
    of_block = replace(attempt(0, status=AttemptStatus.COMPLETED), block=block)
    assert told(of_block, attempt(20, status=AttemptStatus.COMPLETED)) == (
        "of 21 jobs of 'load' 3 have failed, and 2 may; the first is load[0]: Bad: row"
    )
    assert told(replace(of_block, block=replace(block, failed=(range(2),)))) is None


def test_what_failed_before_a_users_retry_does_not_count() -> None:
    assert told(*(attempt(job) for job in range(3)), generation=1) is None
    again = [attempt(job, generation=1) for job in range(3)]
    assert told(attempt(9), *again, generation=1) == (
        "of 4 jobs of 'load' 3 have failed, and 2 may; the first is load[0]: Bad: row"
    )


def test_a_failure_of_which_no_error_is_kept_is_told_without_one() -> None:
    error = excess(
        SPEC, [attempt(job) for job in range(3)], 0, 1, lambda first: replace(first, error=None)
    )
    assert error is not None and error.message.endswith("the first is load[0]")
    assert (error.type, error.step, error.job) == ("TooManyFailures", 1, "load[0]")
