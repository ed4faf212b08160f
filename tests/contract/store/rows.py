"""Build and write the rows that contract tests begin with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.blocks import Block
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.queue_order import Queued
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, RequestError, Step
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.ports.jobs import Claimed, FreeSlot, JobStore, LimitStore
from shiftwork_core.ports.metrics import CountedTables, CounterStore
from shiftwork_core.ports.stores import DefinitionStore, RequestStore
from shiftwork_core.ports.workers import TokenStore, WorkerStore
from shiftwork_core.ports.workspaces import LifecycleJobStore, WorkspaceStore
from shiftwork_core.ports.world import BlobStore

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
LEASE = timedelta(seconds=60)
RETENTION = timedelta(days=90)
WORKERS_KEPT = timedelta(days=7)
SECOND = timedelta(seconds=1)

KEY = AttemptKey(1, 0, 1)
#: The steps of any request here.
ALL_STEPS = range(1, 12)
OUTPUT = Payload('{"pages":3}')
#: With which a step begins that is retried.
EXTRAS = Payload('{"before":1}')
BROKEN = JobError("Timeout", "it did not end within its 60 s")
FATAL = RequestError("Timeout", "it did not end", step=1, job="list", attempt_id="r1.1.0.1")

Result = TypeVar("Result")
Row = TypeVar("Row", Attempt, Block, Request, Step)


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one deployment."""

    requests: RequestStore
    jobs: JobStore
    limits: LimitStore
    definitions: DefinitionStore
    blobs: BlobStore
    workers: WorkerStore
    tokens: TokenStore
    workspaces: WorkspaceStore
    lifecycle_jobs: LifecycleJobStore
    counters: CounterStore
    counted_tables: CountedTables

    def request(self, request_id: str = "r1", **values: Any) -> Request:
        """Write the request and return it."""
        request = a_request(request_id, **values)
        assert self.requests.create(request, None).is_new
        return request

    def attempt(self, key: AttemptKey = KEY, **values: Any) -> Attempt:
        """Write the attempt and return it."""
        attempt = an_attempt(key, **values)
        assert self.jobs.insert([attempt]) == 0
        return attempt

    def claimed(self, key: AttemptKey = KEY, **values: Any) -> Attempt:
        """Write an attempt and claim it; return it as its holder sees it."""
        attempt = self.attempt(key, **values)
        claim = self.claim(attempt.request_id, key)
        assert claim is not None
        return claim

    def claim(self, request_id: str, key: AttemptKey, claim_id: str = "c1") -> Attempt | None:
        """Claim an attempt; None if that is lost."""
        write = self.jobs.claim(
            request_id,
            key,
            claim_id=claim_id,
            worker_id=f"worker of {claim_id}",
            now=NOW,
            lease_until=NOW + LEASE,
        )
        return write.row if write.won else None

    def claim_queued(
        self, attempt: Attempt, claim_id: str = "c1", slot: FreeSlot | None = None
    ) -> Attempt | None:
        """Claim an attempt as it was queued; None if that is lost."""
        if slot is not None:
            return self.claim_limited(attempt, claim_id, slot).attempt
        [claimed] = self.jobs.claim_queued(
            [queued_of(attempt)],
            claim_id=claim_id,
            worker_id=f"worker of {claim_id}",
            now=NOW,
            leases=[NOW + LEASE],
        )
        return claimed

    def claim_limited(self, attempt: Attempt, claim_id: str, slot: FreeSlot) -> Claimed:
        """Claim an attempt as it was queued, into a slot."""
        return self.jobs.claim_limited(
            queued_of(attempt),
            slot,
            claim_id=claim_id,
            worker_id=f"worker of {claim_id}",
            now=NOW,
            lease_until=NOW + LEASE,
        )

    def row(self, attempt: Attempt) -> Attempt:
        """Read an attempt again."""
        row = self.jobs.get(attempt.request_id, attempt.key)
        assert row is not None
        return row

    def request_row(self, request_id: str = "r1") -> Request:
        """Read a request again."""
        row = self.requests.get(request_id)
        assert row is not None
        return row

    def step_row(self, index: int = 1, request_id: str = "r1") -> Step:
        """Read a step again."""
        row = self.requests.get_step(request_id, index)
        assert row is not None
        return row


def a_request(request_id: str = "r1", **values: Any) -> Request:
    """Return a request, new unless told otherwise."""
    given: dict[str, Any] = {
        "type": "index-documents",
        "type_version": 1,
        "job_types": {"documents.list": 1},
        "params": Payload("{}"),
        "extras": Payload("{}"),
        "created_at": NOW,
        "due_at": NOW + LEASE,
    }
    return Request(request_id, **(given | values))


def an_attempt(key: AttemptKey = KEY, request_id: str = "r1", **values: Any) -> Attempt:
    """Return an attempt, new unless told otherwise."""
    given: dict[str, Any] = {
        "name": "list",
        "type": "documents.list",
        "type_version": 1,
        "created_at": NOW,
    }
    return Attempt(request_id, key, **(given | values))


def queued_of(attempt: Attempt) -> Queued:
    """Return a waiting attempt as its queue lists it."""
    return Queued(
        queue=attempt.queue,
        request_id=attempt.request_id,
        key=attempt.key,
        type_version=attempt.type_version,
        at=attempt.wake_at or attempt.created_at,
        priority=attempt.priority,
        fence=attempt.fence,
        started_at=attempt.started_at,
    )


def a_step(index: int = 1, request_id: str = "r1", **values: Any) -> Step:
    """Return a step that has just been planned."""
    given: dict[str, Any] = {"name": "list", "job_count": 1, "started_at": NOW}
    return Step(request_id, index, **(given | values))


def successor_of(attempt: Attempt, delay: timedelta = 2 * SECOND, **values: Any) -> Attempt:
    """Return the next attempt, to be woken after `delay`."""
    key = AttemptKey(attempt.key.step, attempt.key.job, attempt.key.attempt + 1)
    given = {"tries": attempt.tries + 1, "wake_at": NOW + delay, "is_polled": attempt.is_polled}
    given["shard"] = attempt.shard
    return an_attempt(key, attempt.request_id, **(given | values))


def full(row: Row) -> Row:
    """Return a row with a value of its own in every field: a new field must join it."""
    for field in fields(row):
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        assert getattr(row, field.name) != default, f"{field.name} is as in a new row"
    return row


def sent_twice(write: Callable[[], Result]) -> Result:
    """Send a write twice, check that both answers are the same, and return it."""
    first = write()
    assert write() == first
    return first


#: Statuses that a test may begin with, and the others.
REQUEST_STATUSES = list(RequestStatus)
ATTEMPT_STATUSES = list(AttemptStatus)
