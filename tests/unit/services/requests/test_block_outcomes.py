"""What is recorded of a block: once, by its holder, and as far as its request goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.requests.outcome_writer import Recording, Result
from tests.unit.services.requests.test_blocks import claimed, jobs, ran, submit
from tests.world.world import LEASE, World

BAD, BUSY = JobError("Bad", "row"), JobError("Busy", "later")
DONE = Completed({"n": 1})
MIXED: dict[int, Outcome] = {0: DONE, 1: Retryable(BUSY)}


@pytest.fixture
def held(world: World) -> Attempt:
    """Return an attempt at a block of three jobs, which a process holds."""
    request_id = submit(world, 3, ran)
    world.advancer.advance(request_id, 1)
    return claimed(world, request_id)


def shown(world: World, held: Attempt) -> list[tuple[str, str, str | None]]:
    """Return the number, the status and the error of each attempt at a job."""
    return [
        (f"{a.key.job}.{a.key.attempt}", a.status.value, a.error.type if a.error else None)
        for a in jobs(world, held.request_id)
    ]


def test_an_attempt_is_followed_by_another_while_its_request_goes_on(
    world: World, held: Attempt
) -> None:
    recording = world.recorder.record_block(held, MIXED)
    assert (recording.result, recording.counts) == (
        Result.RETRY,
        {"completed": 1, "retry": 1, "failure": 0},
    )
    assert shown(world, held) == [
        ("0.1", "completed", None),
        ("1.1", "retry", "Busy"),
        ("1.2", "new", None),
        ("2.2", "new", None),
    ]


@pytest.mark.parametrize(
    ("outcomes", "result", "expected"),
    [
        (
            MIXED,
            Result.FAILURE,
            [("0.1", "completed", None), ("1.1", "failure", "Busy"), ("2.1", "cancelled", None)],
        ),
        (
            {0: DONE},
            Result.FAILURE,
            [("0.1", "completed", None), ("1.1", "cancelled", None), ("2.1", "cancelled", None)],
        ),
        (
            {0: DONE, 1: DONE, 2: DONE},
            Result.COMPLETED,
            [(f"{n}.1", "completed", None) for n in range(3)],
        ),
    ],
)
def test_no_attempt_follows_once_the_request_has_ended(
    world: World,
    held: Attempt,
    outcomes: dict[int, Outcome],
    result: Result,
    expected: list[tuple[str, str, str | None]],
) -> None:
    world.requests.cancel(held.request_id)
    assert world.recorder.record_block(held, outcomes).result is result
    assert shown(world, held) == expected
    assert len(world.attempts(held.request_id)) == 1


def test_an_outcome_that_comes_too_late_counts_no_jobs(world: World, held: Attempt) -> None:
    world.clock.advance(2 * LEASE.total_seconds())
    world.recorder.expire(held)
    late = world.recorder.record_block(held, {0: DONE, 1: Failed(BAD)})
    assert (late.result, late.counts) == (Result.DISCARDED, {})
    assert world.request(held.request_id).status is RequestStatus.INPROGRESS


# -- lapsed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"lease_until": timedelta(seconds=1)},
        {"fence": 1},
    ],
    ids=["its lease was renewed", "it was claimed again"],
)
def test_a_block_that_somebody_holds_by_now_is_not_declared_lost(
    world: World, held: Attempt, change: dict[str, Any]
) -> None:
    world.clock.advance(2 * LEASE.total_seconds())
    changed = {name: getattr(held, name) + more for name, more in change.items()}
    world.tables.put_attempt(replace(held, **changed))
    seen = replace(held, item=None, output=None)  # As whoever reads a whole step sees it.
    assert world.recorder.expire(seen) == Recording(Result.DISCARDED, jobs={})
    assert [a.status for a in world.attempts(held.request_id)] == ["inprogress"]


# -- what cannot be stored -----------------------------------------------------------------------


def test_jobs_whose_results_cannot_be_stored_are_retried_and_told_why(
    world: World, held: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, faults = type(world.payloads).pack, iter([OSError("the disk is full")])

    def faulty(self: Any, *given: Any) -> Any:
        if error := next(faults, None):
            raise error
        return pack(self, *given)

    monkeypatch.setattr(type(world.payloads), "pack", faulty)
    assert world.recorder.record_block(held, {0: DONE, 1: DONE}).result is Result.RETRY
    first, second, *rest = jobs(world, held.request_id)
    for one in (first, second):
        assert one.status == "retry"
        assert one.error == JobError("OSError", "its result cannot be stored: the disk is full")
    assert [(one.status, one.tries) for one in rest] == [("new", 2), ("new", 2), ("new", 1)]


def test_a_store_that_takes_not_even_that_is_no_outcome(
    world: World, held: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(type(world.payloads), "pack", full)
    with pytest.raises(OSError, match="the disk is full"):
        world.recorder.record_block(held, {0: DONE, 1: DONE})
    assert [a.status for a in world.attempts(held.request_id)] == ["inprogress"]
