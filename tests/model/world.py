"""Take the steps of the model: from a state, each actor's next call leads to another state.

A state is a value: the rows, where every actor stands, how many crashes are left. In a step an
actor makes its next call, to the real stores in memory; whatever its function does up to the call
after that belongs to the step, as nobody else can see it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from shiftwork_core.adapters.memory import MemoryJobStore, MemoryRequestStore
from shiftwork_core.domain.payloads import JsonObject, Payload, to_json
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, Request, StepStatus
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN
from shiftwork_platform.cloud.process import moment
from shiftwork_platform.guarantees.invariants import Invariant, Violation
from shiftwork_platform.guarantees.requests import RequestInvariants
from shiftwork_platform.machine.paths import choose, load_definition
from shiftwork_platform.wiring import LEASE
from tests.model.cases import Case
from tests.model.invocations import Invocation, Start, output_of
from tests.model.states import (
    REQUEST_ID,
    Actor,
    Calling,
    NextStep,
    Row,
    Rows,
    State,
    Waiting,
    is_completed,
    life_of,
)

#: How much time passes before the sweeps run: longer than any lease and back-off.
_QUIET_S = 2 * int(LEASE.total_seconds())

#: What steps of blocks take their items from.
_PARAMS = to_json({"items": {str(width): [None] * width for width in range(1, 4)}})


def _entries(width: int, block: int | None) -> list[JsonObject]:
    """Return the entries of a step of so many jobs."""
    if block is None:
        return [{"name": f"j{j}", "type": "work"} for j in range(width)]
    items = f'params.items."{width}"'
    return [{"name": "j", "type": "work", "for_each": items, "block": block}]


class World:
    """The steps of a case. It is also the machine and the queue that its services call."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.process: Any = None
        self._advance = "advance and call" if case.is_called else "advance"
        self.tables = Rows(self._checks)
        self.store = MemoryRequestStore(self.tables)
        self.jobs = MemoryJobStore(self.tables)
        self._state = self._begin()
        self._actors: dict[str, Actor] = {}
        self._numbers: dict[str, int] = {}
        self._begun: frozenset[tuple[str, int]] = frozenset()
        self._is_cancelled = False
        self._invariants: RequestInvariants | None = None
        self._rows: tuple[Row, ...] = ()
        #: Equal tuples of rows as one object; and the effects of calls, by what these depend on.
        self._known_rows: dict[tuple[int, ...], tuple[Row, ...]] = {}
        self._effects: dict[Any, tuple[tuple[Row, ...], Invocation]] = {}
        self._starts: dict[Start, Invocation] = {}
        self._what_next = load_definition()["States"]["WhatNext?"]

    # -- states --------------------------------------------------------------------------------

    def _begin(self) -> State:
        """Return the state that has just the submitted request."""
        types = {"work": {"target": "python", "retry": {"max_attempts": 3, "delay_s": 0,
                 "jitter": "none"}, "batch_size": self.case.batch_size}}  # fmt: skip
        steps = [
            {
                "name": f"s{n}",
                "jobs": _entries(width, self.case.block),
                "on_failure": self.case.on_failure,
            }
            for n, width in enumerate(self.case.widths)
        ]
        for kind, name, body in (
            (Kind.JOB_TYPE, "work", types["work"]),
            (Kind.REQUEST_TYPE, "small", {"steps": steps}),
        ):
            self.tables.definitions[kind, name] = {1: Definition(kind, name, 1, body, "")}
        request = Request(
            REQUEST_ID, "small", 1, {"work": 1}, Payload(_PARAMS), Payload("{}"), moment(0),
            due_at=moment(0) + LEASE,
        )  # fmt: skip
        return State((request,), (), (), crashes=self.case.crashes)

    def first(self) -> State:
        """Return the state in which every actor is about to begin."""
        self._load(self._state)
        for number in range(self.case.executions):
            self._start_execution("x1" + number * "'", 1)
        if self.case.is_cancelled:
            self._invoke("user", "cancel", {"request_id": REQUEST_ID})
        return self._stored(self._state)

    def steps(self, state: State) -> Iterator[NextStep]:
        """Yield the steps that can follow, as many as it takes to find every violation.

        Where an actor's call commutes with everything that others may ever do, its steps suffice:
        whatever others do before it could as well be done after it (a persistent set, Godefroid
        1996; no state can follow itself here, so no step is postponed forever).
        """
        apart = (
            (name, actor)
            for name, actor in state.actors
            if isinstance(actor, Invocation) and self._is_apart(state, name, actor)
        )
        actors = tuple(islice(apart, 1)) or state.actors
        for name, actor in actors:
            if isinstance(actor, Invocation):
                yield NextStep(name, partial(self._call, state, name, actor))
        if state.crashes:
            for name, actor in actors:
                if isinstance(actor, Invocation) and actor.has_begun:
                    yield NextStep(f"{name} dies", partial(self._crash, state, name, actor))
                if isinstance(actor, Calling):
                    dies = partial(self._crash, state, name, actor.caller)
                    yield NextStep(f"{name} dies", dies)
                    gives_up = partial(self._give_up, state, name, actor)
                    yield NextStep(f"{name} gives up", gives_up)
                if _is_execution(name):
                    yield NextStep(f"{name} is stopped", partial(self._stop, state, name))

    def _is_apart(self, state: State, name: str, actor: Invocation) -> bool:
        """Return whether the call commutes with everything that other actors may do.

        It reads only what never changes again, or fails to write it: an attempt that has ended, a
        step that is completed, or that a row exists. Or it sends a message. While a crash is left,
        this holds only for actors that share no state with others: there it commutes too.
        """
        if state.crashes and (
            actor.start.function == "await"
            or any(n.startswith(f"{name}/") for n, _ in state.actors)
        ):
            return False
        assert actor.call is not None
        args = actor.call.args
        match actor.call.method.__name__:
            case "send":
                return True
            case "insert":
                known = {row.key for row in state.rows if isinstance(row, Attempt)}
                return all(attempt.key in known for attempt in args[0])
            case "claim":
                return any(
                    isinstance(row, Attempt)
                    and row.key == args[1]
                    and row.status not in ATTEMPT_OPEN
                    for row in state.rows
                )
            case "of_step":
                return is_completed(state, args[1])
            case "close_step":
                is_seen = args[0].status is StepStatus.COMPLETED
                return is_completed(state, args[0].index) and not is_seen
        return False

    def is_quiet(self, state: State) -> bool:
        """Return whether nobody can act any more."""
        return not any(isinstance(actor, Invocation) for _, actor in state.actors)

    def settle(self, state: State) -> Iterator[tuple[str, State]]:
        """Let time pass and the sweeps run until the request has ended; yield each step.

        Raises
        ------
        Violation
            If the request does not end.
        """
        for _ in range(6):
            if self._has_settled(state):
                break
            self._load(state)
            self._now_s += _QUIET_S
            self._invoke("sweep", "sweep", {})
            state = self._stored(state)
            yield "time passes", state
            while not self.is_quiet(state):
                name, actor = next((n, a) for n, a in state.actors if isinstance(a, Invocation))
                label = self.describe(state, name)
                state = self._call(state, name, actor)
                yield label, state
        self._load(state)
        self._checks().at_the_end([], {})

    def describe(self, state: State, label: str) -> str:
        """Return what a step does, in full."""
        actor = dict(state.actors).get(label)
        return f"{label:<10} {actor.call}" if isinstance(actor, Invocation) else label

    def _has_settled(self, state: State) -> bool:
        self._load(state)
        return self._checks().has_settled()

    def _load(self, state: State) -> None:
        self._state = state
        self._rows = state.rows
        self._actors = dict(state.actors)
        self._numbers = dict(state.numbers)
        self._begun = state.begun
        self._is_cancelled = state.is_cancelled
        self._now_s = state.now_s
        self._invariants = None

    def _stored(self, state: State, crashes: int | None = None) -> State:
        return State(
            rows=self._rows,
            actors=tuple(sorted(self._actors.items())),
            numbers=tuple(sorted(self._numbers.items())),
            begun=self._begun,
            is_cancelled=self._is_cancelled,
            crashes=state.crashes if crashes is None else crashes,
            now_s=self._now_s,
        )

    # -- steps ---------------------------------------------------------------------------------

    def _call(self, state: State, name: str, actor: Invocation) -> State:
        self._load(state)
        if actor.call is not None and actor.call.method == self.call:
            self._begin_call(name, actor)
            return self._stored(state)
        # The effect of a store's call depends on the rows alone, not on where other actors stand.
        given = (id(state.rows), id(actor), state.is_cancelled, state.begun)
        effect = self._effects.get(given)
        if effect is None:
            effect = self._do(state, actor)
            assert actor.call is not None
            if actor.call.method.__self__ is not self:
                self._effects[given] = effect
        self._rows, then = effect
        self._reach(name, then)
        return self._stored(state)

    def _do(self, state: State, actor: Invocation) -> tuple[tuple[Row, ...], Invocation]:
        """Make an actor's call; return the rows after it, and where the actor stands then."""
        assert actor.call is not None
        self.tables.load(state.rows)
        then = actor.then(actor.call.do())
        if self._invariants is None:  # Nothing was written.
            return state.rows, then
        rows = self.tables.all()
        return self._known_rows.setdefault(tuple(map(id, rows)), rows), then

    def _crash(self, state: State, name: str, actor: Invocation) -> State:
        """Let a function's process die; its caller calls it again."""
        self._load(state)
        start = actor.start
        given = json.loads(start.argument)
        del self._actors[name]
        if "caller" in given:
            self._answer(name, given["caller"], DIED)
        elif start.function == "await":
            waiting = self._actors.get(given["execution_name"])
            if isinstance(waiting, Waiting) and waiting.token == given["token"]:
                self._await(given["execution_name"], json.loads(waiting.decision))
        else:
            self._invoke(name, start.function, given)
        return self._stored(state, state.crashes - 1)

    def _begin_call(self, name: str, caller: Invocation) -> None:
        """Start the function that an invocation calls, which waits for it."""
        assert caller.call is not None
        request_id, _, jobs = caller.call.args
        callee = f"{name}/call"
        while callee in self._actors:  # Its caller has died, or has given up.
            callee += "'"
        self._actors[name] = Calling(caller, callee)
        self._invoke(callee, "run", {"request_id": request_id, "jobs": jobs, "caller": name})

    def _answer(self, callee: str, caller: str, answer: JobError | None) -> None:
        """Give a caller that still waits the answer of the function that it has called."""
        waiting = self._actors.get(caller)
        if isinstance(waiting, Calling) and waiting.callee == callee:
            self._reach(caller, waiting.caller.then(answer))

    def _give_up(self, state: State, name: str, calling: Calling) -> State:
        """Let a caller wait no longer; what it has called runs on."""
        self._load(state)
        self._reach(name, calling.caller.then(NO_ANSWER))
        return self._stored(state, state.crashes - 1)

    def _stop(self, state: State, name: str) -> State:
        """Stop an execution, whatever state it is in, and the functions that it has called."""
        self._load(state)
        for other in [n for n in self._actors if n == name or n.startswith(f"{name}/")]:
            del self._actors[other]
        return self._stored(state, state.crashes - 1)

    def _invoke(self, name: str, function: str, given: JsonObject) -> None:
        self._numbers.setdefault(name, 0)
        start = Start(name, function, to_json(given), self._number(name), self._now_s)
        if start not in self._starts:
            self._starts[start] = Invocation(self, start)
        self._reach(name, self._starts[start])

    def _number(self, name: str) -> int:
        """Return the least number under which no claim of this owner is held.

        So its claims differ from those of its dead processes; whatever was claimed under the number
        before has ended.
        """
        attempts = [row for row in self._rows if isinstance(row, Attempt)]
        held = [row.claim_id for row in attempts if row.claim_id is not None]
        number = 0
        while any(claim_id.startswith(f"c{name}.{number}.") for claim_id in held):
            number += 1
        return number

    def _reach(self, name: str, actor: Invocation) -> None:
        """Place an actor at its next call; if its function has ended, go on from its result."""
        for job in actor.began:
            if job in self._begun:
                raise Violation(Invariant.ONE_LIVE_FENCE, f"{job} is done twice")
            self._begun |= {job}
        if actor.call is not None:
            self._actors[name] = actor
            return
        self._actors.pop(name, None)
        given = json.loads(actor.start.argument)
        match actor.start.function:
            case self._advance:
                self._follow(name, actor.result.to_json())
            case "run" if "caller" in given:
                self._answer(name, given["caller"], None)
            case "run" if "tried" in given:
                self._invoke(name, self._advance, given["tried"])
            case "run" if "execution_name" in given:
                run = {"decision": given["decision"], "done": given["done"] + 1}
                self._next_batch(given["execution_name"], run)
            case "cancel" if actor.result == "cancelled":
                self._is_cancelled = True

    # -- the state machine: which state is next is read from its file --------------------------

    def _start_execution(self, name: str, execution: int) -> None:
        given = {"request_id": REQUEST_ID, "execution": execution, "events": 0}
        self._invoke(name, self._advance, given)

    def _follow(self, name: str, decision: JsonObject) -> None:
        """Do what an answer says; batches run one after the other.

        The number of events matters only in that there are some: the limit is never reached.
        """
        decision["events"] = 1
        kept = {k: decision[k] for k in _KEPT}
        match choose(self._what_next, decision):
            case "RunBatches":
                self._next_batch(name, {"decision": decision, "done": 0})
            case "HoldBack":
                given = {"request_id": REQUEST_ID, "jobs": decision["trial"]["jobs"]}
                self._invoke(name, "run", given | {"tried": kept})
            case "AwaitStep":
                self._await(name, kept)

    def _next_batch(self, name: str, run: JsonObject) -> None:
        decision, done = run["decision"], run["done"]
        if done < len(decision["batches"]):
            batch = decision["batches"][done]
            given = {"request_id": REQUEST_ID, "jobs": batch["jobs"], "execution_name": name}
            self._invoke(name, "run", given | run)
            return
        self._invoke(name, self._advance, {k: decision[k] for k in _KEPT})

    def _await(self, name: str, kept: JsonObject) -> None:
        function = f"{name}/await"
        while (
            function in self._actors
        ):  # It belongs to an earlier wait, after which the execution went on.
            function += "'"
        self._numbers[name] += 1
        token = f"{name}.{self._numbers[name]}"
        self._actors[name] = Waiting(token, to_json(kept))
        self._invoke(function, "await", kept | {"token": token, "execution_name": name})

    # -- what the services call ----------------------------------------------------------------

    def start(self, request_id: str, execution: int) -> None:
        """Start an execution, unless there is or was one of this name."""
        name = f"x{execution}"
        if name not in self._numbers:
            self._start_execution(name, execution)

    def wake_execution(self, token: str) -> bool:
        """Let the execution that waits with this token go on."""
        for name, actor in self._actors.items():
            if isinstance(actor, Waiting) and actor.token == token:
                del self._actors[name]
                self._invoke(name, self._advance, json.loads(actor.decision))
                return True
        return False

    def call(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
        """Stand for a call of RunJobs, which `_begin_call` begins."""
        raise AssertionError("no call ends as it begins")

    def send(self, message: JsonObject, delay_s: float) -> None:
        """Let a batch run for a message, some time later."""
        if "jobs" in message:
            name = f"message {message['jobs'][0]}"
            while name in self._numbers:
                name += "'"
            self._invoke(name, "run", {"request_id": REQUEST_ID, "jobs": message["jobs"]})

    # -- the invariants ------------------------------------------------------------------------

    def _checks(self) -> RequestInvariants:
        """Return the checks of the invariants, knowing the rows of the current state."""
        if self._invariants is None:
            self._invariants = RequestInvariants(lambda: 0.0, {})
            life = life_of(self._state.rows)
            life.is_cancel_returned = self._state.is_cancelled
            self._invariants.lives[REQUEST_ID] = life
            for attempt_id, fence in self._begun:
                self._invariants.returned(attempt_id, fence, output_of(attempt_id))
            for (step, _, attempt), results in life.results.items():
                for number in results:
                    self._invariants.completed(REQUEST_ID, step, number, attempt)
        return self._invariants


_KEPT = ("request_id", "execution", "events", "progress", "slow_types")
#: What a caller learns of a function that it has called.
DIED = JobError("Runtime.ExitError", "the process exited")
NO_ANSWER = JobError("Unavailable", "no answer in time")


def _is_execution(name: str) -> bool:
    """Return whether this is an execution, waiting or in a function that it has called."""
    return name[0] == "x" and "/" not in name
