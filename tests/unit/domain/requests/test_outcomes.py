"""Verdicts on outcomes, and the results that a job may return."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest

from shiftwork_core.domain.requests import outcomes
from shiftwork_core.domain.requests.backoff import RetryPolicy
from shiftwork_core.domain.requests.outcomes import (
    MAX_DELAY_S,
    MAX_MESSAGE_BYTES,
    Completed,
    Failed,
    JobError,
    Retryable,
    completed,
    judge,
)


@pytest.mark.parametrize(("tries", "said"), [(1, "after 1 attempt)"), (2, "after 2 attempts)")])
def test_attempts_that_run_out_are_counted_in_the_message(tries: int, said: str) -> None:
    outcome = Retryable(JobError("Timeout", "too long"))
    verdict = judge(outcome, tries, RetryPolicy(max_attempts=tries), lambda: 0.5)
    assert isinstance(verdict, Failed)
    assert verdict.error.message.endswith(said)


def test_a_result_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"a": "x" * 10}
    monkeypatch.setattr(outcomes, "MAX_RESULT_BYTES", len('{"a":"xxxxxxxxxx"}'))
    assert completed(result) == Completed(result)
    too_large = completed(result | {"b": 1})
    assert isinstance(too_large, Failed)
    assert too_large.error.type == "ResultTooLarge"


@pytest.mark.parametrize("text", ["x" * 10_000, "é" * 5_000, "half a pair \udc80 " * 500])
def test_an_error_can_be_stored_whatever_it_was_made_of(text: str) -> None:
    error = JobError(text, text)
    assert len(error.message.encode()) <= MAX_MESSAGE_BYTES
    assert len(error.type.encode()) <= 200
    assert JobError(**asdict(error)) == error


def test_a_note_is_kept_however_long_the_message_is() -> None:
    outcome = Retryable(JobError("Timeout", "x" * 10_000))
    verdict = judge(outcome, 3, RetryPolicy(max_attempts=3), lambda: 0.5)
    assert isinstance(verdict, Failed)
    assert verdict.error.message.endswith("x… (gave up after 3 attempts)")


@pytest.mark.parametrize(
    ("given", "delay_s"),
    [
        (5, 5.0),
        (-1, 0.0),
        (float("inf"), MAX_DELAY_S),
        (10**30, MAX_DELAY_S),
        (10**400, MAX_DELAY_S),
        (float("nan"), None),
        ("soon", None),
        (None, None),
    ],
)
def test_a_delay_that_anybody_may_give_is_bounded_or_left_to_the_policy(
    given: Any, delay_s: float | None
) -> None:
    assert Retryable(JobError("Retry", ""), given).delay_s == delay_s


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ([], "a job returns a JSON object, not list"),
        (
            {"at": Decimal(1)},
            "the result is not JSON: at: JSON has no Decimal",
        ),
        ({1: 2}, "the result is not JSON: a key is int, and not text"),
        ({"rows": [{1: 2}]}, "the result is not JSON: rows[0]: a key is int, and not text"),
        ({"n": 2**64}, "the result is not JSON: n: the number is out of range"),
    ],
)
def test_a_result_that_is_no_json_fails_at_its_place(result: object, said: str) -> None:
    outcome = completed(result)
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("InvalidResult", said)
