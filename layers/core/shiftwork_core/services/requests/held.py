"""What RunJobs keeps in mind of a batch while it runs: what it holds, and what it has recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from threading import Event

from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.services.requests.outcomes import Recording


@dataclass(slots=True)
class Held:
    """An attempt that this batch has claimed, and when to give it up.

    `is_done`: its outcome is in hand, and only has to be recorded.
    """

    attempt: Attempt
    deadline: datetime
    stop: Event
    is_lost: bool = False
    is_done: bool = False


@dataclass(slots=True)
class Batch:
    """One call of `BatchRunner.run`: its request, its end, its outcomes, and what it holds now.

    `is_called`: no Map joins it, so first attempts arrive at the barrier, too. `is_wide`: its step
    is tallied.
    """

    request: Request
    ends_at: datetime
    renew_at: datetime
    is_called: bool = False
    is_wide: bool = False
    recorded: list[Recording] = field(default_factory=list)
    held: dict[AttemptKey, Held] = field(default_factory=dict)
    has_ended: Event = field(default_factory=Event)
