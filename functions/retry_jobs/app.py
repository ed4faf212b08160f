"""RetryJobs: run jobs whose back-off is over, and start requests whose start time has come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.wake_ups import jobs_of, together
from shiftwork_core.record_batches import BatchAnswer, handle_groups
from shiftwork_core.telemetry import logger


def act_on(records: Sequence[dict[str, Any]]) -> None:
    """Do what messages ask that belong together; doing it twice does no harm."""
    messages: list[JsonObject] = [json.loads(record["body"]) for record in records]
    request_id = messages[0]["request_id"]
    if "jobs" in messages[0]:
        bootstrap.world.batch_invoker().invoke(request_id, jobs_of(messages))
    else:
        bootstrap.requests.executions().start_in_time(request_id)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> BatchAnswer:
    """Act on every message of the batch, and answer which ones to deliver again."""
    records = event["Records"]
    logger.info("woken", extra={"messages": len(records)})
    return handle_groups(together((record, _read(record)) for record in records), act_on)


def _read(record: dict[str, Any]) -> JsonObject:
    """Return the message; an empty one if it cannot be read, which stays alone, and fails so."""
    try:
        message = json.loads(record["body"])
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
