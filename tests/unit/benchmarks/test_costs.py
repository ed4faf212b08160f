"""What a million jobs cost, from counts and prices."""

import pytest

from benchmarks.costs import (
    Invocations,
    Usage,
    cost_of_a_million,
    gb_s,
    read_prices,
    width_within,
)


def test_three_writes_a_job_cost_what_the_reference_says() -> None:
    usage = Usage(jobs=1000, dynamodb_write_units=3000)

    assert sum(cost_of_a_million(usage).values()) == pytest.approx(1.875)


def test_seven_transitions_a_job_cost_nearly_all_of_the_naive_machine() -> None:
    prices = read_prices()
    usage = Usage(jobs=10, state_transitions=70)

    cost = sum(cost_of_a_million(usage).values())

    assert cost == pytest.approx(175)
    assert cost < prices["naive_machine_usd_per_million_jobs"]


def test_a_call_takes_longer_with_a_smaller_share_of_a_processor() -> None:
    whole = gb_s(Invocations(times=0, calls=1000, memory_mb=1769))
    half = gb_s(Invocations(times=0, calls=1000, memory_mb=1769 // 2))

    assert whole == pytest.approx(0.335 * 1769 / 1024)
    assert half == pytest.approx(whole)  # Twice the time, half the memory.


def test_the_width_that_holds_a_budget_follows_from_two_widths() -> None:
    def cost(width: int) -> float:
        return 2 + 100 / width

    width = width_within(3, (50, cost(50)), (1000, cost(1000)))

    assert width == pytest.approx(100)


def test_no_width_is_enough_where_a_job_alone_costs_too_much() -> None:
    assert width_within(3, (50, 6), (1000, 4)) == float("inf")
