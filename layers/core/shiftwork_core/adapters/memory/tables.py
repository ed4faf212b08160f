"""The rows of all stores in memory, and the indexes derived from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.put_offs import PutOff, put_off_again
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.requests.queue_order import Queued
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, LogLine, Request, Step
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN
from shiftwork_core.domain.workers.workers import Worker
from shiftwork_core.domain.workspaces.records import LifecycleJob, LifecycleLog, Workspace
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.jobs import Slot, waits_in_table
from shiftwork_core.ports.stores import DueRequest, Lane, lane_of


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What an idempotency key was used for. A key that has expired is free again."""

    digest: str
    request_id: str
    expires_at: datetime


@dataclass(slots=True)
class QueueIndex:
    """A queue in its order: what is ready; what is delayed; what is held, the last lease first."""

    ready: list[Queued] = field(default_factory=list)
    delayed: list[Queued] = field(default_factory=list)
    held: list[Queued] = field(default_factory=list)


@dataclass(slots=True)
class MemoryTables:
    """All rows, for stores that share them as functions share the tables."""

    requests: dict[str, Request] = field(default_factory=dict)
    keys: dict[str, KeyRow] = field(default_factory=dict)
    steps: dict[str, dict[int, Step]] = field(default_factory=dict)
    attempts: dict[str, dict[AttemptKey, Attempt]] = field(default_factory=dict)
    #: Attempts whose wake-up was sent: the wake index no longer has them.
    woken: set[tuple[str, AttemptKey]] = field(default_factory=set)
    #: Of rows that sweeps could not handle: when they are due again, by table and key.
    put_offs: dict[tuple[object, ...], PutOff] = field(default_factory=dict)
    definitions: dict[tuple[Kind, str], dict[int, Definition]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    #: By request, until when the last of its batches to say so lives.
    alive: dict[str, datetime] = field(default_factory=dict)
    #: By request and step, how many attempts were left in each status.
    tallies: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    #: The user of every used token, by the token's id.
    used_tokens: dict[str, str] = field(default_factory=dict)
    logs: dict[tuple[str, AttemptKey], frozenset[LogLine]] = field(default_factory=dict)
    slots: dict[str, dict[int, Slot]] = field(default_factory=dict)
    #: How much of a rate limit's window is used.
    rates: dict[tuple[str, datetime], int] = field(default_factory=dict)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    lifecycle_jobs: dict[str, LifecycleJob] = field(default_factory=dict)
    #: Each job's lines by time and id, with their position in the call that brought them.
    lifecycle_logs: dict[str, dict[tuple[datetime, str], tuple[int, LifecycleLog]]] = field(
        default_factory=dict
    )
    lock: RLock = field(default_factory=RLock, repr=False, compare=False)

    def copy(self) -> MemoryTables:
        """Return a snapshot that later writes do not touch."""
        with self.lock:
            return MemoryTables(
                requests=dict(self.requests),
                keys=dict(self.keys),
                steps={key: dict(rows) for key, rows in self.steps.items()},
                attempts={key: dict(rows) for key, rows in self.attempts.items()},
                woken=set(self.woken),
                put_offs=dict(self.put_offs),
                definitions={key: dict(rows) for key, rows in self.definitions.items()},
                blobs=dict(self.blobs),
                alive=dict(self.alive),
                tallies={key: tally.copy() for key, tally in self.tallies.items()},
                logs=dict(self.logs),
                slots={key: dict(slots) for key, slots in self.slots.items()},
                rates=dict(self.rates),
                workers=dict(self.workers),
                used_tokens=dict(self.used_tokens),
                workspaces=dict(self.workspaces),
                lifecycle_jobs=dict(self.lifecycle_jobs),
                lifecycle_logs={key: dict(lines) for key, lines in self.lifecycle_logs.items()},
            )

    def request(self, request_id: str) -> Request:
        """Return a request's row; raise NotFound if there is none."""
        if request_id not in self.requests:
            raise NotFound(f"there is no request {request_id!r}")
        return self.requests[request_id]

    def put_request(self, request: Request) -> Request:
        """Write a request's row and return it."""
        self.requests[request.request_id] = request
        return request

    def step(self, request_id: str, index: int) -> Step | None:
        """Return a step's row."""
        return self.steps.get(request_id, {}).get(index)

    def put_step(self, step: Step) -> Step:
        """Write a step's row and return it."""
        self.steps.setdefault(step.request_id, {})[step.index] = step
        return step

    def attempt(self, request_id: str, key: AttemptKey) -> Attempt | None:
        """Return an attempt's row."""
        return self.attempts.get(request_id, {}).get(key)

    def put_attempt(self, attempt: Attempt) -> Attempt:
        """Write an attempt's row and return it."""
        self.attempts.setdefault(attempt.request_id, {})[attempt.key] = attempt
        return attempt

    def put_off(
        self, key: tuple[object, ...], due_at: datetime | None, before: datetime
    ) -> PutOff | None:
        """Note that a row is due later, if it is due before a time; the caller writes the row."""
        if due_at is None or due_at >= before:
            return None
        self.put_offs[key] = put_off_again(self.put_offs.get(key), due_at, before)
        return self.put_offs[key]

    def put_workspace(self, workspace: Workspace) -> Workspace:
        """Write a workspace's row and return it."""
        self.workspaces[workspace.workspace_id] = workspace
        return workspace

    def drop_workspace(self, workspace_id: str) -> None:
        """Delete a workspace's row, if there is one."""
        self.workspaces.pop(workspace_id, None)

    def put_lifecycle_job(self, job: LifecycleJob) -> LifecycleJob:
        """Write a lifecycle job's row and return it."""
        self.lifecycle_jobs[job.id] = job
        return job

    def by_status(self) -> list[Request]:
        """Return the index of requests, newest first, in the columns it has."""
        with self.lock:
            requests = list(self.requests.values())
        requests.sort(key=lambda r: (r.created_at, r.request_id), reverse=True)
        return [
            Request(
                request_id=r.request_id,
                type=r.type,
                type_version=r.type_version,
                job_types={},
                params=Payload(),
                extras=Payload(),
                created_at=r.created_at,
                status=r.status,
                current_step=r.current_step,
                started_at=r.started_at,
                completed_at=r.completed_at,
                correlation_id=r.correlation_id,
                priority=r.priority,
            )
            for r in requests
        ]

    def by_due(self, lane: Lane) -> list[DueRequest]:
        """Return the index of due times, the earliest first."""
        with self.lock:
            due = [
                DueRequest(r.request_id, r.execution, r.due_at)
                for r in self.requests.values()
                if r.due_at is not None and lane_of(r.status) is lane
            ]
        return sorted(due, key=lambda d: (d.due_at, d.request_id))

    def by_wake(self) -> list[tuple[datetime, str, AttemptKey]]:
        """Return the index of wake-ups that no message carries, the earliest first."""
        with self.lock:
            return sorted(
                (a.wake_at, a.request_id, a.key)
                for a in self._attempts()
                if a.wake_at is not None
                and waits_in_table(a)
                and (a.request_id, a.key) not in self.woken
            )

    def by_queue(self, queue: str) -> QueueIndex:
        """Return the index of a queue's shard."""
        index = QueueIndex()
        with self.lock:
            for a in self.queueing():
                if a.queue != queue:
                    continue
                if a.lease_until is not None:
                    # An index shows what its key says of a held job, and no priority.
                    index.held.append(_queued(queue, a, a.lease_until, priority=0))
                elif a.wake_at is not None:
                    index.delayed.append(_queued(queue, a, a.wake_at, a.priority))
                else:
                    index.ready.append(_queued(queue, a, a.created_at, a.priority))
        index.ready.sort(key=lambda queued: queued.order)
        index.delayed.sort(key=lambda queued: (queued.at, -queued.priority))
        index.held.sort(key=lambda queued: queued.at, reverse=True)
        return index

    def queueing(self) -> Iterator[Attempt]:
        """Return the attempts that wait for a worker, or are held by one."""
        return (a for a in self._attempts() if a.is_polled and a.status in ATTEMPT_OPEN)

    def by_liveness(self) -> list[tuple[datetime, str]]:
        """Return the index of workers that a sweep must check, the earliest first."""
        with self.lock:
            return sorted(
                (w.watch_at, w.worker_id) for w in self.workers.values() if w.watch_at is not None
            )

    def due_workspaces(self) -> list[tuple[datetime, str]]:
        """Return the index of workspaces that the scheduler must check, the earliest first."""
        with self.lock:
            return sorted(
                (w.due_at, w.workspace_id) for w in self.workspaces.values() if w.due_at is not None
            )

    def due_lifecycle_jobs(self) -> list[tuple[datetime, LifecycleJob]]:
        """Return the index of lifecycle jobs that have not ended, by when they are due."""
        with self.lock:
            due = [
                (job.next_at, job)
                for job in self.lifecycle_jobs.values()
                if job.next_at is not None
            ]
        return sorted(due, key=lambda entry: (entry[0], entry[1].id))

    def _attempts(self) -> Iterator[Attempt]:
        for rows in self.attempts.values():
            yield from rows.values()


def _queued(queue: str, attempt: Attempt, at: datetime, priority: int) -> Queued:
    return Queued(
        queue,
        attempt.request_id,
        attempt.key,
        attempt.type_version,
        at,
        priority,
        attempt.fence,
        attempt.started_at,
    )


#: Where a store's eventually consistent lists come from: its own tables, or an older snapshot.
Index = Callable[[], MemoryTables]
