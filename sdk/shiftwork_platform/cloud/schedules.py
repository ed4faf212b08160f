"""Schedules: each calls a sweep at its rate."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.services.sweep import Sweep
from shiftwork_platform.cloud.functions import FunctionError

if TYPE_CHECKING:
    from shiftwork_platform.cloud.cloud import Cloud

#: Seconds, as template.yaml has them.
PERIOD_S = {
    Sweep.JOBS: 900.0,
    Sweep.NEW_REQUESTS: 300.0,
    Sweep.INPROGRESS_REQUESTS: 60.0,
    Sweep.WORKERS: 60.0,
}


def spawn(cloud: Cloud) -> None:
    """Add a schedule for each sweep."""
    for sweep, period_s in PERIOD_S.items():
        cloud.hub.spawn(f"schedule of {sweep}", partial(_tick, cloud, sweep, period_s))


def _tick(cloud: Cloud, sweep: Sweep, period_s: float) -> None:
    while True:
        cloud.hub.sleep(period_s)
        cloud.hub.spawn(f"sweep of {sweep}", partial(run_sweep, cloud, sweep))


def run_sweep(cloud: Cloud, sweep: Sweep) -> None:
    """Call a sweep once; if it cannot be called, the schedule's next call does it."""
    with suppress(FunctionError):
        cloud.functions.call("sweep", {"sweep": sweep.value})
