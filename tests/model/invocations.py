"""Replay a function of the platform up to its next call, from its start and the answers so far.

These determine what it does next, so an invocation is a tree: its nodes are calls, its branches
answers. A node is found by running the function again from its start, with the answers so far, up
to the first call that has none. Nothing is copied or suspended, and each node is made once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from shiftwork_core.adapters.memory import (
    MemoryBlobStore,
    MemoryDefinitionStore,
    MemoryLimitStore,
    MemoryWorkerStore,
)
from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.requests.stalls import last_round
from shiftwork_core.errors import Refusal
from shiftwork_core.ports.stores import Write
from shiftwork_core.services.requests.advance import NO_TIME
from shiftwork_core.services.sweep import Sweep
from shiftwork_platform.cloud.process import Remote, moment
from shiftwork_platform.cloud.tracing import brief
from shiftwork_platform.wiring import Ports, Services, one_after_the_other

#: Enough time for a batch, so that its time limit plays no part.
_REMAINING = timedelta(minutes=10)
#: Stores in which actors never conflict: no definition changes here, and blobs stay as written.
_APART = (MemoryDefinitionStore, MemoryBlobStore)


@dataclass(frozen=True, slots=True)
class Start:
    """An invocation as it begins.

    `number` tells it from its owner's other invocations, so that their claims differ.
    """

    owner: str
    function: str
    argument: str
    number: int
    now_s: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call that waits for its turn."""

    method: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __str__(self) -> str:
        given = [brief(a) for a in self.args]
        given += [f"{k}={brief(v)}" for k, v in self.kwargs.items() if v is not None]
        return f"{self.method.__name__}({', '.join(given)})"

    def do(self) -> Any:
        """Make the call; return its answer in a form that replays can be given again and again."""
        answer = self.method(*self.args, **self.kwargs)
        return _Rows(answer) if isinstance(answer, Iterator) else answer


class _Rows(list[Any]):
    """What an iterator returned; each replay begins with its first row."""


class Invocation:
    """A point in a function's work: at its next call, or at its end with a result.

    `began` names the jobs that began after the last call, each with its fence.
    """

    __slots__ = ("_answers", "_branches", "_world", "began", "call", "result", "start")

    def __init__(self, world: Any, start: Start, answers: tuple[Any, ...] = ()) -> None:
        self.start = start
        self.call: Call | None = None
        self.result: Any = None
        self._world = world
        self._answers = answers
        self._branches: dict[Any, Invocation] = {}
        process: Any = _Process(start, answers)
        world.process = process
        try:
            self.result = _FUNCTIONS[start.function](
                _services_of(world, process), json.loads(start.argument)
            )
        except _NextCall as reached:
            self.call = reached.call
        except Refusal as refusal:
            self.result = type(refusal).__name__
        self.began = [job for at, job in process.began if at == len(answers)]

    @property
    def has_begun(self) -> bool:
        """Whether a call of it has been answered."""
        return bool(self._answers)

    def then(self, answer: Any) -> Invocation:
        """Return where the function is once its call has been answered."""
        assert self.call is not None
        unread = _NOT_READ.get((self.start.function, self.call.method.__name__), ())
        seen = self._world.tables.seen(answer, dict.fromkeys(unread, _UNREAD)) if unread else answer
        key = _key(seen)
        found = self._branches.get(key)
        if found is None:
            found = Invocation(self._world, self.start, (*self._answers, seen))
            self._branches[key] = found
        return found


class _Unread:
    """Stands for values that a function does not read; reading them raises."""

    def _refuse(self, *_: object) -> Any:
        raise AssertionError("the model takes this for something that plays no part")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __bool__ = __add__ = __sub__ = __str__ = __getattr__ = _refuse
    __hash__ = object.__hash__


_UNREAD: Any = _Unread()
_OF_A_REQUEST = ("due_at", "started_at", "completed_at", "error")
#: The fields that a function does not read of the rows that a method returns. States that differ in
#: these alone are one. A batch reads the status of its request, and who waits for its step.
_NOT_READ: dict[tuple[str, str], tuple[str, ...]] = {
    ("run", "get"): (*_OF_A_REQUEST, "execution", "generation", "current_step"),
    ("run", "get_step"): ("stall", "counts", "completed_at", "status", "started_at"),
    ("cancel", "finish"): (*_OF_A_REQUEST, "execution"),
    ("cancel", "get_step"): ("stall", "counts", "completed_at", "status", "arrivals", "target"),
    ("await", "get"): (*_OF_A_REQUEST[1:],),
}


def _key(answer: Any) -> Any:
    """Return the key that tells answers apart. Equal rows are one object, see `states.Rows`."""
    match answer:
        case Write(won=won, row=row):
            return won, id(row)
        case list():
            return tuple(map(id, answer))
        case bool() | int() | str():
            return answer
    return id(answer)


class _NextCall(BaseException):
    """The function has reached a call that has no answer yet."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call


class _Process:
    """The process that an invocation runs in, as its services see it."""

    def __init__(self, start: Start, answers: Sequence[Any]) -> None:
        self.name = start.owner
        self.began: list[tuple[int, tuple[str, int]]] = []
        self._start = start
        self._answers = answers
        self._answered = 0
        self._claims = 0

    def clock(self) -> datetime:
        return moment(self._start.now_s)

    def new_id(self) -> str:
        self._claims += 1
        return f"{self._start.owner}.{self._start.number}.{self._claims}"

    def begin(self, attempt_id: str, fence: int) -> None:
        """Remember that a job has begun."""
        self.began.append((self._answered, (attempt_id, fence)))

    def call(self, name: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Answer a call from the answers so far, or stop the replay there."""
        if isinstance(getattr(method, "__self__", None), _APART):
            return method(*args, **kwargs)
        if self._answered == len(self._answers):
            raise _NextCall(Call(method, args, kwargs))
        self._answered += 1
        answer = self._answers[self._answered - 1]
        return iter(answer) if isinstance(answer, _Rows) else answer


def _services_of(world: Any, process: Any) -> Services:
    """Return the services of an invocation, whose calls of ports it answers."""

    def remote(adapter: object) -> Any:
        return Remote(process, adapter)

    return Services(
        Ports(
            requests=remote(world.store),
            jobs=remote(world.jobs),
            limits=remote(MemoryLimitStore(world.tables)),
            definitions=remote(MemoryDefinitionStore(world.tables)),
            blobs=remote(MemoryBlobStore(world.tables)),
            workers=remote(MemoryWorkerStore(world.tables)),
            machine=remote(world),
            batch_caller=remote(world),
            wake_queue=remote(world),
            clock=process.clock,
            new_id=lambda letter: letter + process.new_id(),
            # The jobs of a batch run one after the other; batches run side by side.
            side_by_side=one_after_the_other,
            worker_id=process.name,
        )
    )


def output_of(attempt_id: str) -> dict[str, int]:
    """Return the output of an attempt."""
    _, step, number, attempt = attempt_id.rsplit(".", 3)
    return {f"{step}.{number}": int(attempt)}


def work(world: Any, job: Job) -> dict[str, int]:
    """Do an attempt; the first of the first step's first job asks for another. See `Case`."""
    world.process.begin(job.attempt_id, job.fence)
    if job.attempt_id.endswith(".1.0.1") and world.case.has_retry:
        raise Retry("again", delay_s=0)
    if world.case.on_failure == "finish":
        raise Failure("never")
    return output_of(job.attempt_id)


def _advance(services: Services, given: Any, remaining: timedelta = NO_TIME) -> Any:
    last = last_round(given)
    return services.advancer.advance(given["request_id"], given["execution"], last, remaining)


def _await(services: Services, given: Any) -> None:
    services.barrier.wait(given["request_id"], given["execution"], given["token"])


def _run(services: Services, given: Any) -> bool:
    return services.runner.run(
        given["request_id"], given["jobs"], _REMAINING, is_called="caller" in given
    ).is_waiting


def _cancel(services: Services, given: Any) -> str:
    services.requests.cancel(given["request_id"])
    return "cancelled"


def _sweep(services: Services, given: Any) -> None:
    for sweep in Sweep:
        services.sweeper.sweep(sweep)


_FUNCTIONS: dict[str, Callable[[Services, Any], Any]] = {
    "advance": _advance,
    "advance and call": partial(_advance, remaining=_REMAINING),
    "await": _await,
    "run": _run,
    "cancel": _cancel,
    "sweep": _sweep,
}
