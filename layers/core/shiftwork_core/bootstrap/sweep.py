"""Build the sweeper."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import requests, workers, world

if TYPE_CHECKING:
    from shiftwork_core.services.sweep import Sweeper


@cache
def sweeper() -> Sweeper:
    """Return the sweeper: it finds what is due and sets it going again."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.ports.stores import Lane
    from shiftwork_core.services.requests.overdue import DueRequests, DueWakeUps
    from shiftwork_core.services.sweep import Sweep, Sweeper, SweepHost

    def requests_of(lane: Lane) -> DueRequests:
        advancer, executions = requests.advancer(), requests.executions()
        return DueRequests(lane, requests.records(), advancer, executions, world.runtime())

    return Sweeper(
        {
            Sweep.NEW_REQUESTS: requests_of(Lane.NEW),
            Sweep.INPROGRESS_REQUESTS: requests_of(Lane.INPROGRESS),
            Sweep.JOBS: DueWakeUps(requests.records(), world.wake_queue(), world.now),
            Sweep.WORKERS: workers.reaper(),
        },
        SweepHost(side_by_side, world.now, random.random, _count_finds),
    )


def _count_finds(counts: dict[str, int]) -> None:
    from shiftwork_core.domain.metrics.cloudwatch import Metric
    from shiftwork_core.telemetry import count_outcomes

    count_outcomes(counts, {"put off": Metric.FINDS_PUT_OFF})
