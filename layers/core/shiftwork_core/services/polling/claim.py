"""Claim queued attempts for a polling worker, within the job type's limits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeGuard

from shiftwork_core.domain.requests.leases import lease_until
from shiftwork_core.domain.requests.queue_names import queue_name, shard_names
from shiftwork_core.domain.requests.queue_order import (
    MAX_WINDOW,
    Queued,
    pick,
    window_size,
)
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Transient
from shiftwork_core.ports.jobs import FreeSlot
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.polling.lapsed import LapsedAttempts
from shiftwork_core.services.polling.limits import Grant, Limiter
from shiftwork_core.services.polling.newest_types import NewestTypes
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.tasks")

#: A worker that has polled a queue within this time counts as a rival.
_CROWD_FOR = timedelta(seconds=30)
#: While polls come, a process leaves no shard of their queue unread for longer than this.
UNREAD_FOR = timedelta(seconds=2)
#: A job claimed here, or lost to another, is left alone for so long: an index shows it a little
#: longer.
_GONE_FOR = timedelta(seconds=10)
#: A poll that loses so many claims reads the queue again, at most so often in all.
_MAX_LOST = 5
_MAX_LOOKS = 3
#: So many unknown rivals are assumed for each claim that was lost.
_RIVALS_PER_LOSS = 8
#: In a crowd so many more jobs are read than are wanted.
_SPARE = 3

#: Counts what happened, by name.
Tally = Callable[[dict[str, int]], None]

#: A job as its queue showed it; the claim that raises the fence makes it out of date.
_Entry = tuple[str, AttemptKey, int]


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims: the worker, and an id by which a repeated claim is known as the same."""

    worker_id: str
    claim_id: str


@dataclass(slots=True)
class QueueClaimer:
    """Claims jobs from queues, and remembers who else polls them."""

    records: RequestRecords
    newest: NewestTypes
    limiter: Limiter
    lapsed: LapsedAttempts
    tally: Tally
    runtime: Runtime
    _crowds: dict[str, dict[str, datetime]] = field(default_factory=dict)
    _lost: dict[str, list[datetime]] = field(default_factory=dict)
    _gone: dict[_Entry, datetime] = field(default_factory=dict)
    _read_at: dict[str, datetime] = field(default_factory=dict)

    def claim(
        self, type: str, domain: str | None, count: int, claimant: Claimant
    ) -> list[tuple[Request, Attempt]]:
        """Claim up to `count` jobs.

        The request of each is read, strongly consistent, after the job was found and before it is
        claimed: so once a cancel has returned, nothing of its request is claimed.
        """
        queue = queue_name(type, domain)
        shards = shard_names(queue, self.newest.of(type).shards)
        crowd = self._crowd_at(queue, claimant.worker_id)
        window = 0
        for _ in range(_MAX_LOOKS):
            rivals = max(crowd - 1, _RIVALS_PER_LOSS * self._losses_at(queue))
            window = max(window, window_size(count, _portion(rivals, 1, len(shards))))
            found, looked = self._found(shards, window)
            order = pick(found, self.runtime.draw, is_contended=rivals > 0)
            # Of a queue too short for all, claim a share; most claims on the rest would be lost.
            share = min(count, -(-len(found) // (_portion(rivals, looked, len(shards)) + 1)))
            # Read anew for each look: a request may have ended before what this one found was put
            # into the queue.
            requests: dict[str, Request | None] = {}
            look = _Look(type, order, share, claimant, requests, is_contended=rivals > 0)
            self._claim_from(look)
            self._lost.setdefault(queue, []).extend([self.runtime.clock()] * look.lost)
            # Jobs of ended requests, left at the head of the queue, hide those behind them.
            are_dead = bool(requests) and not any(map(_is_live, requests.values()))
            if look.claimed or not (look.lost or (are_dead and len(found) >= window)):
                break
            if are_dead:
                window = MAX_WINDOW
        self._watch(_held(look.claimed))
        return look.claimed

    def claim_one(self, request: Request, attempt: Attempt, claimant: Claimant) -> Attempt | None:
        """Claim this very attempt, if it waits and its type's limits allow it."""
        queued = Queued(
            attempt.queue,
            attempt.request_id,
            attempt.key,
            attempt.type_version,
            at=attempt.created_at,
            fence=attempt.fence,
            started_at=attempt.started_at,
        )
        requests: dict[str, Request | None] = {request.request_id: request}
        look = _Look(attempt.type, [queued], 1, claimant, requests, is_contended=False)
        self._claim_from(look)
        self._watch(_held(look.claimed))
        return look.claimed[0][1] if look.claimed else None

    # -- finding -------------------------------------------------------------------------------

    def _crowd_at(self, queue: str, worker_id: str) -> int:
        """Return how many workers have polled the queue here lately."""
        now = self.runtime.clock()
        crowd = self._crowds.setdefault(queue, {})
        crowd[worker_id] = now
        for other in [w for w, seen_at in crowd.items() if seen_at < now - _CROWD_FOR]:
            del crowd[other]
        return len(crowd)

    def _losses_at(self, queue: str) -> int:
        """Return how many claims were lost lately, to rivals who poll elsewhere."""
        since = self.runtime.clock() - _CROWD_FOR
        lost = self._lost[queue] = [at for at in self._lost.get(queue, ()) if at >= since]
        return len(lost)

    def _found(self, shards: list[str], window: int) -> tuple[list[Queued], int]:
        """Return what can be claimed, and how many shards were read for it.

        From one on that chance names they are read until they have shown enough: so pollers spread
        over them. Those that nobody has read here lately are read in any case: one may have jobs of
        a dead worker.
        """
        now = self.runtime.clock()
        self._read_at = {s: at for s, at in self._read_at.items() if at > now - UNREAD_FOR}
        first = int(self.runtime.draw() * len(shards))
        found: list[Queued] = []
        looked = 0
        for shard in shards[first:] + shards[:first]:
            if len(found) >= window and shard in self._read_at:
                continue
            found += self._found_in(shard, max(1, window - len(found)))
            looked += 1
            self._read_at[shard] = now
        return found, looked

    def _found_in(self, shard: str, window: int) -> list[Queued]:
        """Return what can be claimed. What is lapsed goes back to the queue, for the next look."""
        now = self.runtime.clock()
        self._gone = {entry: until for entry, until in self._gone.items() if until > now}
        view = self.records.jobs.queued(shard, now, window + len(self._gone))
        lapsed = [queued for queued in view.lapsed if _entry(queued) not in self._gone]
        for queued in self.lapsed.declare_lost(lapsed):
            self._gone[_entry(queued)] = now + _GONE_FOR
        return [queued for queued in view.waiting if _entry(queued) not in self._gone]

    def _still_waiting(self, order: list[Queued], count: int) -> list[Queued]:
        """Return the first that still wait: in a crowd the index shows many that are gone.

        Reading a row costs a fifth of a claim that is lost.
        """
        waiting: list[Queued] = []
        size = count + _SPARE
        for start in range(0, min(len(order), _MAX_LOOKS * size), size):
            chunk = order[start : start + size]
            rows = self.records.jobs.get_many([(queued.request_id, queued.key) for queued in chunk])
            fences = {(row.request_id, row.key): row.fence for row in rows if row.is_waiting}
            for queued in chunk:
                if fences.get((queued.request_id, queued.key)) == queued.fence:
                    waiting.append(queued)
                else:
                    self._gone[_entry(queued)] = self.runtime.clock() + _GONE_FOR
            if len(waiting) >= count:
                break
        return waiting

    # -- claiming ------------------------------------------------------------------------------

    def _claim_from(self, look: _Look) -> None:
        """Claim up to `look.count` of what was found; `look` then says what was claimed and lost.

        Raises
        ------
        Transient
            If a store failed. The requests of whatever was claimed by then are due in time.
        """
        if not look.order:
            return
        newest = self.newest.of(look.type).job_type
        wanted = min(look.count, len(look.order))
        grant = Grant(wanted) if newest is None else self.limiter.grant(newest, wanted)
        try:
            self._claim_granted(look, grant)
        except Transient:
            # Claimed attempts, perhaps of the call that failed, may have no worker that knows.
            tried = [(one.request.request_id, one.lease) for one in look.batch]
            self._watch([*_held(look.claimed), *tried])
            raise
        finally:
            if newest is not None:
                self.limiter.return_unused(newest, grant, len(look.claimed))
        self.tally({"claimed": len(look.claimed), "lost": look.lost})

    def _claim_granted(self, look: _Look, grant: Grant) -> None:
        if look.is_contended and grant.count:
            look.order = self._still_waiting(look.order, grant.count)
        # An uncontended claim that is lost means another poller: read the queue again.
        max_lost = _MAX_LOST if look.is_contended else 1
        while len(look.claimed) < grant.count and look.lost < max_lost and grant.slots != []:
            # A poller that knows of no rivals, but may have some, finds out with one claim.
            is_sure = look.claimed or look.is_contended
            look.batch = self._next(look, grant.count - len(look.claimed) if is_sure else 1)
            if not look.batch:
                break
            claims = self._claim(look.batch, grant, look.claimant)
            for one, attempt in zip(look.batch, claims, strict=True):
                self._gone[_entry(one.queued)] = self.runtime.clock() + _GONE_FOR
                if attempt is not None:
                    look.claimed.append((one.request, attempt))
            look.lost += claims.count(None)

    def _next(self, look: _Look, count: int) -> list[_Claim]:
        """Take the next jobs whose requests are in progress, and see that those are due in time.

        The requests are read here, after the jobs were found.
        """
        batch: list[_Claim] = []
        now = self.runtime.clock()
        while look.order and len(batch) < count:
            queued = look.order.pop(0)
            if queued.request_id not in look.requests:
                look.requests[queued.request_id] = self.records.requests.get(queued.request_id)
            request = look.requests[queued.request_id]
            if not _is_live(request):
                continue
            job_type = self.records.definitions.job_type(look.type, queued.type_version)
            lease = lease_until(job_type, now, queued.started_at or now)
            if lease > now:  # If its time is over, the request's advancer notices.
                self._hasten(request, lease)
                batch.append(_Claim(queued, request, lease))
        return batch

    def _claim(self, batch: list[_Claim], grant: Grant, claimant: Claimant) -> list[Attempt | None]:
        """Claim them; None for each that another claimed first."""
        now = self.runtime.clock()
        if grant.slots is None:
            return self.records.jobs.claim_queued(
                [one.queued for one in batch],
                claim_id=claimant.claim_id,
                worker_id=claimant.worker_id,
                now=now,
                leases=[one.lease for one in batch],
            )
        return [self._claim_limited(one, grant.slots, claimant, now) for one in batch]

    def _claim_limited(
        self, one: _Claim, slots: list[FreeSlot], claimant: Claimant, now: datetime
    ) -> Attempt | None:
        """Claim it, into the first of the slots that no other claim has taken."""
        while slots:
            slot = slots.pop(0)
            claimed = self.records.jobs.claim_limited(
                one.queued,
                slot,
                claim_id=claimant.claim_id,
                worker_id=claimant.worker_id,
                now=now,
                lease_until=one.lease,
            )
            if claimed.is_slot_lost:
                continue
            if claimed.attempt is None:
                slots.append(slot)
            return claimed.attempt
        return None

    # -- the due time --------------------------------------------------------------------------

    def _hasten(self, request: Request, lease: datetime) -> None:
        """Make the request due when the lease has run out, if it is not due before.

        While no execution waits at the step, one is at work on it and keeps the due time ahead by a
        lease of the platform: a sweep that came sooner would start another. When it begins to wait
        it makes the request due for the leases that it finds.
        """
        due_at = lease
        if _is_later(request.due_at, due_at) and not self._is_awaited(request):
            due_at = max(lease, self.runtime.clock() + self.runtime.lease)
        if _is_later(request.due_at, due_at):
            self.records.requests.bring_due_forward(request.request_id, due_at)

    def _is_awaited(self, request: Request) -> bool:
        """Whether an execution waits for the jobs of the request's step."""
        step = self.records.requests.get_step(request.request_id, request.current_step)
        return step is not None and step.token is not None

    def _watch(self, held: Iterable[tuple[str, datetime]]) -> None:
        """Hasten again: an execution that began to wait meanwhile did not see these claims."""
        leases: dict[str, datetime] = {}
        for request_id, lease in held:
            leases[request_id] = min(leases.get(request_id, lease), lease)
        for request_id, lease in leases.items():
            try:
                again = self.records.requests.get(request_id)
                if again is not None:
                    self._hasten(again, lease)
            except Transient:  # No reason to lose what was claimed.
                logger.warning("request not looked at again", extra={"request_id": request_id})


@dataclass(frozen=True, slots=True)
class _Claim:
    """A job about to be claimed."""

    queued: Queued
    request: Request
    lease: datetime


@dataclass(slots=True)
class _Look:
    """One read of a queue: what was found, in which order to claim it, and what was claimed."""

    type: str
    order: list[Queued]
    count: int
    claimant: Claimant
    requests: dict[str, Request | None]
    is_contended: bool
    batch: list[_Claim] = field(default_factory=list)
    claimed: list[tuple[Request, Attempt]] = field(default_factory=list)
    lost: int = 0


def _held(claimed: list[tuple[Request, Attempt]]) -> Iterator[tuple[str, datetime]]:
    """Yield the request's id and the end of the lease of each."""
    for request, attempt in claimed:
        assert attempt.lease_until is not None
        yield request.request_id, attempt.lease_until


def _portion(rivals: int, looked: int, shards: int) -> int:
    """Return how many of a queue's rivals are at so many of its shards."""
    return -(-rivals * looked // shards)


def _is_later(due_at: datetime | None, than: datetime) -> bool:
    return due_at is None or due_at > than


def _is_live(request: Request | None) -> TypeGuard[Request]:
    return request is not None and request.status is RequestStatus.INPROGRESS


def _entry(queued: Queued) -> _Entry:
    return queued.request_id, queued.key, queued.fence
