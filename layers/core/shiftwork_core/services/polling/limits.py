"""Grant claims of a limited job type: how many now, and into which slots."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shiftwork_core.domain.requests.definitions import JobType, RateLimit
from shiftwork_core.domain.requests.records import parse_attempt_id
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.ports.jobs import FreeSlot, JobStore, LimitStore, Slot
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.outcome_writer import Result
from shiftwork_core.services.requests.outcomes import OutcomeRecorder

#: A holder that was seen alive is not checked again for so long.
TRUST = timedelta(seconds=10)
#: A window's row is kept for so long after its end.
_KEPT = timedelta(hours=1)


def window_of(rate: RateLimit, now: datetime) -> datetime:
    """Return the start of the window in which a claim made now counts."""
    number = now.timestamp() // rate.per_s
    return datetime.fromtimestamp(number * rate.per_s, UTC)


@dataclass(slots=True)
class Grant:
    """What may be claimed: at most `count`, each into a slot of its own unless `slots` is None."""

    count: int
    slots: list[FreeSlot] | None = None
    window: datetime | None = None
    used: int = 0
    reserved: int = 0


@dataclass(slots=True)
class Limiter:
    """Grants what a type's limits leave.

    A slot is taken in the transaction of the claim, and given back after the outcome. A process
    that dies between the two leaves it taken; the next that needs it finds that the holder is done.
    """

    jobs: JobStore
    limits: LimitStore
    recorder: OutcomeRecorder
    barrier: StepBarrier
    clock: Clock
    _trusted: dict[Slot, datetime] = field(default_factory=dict)

    def grant(self, job_type: JobType, count: int) -> Grant:
        """Return how many of `count` jobs may be claimed."""
        policy = job_type.worker
        grant = Grant(count)
        if policy.concurrency_limit:
            grant.slots = self.free_slots(job_type.name, policy.concurrency_limit, count)
            grant.count = min(count, len(grant.slots))
        if policy.rate_limit.count and grant.count:
            grant.window = window_of(policy.rate_limit, self.clock())
            ends_at = grant.window + timedelta(seconds=policy.rate_limit.per_s)
            grant.reserved, grant.used = self.limits.reserve(
                job_type.name, grant.window, grant.count, policy.rate_limit.count, ends_at + _KEPT
            )
            grant.count = grant.reserved
        return grant

    def return_unused(self, job_type: JobType, grant: Grant, taken: int) -> None:
        """Give back what was reserved of a window and not claimed."""
        if grant.window is not None and taken < grant.reserved:
            unused = grant.reserved - taken
            self.limits.give_back(job_type.name, grant.window, unused, grant.used)

    def free_slots(self, type: str, limit: int, wanted: int) -> list[FreeSlot]:
        """Return slots that can be taken, at most as many as the limit leaves."""
        taken = self.limits.slots(type)
        numbers = {slot.number for slot in taken}
        free = [FreeSlot(type, number) for number in range(limit) if number not in numbers]
        left = limit - len(taken)
        if left < wanted:
            dead = self._dead(taken)
            left += len(dead)
            free += [slot for slot in dead if slot.number < limit]
        return free[: max(0, left)]

    def _dead(self, taken: list[Slot]) -> list[FreeSlot]:
        """Return the slots whose holders are done; an attempt whose lease ran out is expired."""
        now = self.clock()
        self._trusted = {slot: until for slot, until in self._trusted.items() if until > now}
        suspects = [slot for slot in taken if slot not in self._trusted]
        rows = {
            attempt.attempt_id: attempt
            for attempt in self.jobs.get_many([parse_attempt_id(slot.holder) for slot in suspects])
        }
        dead = []
        for slot in suspects:
            row = rows.get(slot.holder)
            is_held = row is not None and row.status is AttemptStatus.INPROGRESS
            if row is None or not is_held or row.claim_id != slot.claim_id:
                dead.append(FreeSlot(slot.type, slot.number, slot))
            elif not row.has_lapsed(now):
                self._trusted[slot] = now + TRUST
            elif self.barrier.report(row, self.recorder.expire(row)) is not Result.DISCARDED:
                dead.append(FreeSlot(slot.type, slot.number))  # Expiring it has freed it.
        return dead
