"""Polled jobs."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import requests, stores, watch, world

if TYPE_CHECKING:
    from shiftwork_core.services.polling.tasks import Tasks


@cache
def tasks() -> Tasks:
    """Return the service of polled jobs."""
    from shiftwork_core.services.polling.claim import QueueClaimer
    from shiftwork_core.services.polling.limits import Limiter
    from shiftwork_core.services.polling.tasks import Tasks

    limiter = Limiter(stores.jobs(), stores.limits(), requests.recorder(), world.now)
    return Tasks(
        store=stores.requests(),
        jobs=stores.jobs(),
        definitions=requests.definitions(),
        payloads=requests.payloads(),
        recorder=requests.recorder(),
        claimer=QueueClaimer(
            store=stores.requests(),
            jobs=stores.jobs(),
            definitions=requests.definitions(),
            limiter=limiter,
            clock=world.now,
            draw=random.random,
            tally=_count_claims,
            soonest=world.settings().lease,
        ),
        barrier=requests.barrier(),
        watch=watch.watch(),
        clock=world.now,
        new_id=world.new_claim_id,
    )


def _count_claims(counts: dict[str, int]) -> None:
    from shiftwork_core.telemetry import count

    count(counts, "Tasks")
