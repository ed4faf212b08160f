"""The rows, and the indexes derived from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from shiftwork_core.domain.definitions import Definition, Kind
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.records import Attempt, AttemptKey, Request, Step
from shiftwork_core.errors import NotFound
from shiftwork_core.ports import DueRequest, Lane, lane_of, waits_in_table


@dataclass(frozen=True, slots=True)
class KeyRow:
    """What an idempotency key was used for. A key that has expired is free again."""

    digest: str
    request_id: str
    expires_at: datetime


@dataclass(slots=True)
class MemoryTables:
    """All rows, for stores that share them as functions share the tables."""

    requests: dict[str, Request] = field(default_factory=dict)
    keys: dict[str, KeyRow] = field(default_factory=dict)
    steps: dict[str, dict[int, Step]] = field(default_factory=dict)
    attempts: dict[str, dict[AttemptKey, Attempt]] = field(default_factory=dict)
    #: Attempts whose wake-up was sent, so that the wake index has them no more.
    woken: set[tuple[str, AttemptKey]] = field(default_factory=set)
    definitions: dict[tuple[Kind, str], dict[int, Definition]] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)
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
                definitions={key: dict(rows) for key, rows in self.definitions.items()},
                blobs=dict(self.blobs),
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
        """Return the index of wake-ups that no message brings, the earliest first."""
        with self.lock:
            return sorted(
                (a.wake_at, a.request_id, a.key)
                for a in self._attempts()
                if a.wake_at is not None
                and waits_in_table(a)
                and (a.request_id, a.key) not in self.woken
            )

    def by_lease(self) -> list[tuple[datetime, str, AttemptKey]]:
        """Return the index of polled attempts under a lease, the earliest first."""
        with self.lock:
            return sorted(
                (a.lease_until, a.request_id, a.key)
                for a in self._attempts()
                if a.is_polled and a.lease_until is not None
            )

    def _attempts(self) -> Iterator[Attempt]:
        for rows in self.attempts.values():
            yield from rows.values()


#: Where a store's eventually consistent lists come from: its own tables, or an older snapshot.
Index = Callable[[], MemoryTables]
