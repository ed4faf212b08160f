"""Compute what a million jobs cost in the control plane, from counts and prices.json."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PRICES = Path(__file__).with_name("prices.json")
MILLION = 1_000_000
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
    """Return the price file."""
    prices: dict[str, Any] = json.loads(PRICES.read_text())
    return prices


def total_ms(invocations: Invocations, prices: dict[str, Any]) -> float:
    """Return how long a function's invocations take; see `assumption` in the price file."""
    time = prices["lambda_time"]
    share = min(1.0, invocations.memory_mb / time["mb_per_vcpu"])
    cpu_ms = invocations.calls * time["cpu_ms_per_call"] / share
    return float(invocations.times * time["base_ms"] + cpu_ms)


def gb_s(invocations: Invocations, prices: dict[str, Any]) -> float:
    """Return the memory-seconds of a function's invocations."""
    return total_ms(invocations, prices) / 1000 * invocations.memory_mb / 1024


def cost_of_a_million(usage: Usage, prices: dict[str, Any]) -> dict[str, float]:
    """Return what a million such jobs cost, in dollars by kind of use."""
    costs = {
        name: getattr(usage, name) / MILLION * usd
        for name, usd in prices["usd_per_million"].items()
    }
    memory_seconds = sum(gb_s(f, prices) for f in usage.functions.values())
    if usage.waits:
        run_jobs = usage.functions["RunJobsFunction"]
        waited_s = usage.waits * total_ms(run_jobs, prices) / run_jobs.times / 1000
        memory_seconds += waited_s * usage.functions["AdvanceRequestFunction"].memory_mb / 1024
    costs["lambda_time"] = memory_seconds * prices["usd_per_lambda_gb_s"]
    if usage.express_requests:
        express_s = total_ms(usage.functions["RunJobsFunction"], prices) / 1000
        express_gb_s = express_s * prices["express_memory_mb"] / 1024
        costs["express_time"] = express_gb_s * prices["usd_per_express_gb_s"]
    costs["logs"] = usage.log_bytes / 1e9 * prices["usd_per_log_gb"]
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
