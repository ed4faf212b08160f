"""Steps are planned once and closed once, and have one waiter at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Span, Stall, Step, StepStatus
from shiftwork_core.errors import NotFound
from tests.contract.store.rows import NOW, SECOND, Stores, a_step, full, sent_twice

COUNTS = {"completed": 3, "failure": 1}
STALL = Stall(3, "0.1.0", NOW, JobError("Oops", "it broke"))


@pytest.mark.parametrize(
    "step",
    [
        a_step(),
        full(
            a_step(
                name="analyse",
                job_count=10_000,
                status=StepStatus.FAILED,
                counts=COUNTS,
                completed_at=NOW + SECOND,
                arrivals=7,
                token="a task's token",
                target=9,
                type="index-documents",
                stall=STALL,
                spans=(Span(0, 0, 100, 250), Span(3, 250, 10, 10)),
                tolerated=11,
                extras=Payload(ref="row/r1/extras"),
            )
        ),
    ],
    ids=["new", "every field"],
)
def test_a_step_is_read_back_as_it_was_written(stores: Stores, step: Step) -> None:
    added = sent_twice(lambda: stores.requests.add_step(step))
    assert (added.won, added.row) == (True, step)
    assert stores.requests.get_step("r1", 1) == step


@pytest.mark.parametrize(
    "difference",
    [{"started_at": NOW + SECOND}, {"name": "other"}, {"job_count": 2}],
    ids=["start", "name", "number of jobs"],
)
def test_the_second_to_plan_a_step_loses_and_sees_the_winner(
    stores: Stores,
    difference: dict[str, Any],
) -> None:
    stores.requests.add_step(a_step())
    loser = stores.requests.add_step(replace(a_step(), **difference))
    assert (loser.won, loser.row) == (False, a_step())
    assert stores.step_row() == a_step()


def test_a_repeated_plan_of_a_step_wins_even_after_the_step_moved_on(stores: Stores) -> None:
    stores.requests.add_step(a_step())
    stores.requests.register_waiter(a_step(), "token", 1)
    again = stores.requests.add_step(a_step())
    assert (again.won, again.row) == (True, stores.step_row())
    assert again.row.token == "token"


def test_steps_are_read_in_order_and_apart_from_other_requests(stores: Stores) -> None:
    stores.request("r1")
    indexes = [1, 2, 9, 10, 11, 100, 1000]
    for index in reversed(indexes):
        stores.requests.add_step(a_step(index))
    stores.requests.add_step(a_step(3, "r2"))
    assert [step.index for step in stores.requests.steps("r1")] == indexes
    assert stores.requests.steps("r3") == []
    assert stores.requests.get_step("r1", 3) is None


@pytest.mark.parametrize("status", [StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED])
def test_a_running_step_is_closed(stores: Stores, status: StepStatus) -> None:
    stores.requests.add_step(a_step(token="token", target=2, arrivals=1))
    seen = stores.step_row()
    assert sent_twice(lambda: stores.requests.close_step(seen, status, COUNTS, NOW + SECOND))
    assert stores.step_row() == replace(
        a_step(token="token", target=2, arrivals=1),
        status=status,
        counts=COUNTS,
        completed_at=NOW + SECOND,
    )


def test_a_failed_step_runs_again_and_is_completed(stores: Stores) -> None:
    stores.requests.add_step(a_step())
    assert stores.requests.close_step(a_step(), StepStatus.FAILED, COUNTS, NOW)
    failed = stores.step_row()
    assert sent_twice(lambda: stores.requests.close_step(failed, StepStatus.RUNNING, {}, None))
    assert stores.step_row() == a_step()
    completed = StepStatus.COMPLETED
    assert stores.requests.close_step(a_step(), completed, COUNTS, NOW + SECOND)
    assert stores.step_row().completed_at == NOW + SECOND


def test_an_execution_that_saw_other_counts_does_not_close_a_running_step(stores: Stores) -> None:
    running = a_step(counts=COUNTS)
    stores.requests.add_step(running)
    assert not stores.requests.close_step(a_step(), StepStatus.FAILED, {"new": 9}, NOW)
    assert stores.step_row() == running


@pytest.mark.parametrize("status", [StepStatus.RUNNING, StepStatus.FAILED, StepStatus.CANCELLED])
@pytest.mark.parametrize(
    "difference", [{"completed_at": None}, {"completed_at": NOW - SECOND}, {"counts": {}}]
)
def test_a_delayed_execution_overwrites_no_newer_end_of_a_step(
    stores: Stores, status: StepStatus, difference: dict[str, Any]
) -> None:
    failed = a_step(status=StepStatus.FAILED, counts=COUNTS, completed_at=NOW)
    stores.requests.add_step(failed)
    late = replace(failed, **difference)
    assert not stores.requests.close_step(late, status, {"new": 9}, NOW + SECOND)
    assert stores.step_row() == failed


def test_a_step_is_completed_whatever_end_was_seen(stores: Stores) -> None:
    stores.requests.add_step(a_step(status=StepStatus.FAILED, counts={"new": 1}, completed_at=NOW))
    assert stores.requests.close_step(a_step(), StepStatus.COMPLETED, COUNTS, NOW + SECOND)
    assert stores.step_row().counts == COUNTS


@pytest.mark.parametrize("completed_at", [NOW, None])
@pytest.mark.parametrize("status", [StepStatus.RUNNING, StepStatus.FAILED, StepStatus.CANCELLED])
def test_a_completed_step_stays_completed(
    stores: Stores, status: StepStatus, completed_at: datetime | None
) -> None:
    completed = a_step(status=StepStatus.COMPLETED, counts=COUNTS, completed_at=completed_at)
    stores.requests.add_step(completed)
    assert not stores.requests.close_step(completed, status, {}, NOW + SECOND)
    assert stores.step_row() == completed


def test_a_completed_step_may_be_completed_again_with_other_counts_and_stays_so_since_then(
    stores: Stores,
) -> None:
    stores.requests.add_step(a_step())
    assert stores.requests.close_step(a_step(), StepStatus.COMPLETED, {"failure": 2}, NOW, 2)
    completed = stores.step_row()
    assert completed.tolerated == 2

    def again() -> bool:
        return stores.requests.close_step(
            completed, StepStatus.COMPLETED, COUNTS, NOW + SECOND, tolerated=1
        )

    assert sent_twice(again)
    assert stores.step_row() == replace(completed, counts=COUNTS, tolerated=1)


def test_a_step_that_is_completed_again_has_the_extras_with_which_it_began_again(
    stores: Stores,
) -> None:
    stores.requests.add_step(a_step(extras=Payload(text="{}")))
    assert stores.requests.close_step(a_step(), StepStatus.COMPLETED, COUNTS, NOW)
    completed = stores.step_row()
    assert completed.extras == Payload(text="{}")
    newer = Payload(ref="row/r1/newer")

    def again() -> bool:
        return stores.requests.close_step(
            completed, StepStatus.COMPLETED, COUNTS, NOW + SECOND, extras=newer
        )

    assert sent_twice(again)
    assert stores.step_row() == replace(completed, extras=newer)


@pytest.mark.parametrize("newer", [Payload(text="[1]"), Payload(ref="row/r1/newer")])
def test_a_process_that_was_held_up_takes_no_newer_extras_back(
    stores: Stores, newer: Payload
) -> None:
    older = Payload(text="{}")
    stores.requests.add_step(a_step(extras=older))
    completed = StepStatus.COMPLETED
    assert stores.requests.close_step(a_step(), completed, COUNTS, NOW)
    seen = stores.step_row()
    assert stores.requests.close_step(seen, completed, COUNTS, NOW, extras=newer)
    stores.requests.close_step(seen, completed, COUNTS, NOW, extras=older)
    assert stores.step_row().extras == newer


def test_a_completed_step_of_which_no_end_is_known_is_not_completed_again(stores: Stores) -> None:
    completed = a_step(status=StepStatus.COMPLETED, counts=COUNTS)
    stores.requests.add_step(completed)
    assert not stores.requests.close_step(completed, StepStatus.COMPLETED, {"new": 9}, NOW)
    assert stores.step_row() == completed


@pytest.mark.parametrize("difference", [{"completed_at": NOW - SECOND}, {"counts": {}}])
def test_a_completed_step_is_completed_again_only_as_it_was_seen(
    stores: Stores, difference: dict[str, Any]
) -> None:
    completed = a_step(status=StepStatus.COMPLETED, counts=COUNTS, completed_at=NOW)
    stores.requests.add_step(completed)
    late = replace(completed, **difference)
    assert not stores.requests.close_step(late, StepStatus.COMPLETED, {"new": 9}, NOW + SECOND)
    assert stores.step_row() == completed


@pytest.mark.parametrize(
    ("status", "counts", "ended_at"),
    [
        (StepStatus.FAILED, {"completed": 2}, NOW),
        (StepStatus.COMPLETED, {"completed": 3}, NOW),
        (StepStatus.COMPLETED, {"completed": 2}, NOW + SECOND),
    ],
)
def test_closing_a_step_that_was_completed_with_other_counts_returns_false(
    stores: Stores, status: StepStatus, counts: dict[str, int], ended_at: datetime
) -> None:
    stores.requests.add_step(a_step())
    assert stores.requests.close_step(a_step(), StepStatus.COMPLETED, {"completed": 2}, NOW)
    assert not stores.requests.close_step(a_step(), status, counts, ended_at)


@pytest.mark.parametrize("status", list(StepStatus))
@pytest.mark.parametrize("seen", [a_step(), a_step(status=StepStatus.FAILED, completed_at=NOW)])
def test_closing_a_step_that_has_no_row_makes_none(
    stores: Stores, seen: Step, status: StepStatus
) -> None:
    assert not stores.requests.close_step(seen, status, COUNTS, NOW)
    assert stores.requests.get_step("r1", 1) is None
    assert stores.requests.steps("r1") == []


def test_a_waiter_is_registered_and_the_next_takes_its_place(stores: Stores) -> None:
    stores.requests.add_step(a_step(arrivals=2))
    first = sent_twice(lambda: stores.requests.register_waiter(a_step(), "token 1", 5))
    assert first.won
    assert first.row == stores.step_row() == a_step(arrivals=2, token="token 1", target=5)
    assert not first.row.has_no_pending_jobs
    second = sent_twice(lambda: stores.requests.register_waiter(first.row, "token 2", 2))
    assert second.won
    assert (second.row.token, second.row.target) == ("token 2", 2)
    assert second.row.has_no_pending_jobs


def test_of_two_waiters_that_saw_none_one_is_registered_and_the_other_sees_it(
    stores: Stores,
) -> None:
    stores.requests.add_step(a_step())
    stores.requests.register_waiter(a_step(), "token 1", 5)
    second = sent_twice(lambda: stores.requests.register_waiter(a_step(), "token 2", 5))
    assert not second.won
    assert second.row == stores.step_row() == a_step(token="token 1", target=5)


def test_a_waiter_that_saw_an_older_one_is_not_registered(stores: Stores) -> None:
    stores.requests.add_step(a_step(token="token 2", target=5))
    late = stores.requests.register_waiter(a_step(token="token 1"), "token 3", 6)
    assert not late.won
    assert late.row == stores.step_row() == a_step(token="token 2", target=5)


def test_a_repeated_registration_changes_nothing(stores: Stores) -> None:
    stores.requests.add_step(a_step(token="token 2", target=5))
    again = stores.requests.register_waiter(a_step(token="token 1"), "token 2", 6)
    assert again.won
    assert again.row == stores.step_row() == a_step(token="token 2", target=5)


def test_nobody_waits_for_a_step_that_was_never_planned(stores: Stores) -> None:
    with pytest.raises(NotFound):
        stores.requests.register_waiter(a_step(), "token", 1)
    assert stores.requests.get_step("r1", 1) is None


@pytest.mark.parametrize("stall", [STALL, replace(STALL, error=None)], ids=["known", "unknown"])
def test_a_stall_is_noted_and_removed(stores: Stores, stall: Stall) -> None:
    stores.requests.add_step(a_step())
    sent_twice(lambda: stores.requests.note_stall("r1", 1, stall))
    assert stores.step_row() == replace(a_step(), stall=stall)
    stores.requests.note_stall("r1", 1, None)
    assert stores.step_row() == a_step()


def test_a_step_that_is_not_planned_gets_no_stall(stores: Stores) -> None:
    stores.requests.note_stall("r1", 1, STALL)
    assert stores.requests.get_step("r1", 1) is None
