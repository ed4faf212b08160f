"""The one logger and the one set of metrics of a function.

The core logs through children of the standard logger `shiftwork`, which Powertools formats.
Metrics are business outcomes in EMF, with no dimension but the service: ids belong in the logs.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics

logger = Logger(service="shiftwork")
metrics = Metrics(namespace="Shiftwork", service="shiftwork")


def count(outcomes: dict[str, int], prefix: str) -> None:
    """Add one metric an outcome: `JobsCompleted` for the prefix `Jobs` and `completed`."""
    for outcome, number in outcomes.items():
        metrics.add_metric(name=f"{prefix}{outcome.title()}", unit="Count", value=number)
