"""Build the sweeper."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import requests, workers, world

if TYPE_CHECKING:
    from shiftwork_core.services.sweep import Sweeper


@cache
def sweeper() -> Sweeper:
    """Return the sweeper: it finds what is due and sets it going again."""
    from shiftwork_core.services.sweep import Sweeper

    return Sweeper(
        records=requests.records(),
        advancer=requests.advancer(),
        executions=requests.executions(),
        queue=world.wake_queue(),
        reaper=workers.reaper(),
        runtime=world.runtime(),
    )
