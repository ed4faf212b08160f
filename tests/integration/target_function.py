"""The function that jobs of the tests' job type `probe.lambda` call."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Fail as often as the params say, then return the input."""
    if event["attempt"] <= event["params"].get("failures", 0):
        raise RuntimeError(f"down at attempt {event['attempt']}")
    return {event["job"]: event}
