"""Build the service of the jobs that workers poll for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import requests, stores, watch, world

if TYPE_CHECKING:
    from shiftwork_core.services.polling.tasks import Tasks


@cache
def tasks() -> Tasks:
    """Return the service that workers poll and report to."""
    from shiftwork_core.services.polling.claim import QueueClaimer
    from shiftwork_core.services.polling.lapsed import LapsedAttempts
    from shiftwork_core.services.polling.limits import Limiter
    from shiftwork_core.services.polling.newest_types import NewestTypes
    from shiftwork_core.services.polling.tasks import Tasks

    return Tasks(
        records=requests.records(),
        recorder=requests.recorder(),
        claimer=QueueClaimer(
            records=requests.records(),
            newest=NewestTypes(requests.definitions(), world.now),
            limiter=Limiter(
                stores.jobs(), stores.limits(), requests.recorder(), requests.barrier(), world.now
            ),
            lapsed=LapsedAttempts(
                stores.jobs(), requests.recorder(), requests.barrier(), world.runtime()
            ),
            tally=_count_claims,
            runtime=world.runtime(),
        ),
        barrier=requests.barrier(),
        watch=watch.watch(),
        runtime=world.runtime(),
    )


def _count_claims(counts: dict[str, int]) -> None:
    from shiftwork_core.domain.metrics.cloudwatch import Metric
    from shiftwork_core.telemetry import count_outcomes

    count_outcomes(counts, {"claimed": Metric.TASKS_CLAIMED, "lost": Metric.CLAIMS_LOST})
