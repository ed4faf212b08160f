"""Verdicts on outcomes, and the results that a job may return."""

from __future__ import annotations

import pytest

from shiftwork_core.domain.requests import outcomes
from shiftwork_core.domain.requests.backoff import RetryPolicy
from shiftwork_core.domain.requests.outcomes import (
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
