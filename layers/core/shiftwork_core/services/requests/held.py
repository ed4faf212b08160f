"""What RunJobs keeps in mind of a batch while it runs: what it holds, and what it has recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event

from shiftwork_core.domain.requests.definitions import OnFailure, Target
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, attempt_id_of
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.templates import Search
from shiftwork_core.ports.world import JobTarget, SideBySide
from shiftwork_core.services.requests.outcome_writer import Recording


@dataclass(frozen=True, slots=True)
class BatchHost:
    """The process in which batches run: its targets, its threads, and a name to claim under.

    `sleep` lets a thread of it wait so many seconds. `search` evaluates the params of blocks' jobs.
    """

    target_for: Callable[[Target], JobTarget | None]
    side_by_side: SideBySide
    worker_id: str
    sleep: Callable[[float], None]
    search: Search


@dataclass(slots=True)
class Held:
    """An attempt that this batch has claimed, and when to give it up.

    `is_done`: its outcome is in hand, and only has to be recorded. `leased_until`: as far as this
    process knows; None: it has never renewed the lease.
    """

    attempt: Attempt
    deadline: datetime
    stop: Event
    is_lost: bool = False
    is_done: bool = False
    leased_until: datetime | None = None

    def is_leased(self, now: datetime) -> bool:
        """Whether nobody else can have it."""
        until = self.leased_until or self.attempt.lease_until
        return not self.is_lost and (until is None or now < until)


@dataclass(slots=True)
class Batch:
    """One call of `BatchRunner.run`: its request, its end, its outcomes, and what it holds now.

    `is_called`: no Map joins it, so first attempts arrive at the barrier, too. `is_wide`: its step
    is tallied. `has_tolerated`: jobs have failed, which their entry tolerates. `stuck`: so many
    threads do jobs of blocks that were given up.
    """

    request: Request
    ends_at: datetime
    renew_at: datetime
    is_called: bool = False
    is_wide: bool = False
    has_tolerated: bool = False
    stuck: int = 0
    recorded: list[Recording] = field(default_factory=list)
    held: dict[AttemptKey, Held] = field(default_factory=dict)
    has_ended: Event = field(default_factory=Event)

    def record(self, attempt: Attempt, recording: Recording) -> None:
        """Keep how an attempt was left, to be reported when all have ended."""
        self.recorded.append(recording)
        if attempt.on_failure is OnFailure.TOLERATE:
            self.has_tolerated |= recording.counts.get(AttemptStatus.FAILURE, 0) > 0


@dataclass(eq=False, slots=True)
class Lane:
    """A thread's place in a block: the job that it does, as log lines name it."""

    job: Attempt | None = None


def name_of(request_id: str, call: AttemptKey | Lane) -> str:
    """Return how the log names what a thread of RunJobs does: the id of an attempt."""
    if isinstance(call, AttemptKey):
        return attempt_id_of(request_id, call)
    return "no job" if call.job is None else call.job.attempt_id
