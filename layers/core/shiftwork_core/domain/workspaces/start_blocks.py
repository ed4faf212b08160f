"""Find what keeps a window from starting a workspace: failures, overrides, quiet hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.times import to_minutes
from shiftwork_core.domain.workspaces.records import Desired, Override, Workspace
from shiftwork_core.domain.workspaces.schedule_bodies import Schedule


@dataclass(frozen=True, slots=True)
class StartBlock:
    """Why nothing starts by itself until a time, in words for people."""

    until: datetime
    reason: str
    #: Whether it ends for many workspaces at once, so that the spread applies again.
    is_shared: bool = True


def start_block_at(schedule: Schedule, workspace: Workspace, at: datetime) -> StartBlock | None:
    """Return why windows cannot start a workspace at a time, None if they can."""
    blocked_until, override = workspace.blocked_until, workspace.override
    if blocked_until is not None and at < blocked_until:
        tries = f"{workspace.failures} failed starts" if workspace.failures else "a failed start"
        reason = f"waits after {tries} until {to_minutes(blocked_until)}"
        return StartBlock(blocked_until, reason, is_shared=False)
    if override is not None and override.desired is Desired.OFF and override.is_active(at):
        return StartBlock(override.until, f"override off until {end_text(override)}")
    for quiet in schedule.quiet_hours:
        if (end := quiet.end_after(at)) is not None:
            return StartBlock(end, f"quiet hours until {quiet.end:%H:%M} {quiet.zone}")
    return None


def end_text(override: Override) -> str:
    """Return when an override ends and its reason, for people."""
    reason = f" ({override.reason})" if override.reason else ""
    return to_minutes(override.until) + reason
