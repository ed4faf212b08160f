"""What is kept in mind of a block while lanes do its jobs: what may begin, and what is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from shiftwork_core.domain.requests.blocks import Results, Todo, whole_block
from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.requests import block_work
from shiftwork_core.services.requests.block_work import BlockWork, Stop
from shiftwork_core.services.requests.held import Held, Lane

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
#: The end of the process's time.
END = NOW + 15 * MINUTE
BAD = JobError("Bad", "row")
ATTEMPT = Attempt(
    "r",
    AttemptKey(1, 0, 2),
    "load",
    "t",
    1,
    NOW,
    AttemptStatus.INPROGRESS,
    lease_until=END + MINUTE,
    block=replace(whole_block(10, 0, 9), todo=(Todo(range(3, 5), 2), Todo(range(6, 9)))),
)
PLACES = [3, 4, 6, 7, 8]


def working(attempt: Attempt = ATTEMPT, **of: Any) -> BlockWork:
    given: dict[str, Any] = {"timeout": MINUTE, "lanes": 2, "wave": 0, "ends_request": True} | of
    return BlockWork(attempt, Held(attempt, END, Event()), **given)


def taken(work: BlockWork, now: datetime = NOW) -> list[int]:
    """Take all that may begin, and let it run."""
    return [running.place for running in work.take_all(Lane(), now)]


def one_done(work: BlockWork, outcome: Any) -> None:
    """Take a job, and bring its outcome."""
    running = work.take(Lane(), NOW)
    assert running is not None
    work.end(running, outcome)


@pytest.mark.parametrize(("own", "of_block"), [(False, False), (True, False), (False, True)])
def test_a_job_is_to_stop_if_itself_or_all_of_its_block_are(own: bool, of_block: bool) -> None:
    event = Event()
    stop = Stop(event)
    if own:
        stop.set()
    if of_block:
        event.set()
    assert stop.is_set() is (own or of_block)
    assert event.is_set() is of_block


# -- what begins ---------------------------------------------------------------------------------


def test_a_lane_takes_the_next_job_and_has_so_long_for_it() -> None:
    work, lane = working(), Lane()
    first = work.take(lane, NOW)
    assert first is not None and lane.job == first.job
    assert (first.place, first.job.key.job, first.job.tries) == (3, 13, 2)
    assert first.deadline == NOW + MINUTE
    assert taken(work) == PLACES[1:]
    assert work.left == 0
    late = working().take(Lane(), END - SECOND)
    assert late is not None and late.deadline == END


def lease_over(work: BlockWork) -> None:
    work.held.leased_until = NOW


def lease_lost(work: BlockWork) -> None:
    work.held.is_lost = True


def stopped(work: BlockWork) -> None:
    work.held.stop.set()


def has_failed(work: BlockWork) -> None:
    first, second = (work.take(Lane(), NOW) for _ in range(2))
    assert first is not None and second is not None
    work.end(first, Failed(BAD))
    work.end(second, Completed({}))


def has_done_much(work: BlockWork) -> None:
    one_done(work, Completed({"text": "x" * 100}))


@pytest.mark.parametrize("hindrance", [lease_over, lease_lost, stopped, has_failed, has_done_much])
def test_no_job_begins_in_vain(
    monkeypatch: pytest.MonkeyPatch, hindrance: Callable[[BlockWork], None]
) -> None:
    monkeypatch.setattr(block_work, "MAX_HELD_BYTES", 100)
    work = working()
    hindrance(work)
    assert taken(work) == []
    assert not work.begins_wave(NOW)
    assert work.left >= 3


@pytest.mark.parametrize(
    ("outcome", "ends_request"),
    [(Failed(BAD), False), (Retryable(BAD), True), (Completed({"text": "x" * 89}), True)],
)
def test_others_begin_whatever_came_of_a_job_that_ends_no_request(
    monkeypatch: pytest.MonkeyPatch, outcome: Any, ends_request: bool
) -> None:
    monkeypatch.setattr(block_work, "MAX_HELD_BYTES", len('{"text":""}') + 89)
    work = working(ends_request=ends_request)
    one_done(work, outcome)
    assert work.has_room
    assert taken(work) == PLACES[1:]


@pytest.mark.parametrize(
    ("now", "is_first", "places"),
    [
        (END - MINUTE, True, PLACES),
        (END - MINUTE, False, PLACES),
        (END - MINUTE + SECOND, True, PLACES[:1]),
        (END - MINUTE + SECOND, False, []),
        (END - SECOND, True, PLACES[:1]),
        (END, True, []),
    ],
)
def test_only_the_first_job_of_a_batch_begins_though_it_may_not_end_in_time(
    now: datetime, is_first: bool, places: list[int]
) -> None:
    assert taken(working(is_first=is_first), now) == places


# -- what ends -----------------------------------------------------------------------------------


def test_an_outcome_is_kept_unless_its_job_was_given_up_before() -> None:
    work, lanes = working(), [Lane(), Lane()]
    first, second = (work.take(lane, NOW + n * SECOND) for n, lane in enumerate(lanes))
    assert first is not None and second is not None
    assert work.next_deadline() == first.deadline
    work.give_up(first.deadline - SECOND)
    assert (work.stuck, work.what_ended()) == (set(), {})
    work.give_up(first.deadline)
    assert work.stuck == {lanes[0]}
    assert (first.stop.is_set(), second.stop.is_set()) == (True, False)
    assert work.next_deadline() == second.deadline
    late = Retryable(JobError("Timeout", "it did not end within its 60 s"))
    assert work.what_ended() == {3: late}
    work.end(first, Completed({"too": "late"}))
    work.end(second, Completed({"n": 1}))
    assert work.what_ended() == {3: late, 4: Completed({"n": 1})}
    assert [lane.job for lane in lanes] == [None, None]
    assert work.next_deadline() == END
    assert work.take(lanes[0], NOW) is None
    assert work.take(lanes[1], NOW) is not None


def test_what_a_callback_changes_later_is_not_changed_in_its_result() -> None:
    work, result = working(), {"n": 1}
    one_done(work, Completed(result))
    result["n"] = 2
    assert work.what_ended() == {3: Completed({"n": 1})}


# -- waves ---------------------------------------------------------------------------------------


def test_the_next_wave_begins_where_the_one_before_ended() -> None:
    work = working(wave=2)
    assert taken(work) == [3, 4]
    assert work.begins_wave(NOW)
    assert taken(work) == [6, 7]
    assert work.begins_wave(NOW)
    assert taken(work) == [8]
    assert not work.begins_wave(NOW)


def test_a_block_without_waves_begins_no_second_one() -> None:
    work = working()
    assert work.take(Lane(), NOW) is not None
    assert not work.begins_wave(NOW)


@pytest.mark.parametrize(("lanes", "begins"), [(1, False), (2, True)])
def test_no_wave_begins_once_every_lane_has_a_job_that_was_given_up(
    lanes: int, begins: bool
) -> None:
    work = working(wave=1, lanes=lanes)
    assert taken(work) == [3]
    work.give_up(NOW + MINUTE)
    assert work.begins_wave(NOW + MINUTE) is begins


def test_an_attempt_has_so_many_waves_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_work, "MAX_WAVES", 3)
    work = working(wave=1)
    assert [(taken(work), work.begins_wave(NOW)) for _ in range(3)] == [
        ([3], True),
        ([4], True),
        ([6], False),
    ]


# -- progress ------------------------------------------------------------------------------------


def progress_of(work: BlockWork) -> tuple[int, tuple[int, int, int], Results]:
    attempt, results = work.progress()
    assert attempt.block is not None
    counts = (attempt.block.completed, attempt.block.retried, attempt.block.given_up)
    return attempt.block.begun, counts, results


def test_progress_says_what_has_begun_and_what_came_of_it() -> None:
    work = working(ends_request=False)
    assert progress_of(work) == (0, (0, 0, 0), Results())
    for outcome in (Completed({"n": 1}), Retryable(BAD), Failed(BAD), Completed({})):
        one_done(work, outcome)
    assert work.take(Lane(), NOW) is not None
    expected = Results({3: {"n": 1}, 7: {}}, failed={6: BAD}, retried={4: BAD})
    assert progress_of(work) == (5, (2, 1, 1), expected)


def test_progress_counts_a_whole_wave_as_begun_before_it_begins() -> None:
    work = working(wave=3)
    assert progress_of(work)[0] == 3
    assert taken(work) == [3, 4, 6]
    lease_over(work)
    assert not work.begins_wave(NOW)
    assert progress_of(work)[0] == 3
    work.held.leased_until = None
    assert work.begins_wave(NOW)
    assert progress_of(work)[0] == 5
