"""Hold attempts: claim them, keep their leases, and insist on what must be written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import TypeVar

from shiftwork_core.domain.backoff import doubled
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN, RequestStatus
from shiftwork_core.errors import Transient
from shiftwork_core.ports.stores import Write
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.held import Batch, BatchHost
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.batches")

#: So much of an invocation's time is kept for recording outcomes.
MARGIN = timedelta(seconds=10)
#: Of that, what an outcome may take that is written again and again.
RECORDING = MARGIN / 2
#: The waits between two attempts at a call that a store does not answer.
FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0

Answer = TypeVar("Answer")


class Left(StrEnum):
    """Why this batch did not do a job."""

    #: Another process holds it, or it waits for a later time.
    HELD = "held"
    #: It has an outcome.
    SETTLED = "settled"
    #: There was no time for it, or its request has ended; it is as it was.
    UNTOUCHED = "untouched"


class Holder:
    """What a batch does for all that it holds."""

    def __init__(self, records: RequestRecords, host: BatchHost, runtime: Runtime) -> None:
        self._records = records
        self._worker_id = host.worker_id
        self._sleep = host.sleep
        self._runtime = runtime

    def claim(self, request: Request, key: AttemptKey) -> Attempt | Left:
        """Claim the attempt, or say why not.

        A claim whose answer is lost is made again under the same id, which is harmless. It may have
        been written long before it is answered, so its lease is renewed if half of it is over; once
        all of it may be over, somebody else may have the job.
        """
        claim_id, begun_at = self._runtime.new_id(), self._runtime.clock()
        lease = self._runtime.lease

        def claim_it() -> Write[Attempt | None]:
            now = self._runtime.clock()
            write = self._records.jobs.claim(
                request.request_id,
                key,
                claim_id=claim_id,
                worker_id=self._worker_id,
                now=now,
                lease_until=now + lease,
            )
            if not write.won or write.row is None or now < begun_at + lease / 2:
                return write
            return Write(self._records.jobs.renew(write.row, now + lease), write.row)

        claim = self.insist(claim_it, lambda moment: moment < begun_at + lease)
        if claim.row is None:
            return Left.SETTLED
        if claim.won:
            return claim.row
        return Left.HELD if claim.row.status in ATTEMPT_OPEN else Left.SETTLED

    def insist(
        self,
        call: Callable[[], Answer],
        may_wait_until: Callable[[datetime], bool],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Make a call until a store answers it; between two attempts wait ever longer.

        `meanwhile` is called after each wait.

        Raises
        ------
        Transient
            If it may not wait until the next attempt.
        """
        for attempt in count(1):
            try:
                return call()
            except Transient:
                wait_s = min(doubled(FIRST_WAIT_S, attempt), _LONGEST_WAIT_S)
                wait_s *= 0.5 + self._runtime.draw() / 2
                if not may_wait_until(self._runtime.clock() + timedelta(seconds=wait_s)):
                    raise
                self._sleep(wait_s)
                meanwhile()
        raise AssertionError("it counts without end")

    def renew(self, batch: Batch) -> bool:
        """Every third of a lease, renew what is held, and tell the sweep that the batch lives.

        A batch that has lost all it held does not: others do its jobs. False: a store does not
        answer. Then the rest is renewed soon: two thirds of the lease are left for that.
        """
        now = self._runtime.clock()
        if now < batch.renew_at:
            return True
        try:
            self._renew_all(batch, now + self._runtime.lease)
        except Transient:
            logger.warning("leases are renewed late", extra={"held": len(batch.held)})
            batch.renew_at = now + self._runtime.lease / 12
            return False
        batch.renew_at = now + self._runtime.lease / 3
        return True

    def _renew_all(self, batch: Batch, until: datetime) -> None:
        helds = list(batch.held.values())
        for held in helds:
            if held.is_lost:
                continue
            if self._records.jobs.renew(held.attempt, until):
                held.leased_until = until
            else:
                held.is_lost = True
                held.stop.set()
        if all(held.is_lost for held in helds):
            return
        request_id = batch.request.request_id
        self._records.requests.note_alive(request_id, until)
        request = self._records.requests.get(request_id)
        if request is None or request.status is not RequestStatus.INPROGRESS:
            batch.has_ended.set()
            for held in helds:
                held.stop.set()
