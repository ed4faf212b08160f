"""Build the reader of gauges, for `GET /metrics` and for what is measured each minute."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import stores, watch, world

if TYPE_CHECKING:
    from shiftwork_core.services.metrics.gauges import GaugeReader


@cache
def reader() -> GaugeReader:
    """Return the reader of gauges. A function that knows no dead-letter queue measures none."""
    from shiftwork_core.adapters.aws.dead_letters import SqsDeadLetters
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.metrics.gauges import GaugeReader, Sources

    settings = world.settings()
    urls = {"wake": settings.wake_dlq_url, "switch": settings.switch_dlq_url}
    known = {name: url for name, url in urls.items() if url}
    sources = Sources(
        definitions=stores.definitions(),
        requests=stores.requests(),
        jobs=stores.jobs(),
        workers=stores.workers(),
        lifecycle_jobs=stores.lifecycle_jobs(),
        counters=stores.counters(),
        dead_letters=SqsDeadLetters(lambda: world.client("sqs"), known),
    )
    return GaugeReader(sources, watch.liveness(), world.now, side_by_side)
