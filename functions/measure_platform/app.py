"""MeasurePlatform: measure each minute what waits and who works; go on with a rebuild."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shiftwork_core import bootstrap
from shiftwork_core.cloudwatch import report_gauges
from shiftwork_core.telemetry import logger

#: A rebuild goes on in the next minute when less than this is left of the function's time.
_RESERVE_MS = 15_000


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Let each stream have a record of now, report the gauges, and go on with a rebuild.

    The invocation fails if any of these does, after it has tried the others: when the counters'
    table is gone, the rest must be seen.
    """

    def rebuild() -> None:
        bootstrap.metrics.rebuilder().advance(
            lambda: context.get_remaining_time_in_millis() > _RESERVE_MS
        )

    failed = [
        error for act in (bootstrap.metrics.send_beats, _measure, rebuild) if (error := _try(act))
    ]
    logger.info("measured", extra={"failed": len(failed)})
    if failed:
        raise failed[0]


def _measure() -> None:
    gauges = bootstrap.gauges.reader().read()
    report_gauges(gauges, bootstrap.metrics.type_labels().label)


def _try(act: Callable[[], None]) -> Exception | None:
    try:
        act()
    except Exception as error:
        logger.exception("cannot be measured")
        return error
    return None
