"""Classifying a step's attempts: done, to be done, lost, or still out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.payloads import merge_extras
from shiftwork_core.domain.requests.definitions import OnFailure
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, parse_attempt_id
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.step_state import classify_step

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=60)
NEW = Attempt("r", AttemptKey(1, 0, 1), "j", "t", 1, NOW)


def second(offset: float) -> datetime:
    return NOW + timedelta(seconds=offset)


@pytest.mark.parametrize("status", AttemptStatus)
@pytest.mark.parametrize("is_polled", [False, True])
def test_what_runjobs_has_begun_is_counted(status: AttemptStatus, is_polled: bool) -> None:
    attempt = replace(NEW, status=status, is_polled=is_polled)
    begun = status is not AttemptStatus.NEW and not is_polled
    assert classify_step([attempt], 0, NOW, LEASE).begun == int(begun)


@pytest.mark.parametrize(
    ("attempt", "generation", "where"),
    [
        (NEW, 0, "runnable"),
        (replace(NEW, wake_at=second(9)), 0, "out"),
        (replace(NEW, wake_at=second(-59)), 0, "out"),
        (replace(NEW, wake_at=second(-60)), 0, "runnable"),
        (replace(NEW, is_polled=True), 0, "out"),
        (replace(NEW, is_polled=True, wake_at=second(-600)), 0, "out"),
        (replace(NEW, status=AttemptStatus.INPROGRESS, lease_until=second(1)), 0, "out"),
        (replace(NEW, status=AttemptStatus.INPROGRESS, lease_until=second(0)), 0, "lapsed"),
        (replace(NEW, status=AttemptStatus.INPROGRESS), 0, "out"),
        (replace(NEW, status=AttemptStatus.COMPLETED), 3, "completed"),
        (replace(NEW, status=AttemptStatus.FAILURE), 0, "failed"),
        (replace(NEW, status=AttemptStatus.FAILURE), 1, "redo"),
        (replace(NEW, status=AttemptStatus.CANCELLED), 0, "failed"),
        (replace(NEW, status=AttemptStatus.CANCELLED), 1, "redo"),
        (replace(NEW, status=AttemptStatus.RETRY), 0, "out"),
    ],
)
def test_each_job_is_in_one_place_by_its_latest_attempt(
    attempt: Attempt, generation: int, where: str
) -> None:
    state = classify_step([attempt], generation, NOW, LEASE)
    places = ("completed", "failed", "runnable", "lapsed", "redo", "out")
    assert [place for place in places if getattr(state, place)] == [where]
    assert state.is_settled == (where == "completed")
    assert state.is_only_out == (where == "out")


@pytest.mark.parametrize(
    ("status", "generation", "where"),
    [
        (AttemptStatus.FAILURE, 0, "tolerated"),
        (AttemptStatus.FAILURE, 1, "redo"),
        (AttemptStatus.CANCELLED, 0, "failed"),
        (AttemptStatus.CANCELLED, 1, "redo"),
    ],
)
def test_of_an_entry_that_tolerates_failures_only_a_failure_is_tolerated(
    status: AttemptStatus, generation: int, where: str
) -> None:
    attempt = replace(NEW, status=status, on_failure=OnFailure.TOLERATE)
    state = classify_step([attempt], generation, NOW, LEASE)
    places = ("completed", "failed", "runnable", "lapsed", "redo", "out", "tolerated")
    assert [place for place in places if getattr(state, place)] == [where]


def test_what_is_to_be_counted_against_a_tolerance_is_the_latest_of_its_entries() -> None:
    first = replace(NEW, status=AttemptStatus.RETRY, on_failure=OnFailure.TOLERATE)
    latest = replace(first, key=AttemptKey(1, 0, 2), status=AttemptStatus.COMPLETED)
    other = replace(NEW, key=AttemptKey(1, 1, 1), status=AttemptStatus.FAILURE)
    assert classify_step([first, latest, other], 0, NOW, LEASE).tolerant == [latest]


FAILED = replace(NEW, status=AttemptStatus.FAILURE)
FINISHING = replace(FAILED, on_failure=OnFailure.FINISH)
OTHER = replace(NEW, key=AttemptKey(1, 1, 1), on_failure=OnFailure.FINISH)


@pytest.mark.parametrize(
    ("attempts", "fails"),
    [
        ([FAILED], True),
        ([FINISHING], True),
        ([FAILED, replace(OTHER, on_failure=OnFailure.STOP)], True),
        ([FINISHING, OTHER], False),
        ([FINISHING, replace(OTHER, status=AttemptStatus.COMPLETED)], True),
        ([FINISHING, replace(OTHER, status=AttemptStatus.INPROGRESS)], False),
        ([FINISHING, replace(OTHER, wake_at=second(9))], False),
        ([FINISHING, replace(OTHER, status=AttemptStatus.FAILURE, generation=-1)], False),
        ([replace(OTHER, status=AttemptStatus.COMPLETED)], False),
        ([], False),
    ],
)
def test_a_step_that_is_to_finish_fails_its_request_once_nothing_of_it_is_left(
    attempts: list[Attempt], fails: bool
) -> None:
    state = classify_step(attempts, 0, NOW, LEASE)
    assert state.fails_request is fails
    assert not state.is_settled or not fails
    assert not (state.is_only_out and fails)


@pytest.mark.parametrize(
    "other",
    [
        NEW,
        replace(NEW, status=AttemptStatus.INPROGRESS, lease_until=second(0)),
        replace(NEW, status=AttemptStatus.FAILURE),
        replace(NEW, status=AttemptStatus.FAILURE, generation=1),
    ],
    ids=["runnable", "lapsed", "redo", "failed"],
)
def test_a_step_with_more_to_do_than_wait_is_not_only_out(other: Attempt) -> None:
    out = replace(NEW, key=AttemptKey(1, 1, 1), is_polled=True)
    state = classify_step([other, out], 1, NOW, LEASE)
    assert state.out == [out]
    assert not state.is_only_out
    assert not state.is_settled


def test_only_the_latest_attempt_of_a_job_counts() -> None:
    first = replace(NEW, status=AttemptStatus.RETRY)
    latest = replace(NEW, key=AttemptKey(1, 0, 2), status=AttemptStatus.COMPLETED)
    state = classify_step([first, latest], 0, NOW, LEASE)
    assert state.is_settled
    assert state.counts["retry"] == state.counts["completed"] == 1


def test_a_job_that_is_out_is_due_when_its_lease_or_its_wake_up_is_overdue() -> None:
    held = replace(NEW, status=AttemptStatus.INPROGRESS, lease_until=second(50))
    asleep = replace(NEW, key=AttemptKey(1, 1, 1), wake_at=second(-20))
    polled = replace(NEW, key=AttemptKey(1, 2, 1), is_polled=True)
    assert classify_step([held, asleep, polled], 0, NOW, LEASE).due_at == second(40)
    assert classify_step([polled], 0, NOW, LEASE).due_at is None
    # Workers see it as soon as it may be done; and what has no lease does not lapse.
    polled_later = replace(polled, wake_at=second(-30))
    unleased = replace(NEW, key=AttemptKey(1, 3, 1), status=AttemptStatus.INPROGRESS)
    assert classify_step([polled_later, unleased], 0, NOW, LEASE).due_at is None
    assert classify_step([held, polled_later, unleased], 0, NOW, LEASE).due_at == second(50)


def test_a_step_of_no_jobs_is_settled() -> None:
    assert classify_step([], 0, NOW, LEASE).is_settled


extras = st.dictionaries(st.text(max_size=3), st.integers())


@given(extras, st.lists(extras))
def test_merging_loses_no_key_and_the_last_writer_wins(
    first: dict[str, int], results: list[dict[str, int]]
) -> None:
    merged = merge_extras(first, list(results))
    layers = [first, *results]
    assert set(merged) == {key for layer in layers for key in layer}
    for key, value in merged.items():
        assert value == next(layer[key] for layer in reversed(layers) if key in layer)


@given(st.integers(1, 9999), st.integers(0, 999_999), st.integers(1, 9999))
def test_keys_and_ids_of_attempts_can_be_read_back(step: int, job: int, number: int) -> None:
    key = AttemptKey(step, job, number)
    assert AttemptKey.parse(str(key)) == key
    attempt = replace(NEW, request_id="a.b-c", key=key)
    assert parse_attempt_id(attempt.attempt_id) == ("a.b-c", key)


keys = st.builds(AttemptKey, st.integers(1, 100), st.integers(0, 10_000), st.integers(1, 200))


@given(keys, keys)
def test_text_order_of_keys_is_their_order(one: AttemptKey, other: AttemptKey) -> None:
    assert (str(one) < str(other)) == (one < other)
