"""Report what a switch would do now, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

from shiftwork_core.domain.workspaces.records import Operation, Workspace, WorkspaceState
from shiftwork_core.domain.workspaces.specs import WorkspaceSpec
from shiftwork_core.errors import Conflict, Unavailable
from shiftwork_core.ports.workspaces import DriverError
from shiftwork_core.services.workspaces.records import SpecLookup


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a driver sees of a workspace, and the calls that a switch would make now."""

    state: WorkspaceState
    detail: str
    calls: list[str]


def dry_run(row: Workspace, operation: Operation, specs: SpecLookup) -> DryRun:
    """Return the calls that a switch would make now; see `Workspaces.dry_run`."""
    spec = WorkspaceSpec.from_body(row.workspace_id, row.body)
    driver = specs.driver_of(spec)
    try:
        sighting = driver.look(spec.driver, row.memory)
    except DriverError as error:
        message = f"the driver of {row.workspace_id!r} cannot see it: {error}"
        if error.is_final:
            raise Conflict(message, "fix its definition, or the target that it names") from error
        raise Unavailable(message) from error
    try:
        calls = driver.plan(spec.driver, row.memory, operation)
    except DriverError as error:
        return DryRun(sighting.state, f"{sighting.detail}; {error}", [])
    return DryRun(sighting.state, sighting.detail, calls)
