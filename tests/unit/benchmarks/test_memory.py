"""A wide step is settled in little memory."""

from __future__ import annotations

import sys

import pytest

from benchmarks.memory import BUDGET_MB, RESULT_BYTES, peak_mb


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's own peak")
def test_ten_times_the_results_take_little_more_memory() -> None:
    narrow, wide = peak_mb(1_000, RESULT_BYTES), peak_mb(10_000, RESULT_BYTES)
    assert 10 < narrow < wide < narrow + 30
    assert wide < BUDGET_MB
