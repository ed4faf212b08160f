"""RetryJobs: run jobs whose back-off is over, and start requests whose start time has come."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.record_batches import BatchAnswer, handle_each
from shiftwork_core.telemetry import logger


def act_on(record: dict[str, Any]) -> None:
    """Do what one message asks; doing it twice does no harm."""
    message = json.loads(record["body"])
    if "jobs" in message:
        bootstrap.world.batch_invoker().invoke(message["request_id"], message["jobs"])
    else:
        bootstrap.requests.executions().start_in_time(message["request_id"])


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> BatchAnswer:
    """Act on every message of the batch, and answer which ones to deliver again."""
    logger.info("woken", extra={"messages": len(event["Records"])})
    return handle_each(event["Records"], act_on)
