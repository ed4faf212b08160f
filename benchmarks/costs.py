"""Compute what a million jobs cost in the control plane, from counts and list prices."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftwork_core.domain import prices as aws

PRICES = Path(__file__).with_name("prices.json")
MILLION = aws.MILLION
BUDGET_USD = 3.00


@dataclass(frozen=True, slots=True)
class Invocations:
    """How often a function was invoked, the calls to AWS it made, and its memory."""

    times: int
    calls: int
    memory_mb: int


@dataclass(slots=True)
class Usage:
    """What some requests used, in the units of the price list.

    Attributes
    ----------
    jobs
        How many jobs were tracked.
    functions
        The invocations of each function.
    express_requests
        Express children of distributed Maps; each lasts as long as its one invocation of RunJobs.
    waits
        How often AdvanceRequest waited for RunJobs, whose batches of a step run side by side.
    log_bytes
        What the functions logged, including the platform's own lines.
    """

    jobs: int
    state_transitions: int = 0
    express_requests: int = 0
    dynamodb_write_units: float = 0.0
    dynamodb_read_units: float = 0.0
    sqs_requests: int = 0
    http_api_requests: int = 0
    s3_puts: int = 0
    s3_gets: int = 0
    waits: int = 0
    log_bytes: int = 0
    functions: dict[str, Invocations] = field(default_factory=dict)

    @property
    def lambda_requests(self) -> int:
        """Return the number of all invocations."""
        return sum(f.times for f in self.functions.values())


def read_prices() -> dict[str, Any]:
    """Return the product's prices, and those that only benchmarks need."""
    prices: dict[str, Any] = json.loads(PRICES.read_text())
    return {
        **prices,
        "usd_per_million": dict(aws.USD_PER_MILLION),
        "usd_per_lambda_gb_s": aws.USD_PER_LAMBDA_GB_S,
        "usd_per_log_gb": aws.USD_PER_LOG_GB,
        "lambda_time": {
            "base_ms": aws.BASE_MS,
            "cpu_ms_per_call": aws.CPU_MS_PER_CALL,
            "mb_per_vcpu": aws.MB_PER_VCPU,
        },
    }


def seconds_of(invocations: Invocations) -> float:
    """Return how long a function's invocations take, as the product's prices assume it."""
    return aws.invocations_s(invocations.times, invocations.calls, invocations.memory_mb)


def gb_s(invocations: Invocations) -> float:
    """Return the memory-seconds of a function's invocations."""
    return seconds_of(invocations) * invocations.memory_mb / 1024


def cost_of_a_million(usage: Usage) -> dict[str, float]:
    """Return what a million such jobs cost, in dollars by kind of use."""
    memory_seconds = sum(map(gb_s, usage.functions.values()))
    if usage.waits:
        run_jobs = usage.functions["RunJobsFunction"]
        waited_s = usage.waits * seconds_of(run_jobs) / run_jobs.times
        memory_seconds += waited_s * usage.functions["AdvanceRequestFunction"].memory_mb / 1024
    costs = aws.usd_of(
        {kind: getattr(usage, kind) for kind in aws.USD_PER_MILLION},
        lambda_gb_s=memory_seconds,
        express_s=seconds_of(usage.functions["RunJobsFunction"]) if usage.express_requests else 0.0,
        log_bytes=usage.log_bytes,
    )
    return {name: cost * MILLION / usage.jobs for name, cost in costs.items()}


def width_within(budget: float, narrow: tuple[int, float], wide: tuple[int, float]) -> float:
    """Return the width of a step from which a million jobs cost at most `budget`.

    A step costs a fixed sum and a sum for each job, so that a job's cost falls as `a + b / width`:
    two measured widths, `(width, cost)`, determine both. Infinite if no width is enough.
    """
    (narrow_width, narrow_cost), (wide_width, wide_cost) = narrow, wide
    b = (narrow_cost - wide_cost) / (1 / narrow_width - 1 / wide_width)
    a = wide_cost - b / wide_width
    return b / (budget - a) if budget > a else float("inf")
