"""CountOutcomes: count what the tables' streams report, for operators."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.cloudwatch import report_counts
from shiftwork_core.domain.metrics.counters import Tally
from shiftwork_core.telemetry import logger


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Count a batch of one table's changes. If it fails, the batch is delivered again."""
    table, changes = bootstrap.metrics.changes_of(event["Records"])
    counted: Tally = {}
    try:
        bootstrap.metrics.counter().count(table, changes, counted)
    finally:
        # CloudWatch gets what was counted once, or, if this process dies before, not at all.
        report_counts(counted, bootstrap.world.now(), bootstrap.metrics.type_labels().label)
    extra = {"table": table, "records": len(changes), "counters": len(counted)}
    logger.info("counted", extra=extra)
