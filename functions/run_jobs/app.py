"""RunJobs: run one batch of jobs side by side."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import registering  # noqa: F401  (registers every callback of this deployment)
from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.left_threads import ended_with_the_call
from shiftwork_core.services.requests.held import name_of
from shiftwork_core.telemetry import count_outcomes, logger, metrics

#: The jobs that a batch did not do. What it did is counted from the rows that it wrote.
_METRICS = {
    "discarded": Metric.JOBS_DISCARDED,
    "held": Metric.JOBS_HELD,
    "settled": Metric.JOBS_SETTLED,
    "untouched": Metric.JOBS_UNTOUCHED,
}


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:
    """Run the batch; answer whether some of its jobs are still out."""
    # For this thread and those of the batch, which copy its keys: one may write after this call.
    logger.thread_safe_append_keys(
        request_id=event["request_id"], function_request_id=context.aws_request_id
    )
    with ended_with_the_call(context, partial(name_of, event["request_id"])):
        answer: dict[str, bool] = _run(event, context)
    return answer


@metrics.log_metrics
def _run(event: dict[str, Any], context: LambdaContext) -> dict[str, bool]:
    has_ms = context.get_remaining_time_in_millis()
    # Whoever calls may wait for less time than this process has.
    remaining = timedelta(seconds=min(has_ms / 1000, event.get("within_s", math.inf)))
    report = bootstrap.requests.batch_runner().run(
        event["request_id"], event["jobs"], remaining, is_called=event.get("is_called", False)
    )
    logger.info("batch done", extra={"counts": report.counts})
    count_outcomes(report.counts, _METRICS)
    return {"is_waiting": report.is_waiting}
