"""Keep worker records up to date from the workers' reports and their use of the task API.

They show people and sweeps what workers do; only the jobs table says who holds an attempt. So the
task API logs a change that cannot be written, and continues without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shiftwork_core.domain.workers import drains
from shiftwork_core.domain.workers import workers as domain
from shiftwork_core.domain.workers.workers import (
    Liveness,
    Worker,
    WorkerReport,
    WorkerStatus,
    worker_key,
)
from shiftwork_core.errors import Conflict, NotFound, Throttled, Transient
from shiftwork_core.optimistic import LOST, Lost, write_until_won, write_until_won_from
from shiftwork_core.ports.stores import Page
from shiftwork_core.ports.workers import Standing, WorkerStore, WorkerWatch
from shiftwork_core.ports.world import Clock

logger = logging.getLogger("shiftwork.workers")

#: How long the `changed` of a call may use the row that its `polling` has read.
_FRESH = timedelta(seconds=2)
#: Processes that share a name write the same row, often at the same time.
_MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class WorkerFilter:
    """Which workers to list.

    The times are in seconds since 1970 and exclusive; a worker that never checked in meets neither.
    """

    active: bool | None = None
    status: WorkerStatus | None = None
    checked_in_before: int | None = None
    checked_in_after: int | None = None


class WorkerRecords(WorkerWatch):
    """The records of all workers."""

    def __init__(self, store: WorkerStore, clock: Clock, rules: Liveness) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        #: The row that `polling` has read, so that the `changed` of the same call need not.
        self._read: dict[str, tuple[datetime, Worker]] = {}

    # -- what the task API sees ----------------------------------------------------------------

    def polling(
        self,
        worker_id: str,
        wants: Mapping[str, int],
        now: datetime,
        *,
        called_at: datetime | None = None,
    ) -> Standing:
        """Record that a worker polls; return whether this call may be given work."""
        if not worker_id:
            return Standing.MAY_WORK
        key = worker_key(worker_id)
        since = called_at or now

        def polled(row: Worker | None) -> Worker:
            known = row or domain.derived(worker_id, now, self._rules)
            if known.has_lapsed_since(since):
                return known
            return domain.polled(known, wants, now, self._rules)

        row = self._known(self._store.get(key), now)
        try:
            row = self._change(key, polled, row)
        except Transient:
            _log_unwritten(worker_id)
        if row is None:
            return Standing.MAY_WORK
        self._read = {key: (now, row)}
        if row.has_lapsed_since(since):
            return Standing.SILENT
        return Standing.MAY_WORK if row.may_have_work else Standing.DRAINED

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        """Record which attempts the worker holds from now on, and which no longer."""
        if not worker_id or not (started or finished or error is not None):
            return
        key = worker_key(worker_id)
        report = WorkerReport(error=error)

        def moved(row: Worker | None) -> Worker:
            known = row or domain.derived(worker_id, now, self._rules)
            row = domain.changed(known, started, finished, now, self._rules)
            return domain.reported(row, report, now)

        try:
            self._change(key, moved, self._just_read(key, now))
        except Transient:
            _log_unwritten(worker_id)

    def lapsed(self, worker_id: str, attempt_id: str, now: datetime) -> None:
        """Record that the worker has let the lease of an attempt run out."""
        key = worker_key(worker_id)

        def fallen_silent(row: Worker | None) -> Worker:
            known = row or domain.derived(worker_id, now, self._rules)
            return domain.lapsed(known, attempt_id, now)

        try:
            row = self._known(self._store.get(key), now)
            if row is not None:
                self._change(key, fallen_silent, row)
        except Transient:
            _log_unwritten(worker_id)

    def running(self, worker_id: str) -> Sequence[str]:
        """Return the attempts that the worker holds according to its record."""
        row = self._store.get(worker_key(worker_id)) if worker_id else None
        return () if row is None else row.running_build_ids

    def _just_read(self, key: str, now: datetime) -> Worker | None:
        read_at, row = self._read.pop(key, (None, None))
        is_fresh = read_at is not None and now - read_at < _FRESH
        return row if is_fresh else self._known(self._store.get(key), now)

    # -- what a worker says --------------------------------------------------------------------

    def register(
        self,
        hostname: str,
        address: str,
        routes: Sequence[str],
        build_limit: int,
        *,
        generation: str,
    ) -> Worker:
        """Create or renew the record of a worker that has just started.

        `generation` is that of its tokens, unless the record has one.
        """
        now = self._clock()
        return self._change(
            worker_key(hostname),
            lambda row: domain.registered(
                row, hostname, address, routes, build_limit, now, self._rules,
                generation=generation,
            ),
        )  # fmt: skip

    def generation_of(self, worker_id: str) -> str | None:
        """Return the generation of a worker's tokens; None if it has no record."""
        row = self._known(self._store.get(worker_id), self._clock())
        return None if row is None else row.generation

    def check_in(self, worker_id: str, report: WorkerReport) -> Worker:
        """Record that a worker is alive, and its report on itself.

        Raises
        ------
        NotFound
            If its record was pruned or deleted: it must register again.
        """
        now = self._clock()
        return self._change_known(
            worker_id,
            lambda row: domain.checked_in(domain.reported(row, report, now), now, self._rules),
            next_step="register again: POST /v1/worker-registrations, then POST /v1/workers",
        )

    def report(self, worker_id: str, report: WorkerReport, *, by_itself: bool) -> Worker:
        """Change what `report` names.

        `by_itself`: the worker reports, which shows that it is alive. If somebody else changes
        `active`, that drains or resumes the worker.

        Raises
        ------
        NotFound
            If there is no record.
        """
        now = self._clock()

        def change(row: Worker) -> Worker:
            if by_itself:
                return domain.seen(domain.reported(row, report, now), now, self._rules)
            after = domain.reported(row, replace(report, active=None), now)
            if report.active is None:
                return after
            return drains.resumed(after) if report.active else drains.drained(after)

        return self._change_known(worker_id, change)

    # -- what people do ------------------------------------------------------------------------

    def get(self, worker_id: str) -> Worker:
        """Return a record.

        Raises
        ------
        NotFound
            If there is none.
        """
        row = self._known(self._store.get(worker_id), self._clock())
        if row is None:
            raise _unknown(worker_id)
        return row

    def find(self, wanted: WorkerFilter, limit: int, next_token: str | None) -> Page[Worker]:
        """List records by id. The token is the last id that the page before looked at."""
        now = self._clock()
        return self._store.find(
            lambda row: not row.is_stale(now, self._rules) and self._meets(row, wanted, now),
            limit,
            next_token,
        )

    def _meets(self, row: Worker, wanted: WorkerFilter, now: datetime) -> bool:
        if wanted.active not in (None, row.may_have_work):
            return False
        if wanted.status not in (None, row.shown_status(now, self._rules)):
            return False
        before, after = wanted.checked_in_before, wanted.checked_in_after
        at = _unix(row.last_checked_in)
        if before is not None and (at is None or at >= before):
            return False
        return after is None or (at is not None and at > after)

    def drain(self, worker_id: str, *, stop_id: str | None = None) -> Worker:
        """Give the worker no more jobs; its running builds may finish.

        `stop_id`: the stop of its workspace that drains it, until the stop ends; else it is drained
        until it is resumed.

        Raises
        ------
        NotFound
            If there is no record.
        """
        if stop_id is None:
            return self._change_known(worker_id, drains.drained)
        return self._change_known(worker_id, lambda row: drains.drained_for_stop(row, stop_id))

    def resume(self, worker_id: str, *, stop_id: str | None = None) -> Worker:
        """Give the worker jobs again.

        `stop_id`: lift only the drain by this stop of its workspace.

        Raises
        ------
        NotFound
            If there is no record.
        """
        if stop_id is None:
            return self._change_known(worker_id, drains.resumed)
        return self._change_known(worker_id, lambda row: drains.resumed_after_stop(row, stop_id))

    def revoke(self, worker_id: str, generation: str) -> Worker:
        """End all tokens of the worker; those that it gets from now on are of this generation.

        Raises
        ------
        NotFound
            If there is no record.
        """
        return self._change_known(worker_id, lambda row: domain.revoked(row, generation))

    def delete(self, worker_id: str) -> None:
        """Delete the worker's record; its tokens end with it.

        A worker of Conductor's protocol that still polls gets a new one at once.

        Raises
        ------
        NotFound
            If there is no record.
        Conflict
            If it is alive and has running builds.
        """

        def attempt() -> Lost[None] | None:
            row = self.get(worker_id)
            if row.running_build_ids and not row.is_offline(self._clock(), self._rules):
                raise Conflict(
                    f"worker {worker_id} runs {len(row.running_build_ids)} builds",
                    f"drain it and wait: shiftwork worker drain {worker_id}",
                )
            return None if self._store.delete(row) else LOST

        write_until_won(attempt, busy=_busy(worker_id), max_attempts=_MAX_ATTEMPTS)

    def status_of(self, row: Worker) -> WorkerStatus:
        """Return the status that people are shown: offline or stopped if it is gone."""
        return row.shown_status(self._clock(), self._rules)

    # -- writing -------------------------------------------------------------------------------

    def _known(self, row: Worker | None, now: datetime) -> Worker | None:
        """Return the row unless it is due to be pruned: DynamoDB may take days to delete it."""
        return None if row is None or row.is_stale(now, self._rules) else row

    def _change(
        self,
        worker_id: str,
        change: Callable[[Worker | None], Worker],
        row: Worker | None = None,
    ) -> Worker:
        """Write what `change` makes of the record; nothing if that is the record itself.

        `row` is the record if it was read already.

        Raises
        ------
        Throttled
            If others wrote it every time.
        """

        def attempt(found: Worker | None) -> Worker | Lost[Worker | None]:
            known = self._known(found, self._clock())
            after = change(known)
            if known is not None and after == known:
                return known
            revision = 0 if found is None else found.revision
            write = self._store.save(replace(after, revision=revision))
            return write.row if write.won and write.row is not None else Lost(write.row)

        found = row or self._store.get(worker_id)
        return write_until_won_from(
            found, attempt, busy=_busy(worker_id), max_attempts=_MAX_ATTEMPTS
        )

    def _change_known(
        self, worker_id: str, change: Callable[[Worker], Worker], *, next_step: str = ""
    ) -> Worker:
        def change_if_known(row: Worker | None) -> Worker:
            if row is None:
                raise _unknown(worker_id, next_step)
            return change(row)

        return self._change(worker_id, change_if_known)


def _unknown(worker_id: str, next_step: str = "") -> NotFound:
    return NotFound(
        f"there is no worker {worker_id!r}", next_step or "list what there is: GET /v1/workers"
    )


def _busy(worker_id: str) -> Throttled:
    return Throttled(f"the record of worker {worker_id} is being changed by many at once")


def _log_unwritten(worker_id: str) -> None:
    logger.warning("a worker's record could not be written", extra={"worker_id": worker_id})


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
