"""A function's one logger, and the metrics of what it does.

The core logs through children of the standard logger `shiftwork`, which Powertools formats. What
happened to requests and jobs is not counted here: see `cloudwatch.py`.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from aws_lambda_powertools import Logger, Metrics

from shiftwork_core.domain.metrics.cloudwatch import NAMESPACE, STAGE, Metric
from shiftwork_core.errors import Refusal, Transient
from shiftwork_core.settings import stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shiftwork_core.routes import Route

Outcome = TypeVar("Outcome", bound=str)

# Text of callbacks and workers may hold what UTF-8 cannot write, and is logged all the same.
with suppress(AttributeError):  # A test may have put anything in its place.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
logger = Logger(service="shiftwork")
#: Without a service it has no dimensions but ours.
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(**{STAGE: stage()})
# A batch that did all its jobs has nothing to count, and Powertools would warn of that.
warnings.filterwarnings("ignore", "No application metrics to publish")


def count(metric: Metric, number: int = 1) -> None:
    """Add to a metric; it is written when the call ends."""
    metrics.add_metric(name=metric.value, unit=metric.unit, value=number)


def count_outcomes(
    outcomes: Mapping[Outcome, int], metrics_by_outcome: Mapping[Outcome, Metric]
) -> None:
    """Add to the metric of each outcome that has one and has occurred."""
    for outcome, metric in metrics_by_outcome.items():
        if outcomes.get(outcome):
            count(metric, outcomes[outcome])


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
    if status >= 500:
        count(Metric.CALLS_FAILED)
    else:
        count(Metric.CALLS_REFUSED if status >= 400 else Metric.CALLS_ANSWERED)
