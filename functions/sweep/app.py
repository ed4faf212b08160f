"""Sweep: find requests, jobs and workers that are due, and set them going again."""

from __future__ import annotations

from datetime import timedelta

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.services.sweep import Sweep
from shiftwork_core.telemetry import count, logger, metrics


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, str], context: LambdaContext) -> dict[str, int]:
    """Run the sweep that the schedule names; answer how many finds it acted on."""
    sweep = Sweep(event["sweep"])
    remaining = timedelta(milliseconds=context.get_remaining_time_in_millis())
    acted = bootstrap.sweep.sweeper().sweep(sweep, remaining)
    logger.info("swept", extra={"sweep": sweep.value, "acted": acted})
    count(Metric.SWEEP_FINDS, acted)
    if acted:
        bootstrap.metrics.count_finds(sweep.value, acted)
    return {"acted": acted}
