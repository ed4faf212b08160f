"""The model's lists may lag as DynamoDB's indexes do; its reads of rows never lag."""

from __future__ import annotations

from shiftwork_core.adapters.memory import (
    MemoryJobStore,
    MemoryRequestStore,
    MemoryTables,
    MemoryWorkerStore,
)
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.workers.workers import Worker, WorkerKind
from shiftwork_core.ports.stores import DueRequest, Lane
from shiftwork_core.ports.world import MAX_DELAY
from tests.contract.store.rows import KEY, LEASE, NOW, RETENTION, a_request, an_attempt

FAR = NOW + 2 * LEASE


def test_requests_are_listed_as_an_older_snapshot_has_them() -> None:
    tables, older = MemoryTables(), MemoryTables()
    older.put_request(a_request("r1"))
    tables.put_request(a_request("r2", status=RequestStatus.INPROGRESS))
    requests = MemoryRequestStore(tables, RETENTION, index=lambda: older)
    assert [r.request_id for r in requests.find(None, None, 9, None).items] == ["r1"]
    assert list(requests.due(Lane.NEW, FAR)) == [DueRequest("r1", 1, NOW + LEASE)]
    assert list(requests.due(Lane.INPROGRESS, FAR)) == []
    assert requests.get("r1") is None


def test_attempts_are_listed_as_an_older_snapshot_has_them() -> None:
    tables, older = MemoryTables(), MemoryTables()
    older.put_attempt(an_attempt(is_polled=True, type="gpu.render"))
    older.put_attempt(an_attempt(KEY, "r2", wake_at=NOW + 2 * MAX_DELAY))
    jobs = MemoryJobStore(tables, index=lambda: older)
    assert [row.key for row in jobs.queued("gpu.render", FAR, 9).waiting] == [KEY]
    assert list(jobs.attempts_to_wake(NOW + 3 * MAX_DELAY)) == [("r2", KEY)]
    assert jobs.get("r1", KEY) is None


def test_workers_are_watched_as_an_older_snapshot_has_them() -> None:
    tables, older = MemoryTables(), MemoryTables()
    worker = Worker("host-1", "host-1", WorkerKind.REGISTERED, NOW, NOW, watch_at=NOW)
    older.workers["host-1"] = worker
    workers = MemoryWorkerStore(tables, index=lambda: older)
    assert list(workers.watched(FAR)) == ["host-1"]
    assert workers.get("host-1") is None
