"""When a step has come to a stall, for how long it is held back, and when its request fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Stall
from shiftwork_core.domain.requests.stalls import (
    MAX_ROUNDS,
    MAX_ROUNDS_OF_AWS,
    LastRound,
    error_of,
    failure_of,
    is_of_aws,
    last_round,
    stall_from_text,
    stall_of,
    stall_to_text,
    told,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = JobError("Runtime.ImportModuleError", "No module named 'gone'")
THROTTLED = JobError("Lambda.TooManyRequestsException", "Rate exceeded")


def stall(rounds: int, error: JobError | None = None) -> Stall:
    return Stall(rounds, "0.1.0", NOW, error)


def test_a_first_round_is_no_stall() -> None:
    assert stall_of(None, LastRound(), "0.1.0", NOW) is None


def test_a_round_in_which_something_began_is_no_stall() -> None:
    assert stall_of(stall(3), LastRound(20, "0.1.0"), "0.1.1", NOW) is None


def test_a_round_in_which_nothing_began_is_one() -> None:
    first = stall_of(None, LastRound(20, "0.1.0"), "0.1.0", NOW)
    assert first == Stall(1, "0.1.0", NOW + timedelta(seconds=2))


def test_a_fresh_execution_goes_on_where_the_one_before_it_was() -> None:
    second = stall_of(stall(1, ERROR), LastRound(), "0.1.0", NOW)
    assert second == Stall(2, "0.1.0", NOW + timedelta(seconds=4), ERROR)


@pytest.mark.parametrize("last", [LastRound(), LastRound(20, "0.1.0")], ids=["fresh", "repeated"])
def test_no_round_is_counted_before_its_batch_was_due(last: LastRound) -> None:
    """The reply of AdvanceRequest was lost, or another execution came while one holds back."""
    waiting = Stall(1, "0.1.0", NOW + timedelta(milliseconds=1), ERROR)
    assert stall_of(waiting, last, "0.1.0", NOW) == waiting


@pytest.mark.parametrize("known", [None, ERROR])
def test_what_a_batch_died_of_is_kept_though_another_execution_has_counted_the_round(
    known: JobError | None,
) -> None:
    """That one was fresh, and brought no error back."""
    counted = Stall(1, "0.1.0", NOW + timedelta(seconds=2), known)
    found = stall_of(counted, LastRound(20, "0.1.0", THROTTLED), "0.1.0", NOW)
    assert found == replace(counted, error=THROTTLED)


def test_an_execution_that_comes_back_counts_its_first_round_at_once() -> None:
    noted = Stall(0, "0.1.0", NOW + timedelta(seconds=60))
    assert stall_of(noted, LastRound(), "0.1.0", NOW) == noted
    first = stall_of(noted, LastRound(20, "0.1.0"), "0.1.0", NOW)
    assert first == Stall(1, "0.1.0", NOW + timedelta(seconds=2))


def test_the_last_error_counts() -> None:
    later = stall_of(stall(1, ERROR), LastRound(20, "0.1.0", THROTTLED), "0.1.0", NOW)
    assert later is not None
    assert later.error == THROTTLED


def test_the_waits_double_up_to_five_minutes() -> None:
    def wait_s(rounds: int) -> float:
        found = stall_of(stall(rounds - 1), LastRound(), "0.1.0", NOW)
        assert found is not None
        return (found.next_at - NOW).total_seconds()

    assert [wait_s(rounds) for rounds in (1, 2, 3, 7, 8, 9, 10_000)] == [
        *(2, 4, 8, 128, 256, 300, 300)
    ]


@pytest.mark.parametrize(
    ("error", "most"),
    [
        (ERROR, MAX_ROUNDS),
        (None, MAX_ROUNDS),
        (THROTTLED, MAX_ROUNDS_OF_AWS),
        (JobError("Unavailable", "no answer"), MAX_ROUNDS_OF_AWS),
    ],
    ids=["an error of ours", "none known", "Lambda", "a store"],
)
def test_a_request_fails_by_its_stall_after_a_bound(error: JobError | None, most: int) -> None:
    assert failure_of(stall(most - 1, error), 1) is None
    failure = failure_of(stall(most, error), 1)
    assert failure is not None
    assert failure.step == 1
    assert failure.type == (error.type if error else "BatchesDied")
    assert failure.message.startswith(f"in {most} rounds its batches died before they claimed")


@pytest.mark.parametrize(
    "error",
    [
        "Throttled",
        "Unavailable",
        "Lambda.TooManyRequestsException",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
    ],
)
def test_an_error_of_aws_that_passes_is_no_fault_of_the_request(error: str) -> None:
    assert is_of_aws(error)


def test_an_error_of_a_batch_is_not_of_aws() -> None:
    assert not is_of_aws("Runtime.ImportModuleError")


def test_an_explanation_names_the_error_and_the_next_try() -> None:
    assert told(stall(3, ERROR)) == (
        "in 3 rounds its batches died before they claimed a job, the last of "
        "Runtime.ImportModuleError: No module named 'gone'. "
        "One is tried at 2026-01-01T00:00:00.000Z."
    )
    assert told(stall(1)) == (
        "in 1 round its batches died before they claimed a job. "
        "One is tried at 2026-01-01T00:00:00.000Z."
    )


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ('{"errorMessage": "it broke", "errorType": "Oops", "stackTrace": ["x"]}', "it broke"),
        ("Rate exceeded", "Rate exceeded"),
        ('["no object"]', '["no object"]'),
        ("{}", "{}"),
        ("", "Oops"),
    ],
)
def test_an_error_is_told_without_its_stack_trace(cause: str, message: str) -> None:
    assert error_of("Oops", cause) == JobError("Oops", message)


def test_what_the_machine_brings_back_is_read_from_its_state() -> None:
    state = {"events": 20, "progress": "0.1.0", "died": {"Error": "Oops", "Cause": "it broke"}}
    assert last_round(state) == LastRound(20, "0.1.0", JobError("Oops", "it broke"))
    assert last_round({"request_id": "r", "execution": 1, "events": 0}) == LastRound()


@pytest.mark.parametrize("kept", [stall(0), stall(3, ERROR)], ids=repr)
def test_a_row_keeps_a_stall_as_it_is(kept: Stall) -> None:
    assert stall_from_text(stall_to_text(kept)) == kept
