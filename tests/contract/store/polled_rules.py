"""Rules of the stateful test for polled jobs, limits, workers and tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from shiftwork_core.domain.requests.queue_order import Queued
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, LateUpdate, LogLine
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.workers.workers import Poll, Worker, WorkerKind, WorkerStatus
from shiftwork_core.ports.jobs import FreeSlot, Slot
from tests.contract.store.drawing import (
    Machine,
    job_errors,
    keys,
    limits,
    moments,
    optional_moments,
    payloads,
    request_errors,
    request_ids,
    sampled,
    shards,
)
from tests.contract.store.pair import FAR
from tests.contract.store.rows import LEASE, NOW, an_attempt, queued_of, successor_of

queues = sampled(
    "documents.list", "documents.list", "documents.list##3", "documents.list#gpu", "other"
)
limited_types = sampled("documents.list", "documents.list", "other")
slot_numbers = sampled(0, 0, 1)
claim_ids = sampled("c1", "c2")
#: Several callers saw the same row; one of them acts late.
rivals = sampled(["c1"], ["c1", "c2"], ["c2", "c1"])
late_updates = st.builds(
    LateUpdate, moments, sampled("COMPLETED", "FAILED"), sampled(None, "w"), sampled("", "Zu spät")
)
log_lines = st.builds(LogLine, moments, sampled("began", "ended", "wartet länger"))
polls = st.dictionaries(queues, st.builds(Poll, moments, sampled(1, 5)), max_size=3)
held_ids = st.lists(sampled("r1.1.0.1", "r2.1.0.1"), max_size=2, unique=True).map(tuple)


def is_any(worker: Worker) -> bool:
    """Whether a list that does not filter has the worker."""
    return True


def is_active(worker: Worker) -> bool:
    """Whether a list of those that are active has the worker."""
    return worker.active


class PolledRules(Machine):
    """Calls of the ports that polling makes."""

    # -- queues ----------------------------------------------------------------------------------

    @rule(queue=queues, now=moments, limit=limits)
    def list_queue(self, queue: str, now: Any, limit: int) -> None:
        self.pair.list_queue(queue, now, limit)
        self.pair.ask("jobs", "queue_size", queue)
        self.pair.ask("jobs", "queue_head", queue, now, limit)

    def _draw_queued(self, data: st.DataObject) -> Queued:
        """Draw a queued job as it is, or once was."""
        waiting = [queued_of(attempt) for attempt in self.pair.tables.queueing()]
        otherwise = queued_of(an_attempt(is_polled=True))
        seen = self.pair.seen[Queued]
        queued: Queued = self.draw_of(data, Queued, otherwise, waiting, waiting, seen)
        return queued

    @rule(data=st.data(), claim_id=claim_ids, now=moments, leases=st.tuples(moments, moments))
    def claim_queued(self, data: st.DataObject, leases: Any, **values: Any) -> None:
        drawn = [self._draw_queued(data) for _ in range(data.draw(sampled(1, 2), "count"))]
        queued = list({(one.request_id, one.key): one for one in drawn}.values())
        values |= {"worker_id": "w", "leases": leases[: len(queued)]}
        self.write(data, "jobs", "claim_queued", queued, **values)

    @rule(
        data=st.data(), type=limited_types, number=slot_numbers, claims=rivals, now=moments,
        lease_until=moments,
    )  # fmt: skip
    def claim_limited(
        self, data: st.DataObject, type: str, number: int, claims: list[str], **values: Any
    ) -> None:
        slot = FreeSlot(type, number)
        if data.draw(st.booleans(), "has seen a holder"):
            seen = self._draw_slot(data)
            slot = FreeSlot(seen.type, seen.number, seen)
        for claim_id in claims:
            values |= {"worker_id": "w", "claim_id": claim_id}
            self.write(data, "jobs", "claim_limited", self._draw_queued(data), slot, **values)

    def claim_into_slot(self, data: st.DataObject, attempt: Attempt) -> None:
        """Claim a job into a slot of its own."""
        slot = FreeSlot("documents.list", attempt.key.job)
        values = {"claim_id": "c1", "worker_id": "w", "now": NOW, "lease_until": NOW + LEASE}
        self.write(data, "jobs", "claim_limited", queued_of(attempt), slot, **values)

    def _draw_polled(self, data: st.DataObject, status: AttemptStatus) -> Attempt:
        """Draw a polled attempt as it is or once was, mostly one of this status."""
        rows, seen = (
            [attempt for attempt in attempts if attempt.is_polled]
            for attempts in (self.pair.current(Attempt), self.pair.seen[Attempt])
        )
        best = [attempt for attempt in rows if attempt.status is status]
        otherwise = an_attempt(is_polled=True)
        attempt: Attempt = self.draw_of(data, Attempt, otherwise, best, best, best, rows, seen)
        return attempt

    @rule(
        data=st.data(), fence=sampled(0, 0, 0, 0, 1, -1), output=st.none() | payloads,
        wake_at=moments, poll_until=optional_moments,
    )  # fmt: skip
    def put_back(
        self, data: st.DataObject, fence: int, output: Any, wake_at: Any, poll_until: Any
    ) -> None:
        attempt = self._draw_polled(data, AttemptStatus.INPROGRESS)
        attempt = replace(attempt, fence=attempt.fence + fence)
        self.write(data, "jobs", "put_back", attempt, output, wake_at, poll_until)

    @rule(
        data=st.data(), error=job_errors, delay_s=sampled(0, 2, 901), now=moments,
        request=st.none() | request_errors, due_at=optional_moments,
    )  # fmt: skip
    def give_up_waiting(
        self, data: st.DataObject, error: Any, delay_s: int, now: Any, **rest: Any
    ) -> None:
        """End what no worker claimed in time; it may have been claimed since."""
        attempt = self._draw_polled(data, AttemptStatus.NEW)
        if data.draw(st.booleans(), "retries"):
            successor = successor_of(attempt, timedelta(seconds=delay_s))
            self.write(data, "jobs", "retry", attempt, error, successor, now, lapsed=True)
        else:
            self.write(data, "jobs", "fail", attempt, error, now, lapsed=True, **rest)

    # -- reports besides outcomes ----------------------------------------------------------------

    @rule(data=st.data(), lates=st.lists(late_updates, min_size=1, max_size=3))
    def tell_too_late(self, data: st.DataObject, lates: list[LateUpdate]) -> None:
        attempt = self._draw_polled(data, AttemptStatus.COMPLETED)
        for late in lates:
            self.write(data, "jobs", "add_late_update", attempt, late)
            if data.draw(st.booleans(), "reads it again"):
                attempt = self.pair.tables.attempt(attempt.request_id, attempt.key) or attempt
        self.pair.ask("jobs", "get", attempt.request_id, attempt.key)

    @rule(
        data=st.data(), request_id=request_ids, key=keys, lines=st.lists(log_lines, max_size=3),
        now=moments,
    )  # fmt: skip
    def add_logs(
        self, data: st.DataObject, request_id: str, key: AttemptKey, lines: Any, now: Any
    ) -> None:
        self.pair.ask("jobs", "logs", request_id, key)
        self.write(data, "jobs", "add_logs", request_id, key, lines, now)
        self.pair.ask("jobs", "logs", request_id, key)

    @rule(ids=st.lists(st.tuples(request_ids, keys), max_size=4))
    def get_many(self, ids: Any) -> None:
        self.pair.get_many(ids)

    # -- limits ----------------------------------------------------------------------------------

    def _draw_slot(self, data: st.DataObject) -> Slot:
        """Draw a slot as it is, or once was."""
        now = self.pair.current(Slot)
        otherwise = Slot("documents.list", 0, "r1.1.0.1", "c1")
        slot: Slot = self.draw_of(data, Slot, otherwise, now, now, self.pair.seen[Slot])
        return slot

    @rule(data=st.data(), claims=rivals)
    def free_slot(self, data: st.DataObject, claims: list[str]) -> None:
        slot = self._draw_slot(data)
        for claim_id in claims:
            self.pair.ask("limits", "slots", slot.type)
            self.write(data, "limits", "free", replace(slot, claim_id=claim_id))

    @rule(
        data=st.data(), type=limited_types, window=sampled(NOW, NOW + timedelta(seconds=1)),
        count=sampled(1, 2, 5), limit=sampled(1, 3, 6, 12), unused=sampled(0, 1, 2),
    )  # fmt: skip
    def reserve(
        self, data: st.DataObject, type: str, window: Any, count: int, limit: int, unused: int
    ) -> None:
        self.pair.ask("limits", "used", type, window)
        self.write(data, "limits", "reserve", type, window, count, limit, window)
        used = self.pair.ask("limits", "used", type, window)
        used += data.draw(sampled(0, 0, 1, -1), "since then")
        self.write(data, "limits", "give_back", type, window, min(unused, used), used)

    # -- workers and tokens ----------------------------------------------------------------------

    def _draw_worker(self, data: st.DataObject) -> Worker:
        """Draw a record as it is or once was, or one that nobody has written."""
        worker_id = data.draw(sampled("w1", "w2"), "worker id")
        new = Worker(worker_id, f"host of {worker_id}", WorkerKind.REGISTERED, NOW, NOW)
        now, seen = self.pair.current(Worker), self.pair.seen[Worker]
        worker: Worker = self.draw_of(data, Worker, new, [new], now, now, seen)
        return worker

    @rule(
        data=st.data(),
        kind=st.sampled_from(WorkerKind),
        last_seen_at=moments,
        last_status_update_at=moments,
        address=sampled("", "http://w:8080"),
        routes=sampled((), ("large", "gpu")),
        active=st.booleans(),
        is_drained=st.booleans(),
        drained_for=sampled((), ("stop-1", "stop-2")),
        status=sampled(*list(WorkerStatus)[:4]),
        running_build_ids=held_ids,
        build_limit=sampled(1, 4),
        error=sampled(None, "", "kein Platz: ü"),
        last_build_started_at=optional_moments,
        last_build_finished_at=optional_moments,
        last_checked_in=optional_moments,
        lapsed_at=optional_moments,
        polls=polls,
        watch_at=optional_moments,
    )
    def save_worker(self, data: st.DataObject, **values: Any) -> None:
        worker = self._draw_worker(data)
        if data.draw(sampled(True, True, False), "is changed"):
            worker = replace(worker, **values)
        self.write(data, "workers", "save", worker)
        self.pair.ask("workers", "get", worker.worker_id)

    @rule(data=st.data())
    def delete_worker(self, data: st.DataObject) -> None:
        worker = self._draw_worker(data)
        self.pair.ask("workers", "get", worker.worker_id)
        self.write(data, "workers", "delete", worker)

    @rule(before=moments | st.just(FAR), shard=shards)
    def list_workers(self, before: Any, shard: str | None) -> None:
        self.pair.all_workers()
        self.pair.list_watched(before, shard)

    @rule(is_wanted=sampled(is_any, is_active), limit=limits, token=sampled(None, "", "w1", "x"))
    def find_workers(self, is_wanted: Any, limit: int, token: str | None) -> None:
        self.pair.ask("workers", "find", is_wanted, limit, token)

    @rule(data=st.data(), before=moments | st.just(FAR))
    def put_off_worker(self, data: st.DataObject, before: Any) -> None:
        worker = self._draw_worker(data)
        self.write(data, "workers", "put_off", worker.worker_id, before=before)

    @rule(data=st.data(), token_id=sampled("t1", "t2"), users=rivals, expires_at=moments)
    def use_token(self, data: st.DataObject, users: list[str], **values: Any) -> None:
        for user in users:
            self.write(data, "tokens", "use", user=user, **values)
