"""The entry point to schedules: windows, holidays, quiet hours, times to live, overrides.

Everything is computed each time from the definition, the workspace's row and the time. Nothing is
remembered, so a changed schedule, a missed tick or a clock that jumps cannot leave a wrong history.

`crons` reads texts, `schedule_bodies` reads bodies, `windows` finds what is open, `start_blocks`
what keeps it from starting, `lifetimes` how long a run lasts, `next_switch` what happens next, and
`forecasts` what happens after that. Other packages import from here.
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
