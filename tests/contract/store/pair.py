"""Make the same calls of two deployments' stores, and compare their answers and rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shiftwork_core.adapters.memory import MemoryTables
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.requests.queue_order import MAX_LAPSED, Queued, QueueView
from shiftwork_core.domain.requests.records import (
    Attempt,
    AttemptKey,
    Request,
    Step,
    attempt_id_of,
)
from shiftwork_core.domain.workers.workers import Worker
from shiftwork_core.domain.workspaces.records import LifecycleJob, Workspace
from shiftwork_core.errors import Refusal
from shiftwork_core.ports.jobs import Claimed, JobStore, LimitStore, Rows, Slot
from shiftwork_core.ports.shards import shard_of
from shiftwork_core.ports.stores import (
    Created,
    DefinitionStore,
    Lane,
    Page,
    Recorded,
    RequestStore,
    Write,
)
from shiftwork_core.ports.workers import TokenStore, WorkerStore
from shiftwork_core.ports.workspaces import LifecycleJobStore, LifecycleWrite, WorkspaceStore
from shiftwork_core.ports.world import BlobStore
from tests.contract.store.rows import ALL_STEPS, NOW, RETENTION, Stores

#: The ports that `Stores` has, by its fields.
PORTS: Mapping[str, type] = {
    "requests": RequestStore,
    "jobs": JobStore,
    "limits": LimitStore,
    "definitions": DefinitionStore,
    "blobs": BlobStore,
    "workers": WorkerStore,
    "tokens": TokenStore,
    "workspaces": WorkspaceStore,
    "lifecycle_jobs": LifecycleJobStore,
}

#: Transactions whose effect may be undone before a later sending, which then does not find it.
NOT_FOR_EVER = {"jobs.put_back"}

#: A time after all times of a test.
FAR = NOW + 10 * RETENTION
#: More rows than any list has.
MANY = 1000

#: Kinds of rows on which a caller may act though it saw an older version.
KINDS = (Request, Step, Attempt, Queued, Slot, Worker, Workspace, LifecycleJob)


def methods_of(port: type) -> set[str]:
    """Return the names of a port's methods."""
    return {name for name, value in vars(port).items() if callable(value) and name[0] != "_"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a port's method, for any store."""

    port: str
    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return port and method as one word."""
        return f"{self.port}.{self.method}"

    def of(self, stores: Stores) -> Any:
        """Make the call; a refusal is an answer like any other."""
        method = getattr(getattr(stores, self.port), self.method)
        try:
            answer = method(*self.args, **self.kwargs)
            return list(answer) if isinstance(answer, Iterator) else answer
        except Refusal as refusal:
            return type(refusal)


class Pair:
    """The model with its tables, and the adapter to compare.

    Every row that an answer ever had is kept in `seen`, so that a caller may act on what has
    changed since.
    """

    def __init__(self, tables: MemoryTables, model: Stores, adapter: Stores) -> None:
        self.tables = tables
        self.model = model
        self.adapter = adapter
        self.seen: dict[type, list[Any]] = {kind: [] for kind in KINDS}
        self.writes: list[Call] = []
        self.tokens: list[str] = []
        #: How often each method gave each kind of answer.
        self.answers: Counter[tuple[str, str]] = Counter()
        self.have_differed = False
        self._transacted: list[tuple[Call, Any]] = []

    def ask(self, port: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make the call of both stores; return the answer, which must be the same."""
        return self.send(Call(port, method, args, kwargs))

    def send(self, call: Call) -> Any:
        """Make the call of both stores; return the answer, which must be the same."""
        if self._is_claim_of_the_wrong_kind(call):
            return None
        expected = call.of(self.model)
        answer = call.of(self.adapter)
        if (call, answer) in self._transacted:
            # For ten minutes DynamoDB answers a transaction that it has seen as it did at first.
            return answer
        self._agree(call, answer, expected)
        if isinstance(answer, Created) and answer.is_new:
            self._transacted.append((call, answer))
        if call.name in NOT_FOR_EVER and answer is Recorded.WON:
            self._transacted.append((call, answer))
        if isinstance(answer, LifecycleWrite) and answer.won and answer.workspace is not None:
            self._transacted.append((call, answer))
        self._remember(answer)
        return answer

    def list_index(
        self, call: Call, times: Mapping[Any, datetime], limit: int | None = None
    ) -> None:
        """List an index of both stores: `times` says when each row is due.

        Rows of one time come in any order, so either may be cut off by the limit.
        """
        expected = sorted(times.values())[:limit]
        for stores in (self.model, self.adapter):
            rows = call.of(stores)
            self._agree(call, [times.get(row) for row in rows], expected)
            self._agree(call, len(set(rows)), len(rows))

    def get_many(self, ids: Sequence[tuple[str, AttemptKey]]) -> None:
        """Read some attempts; their order does not matter."""
        call = Call("jobs", "get_many", (ids,))
        answers = [call.of(stores) for stores in (self.adapter, self.model)]
        self._agree(call, *(sorted(rows, key=lambda row: row.attempt_id) for rows in answers))

    def all_workers(self) -> None:
        """Read every worker; their order does not matter."""
        call = Call("workers", "all", ())
        answers = [call.of(stores) for stores in (self.adapter, self.model)]
        self._agree(call, *(sorted(rows, key=lambda row: row.worker_id) for rows in answers))
        self._remember(answers[1])

    def read_everything(self) -> None:
        """Read all tables and lists of both."""
        known = {*self.tables.requests, *self.tables.attempts, *self.tables.steps}
        for request_id in sorted(known):
            self.ask("requests", "get", request_id)
            self.ask("requests", "steps", request_id)
            self.ask("requests", "tally", request_id, 1)
            attempts = self.ask("jobs", "find", request_id, ALL_STEPS, None, MANY, None)
            self._agree("attempts", attempts.items, self._attempts_of(request_id))
        self.ask("requests", "find", None, None, MANY, None)
        for lane in Lane:
            self.list_due(lane, FAR, None)
        self.list_waking(FAR, None)
        for queue in sorted({a.queue for a in self.current(Attempt)}):
            self.list_queue(queue, FAR, MANY)
            self.ask("jobs", "queue_size", queue)
        for request_id, key in self.tables.logs:
            self.ask("jobs", "logs", request_id, key)
        for type in self.tables.slots:
            self.ask("limits", "slots", type)
        for type, window in self.tables.rates:
            self.ask("limits", "used", type, window)
        self.all_workers()
        self.list_watched(FAR, None)
        self.ask("workspaces", "find", MANY, None)
        self.list_due_workspaces(FAR, MANY)
        self.ask("lifecycle_jobs", "find", None, None, MANY, None)
        self.list_upcoming(NOW - RETENTION, FAR, MANY)
        for job_id in self.tables.lifecycle_logs:
            self.ask("lifecycle_jobs", "logs", job_id)
        for kind in Kind:
            self.ask("definitions", "latest", kind)
        for (kind, name), versions in self.tables.definitions.items():
            for version in versions:
                self.ask("definitions", "get", kind, name, version)
        for ref in self.tables.blobs:
            self.ask("blobs", "get", ref)

    def list_due(self, lane: Lane, before: datetime, shard: str | None) -> None:
        """List the requests that are due."""
        times = {
            due: due.due_at
            for due in self.tables.by_due(lane)
            if due.due_at < before and shard in (None, shard_of(due.request_id))
        }
        self.list_index(Call("requests", "due", (lane, before, shard)), times)

    def list_waking(self, before: datetime, shard: str | None) -> None:
        """List the attempts that must be woken."""
        times = {
            (request_id, key): at
            for at, request_id, key in self.tables.by_wake()
            if at < before and shard in (None, shard_of(attempt_id_of(request_id, key)))
        }
        self.list_index(Call("jobs", "attempts_to_wake", (before, shard)), times)

    def list_watched(self, before: datetime, shard: str | None) -> None:
        """List the workers that must be checked."""
        times = {
            worker_id: at
            for at, worker_id in self.tables.by_liveness()
            if at < before and shard in (None, shard_of(worker_id))
        }
        self.list_index(Call("workers", "watched", (before, shard)), times)

    def list_due_workspaces(self, before: datetime, limit: int) -> None:
        """List the workspaces that are due."""
        times = {key: at for at, key in self.tables.due_workspaces() if at <= before}
        self.list_index(Call("workspaces", "due", (before, limit)), times, limit)

    def list_upcoming(self, after: datetime, before: datetime, limit: int) -> None:
        """List the lifecycle jobs that are due."""
        due = self.tables.due_lifecycle_jobs()
        times = {job: at for at, job in due if after < at <= before}
        self.list_index(Call("lifecycle_jobs", "upcoming", (after, before, limit)), times, limit)

    def acquire(self, **kwargs: Any) -> None:
        """Claim any lifecycle job: the model claims the one that the adapter has chosen."""
        call = Call("lifecycle_jobs", "acquire_workspace_lifecycle_job", (), kwargs)
        due = [(at, job) for at, job in self.tables.due_lifecycle_jobs() if at <= kwargs["now"]]
        answer = call.of(self.adapter)
        if answer is None:
            self._agree(call, [], due)
            self._agree(call, answer, call.of(self.model))
            return
        longest = min(at for at, job in due if shard_of(job.id) == shard_of(answer.id))
        self._agree("due since", {job.id: at for at, job in due}[answer.id], longest)
        named = Call(call.port, call.method, (), {**kwargs, "job_id": answer.id})
        self._agree(call, answer, named.of(self.model))
        self._remember(answer)

    def list_queue(self, queue: str, now: datetime, limit: int) -> None:
        """List the head of a queue; jobs of equal rank come in any order."""
        index = self.tables.by_queue(queue)
        later = [queued for queued in index.delayed if queued.at <= now]
        over = [queued for queued in index.held if queued.at <= now]
        first = sorted(map(_place, index.ready))[:limit]
        due = sorted((at, rank) for rank, at in map(_place, later))
        expected = sorted([*first, *((rank, at) for at, rank in due[:limit])])
        lapsed = sorted((queued.at for queued in over), reverse=True)[:MAX_LAPSED]
        call = Call("jobs", "queued", (queue, now, limit))
        for stores in (self.model, self.adapter):
            view: QueueView = call.of(stores)
            rows, known = view.waiting, {*index.ready, *later}
            self._agree(call, [_place(row) for row in rows], expected)
            self._agree(call, rows, sorted({*rows} & known, key=lambda row: row.order))
            self._agree(call, [row.at for row in view.lapsed], lapsed)
            self._agree(call, {*view.lapsed} - {*over}, set())
            self._remember(rows)

    def row_keys(self) -> tuple[set[str], set[tuple[str, str]]]:
        """Return the keys of all rows of the model, in the tables' form.

        Of the requests' table those of requests and steps; of idempotency keys their number.
        """
        tables = self.tables
        parts = {f"{request_id} request" for request_id in tables.requests}
        parts |= {f"{i} step#{index:04d}" for i, rows in tables.steps.items() for index in rows}
        attempts = {(i, str(key)) for i, rows in tables.attempts.items() for key in rows}
        return parts, attempts

    def current(self, kind: type) -> list[Any]:
        """Return the rows of a kind as they are now."""
        tables = self.tables
        flat: Any = {
            Request: tables.requests,
            Worker: tables.workers,
            Workspace: tables.workspaces,
            LifecycleJob: tables.lifecycle_jobs,
        }
        if kind in flat:
            return list(flat[kind].values())
        grouped: Any = {Step: tables.steps, Attempt: tables.attempts, Slot: tables.slots}[kind]
        return [row for rows in grouped.values() for row in rows.values()]

    def _is_claim_of_the_wrong_kind(self, call: Call) -> bool:
        """Whether no function makes this call, of an attempt as it is now.

        Workers claim what is polled, and only that, from its queue; so only that is in a queue.
        """
        match call.name, call.args:
            case "jobs.claim", (request_id, key, *_):
                return any(row.is_polled for row in self._rows_at(request_id, key))
            case "jobs.claim_queued", (queued, *_):
                rows = [row for one in queued for row in self._rows_at(one.request_id, one.key)]
                return not all(row.is_polled for row in rows)
            case "jobs.claim_limited", (queued, *_):
                rows = self._rows_at(queued.request_id, queued.key)
                return not all(row.is_polled for row in rows)
        return False

    def _rows_at(self, request_id: str, key: AttemptKey) -> list[Attempt]:
        row = self.tables.attempt(request_id, key)
        return [] if row is None else [row]

    def _attempts_of(self, request_id: str) -> Sequence[Attempt]:
        rows: dict[AttemptKey, Attempt] = self.tables.attempts.get(request_id, {})
        return [rows[key] for key in sorted(rows)]

    def _agree(self, what: Call | str, answer: object, expected: object) -> None:
        self.have_differed = self.have_differed or answer != expected
        assert answer == expected, f"{what}\nthe adapter: {answer}\nthe model:   {expected}"
        if isinstance(what, Call):
            self.answers[what.name, _outcome(answer)] += 1

    def _remember(self, answer: object) -> None:
        match answer:
            case Write(row=row) | Created(request=row) | Claimed(attempt=row):
                self._remember(row)
            case Page(items=rows, next_token=token):
                if token is not None and token not in self.tokens:
                    self.tokens.append(token)
                # A list of requests is a summary; nobody acts on it.
                self._remember([row for row in rows if not isinstance(row, Request)])
            case Rows(items=attempts):
                self._remember(attempts)
            case LifecycleWrite(job=job, workspace=workspace):
                self._remember([job, workspace])
            case list():
                for row in answer:
                    self._remember(row)
            case _ if type(answer) in self.seen:
                if answer not in (rows := self.seen[type(answer)]):
                    rows.append(answer)


def _place(queued: Queued) -> tuple[int, datetime]:
    return -queued.priority, queued.at


def _outcome(answer: object) -> str:
    """Return the kind of an answer in one word."""
    match answer:
        case type():
            return answer.__name__
        case Write(won=won) | LifecycleWrite(won=won):
            return "won" if won else "lost"
        case Created(is_new=is_new):
            return "new" if is_new else "known"
        case Page(items=items):
            return "some" if items else "none"
        case Claimed(attempt=attempt, is_slot_lost=is_slot_lost):
            return "won" if attempt is not None else "slot lost" if is_slot_lost else "lost"
        case list():
            return "some" if any(row is not None for row in answer) else "none"
        case (int() as granted, int()):
            return "some" if granted else "none"
        case bool() | Recorded():
            return str(answer)
        case None:
            return "none"
        case int():
            return "some" if answer else "none"
    return "row"
