"""Renew the leases of attempts that workers hold, and tell workers which attempts to stop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.requests.leases import is_alert_due, is_renewal_due, lease_until
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.polling.lookup import TaskLookup, key_of
from shiftwork_core.services.requests.records import RequestRecords

logger = logging.getLogger("shiftwork.tasks")


@dataclass(frozen=True, slots=True)
class Stop:
    """The attempts that a worker should stop, and those of them that it no longer holds."""

    ids: list[str]
    lost: list[str]

    def add(self, attempt_id: str, *, is_lost: bool) -> None:
        """Add an attempt to stop."""
        self.ids.append(attempt_id)
        if is_lost:
            self.lost.append(attempt_id)


class LeaseKeeper:
    """Renews workers' leases."""

    def __init__(self, records: RequestRecords, lookup: TaskLookup, runtime: Runtime) -> None:
        self._records = records
        self._lookup = lookup
        self._clock = runtime.clock

    def renew(self, attempt: Attempt) -> bool:
        """Renew the lease; return whether the worker should continue."""
        if not self._extend(attempt):
            return False
        return not self._lookup.request(attempt.request_id).has_ended

    def renew_all(self, worker_id: str, ids: Sequence[str]) -> Stop:
        """Renew each lease of which a third is over; return the attempts to stop."""
        stop = Stop([], [])
        keys = [key for attempt_id in ids if (key := key_of(attempt_id)) is not None]
        rows = {attempt.attempt_id: attempt for attempt in self._records.jobs.get_many(keys)}
        have_ended: dict[str, bool] = {}
        now = self._clock()
        for attempt_id in ids:
            attempt = rows.get(attempt_id)
            if attempt is None or not self._keeps(worker_id, attempt, now):
                stop.add(attempt_id, is_lost=True)
                continue
            request_id = attempt.request_id
            if request_id not in have_ended:
                have_ended[request_id] = self._lookup.request(request_id).has_ended
            if have_ended[request_id]:
                stop.add(attempt_id, is_lost=False)
        return stop

    def alert(self, attempt: Attempt) -> None:
        """Log, once, that the attempt's job runs longer than its type's timeout, if it does."""
        job_type = self._records.job_type_of(attempt)
        if is_alert_due(job_type, attempt, self._clock()):
            logger.warning(
                "job runs longer than its type's timeout",
                extra={"attempt_id": attempt.attempt_id, "timeout_s": job_type.timeout_s},
            )

    def _keeps(self, worker_id: str, attempt: Attempt, now: datetime) -> bool:
        """Whether the worker holds the attempt; its lease is renewed if that is due."""
        if attempt.status is not AttemptStatus.INPROGRESS or attempt.worker_id != worker_id:
            return False
        lease = attempt.lease_until or now
        if not is_renewal_due(self._records.job_type_of(attempt), now, lease):
            return True
        return self._extend(attempt)

    def _extend(self, attempt: Attempt) -> bool:
        job_type = self._records.job_type_of(attempt)
        lease = lease_until(job_type, self._clock(), attempt.started_at)
        if attempt.lease_until is not None and lease <= attempt.lease_until:
            return True  # Its time is over with this lease.
        self.alert(attempt)
        return self._records.jobs.renew(attempt, lease)
