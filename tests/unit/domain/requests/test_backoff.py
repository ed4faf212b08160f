"""Back-off: the growth, the cap and the jitter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.requests.backoff import Backoff, Jitter, RetryPolicy
from shiftwork_core.domain.requests.outcomes import (
    Completed,
    Failed,
    JobError,
    Retryable,
    RetryIn,
    judge,
)


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff.FIXED, [2, 2, 2, 2, 2]),
        (Backoff.LINEAR, [2, 4, 6, 8, 9]),
        (Backoff.EXPONENTIAL, [2, 4, 8, 9, 9]),
    ],
)
def test_the_delay_grows_by_its_kind_up_to_the_cap(backoff: Backoff, delays: list[float]) -> None:
    policy = RetryPolicy(backoff=backoff, delay_s=2, max_delay_s=9, jitter=Jitter.NONE)
    assert [policy.delay_after(tries, lambda: 0.0) for tries in range(1, 6)] == delays


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.sampled_from(Backoff))
def test_full_jitter_draws_from_zero_to_the_delay(tries: int, draw: float, kind: Backoff) -> None:
    policy = RetryPolicy(backoff=kind)
    full = RetryPolicy(backoff=kind, jitter=Jitter.NONE).delay_after(tries, lambda: draw)
    assert policy.delay_after(tries, lambda: draw) == full * draw <= policy.max_delay_s


ERROR = JobError("Retry", "down")
POLICY = RetryPolicy(max_attempts=2, delay_s=4, jitter=Jitter.NONE)


@pytest.mark.parametrize(
    ("outcome", "tries", "verdict"),
    [
        (Completed({}), 2, Completed({})),
        (Failed(ERROR), 1, Failed(ERROR)),
        (Retryable(ERROR), 1, RetryIn(ERROR, 4)),
        (Retryable(ERROR, delay_s=90), 1, RetryIn(ERROR, 90)),
        (Retryable(ERROR, delay_s=-1), 1, RetryIn(ERROR, 0)),
        (Retryable(ERROR), 2, Failed(JobError("Retry", "down (gave up after 2 attempts)"))),
    ],
)
def test_a_recoverable_error_is_retried_until_the_attempts_run_out(
    outcome: Completed | Failed | Retryable, tries: int, verdict: object
) -> None:
    assert judge(outcome, tries, POLICY, lambda: 0.5) == verdict


def test_the_last_attempt_of_a_retry_says_that_those_before_do_not_count() -> None:
    verdict = judge(Retryable(ERROR), 2, POLICY, lambda: 0.5, is_retried=True)
    assert verdict == Failed(JobError("Retry", "down (gave up after 2 attempts since the retry)"))
