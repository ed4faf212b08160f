"""The states of the model, as values: rows, where every actor stands, how many crashes are left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from shiftwork_core.adapters.memory import MemoryTables
from shiftwork_core.domain.payloads import Payload
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, Step, StepStatus
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN, AttemptStatus, RequestStatus
from shiftwork_core.ports.stores import Write
from shiftwork_platform.guarantees.block_rows import jobs_of_block, statuses_of
from shiftwork_platform.guarantees.requests import Life, RequestInvariants
from tests.model.invocations import Invocation, output_of

REQUEST_ID = "r"
Row = Request | Step | Attempt


@dataclass(frozen=True, slots=True)
class Waiting:
    """An execution that waits for a task token; `decision` is the data that it goes on with."""

    token: str
    decision: str


@dataclass(frozen=True, slots=True)
class Calling:
    """An invocation that waits for a function that it has called, the actor `callee`."""

    caller: Invocation
    callee: str


Actor = Invocation | Waiting | Calling


@dataclass(frozen=True, slots=True)
class State:
    """Everything that decides what can happen next."""

    rows: tuple[Row, ...]
    actors: tuple[tuple[str, Actor], ...]
    #: Every actor that was ever started; for an execution, how many tokens it has had.
    numbers: tuple[tuple[str, int], ...]
    begun: frozenset[tuple[str, int]] = frozenset()
    is_cancelled: bool = False
    crashes: int = 0
    now_s: int = 0

    def key(self) -> Any:
        """Return the key that tells states apart; equal rows and actors are one object each."""
        return (
            id(self.rows),
            tuple((n, id(a) if isinstance(a, Invocation) else a) for n, a in self.actors),
            self.numbers, self.begun, self.is_cancelled, self.crashes, self.now_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class NextStep:
    """A step that an actor can take from a state."""

    label: str
    take: Callable[[], State]


class Rows(MemoryTables):
    """The tables of the current state. Every write is checked; equal rows are one object."""

    def __init__(self, invariants: Callable[[], RequestInvariants]) -> None:
        super().__init__()
        self._known: dict[Any, Any] = {}
        self._invariants = invariants

    def put_request(self, request: Request) -> Request:
        old = self.requests.get(request.request_id)
        self._invariants().on_request(old, request)
        return super().put_request(self._one(request))

    def put_step(self, step: Step) -> Step:
        old = self.step(step.request_id, step.index)
        self._invariants().on_step(old, step)
        return super().put_step(self._one(step))

    def put_attempt(self, attempt: Attempt) -> Attempt:
        old = self.attempt(attempt.request_id, attempt.key)
        self._invariants().on_attempt(old, attempt)
        if attempt.status not in ATTEMPT_OPEN:
            # It no longer matters who did it, so states that differ in this alone are one.
            attempt = replace(attempt, claim_id=None, worker_id=None)
        return super().put_attempt(self._one(attempt))

    def _one(self, row: Any) -> Any:
        values = (getattr(row, name) for name in _NAMES[type(row)])
        key = tuple(tuple(v.items()) if isinstance(v, dict) else v for v in values)
        return self._known.setdefault((type(row), key), row)

    def seen(self, answer: Any, unread: dict[str, Any]) -> Any:
        """Return an answer in whose row the fields that its reader does not read are replaced."""
        match answer:
            case Write(won=won, row=row):
                return Write(won, self.seen(row, unread))
            case Request() | Step() | Attempt():
                return self._one(replace(answer, **unread))
        return answer

    def load(self, rows: tuple[Row, ...]) -> None:
        """Hold these rows and no others."""
        self.requests, self.steps, self.attempts = {}, {}, {}
        for row in rows:
            match row:
                case Request():
                    super().put_request(row)
                case Step():
                    super().put_step(row)
                case Attempt():
                    super().put_attempt(row)

    def all(self) -> tuple[Row, ...]:
        """Return the rows, in an order that depends on nothing else."""
        steps = sorted(self.steps.get(REQUEST_ID, {}).items())
        attempts = sorted(self.attempts.get(REQUEST_ID, {}).items())
        return (
            self.requests[REQUEST_ID],
            *(row for _, row in steps),
            *(row for _, row in attempts),
        )


_NAMES = {kind: [f.name for f in fields(kind)] for kind in (Request, Step, Attempt)}


def is_completed(state: State, index: int) -> bool:
    return any(
        isinstance(row, Step) and row.index == index and row.status is StepStatus.COMPLETED
        for row in state.rows
    )


def life_of(rows: tuple[Row, ...]) -> Life:
    request = rows[0]
    assert isinstance(request, Request)
    life = Life(request, 0.0, {})
    settled = request.current_step - (request.status is not RequestStatus.COMPLETED)
    for row in rows[1:]:
        if isinstance(row, Step):
            life.steps[row.index] = row
        elif isinstance(row, Attempt):
            key: AttemptKey = row.key
            life.jobs[key.step, key.job] = row
            life.counts.setdefault(key.step, Counter()).update(statuses_of(row, text_of))
            if row.status in ATTEMPT_OPEN:
                life.open_attempts[key.step, key.job, key.attempt] = row
            elif row.block is not None:
                results = jobs_of_block(row, text_of).completed
                life.results[key.step, key.job, key.attempt] = results
                if key.step <= settled:
                    for _, result in sorted(results.items()):
                        life.extras |= result
            elif row.status is AttemptStatus.COMPLETED and key.step <= settled:
                life.extras |= output_of(row.attempt_id)
    return life


def text_of(payload: Payload) -> str:
    """Return a payload's text: all of the model's are small."""
    assert payload.text is not None
    return payload.text
