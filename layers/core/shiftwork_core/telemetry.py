"""A function's one logger, and its metrics of business outcomes.

The core logs through children of the standard logger `shiftwork`, which Powertools formats.
Metrics are business outcomes in EMF, with no dimension but the service: ids belong in the logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics

from shiftwork_core.errors import Refusal, Transient

if TYPE_CHECKING:
    from shiftwork_core.routes import Route

logger = Logger(service="shiftwork")
metrics = Metrics(namespace="Shiftwork", service="shiftwork")


def count(outcomes: dict[str, int], prefix: str) -> None:
    """Add one metric per outcome: `JobsCompleted` for the prefix `Jobs` and `completed`."""
    for outcome, number in outcomes.items():
        metrics.add_metric(name=f"{prefix}{outcome.title()}", unit="Count", value=number)


def log_error(error: Exception) -> None:
    """Log the error that a call ends with, unless the platform refused the call on purpose."""
    if isinstance(error, Transient):
        logger.warning("a service failed", exc_info=error)
    elif not isinstance(error, Refusal):
        logger.error("unexpected error", exc_info=error)


def report_call(method: str, route: Route | None, status: int) -> None:
    """Log an answered HTTP call, by its route and never its path, and count it by its outcome."""
    logger.info(
        "answered",
        extra={"method": method, "route": route.path if route else None, "status": status},
    )
    outcome = "Failed" if status >= 500 else "Refused" if status >= 400 else "Answered"
    metrics.add_metric(name=f"Calls{outcome}", unit="Count", value=1)
