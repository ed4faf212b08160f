"""RetryJobs: run jobs whose back-off is over, and start requests whose start time has come."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.telemetry import logger

_processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def act_on(record: SQSRecord) -> None:
    """Do what one message asks; doing it twice does no harm."""
    message = record.json_body
    if "jobs" in message:
        bootstrap.world.batch_invoker().invoke(message["request_id"], message["jobs"])
    else:
        bootstrap.requests.executions().start_now(message["request_id"])


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Act on every message of the batch, and answer which ones to deliver again."""
    logger.info("woken", extra={"messages": len(event["Records"])})
    return process_partial_response(
        event=event, record_handler=act_on, processor=_processor, context=context
    )
