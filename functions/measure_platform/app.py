"""MeasurePlatform: measure each minute what waits and who works; go on with a rebuild."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.telemetry import logger, metrics

#: A rebuild goes on in the next minute when less than this is left of the function's time.
_RESERVE_MS = 15_000


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Send the beats that show how far the counters are, and go on with a rebuild."""
    bootstrap.metrics.send_beats()
    is_over = bootstrap.metrics.rebuilder().advance(
        lambda: context.get_remaining_time_in_millis() > _RESERVE_MS
    )
    logger.info("measured", extra={"is_rebuild_over": is_over})
