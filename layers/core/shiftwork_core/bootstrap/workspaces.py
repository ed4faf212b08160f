"""Build the services of workspaces: drivers, scheduler, switcher, and those of the API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from shiftwork_core.bootstrap import requests, stores, watch, world

if TYPE_CHECKING:
    from datetime import date

    from shiftwork_core.adapters.aws.sqs import SqsQueue
    from shiftwork_core.domain.payloads import Json, JsonObject
    from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule
    from shiftwork_core.errors import FaultAt
    from shiftwork_core.ports.workspaces import Driver as WorkspaceDriver
    from shiftwork_core.services.workspaces.execute import LifecycleExecutor
    from shiftwork_core.services.workspaces.explain import WorkspaceExplainer
    from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers
    from shiftwork_core.services.workspaces.logs import LifecycleLogs
    from shiftwork_core.services.workspaces.records import LifecycleRecords, SpecLookup
    from shiftwork_core.services.workspaces.schedule import WorkspaceScheduler
    from shiftwork_core.services.workspaces.switch import WorkspaceSwitcher
    from shiftwork_core.services.workspaces.wake import LifecycleWakeUps
    from shiftwork_core.services.workspaces.workspaces import Workspaces


@cache
def driver_for(type: str) -> WorkspaceDriver:
    """Return the driver that switches workspaces of a kind.

    Raises
    ------
    DriverError
        Final: there is no such kind.
    """
    match type:
        case "ec2":
            from shiftwork_core.adapters.drivers.ec2 import Ec2Driver

            return Ec2Driver(world.client("ec2"))
        case "ecs":
            from shiftwork_core.adapters.drivers.ecs import EcsDriver

            return EcsDriver(world.client("ecs"))
        case "rds":
            from shiftwork_core.adapters.drivers.rds import RdsDriver

            return RdsDriver(world.client("rds"))
        case "request":
            from shiftwork_core.adapters.drivers.request import RequestDriver
            from shiftwork_core.services.requests.submitter import Submitter

            return RequestDriver(Submitter(requests.service(_check_schema_late)))
        case "http":
            from shiftwork_core.adapters.drivers.http import HttpDriver
            from shiftwork_core.adapters.expressions import search
            from shiftwork_core.adapters.named_services import NamedServices

            return HttpDriver(NamedServices(world.settings().services), search)
        case _:
            from shiftwork_core.ports.workspaces import DriverError

            message = f"there is no driver {type!r}; give one of ec2, ecs, http, rds, request"
            raise DriverError(message, is_final=True)


def _check_schema_late(schema: JsonObject, value: Json) -> list[FaultAt]:
    """Check params; import the edge layer only then: it is slow, and few calls need it."""
    from shiftwork_core.adapters.schemas.check import check_schema

    return check_schema(schema, value)


@cache
def switch_queue() -> SqsQueue:
    """Return the queue of wake-ups: for lifecycle jobs that fall due, and for the scheduler."""
    from shiftwork_core.adapters.aws.sqs import SqsQueue

    return SqsQueue(lambda: world.client("sqs"), world.settings().switch_queue_url)


@cache
def wake_ups() -> LifecycleWakeUps:
    """Return the sender of wake-ups for lifecycle jobs and for the scheduler."""
    from shiftwork_core.services.workspaces.wake import LifecycleWakeUps

    return LifecycleWakeUps(switch_queue(), world.now)


@cache
def lifecycle_logs() -> LifecycleLogs:
    """Return the writer of lifecycle jobs' logs."""
    from shiftwork_core.services.workspaces.logs import LifecycleLogs

    return LifecycleLogs(stores.lifecycle_jobs(), world.now, world.new_id)


@cache
def hosted_workers() -> HostedWorkers:
    """Return the view of hosted workers; its stores come late, as few workspaces host any."""
    from shiftwork_core.services.workspaces.hosted_workers import HostedWorkers

    return HostedWorkers(
        world.late(requests.definitions),
        world.late(stores.jobs),
        world.late(stores.workers),
        world.late(watch.records),
        world.now,
        world.late(watch.liveness),
    )


#: By calendar and dates: almanacs differ in nothing else.
_almanacs: dict[tuple[str | None, tuple[tuple[date, str], ...]], Almanac] = {}


_MAX_ALMANACS = 100


def almanac_for(schedule: Schedule) -> Almanac:
    """Return the almanac of a schedule; it keeps what it has read of the calendar."""
    from shiftwork_core.adapters.schedules.almanacs import almanac_of

    key = (schedule.icalendar, tuple(schedule.holidays.items()))
    found = _almanacs.get(key)
    if found is None:
        if len(_almanacs) >= _MAX_ALMANACS:
            _almanacs.clear()
        found = _almanacs[key] = almanac_of(schedule)
    return found


@cache
def records() -> LifecycleRecords:
    """Return where the lifecycle of workspaces is recorded."""
    from shiftwork_core.services.workspaces.records import LifecycleRecords

    return LifecycleRecords(
        stores.workspaces(), stores.lifecycle_jobs(), lifecycle_logs(), wake_ups()
    )


@cache
def specs() -> SpecLookup:
    """Return the lookup of the drivers and almanacs that workspaces name."""
    from shiftwork_core.services.workspaces.records import SpecLookup

    return SpecLookup(driver_for, almanac_for)


@cache
def scheduler() -> WorkspaceScheduler:
    """Return the scheduler: it plans, moves and cancels lifecycle jobs."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.workspaces.schedule import WorkspaceScheduler

    return WorkspaceScheduler(
        records=records(),
        specs=specs(),
        hosted_workers=hosted_workers(),
        side_by_side=side_by_side,
        clock=world.now,
        new_id=world.new_id,
    )


@cache
def executor() -> LifecycleExecutor:
    """Return the executor of claimed lifecycle jobs."""
    from shiftwork_core.services.workspaces.execute import LifecycleExecutor

    return LifecycleExecutor(
        records=records(),
        specs=specs(),
        hosted_workers=hosted_workers(),
        scheduler=scheduler(),
        runtime=world.runtime(),
    )


@cache
def switcher() -> WorkspaceSwitcher:
    """Return the switcher: it claims lifecycle jobs that are due, and has them executed."""
    from shiftwork_core.adapters.threads import side_by_side
    from shiftwork_core.services.workspaces.switch import WorkspaceSwitcher

    return WorkspaceSwitcher(
        records=records(), executor=executor(), side_by_side=side_by_side, runtime=world.runtime()
    )


@cache
def service() -> Workspaces:
    """Return the service behind the API's workspaces."""
    from shiftwork_core.services.workspaces.workspaces import Workspaces

    return Workspaces(
        records=records(),
        specs=specs(),
        hosted_workers=hosted_workers(),
        clock=world.now,
        new_id=world.new_id,
    )


@cache
def explainer() -> WorkspaceExplainer:
    """Return the explainer: it says why a workspace is on or off."""
    from shiftwork_core.services.workspaces.explain import WorkspaceExplainer

    return WorkspaceExplainer(stores.lifecycle_jobs(), hosted_workers(), almanac_for, world.now)


def new_job_in(record: Mapping[str, Any]) -> str:
    """Return the id of the job that a record of the jobs' stream reports."""
    from shiftwork_core.adapters.dynamodb import lifecycle_jobs

    return lifecycle_jobs.new_job_in(record)
