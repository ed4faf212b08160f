"""Taking jobs from a queue for a worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shiftwork_core.domain.requests.backoff import Draw
from shiftwork_core.domain.requests.definitions import JobType, Kind
from shiftwork_core.domain.requests.leases import lease_until
from shiftwork_core.domain.requests.queue_order import (
    MAX_WINDOW,
    Queued,
    pick,
    queue_name,
    window_size,
)
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import NotFound, Transient
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.polling.limits import Grant, Limiter
from shiftwork_core.services.requests.definitions import Definitions

logger = logging.getLogger("shiftwork.tasks")

#: Who has polled a queue within this time is taken for a rival.
_CROWD_FOR = timedelta(seconds=30)
#: What was taken, or lost to another, is left alone for so long: an index shows it a little longer.
_GONE_FOR = timedelta(seconds=10)
#: The newest version of a job type is read again after this long. Its limits hold for all versions.
_LIMITS_FOR = timedelta(seconds=10)
#: A poll that loses so many claims looks at more of the queue, and at last leaves it to the others.
_MAX_LOST = 5
_MAX_LOOKS = 3
#: So many unknown rivals are assumed for each claim that was lost.
_RIVALS_PER_LOSS = 8
#: In a crowd so many more are looked at than are wanted.
_SPARE = 3

#: Counts what happened, by name.
Tally = Callable[[dict[str, int]], None]

#: A job as its queue knew it. It is over with the claim that raises the fence.
_Entry = tuple[str, AttemptKey, int]


@dataclass(slots=True)
class QueueClaimer:
    """Takes jobs from queues, and remembers who else does."""

    store: RequestStore
    jobs: JobStore
    definitions: Definitions
    limiter: Limiter
    clock: Clock
    draw: Draw
    tally: Tally
    #: A claim is watched by its request's due time, which need not be earlier than this.
    soonest: timedelta
    _crowds: dict[str, dict[str, datetime]] = field(default_factory=dict)
    _lost: dict[str, list[datetime]] = field(default_factory=dict)
    _gone: dict[_Entry, datetime] = field(default_factory=dict)
    _limits: dict[str, tuple[datetime, JobType | None]] = field(default_factory=dict)

    def claim(
        self, type: str, domain: str | None, count: int, *, worker_id: str, claim_id: str
    ) -> list[tuple[Request, Attempt]]:
        """Claim up to `count` jobs.

        Of each its request is read, strongly consistent, after it was found and before it is
        claimed: so once a cancel has returned nothing of its request is claimed.
        """
        queue = queue_name(type, domain)
        crowd = self._crowd_at(queue, worker_id)
        requests: dict[str, Request | None] = {}
        window = 0
        for _ in range(_MAX_LOOKS):
            rivals = max(crowd - 1, _RIVALS_PER_LOSS * self._losses_at(queue))
            window = max(window, window_size(count, rivals))
            found = self._found(queue, window)
            order = pick(found, self.draw, is_contended=rivals > 0)
            # Of what does not do for all, one's share; the rest would mostly be lost.
            share = min(count, -(-len(found) // (rivals + 1)))
            taken, lost = self._take(
                type, order, share, requests, worker_id, claim_id, is_contended=rivals > 0
            )
            self._lost.setdefault(queue, []).extend([self.clock()] * lost)
            # What its requests' ends have left at the head of the queue hides what is behind it.
            are_dead = bool(requests) and not any(map(_is_live, requests.values()))
            if taken or not (lost or (are_dead and len(found) >= window)):
                break
            if are_dead:
                window = MAX_WINDOW
        self._watch(_held(taken))
        return taken

    def claim_one(
        self, request: Request, attempt: Attempt, *, worker_id: str, claim_id: str
    ) -> Attempt | None:
        """Claim this very attempt, if it waits and its type's limits allow it."""
        queued = Queued(
            attempt.request_id,
            attempt.key,
            attempt.type_version,
            at=attempt.created_at,
            fence=attempt.fence,
            started_at=attempt.started_at,
        )
        requests: dict[str, Request | None] = {request.request_id: request}
        taken, _ = self._take(
            attempt.type, [queued], 1, requests, worker_id, claim_id, is_contended=False
        )
        self._watch(_held(taken))
        return taken[0][1] if taken else None

    # -- finding -------------------------------------------------------------------------------

    def _crowd_at(self, queue: str, worker_id: str) -> int:
        """Return how many workers have polled the queue here lately."""
        now = self.clock()
        crowd = self._crowds.setdefault(queue, {})
        crowd[worker_id] = now
        for other in [w for w, seen_at in crowd.items() if seen_at < now - _CROWD_FOR]:
            del crowd[other]
        return len(crowd)

    def _losses_at(self, queue: str) -> int:
        """Return how many claims were lost lately, to rivals who poll elsewhere."""
        since = self.clock() - _CROWD_FOR
        lost = self._lost[queue] = [at for at in self._lost.get(queue, ()) if at >= since]
        return len(lost)

    def _found(self, queue: str, window: int) -> list[Queued]:
        now = self.clock()
        self._gone = {entry: until for entry, until in self._gone.items() if until > now}
        found = self.jobs.queued(queue, now, window + len(self._gone))
        return [queued for queued in found if _entry(queued) not in self._gone]

    def _still_waiting(self, order: list[Queued], count: int) -> list[Queued]:
        """Return the first that wait indeed: in a crowd the index shows much that is gone.

        Reading a row costs a fifth of a claim that is lost.
        """
        waiting: list[Queued] = []
        size = count + _SPARE
        for start in range(0, min(len(order), _MAX_LOOKS * size), size):
            chunk = order[start : start + size]
            rows = self.jobs.get_many([(queued.request_id, queued.key) for queued in chunk])
            fences = {(row.request_id, row.key): row.fence for row in rows if row.is_waiting}
            for queued in chunk:
                if fences.get((queued.request_id, queued.key)) == queued.fence:
                    waiting.append(queued)
                else:
                    self._gone[_entry(queued)] = self.clock() + _GONE_FOR
            if len(waiting) >= count:
                break
        return waiting

    # -- claiming ------------------------------------------------------------------------------

    def _take(
        self,
        type: str,
        order: list[Queued],
        count: int,
        requests: dict[str, Request | None],
        worker_id: str,
        claim_id: str,
        *,
        is_contended: bool,
    ) -> tuple[list[tuple[Request, Attempt]], int]:
        """Claim up to `count` of these; return what was claimed, and how many were lost."""
        if not order:
            return [], 0
        limited = self._limited_type(type)
        wanted = min(count, len(order))
        grant = Grant(wanted) if limited is None else self.limiter.grant(limited, wanted)
        taken: list[tuple[Request, Attempt]] = []
        lost = 0
        batch: list[_Claim] = []
        try:
            if is_contended and grant.count:
                order = self._still_waiting(order, grant.count)
            # Who thought itself alone has a rival in the same order, and had better look again.
            max_lost = _MAX_LOST if is_contended else 1
            while len(taken) < grant.count and lost < max_lost and grant.slots != []:
                # Who knows of no rivals, and may have some, finds out with one claim.
                size = grant.count - len(taken) if taken or is_contended else 1
                batch = self._next(type, order, size, requests)
                if not batch:
                    break
                claims = self._claim(batch, grant, worker_id, claim_id)
                for one, attempt in zip(batch, claims, strict=True):
                    self._gone[_entry(one.queued)] = self.clock() + _GONE_FOR
                    if attempt is not None:
                        taken.append((one.request, attempt))
                lost += claims.count(None)
        except Transient:
            # What was claimed, perhaps by the call that failed, may have no worker who knows.
            tried = [(one.request.request_id, one.lease) for one in batch]
            self._watch([*_held(taken), *tried])
            raise
        finally:
            if limited is not None:
                self.limiter.settle(limited, grant, len(taken))
        self.tally({"claimed": len(taken), "lost": lost})
        return taken, lost

    def _next(
        self,
        type: str,
        order: list[Queued],
        count: int,
        requests: dict[str, Request | None],
    ) -> list[_Claim]:
        """Take the next from the order whose requests are in progress, and see that they are due.

        The requests are read here, after the jobs were found.
        """
        batch: list[_Claim] = []
        now = self.clock()
        while order and len(batch) < count:
            queued = order.pop(0)
            if queued.request_id not in requests:
                requests[queued.request_id] = self.store.get(queued.request_id)
            request = requests[queued.request_id]
            if request is None or not _is_live(request):
                continue
            job_type = self.definitions.job_type(type, queued.type_version)
            lease = lease_until(job_type, now, queued.started_at or now)
            if lease > now:  # If its time is over, the driver notices.
                self._hasten(request, lease)
                batch.append(_Claim(queued, request, lease))
        return batch

    def _claim(
        self, batch: list[_Claim], grant: Grant, worker_id: str, claim_id: str
    ) -> list[Attempt | None]:
        """Claim them, each that is not lost to another."""
        now = self.clock()
        if grant.slots is None:
            return self.jobs.claim_queued(
                [one.queued for one in batch],
                claim_id=claim_id,
                worker_id=worker_id,
                now=now,
                leases=[one.lease for one in batch],
            )
        claims: list[Attempt | None] = []
        for one in batch:
            attempt: Attempt | None = None
            while grant.slots:
                slot = grant.slots.pop(0)
                taken = self.jobs.claim_limited(
                    one.queued,
                    slot,
                    claim_id=claim_id,
                    worker_id=worker_id,
                    now=now,
                    lease_until=one.lease,
                )
                attempt = taken.attempt
                if not taken.is_slot_lost:
                    if attempt is None:
                        grant.slots.append(slot)
                    break
            claims.append(attempt)
        return claims

    def _limited_type(self, name: str) -> JobType | None:
        """Return the newest version of the type, if it has limits."""
        now = self.clock()
        read_again_at, limited = self._limits.get(name, (now, None))
        if read_again_at <= now:
            try:
                found = self.definitions.get(Kind.JOB_TYPE, name)
                newest = JobType.from_body(name, found.version, found.body)
            except NotFound:
                newest = None  # It was deleted; what was submitted before goes on.
            limited = newest if newest is not None and newest.worker.is_limited else None
            self._limits[name] = (now + _LIMITS_FOR, limited)
        return limited

    # -- the due time --------------------------------------------------------------------------

    def _hasten(self, request: Request, lease: datetime) -> None:
        """See that the request is looked at when the lease has run out, if not before."""
        due_at = max(lease, self.clock() + self.soonest)
        if request.due_at is None or request.due_at > due_at:
            self.store.bring_due_forward(request.request_id, due_at)

    def _watch(self, held: Iterable[tuple[str, datetime]]) -> None:
        """See to it again: an execution that began to wait meanwhile did not see these claims."""
        leases: dict[str, datetime] = {}
        for request_id, lease in held:
            leases[request_id] = min(leases.get(request_id, lease), lease)
        for request_id, lease in leases.items():
            try:
                again = self.store.get(request_id)
                if again is not None:
                    self._hasten(again, lease)
            except Transient:  # No reason to lose what was claimed.
                logger.warning("request not looked at again", extra={"request_id": request_id})


@dataclass(frozen=True, slots=True)
class _Claim:
    """What is about to be claimed."""

    queued: Queued
    request: Request
    lease: datetime


def _held(taken: list[tuple[Request, Attempt]]) -> Iterator[tuple[str, datetime]]:
    """Yield of each the request's id, and the end of its lease."""
    for request, attempt in taken:
        assert attempt.lease_until is not None
        yield request.request_id, attempt.lease_until


def _is_live(request: Request | None) -> bool:
    return request is not None and request.status is RequestStatus.INPROGRESS


def _entry(queued: Queued) -> _Entry:
    return queued.request_id, queued.key, queued.fence
