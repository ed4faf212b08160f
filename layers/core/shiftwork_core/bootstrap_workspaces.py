"""The composition root of workspaces: what switches them, and what the API asks about them.

A module of its own, because the functions that run jobs need none of it. What it builds on is
`shiftwork_core.bootstrap`'s.
"""

from __future__ import annotations

import random
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from shiftwork_core import bootstrap
from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule

if TYPE_CHECKING:
    from shiftwork_core.adapters.aws.calls import SqsQueue
    from shiftwork_core.services.workspaces.explain import WorkspaceExplainer
    from shiftwork_core.services.workspaces.hosted_workers import Hosting
    from shiftwork_core.services.workspaces.logs import LifecycleLogs
    from shiftwork_core.services.workspaces.schedule import LifecycleScheduler
    from shiftwork_core.services.workspaces.switch import LifecycleExecutor
    from shiftwork_core.services.workspaces.wake import Waker
    from shiftwork_core.services.workspaces.workspaces import Workspaces


@cache
def switch_queue() -> SqsQueue:
    """Return the queue of lifecycle jobs that fall due, and of workspaces to look at."""
    from shiftwork_core.adapters.aws.calls import SqsQueue

    return SqsQueue(lambda: bootstrap.client("sqs"), bootstrap.settings().switch_queue_url)


@cache
def waker() -> Waker:
    """Return what wakes executors and the scheduler."""
    from shiftwork_core.services.workspaces.wake import Waker

    return Waker(switch_queue(), bootstrap.now)


@cache
def lifecycle_logs() -> LifecycleLogs:
    """Return what writes the logs of lifecycle jobs."""
    from shiftwork_core.services.workspaces.logs import LifecycleLogs

    return LifecycleLogs(bootstrap.lifecycle_job_store(), bootstrap.now, bootstrap.new_id)


@cache
def hosting() -> Hosting:
    """Return what looks at the workers that workspaces host; most host none."""
    from shiftwork_core.services.workspaces.hosted_workers import Hosting

    return Hosting(
        bootstrap.late(bootstrap.job_store),
        bootstrap.late(bootstrap.worker_store),
        bootstrap.late(bootstrap.workers),
        bootstrap.now,
        bootstrap.late(bootstrap.liveness),
    )


#: By calendar and dates, which are all that almanacs differ in; so many workspaces' are kept.
_almanacs: dict[tuple[str | None, tuple[tuple[date, str], ...]], Almanac] = {}
_MAX_ALMANACS = 100


def almanac_for(schedule: Schedule) -> Almanac:
    """Return what a schedule is reckoned with; it remembers what it has read of its calendar."""
    from shiftwork_core.adapters.schedules.almanacs import almanac_of

    key = (schedule.icalendar, tuple(schedule.holidays.items()))
    found = _almanacs.get(key)
    if found is None:
        if len(_almanacs) >= _MAX_ALMANACS:
            _almanacs.clear()
        found = _almanacs[key] = almanac_of(schedule)
    return found


@cache
def lifecycle_scheduler() -> LifecycleScheduler:
    """Return what plans lifecycle jobs."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.workspaces.schedule import LifecycleScheduler

    return LifecycleScheduler(
        workspaces=bootstrap.workspace_store(),
        jobs=bootstrap.lifecycle_job_store(),
        logs=lifecycle_logs(),
        hosting=hosting(),
        driver_for=bootstrap.driver_for,
        almanac_for=almanac_for,
        waker=waker(),
        side_by_side=side_by_side,
        clock=bootstrap.now,
        new_id=bootstrap.new_id,
    )


@cache
def lifecycle_executor() -> LifecycleExecutor:
    """Return what executes lifecycle jobs."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.workspaces.switch import LifecycleExecutor

    return LifecycleExecutor(
        workspaces=bootstrap.workspace_store(),
        jobs=bootstrap.lifecycle_job_store(),
        logs=lifecycle_logs(),
        hosting=hosting(),
        scheduler=lifecycle_scheduler(),
        driver_for=bootstrap.driver_for,
        almanac_for=almanac_for,
        waker=waker(),
        side_by_side=side_by_side,
        clock=bootstrap.now,
        new_id=bootstrap.new_claim_id,
        draw=random.random,
        tally=_count_switches,
        lease=bootstrap.settings().lease,
    )


def _count_switches(counts: dict[str, int]) -> None:
    from shiftwork_core.telemetry import count

    count(counts, "Switches")


@cache
def workspaces_service() -> Workspaces:
    """Return the service behind the API's workspaces."""
    from shiftwork_core.services.workspaces.workspaces import Workspaces

    return Workspaces(
        workspaces=bootstrap.workspace_store(),
        jobs=bootstrap.lifecycle_job_store(),
        logs=lifecycle_logs(),
        hosting=hosting(),
        driver_for=bootstrap.driver_for,
        almanac_for=almanac_for,
        waker=waker(),
        clock=bootstrap.now,
        new_id=bootstrap.new_id,
    )


@cache
def workspace_explainer() -> WorkspaceExplainer:
    """Return what tells why a workspace is as it is."""
    from shiftwork_core.services.workspaces.explain import WorkspaceExplainer

    return WorkspaceExplainer(
        bootstrap.lifecycle_job_store(), hosting(), almanac_for, bootstrap.now
    )
