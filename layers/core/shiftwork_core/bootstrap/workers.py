"""Build the services of workers: access, registration, explanation, and the reaper."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core.bootstrap import requests, stores, watch, world

if TYPE_CHECKING:
    from shiftwork_core.services.workers.access import Access
    from shiftwork_core.services.workers.explain import WorkerExplainer
    from shiftwork_core.services.workers.reaper import WorkerReaper
    from shiftwork_core.services.workers.register import Registrations


@cache
def access() -> Access:
    """Return the access service: it finds what tokens allow, and signs new ones."""
    from shiftwork_core.adapters.aws.secrets import Secret
    from shiftwork_core.services.workers.access import Access

    return Access(
        Secret(world.client("secretsmanager"), world.settings().token_secret),
        lambda worker_id: watch.records().generation_of(worker_id),
        time.monotonic,
    )


@cache
def registrations() -> Registrations:
    """Return the service that registers workers."""
    from shiftwork_core.services.workers.register import Registrations

    return Registrations(
        watch.records(), stores.tokens(), access(), reaper, world.now, world.new_id
    )


@cache
def explainer() -> WorkerExplainer:
    """Return the explainer: it says why a worker gets jobs or none."""
    from shiftwork_core.services.workers.explain import WorkerExplainer

    return WorkerExplainer(
        requests.definitions(), stores.jobs(), stores.limits(), world.now, watch.liveness()
    )


@cache
def reaper() -> WorkerReaper:
    """Return the reaper: it declares silent workers lost and requeues their builds."""
    from shiftwork_core.services.workers.reaper import WorkerReaper

    return WorkerReaper(
        workers=stores.workers(),
        jobs=stores.jobs(),
        recorder=requests.recorder(),
        barrier=requests.barrier(),
        clock=world.now,
        rules=watch.liveness(),
    )
