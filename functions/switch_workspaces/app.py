"""SwitchWorkspaces: execute lifecycle jobs that are due, and send the wake-ups of new ones."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.left_threads import ended_with_the_call
from shiftwork_core.record_batches import handle_each
from shiftwork_core.telemetry import count, logger, metrics


def wake(record: dict[str, Any]) -> None:
    """Execute the job, or check the workspace, that a message names."""
    message = json.loads(record["body"])
    if "workspace" in message:
        bootstrap.workspaces.scheduler().look_at(message["workspace"])
    else:
        bootstrap.workspaces.switcher().run(message["job"], message["due_at"])


def announce(record: dict[str, Any]) -> None:
    """Send the wake-up of a job that was just written."""
    bootstrap.workspaces.switcher().announce(bootstrap.workspaces.new_job_in(record))


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
    return handle_each(records, announce if "dynamodb" in records[0] else wake)
