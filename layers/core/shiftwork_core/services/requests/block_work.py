"""What RunJobs keeps in mind of a block while it does its jobs: what is to begin, runs, or is over.

Several threads, the lanes, take jobs from here and bring their outcomes; the thread of the batch
looks after them.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Event, Lock

from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.requests.block_jobs import block_of, job_of
from shiftwork_core.domain.requests.blocks import Results, progressed
from shiftwork_core.domain.requests.outcomes import Completed, Failed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.ports.world import DoAtOnce
from shiftwork_core.services.requests.held import Held, Lane

#: Each wave writes down all that the waves before have done. The next attempt goes on after these.
MAX_WAVES = 100
#: A block begins no more jobs once its results have so many bytes: the next attempt does the rest.
MAX_HELD_BYTES = 16 * 1024 * 1024


class Stop:
    """Tells one job of a block to stop; so does `of_block` to all of them."""

    def __init__(self, of_block: Event) -> None:
        self._of_block = of_block
        self._own = Event()

    def set(self) -> None:
        """Tell it to stop."""
        self._own.set()

    def is_set(self) -> bool:
        """Whether it is to stop."""
        return self._own.is_set() or self._of_block.is_set()


@dataclass(slots=True)
class Running:
    """A job that a lane does."""

    place: int
    job: Attempt
    deadline: datetime
    stop: Stop
    lane: Lane


@dataclass(slots=True)
class BlockWork:
    """An attempt at a block that this process holds.

    Attributes
    ----------
    held
        The same as the batch holds it, until the end of the process's time: no job begins that may
        last longer, nor one while the lease may be over.
    timeout
        How long a job may last.
    lanes
        How many threads do its jobs.
    wave
        How many jobs may begin before that is written down; 0: any number.
    ends_request
        Whether a job that fails for good ends the request, so that no more begin.
    is_first
        Whether it is the first block of its batch, so that some job begins in any case.
    do_at_once
        How one lane does all that may begin by one call; None: each lane does one after the other.
    """

    attempt: Attempt
    held: Held
    timeout: timedelta
    lanes: int
    wave: int
    ends_request: bool
    is_first: bool = True
    do_at_once: DoAtOnce | None = None
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    #: Lanes whose job was given up, and runs on.
    stuck: set[Lane] = field(default_factory=set)
    _to_begin: deque[int] = field(init=False)
    _begun: int = 0
    _may_begin: int = 0
    _waves: int = 1
    _held_bytes: int = 0
    _has_failed: bool = False
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Begin with what the attempt is to do."""
        self._to_begin = deque(block_of(self.attempt).places)
        self._may_begin = self.wave or len(self._to_begin)

    # -- the lanes' side -----------------------------------------------------------------------

    def take(self, lane: Lane, now: datetime) -> Running | None:
        """Return the job that the lane does next; None: it does no more for now."""
        with self._lock:
            if lane in self.stuck or not self._may_take(now):
                return None
            place = self._to_begin.popleft()
            self._begun += 1
            lane.job = job_of(self.attempt, place)
            deadline = min(now + self.timeout, self.held.deadline)
            running = Running(place, lane.job, deadline, Stop(self.held.stop), lane)
            self.running[place] = running
            return running

    def take_all(self, lane: Lane, now: datetime) -> list[Running]:
        """Return all jobs that may begin now, for a lane that does them by one call."""
        taken: list[Running] = []
        while (running := self.take(lane, now)) is not None:
            taken.append(running)
        return taken

    def end(self, running: Running, outcome: Outcome) -> None:
        """Keep the outcome of a job, unless it was given up before."""
        with self._lock:
            running.lane.job = None
            if self.running.pop(running.place, None) is None:
                return
            if isinstance(outcome, Completed):
                # A callback may go on to change what it has returned.
                text = to_json(outcome.output)
                outcome = Completed(json.loads(text))
                self._held_bytes += len(text)
            self._has_failed = self._has_failed or isinstance(outcome, Failed)
            self.outcomes[running.place] = outcome

    def _may_take(self, now: datetime) -> bool:
        if not self._to_begin or self._begun >= self._may_begin or self.held.stop.is_set():
            return False
        if not self.held.is_leased(now):
            return False  # The lease may be renewed yet: until then others may have the block.
        if not self.has_room or (self.ends_request and self._has_failed):
            return False
        # The first of a batch has all the time there is; another is not cut short by the end of it.
        has_all_time = self.is_first and self._begun == 0
        ends_at = self.held.deadline
        return now < ends_at and (has_all_time or now + self.timeout <= ends_at)

    # -- the batch's side ----------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether results may be kept beside those at hand."""
        return self._held_bytes <= MAX_HELD_BYTES

    @property
    def left(self) -> int:
        """How many jobs have not begun."""
        return len(self._to_begin)

    def begins_wave(self, now: datetime) -> bool:
        """Let the next jobs begin, if there are any: they count as begun from now on."""
        with self._lock:
            if self._waves == MAX_WAVES or len(self.stuck) >= self.lanes:
                return False
            before, self._may_begin = self._may_begin, self._begun + self.wave
            if self._may_take(now):
                self._waves += 1
                return True
            self._may_begin = before
            return False

    def give_up(self, now: datetime) -> None:
        """Record it for jobs whose time is over, and tell them to stop."""
        with self._lock:
            late = [one for one in self.running.values() if one.deadline <= now]
            for one in late:
                message = f"it did not end within its {self.timeout.total_seconds():g} s"
                self.outcomes[one.place] = Retryable(JobError("Timeout", message))
                self.stuck.add(one.lane)
                del self.running[one.place]
        for one in late:
            # Only now: what it returns when it is told to stop would be its result.
            one.stop.set()

    def next_deadline(self) -> datetime:
        """Return when the next running job's time is over."""
        with self._lock:
            return min((one.deadline for one in self.running.values()), default=self.held.deadline)

    def what_ended(self) -> dict[int, Outcome]:
        """Return the outcomes so far."""
        with self._lock:
            return dict(self.outcomes)

    def progress(self) -> tuple[Attempt, Results]:
        """Return the attempt with how far it is, for its row, and what its jobs returned so far.

        The jobs that may begin before the next progress is written count as begun.
        """
        with self._lock:
            results = Results.of(self.outcomes)
            begun = self._may_begin if self.wave else self._begun
        block = block_of(self.attempt)
        begun = min(begun, len(block.places))
        return replace(self.attempt, block=progressed(block, results, begun)), results
