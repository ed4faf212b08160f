"""ScheduleWorkspaces: plan the lifecycle jobs of the workspaces that are due."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.domain.metrics.cloudwatch import Metric
from shiftwork_core.telemetry import count, logger, metrics


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, str], context: LambdaContext) -> dict[str, int]:
    """Check the workspaces that are due; return how many there were."""
    looked_at = bootstrap.workspaces.scheduler().tick()
    logger.info("scheduled", extra={"looked_at": looked_at})
    count(Metric.WORKSPACES_SEEN, looked_at)
    return {"looked_at": looked_at}
