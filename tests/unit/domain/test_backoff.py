"""Delays that double with each attempt."""

from __future__ import annotations

import math

import pytest

from shiftwork_core.domain.backoff import doubled


@pytest.mark.parametrize(("attempts", "delay_s"), [(1, 3.0), (2, 6.0), (3, 12.0), (11, 3072.0)])
def test_the_first_delay_doubles_with_each_attempt(attempts: int, delay_s: float) -> None:
    assert doubled(3.0, attempts) == delay_s


def test_a_million_attempts_still_make_a_finite_delay() -> None:
    assert math.isfinite(doubled(3.0, 10**6))
