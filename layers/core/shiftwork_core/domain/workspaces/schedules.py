"""When a workspace is to be on: windows, holidays, quiet hours, times to live, overrides.

Everything here is computed anew from the definition, what is known of the workspace, and the time:
nothing is remembered, so that a changed schedule, a missed tick or a clock that jumps has no
history to get wrong.

Texts are read in `crons`, bodies in `schedule_bodies`. `windows` finds what is open, `hindrances`
what is in the way, `lifetimes` how long a run lasts, `transitions` what happens next, `forecasts`
what happens after that. This module is what others import.
"""

from __future__ import annotations

from shiftwork_core.domain.workspaces.crons import Cron, ScheduleFault, parse_cron
from shiftwork_core.domain.workspaces.forecasts import Skipped, plan
from shiftwork_core.domain.workspaces.lifetimes import bumped, deadlines
from shiftwork_core.domain.workspaces.next_switch import next_edge, next_start, next_stop
from shiftwork_core.domain.workspaces.schedule_bodies import MAX_TTL_S, MIN_TTL_S, Schedule
from shiftwork_core.domain.workspaces.windows import (
    Almanac,
    Holidays,
    Occurrences,
    QuietHours,
    Window,
)

__all__ = [
    "MAX_TTL_S",
    "MIN_TTL_S",
    "Almanac",
    "Cron",
    "Holidays",
    "Occurrences",
    "QuietHours",
    "Schedule",
    "ScheduleFault",
    "Skipped",
    "Window",
    "bumped",
    "deadlines",
    "next_edge",
    "next_start",
    "next_stop",
    "parse_cron",
    "plan",
]
