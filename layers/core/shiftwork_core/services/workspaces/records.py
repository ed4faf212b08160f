"""Values that the services of workspaces share: the rows they write, the specs they look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shiftwork_core.domain.workspaces.schedules import Almanac, Schedule
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec
from shiftwork_core.ports.workspaces import Driver, DriverFor, LifecycleJobStore, WorkspaceStore
from shiftwork_core.services.workspaces.logs import LifecycleLogs
from shiftwork_core.services.workspaces.wake import LifecycleWakeUps

#: Returns the almanac that computes a schedule.
AlmanacFor = Callable[[Schedule], Almanac]


@dataclass(frozen=True, slots=True)
class LifecycleRecords:
    """Where the lifecycle is recorded: two tables, the jobs' logs, and wake-ups for what is due.

    The writer of a row that falls due soon sends the wake-up for it.
    """

    workspaces: WorkspaceStore
    jobs: LifecycleJobStore
    logs: LifecycleLogs
    wake_ups: LifecycleWakeUps


@dataclass(frozen=True, slots=True)
class SpecLookup:
    """Finds what a workspace's spec names: the driver of its kind, the almanac of its schedule."""

    driver_for: DriverFor
    almanac_for: AlmanacFor

    def driver_of(self, spec: WorkspaceSpec) -> Driver:
        """Return the driver.

        Raises
        ------
        DriverError
            Final: there is no such kind.
        """
        return self.driver_for(str(spec.driver["type"]))

    def almanac_of(self, spec: WorkspaceSpec) -> Almanac:
        """Return the almanac."""
        return self.almanac_for(spec.schedule)
