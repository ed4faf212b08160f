"""The sweeps."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import requests, stores, workers, world

if TYPE_CHECKING:
    from shiftwork_core.services.sweep import Sweeper


@cache
def sweeper() -> Sweeper:
    """Return what sweeps."""
    from shiftwork_core.services.sweep import Sweeper

    return Sweeper(
        store=stores.requests(),
        jobs=stores.jobs(),
        advancer=requests.advancer(),
        barrier=requests.barrier(),
        machine=world.machine(),
        queue=world.wake_queue(),
        reaper=workers.reaper(),
        clock=world.now,
        lease=world.settings().lease,
    )
