"""Check every write of a row, and keep it for the count of changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from shiftwork_core.domain.requests.records import Attempt, Request, Step
from shiftwork_core.domain.workspaces.records import LifecycleJob, Workspace
from shiftwork_platform.cloud.tables import AnyRow
from shiftwork_platform.guarantees.requests import RequestInvariants
from tests.simulation.lifecycle_invariants import LifecycleInvariants
from tests.simulation.streams import Streams


@dataclass(slots=True)
class Writes:
    """Is told of every write; see `Observer`."""

    requests: RequestInvariants
    lifecycle: LifecycleInvariants
    #: Called with each new lifecycle job, as the table's stream is.
    announce: Callable[[LifecycleJob], None]
    now: Callable[[], datetime]
    streams: Streams = field(default_factory=Streams)

    def changed(self, old: AnyRow | None, new: AnyRow) -> None:
        """Check what a row has become."""
        if not isinstance(new, Workspace):
            assert not isinstance(old, Workspace)
            self.streams.change(old, new, self.now())
        match old, new:
            case Request() | None, Request():
                self.requests.on_request(old, new)
            case Step() | None, Step():
                self.requests.on_step(old, new)
            case Attempt() | None, Attempt():
                self.requests.on_attempt(old, new)
            case Workspace() | None, Workspace():
                self.lifecycle.on_workspace(old, new)
            case LifecycleJob() | None, LifecycleJob():
                self.lifecycle.on_job(old, new)
                if old is None:
                    self.announce(new)

    def deleted(self, old: Workspace) -> None:
        """Check that a workspace may be gone."""
        self.lifecycle.on_workspace_deleted(old.workspace_id)
