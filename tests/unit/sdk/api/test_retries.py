"""How long the SDK waits after failures, and which errors may pass."""

from __future__ import annotations

import pytest

from shiftwork.api import retries
from shiftwork.api.errors import ApiError, Unreachable


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(1, 0.2), (2, 0.4), (3, 0.8), (7, 12.8), (8, 15.0), (5000, 15.0)]
)
def test_the_wait_doubles_up_to_the_longest(
    failures: int, longest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shiftwork.api.retries.random.uniform", lambda least, most: most)
    assert retries.backoff_s(failures, longest_s=15.0) == pytest.approx(longest_s)


def test_chance_decides_between_the_least_part_of_the_wait_and_the_whole() -> None:
    waits = [retries.backoff_s(3, longest_s=15.0, least=0.5) for _ in range(100)]
    assert 0.4 <= min(waits) < 0.6 < max(waits) <= 0.8


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
def test_an_error_that_may_pass_is_transient(status: int) -> None:
    assert retries.is_transient(ApiError(status, "down"))
    assert retries.is_transient(Unreachable("http://api.test", "refused", is_sent=False))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_is_not_transient(status: int) -> None:
    assert not retries.is_transient(ApiError(status, "refused"))
