"""Plans of requests, as the API answers them."""

from __future__ import annotations

from typing import Any

from shiftwork.api.shapes import Notice, RequestPlan


def notice(message: str = "the step would have too many rows", **given: Any) -> Notice:
    view: dict[str, Any] = {
        "level": "refusal",
        "step": "analyse",
        "job": "document",
        "quota": "rows_per_step",
        "figure": 12_000.0,
        "bound": 10_000.0,
        "message": message,
        "change": "give 'document' block: 10",
    }
    return view | given  # type: ignore[return-value]


def request_plan(name: str, **given: Any) -> RequestPlan:
    view: dict[str, Any] = {
        "type": name,
        "version": 3,
        "items": 12_000,
        "jobs": 12_000,
        "rows": 12_000,
        "write_units": 36_086.0,
        "read_units": 1_512.5,
        "transitions": 6,
        "busiest_write_units": 1_000.0,
        "busiest_write_units_bound": 1_000,
        "history_events": 40,
        "history_events_bound": 25_000,
        "invocations": 124,
        "seconds": 83.25,
        "usd": {"dynamodb_write_units": 0.0226, "lambda_time": 0.0011, "logs": 0.00005},
        "total_usd": 0.02375,
        "steps": [
            {
                "name": "analyse-every-document",
                "jobs": 12_000,
                "rows": 12_000,
                "batches": 120,
                "way": "wide",
                "at_once": 120,
                "write_units": 36_072.0,
                "read_units": 1_500.0,
                "transitions": 3,
                "busiest_write_units": 1_000.0,
                "seconds": 82.5,
            }
        ],
        "notices": [],
        "limits": [],
    }
    return view | given  # type: ignore[return-value]
