"""The figures that `shiftwork verify` compares, each with what is expected and a tolerance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Drawn by tools/draw_expected.py from the counts of the benchmarks, with which the quota model
#: agrees.
EXPECTED = Path(__file__).with_name("expected.json")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, and its tolerance.

    Attributes
    ----------
    key
        Its name in `expected.json` and in what a source counts.
    title
        What is counted, with its unit.
    tolerance
        The share of what is expected by which it may differ.
    slack
        By how much more it may differ.
    why
        What makes it differ.
    """

    key: str
    title: str
    tolerance: float
    slack: float
    why: str

    def holds(self, expected: float, found: float) -> bool:
        """Whether what was found is near enough to what is expected."""
        return abs(found - expected) <= expected * self.tolerance + self.slack

    @property
    def allowed(self) -> str:
        """Return the tolerance in words."""
        more = f" and {self.slack:g}" if self.slack else ""
        return f"{self.tolerance:.0%}{more}: {self.why}"


FIGURES = (
    Figure(
        "job_write_units",
        "write units a job, jobs table",
        0.15,
        0.0,
        "attempts that a busy machine makes twice",
    ),
    Figure(
        "request_write_units",
        "write units a request, requests table",
        0.5,
        15.0,
        "a heartbeat a minute, leases that are renewed",
    ),
    Figure(
        "read_units",
        "read units a job, tables of requests, payloads and jobs",
        1.0,
        0.1,
        "a step that takes longer is looked at more often",
    ),
    Figure(
        "invocations",
        "Lambda invocations a request",
        0.5,
        2.0,
        "calls that Lambda throttles are sent again",
    ),
    Figure("transitions", "state transitions a request", 0.25, 0.0, "retries are transitions"),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a step of so many jobs, and when that was measured."""

    jobs: int
    batch_size: int
    measured_at: str
    figures: Mapping[str, float]


def read_expected() -> Expected:
    """Read the file that the package has."""
    loaded: dict[str, Any] = json.loads(EXPECTED.read_text())
    return Expected(**loaded)
