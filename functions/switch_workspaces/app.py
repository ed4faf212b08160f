"""SwitchWorkspaces: execute lifecycle jobs that are due, and send the wake-ups of new ones."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.left_threads import ended_with_the_call
from shiftwork_core.telemetry import count, logger, metrics

_messages = BatchProcessor(event_type=EventType.SQS)
_rows = BatchProcessor(event_type=EventType.DynamoDBStreams)


def wake(record: SQSRecord) -> None:
    """Execute the job, or check the workspace, that a message names."""
    message = record.json_body
    if "workspace" in message:
        bootstrap.workspaces.scheduler().look_at(message["workspace"])
    else:
        bootstrap.workspaces.switcher().run(message["job"], message["due_at"])


def announce(record: DynamoDBRecord) -> None:
    """Send the wake-up of a job that was just written."""
    assert record.dynamodb is not None
    bootstrap.workspaces.switcher().announce(record.dynamodb.keys["id"])


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Execute what is due, or handle the records of the event."""
    # A driver may hang: one that went on in another call could switch its target much too late.
    with ended_with_the_call(context):
        return _handle(event, context)


@metrics.log_metrics
def _handle(event: dict[str, Any], context: LambdaContext) -> Any:
    records = event.get("Records")
    if records is None:
        executed = bootstrap.workspaces.switcher().tick()
        logger.info("switched", extra={"executed": executed})
        count(Metric.SWITCHES_CLAIMED, executed)
        return {"executed": executed}
    logger.info("woken", extra={"records": len(records)})
    is_stream = "dynamodb" in records[0]
    return process_partial_response(
        event=event,
        record_handler=announce if is_stream else wake,
        processor=_rows if is_stream else _messages,
        context=context,
    )
