"""Blocks of jobs: what an attempt at one is to do, what became of it, and what is kept of that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.domain.requests.backoff import RetryPolicy
from shiftwork_core.domain.requests.blocks import (
    Block,
    Judged,
    Results,
    Todo,
    begun_of_dead,
    block_from_text,
    block_to_text,
    judge_block,
    places_of,
    wave_of,
    whole_block,
)
from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Outcome, Retryable

BUSY, BAD, WORSE = JobError("Busy", "later"), JobError("Bad", "row"), JobError("Worse", "row")
DONE = Completed({"n": 1})
THREE = whole_block(0, 0, 3)


def judged(block: Block, outcomes: dict[int, Outcome], **of: Any) -> Judged:
    return judge_block(block, outcomes, RetryPolicy(max_attempts=3), lambda: 0.5, **of)


@pytest.mark.parametrize(
    ("places", "ranges"),
    [
        ([], ()),
        ([4], (range(4, 5),)),
        ([5, 0, 2, 1], (range(3), range(5, 6))),
        ([0, 2, 4], (range(1), range(2, 3), range(4, 5))),
        ([1, 1, 2, 2], (range(1, 3),)),
    ],
)
def test_places_that_follow_each_other_are_one_range(
    places: list[int], ranges: tuple[range, ...]
) -> None:
    assert places_of(places) == ranges


@pytest.mark.parametrize(("place", "tries"), [(0, 3), (1, 1), (3, 1), (5, 2), (4, 1), (9, 1)])
def test_each_job_of_an_attempt_has_the_number_of_its_own_try(place: int, tries: int) -> None:
    todo = (Todo(range(1), 3), Todo(range(1, 4), 1), Todo(range(5, 7), 2))
    assert replace(THREE, size=9, todo=todo).tries_of(place) == tries


# -- results -------------------------------------------------------------------------------------


def test_results_are_kept_in_little_room_and_read_back() -> None:
    results = Results(
        completed={0: {}, 1: {"n": 1}, 2: {}, 3: {}},
        failed={4: BAD, 5: BAD, 7: BAD, 8: WORSE},
        retried={6: BUSY},
    )
    stored = results.to_json()
    assert stored == {
        "empty": [[0, 1], [2, 4]],
        "results": {"1": {"n": 1}},
        "failed": [["Bad", "row", [[4, 6], [7, 8]]], ["Worse", "row", [[8, 9]]]],
        "retried": [["Busy", "later", [[6, 7]]]],
    }
    assert Results.from_json(stored) == results
    assert Results.from_json({}) == Results()


def test_what_is_known_of_jobs_while_others_run_is_what_they_came_to() -> None:
    outcomes: dict[int, Outcome] = {3: Retryable(BUSY), 0: DONE, 2: Failed(BAD), 1: Completed({})}
    results = Results.of(outcomes)
    assert results == Results({0: {"n": 1}, 1: {}}, {2: BAD}, {3: BUSY})
    assert results.outcomes() == outcomes


# -- what is recorded ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "cause"),
    [
        ({0: DONE, 1: Failed(BAD), 2: Failed(WORSE)}, 1),
        ({0: Retryable(BUSY), 1: DONE, 2: Failed(BAD)}, 2),
        ({0: Retryable(BUSY), 1: DONE, 2: DONE}, None),
    ],
)
@pytest.mark.parametrize("is_last", [False, True])
def test_the_cause_is_the_first_job_that_has_failed_for_good_by_itself(
    outcomes: dict[int, Outcome], cause: int | None, is_last: bool
) -> None:
    assert judged(THREE, outcomes, is_last=is_last).cause == cause


EARLIER = replace(THREE, todo=(Todo(range(1, 3)),), failed=(range(1),))


@pytest.mark.parametrize(
    ("block", "outcomes", "is_last", "error"),
    [
        (THREE, {0: DONE, 1: Failed(BAD), 2: DONE}, False, ("Bad", "row")),
        (THREE, {0: Retryable(BUSY), 1: DONE, 2: DONE}, False, ("Busy", "later")),
        (
            THREE,
            {0: Retryable(BUSY), 1: Failed(BAD), 2: DONE},
            True,
            ("Bad", "row (and 1 more job of its block)"),
        ),
        (
            THREE,
            dict.fromkeys(range(3), Failed(BAD)),
            False,
            ("Bad", "row (and 2 more jobs of its block)"),
        ),
        (
            THREE,
            {0: DONE},
            False,
            ("NotBegun", "the rest of its block is left to the next attempt"),
        ),
        (THREE, {0: DONE}, True, ("RequestEnded", "its request ended while it was under way")),
        (
            EARLIER,
            {1: DONE},
            False,
            ("NotBegun", "the rest of its block is left to the next attempt"),
        ),
        (
            EARLIER,
            {1: DONE, 2: DONE},
            False,
            ("BlockFailed", "jobs of its block failed in attempts before this"),
        ),
    ],
)
def test_the_error_of_an_attempt_says_why_not_all_of_its_jobs_have_completed(
    block: Block, outcomes: dict[int, Outcome], is_last: bool, error: tuple[str, str]
) -> None:
    told = judged(block, outcomes, is_last=is_last).error
    assert (told.type, told.message) == error


# -- deaths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("deaths", "wave"), [(0, 0), (1, 4), (2, 1), (3, 1)])
def test_the_more_attempts_at_a_block_have_died_the_fewer_jobs_begin_at_once(
    deaths: int, wave: int
) -> None:
    assert wave_of(replace(THREE, deaths=deaths), lanes=4) == wave


@pytest.mark.parametrize(
    ("deaths", "begun", "counts"),
    [(0, 0, 4), (0, 6, 6), (1, 0, 4), (1, 8, 8), (2, 0, 1), (2, 3, 3), (3, 0, 1)],
)
def test_of_a_dead_attempt_what_may_have_begun_has_had_its_try(
    deaths: int, begun: int, counts: int
) -> None:
    block = replace(whole_block(0, 0, 10), deaths=deaths, begun=begun)
    assert begun_of_dead(block, lanes=4) == list(range(counts))


# -- as rows keep it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "kept"),
    [
        (whole_block(7, 2, 3), {"at": [7, 2, 3], "todo": [[0, 3, 1]]}),
        (
            Block(7, 2, 9, (Todo(range(1, 4), 2), Todo(range(5, 6))), (range(1),), begun=3),
            {"at": [7, 2, 9], "todo": [[1, 4, 2], [5, 6, 1]], "failed": [[0, 1]], "begun": 3},
        ),
    ],
)
def test_a_row_keeps_nothing_of_what_is_empty(block: Block, kept: dict[str, Any]) -> None:
    text = block_to_text(block)
    assert json.loads(text) == kept
    assert block_from_text(text) == block
