"""Run a request under random faults, seed by seed, and check that what is promised holds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from shiftwork.definition_files import Definition
from shiftwork_core.adapters.targets.python import CallbackOf
from shiftwork_core.domain.requests.outcomes import Completed, Outcome
from shiftwork_core.domain.requests.records import Attempt, Request, Step
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import JobInput
from shiftwork_core.services.requests.requests import Submission
from shiftwork_platform.cloud.faults import Fault, Faults
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.hub import Runaway
from shiftwork_platform.cloud.services import Services
from shiftwork_platform.cloud.tables import AnyRow
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.guarantees.invariants import Invariant, Violation
from shiftwork_platform.guarantees.requests import RequestInvariants
from shiftwork_platform.testing.deployment import Deployment
from shiftwork_platform.testing.requests import Check, RequestSeen
from shiftwork_platform.testing.stubs import StubbedJob
from shiftwork_platform.types import define, entry, targets_of

#: For how long faults strike, in virtual time; then everything must settle.
_CHAOS_S = (30.0, 300.0, 1000.0)
#: A request of a few jobs makes few calls: faults strike more often than in the simulation.
_LOWEST_RATE = 0.1
#: How long a request may take once there are no more faults.
_SETTLED_WITHIN = timedelta(days=2)
#: Seconds until a call is repeated that had no answer.
_REPEAT_S = 5.0
#: A smaller case is tried in so many orders of events: it rarely fails in the very order of the
#: larger one.
_SALTS = 10
#: What a seed violates that the author has asked for.
_YOURS = "your invariant"
#: A failure shows so many events, up to the last.
_EVENTS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs: a request, what its jobs do, and what must hold in the end."""

    #: Job types first; no workspaces.
    definitions: Sequence[Definition]
    callback_of: CallbackOf
    stubs: Mapping[str, StubbedJob]
    submission: Submission
    before: Callable[[], object]
    check: Check


@dataclass(frozen=True, slots=True)
class Case:
    """What decides a run: the seed, the kinds of fault that it may have, the order of events."""

    seed: int
    kinds: tuple[Fault, ...] | None
    salt: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What does not hold in a case, and what led to it."""

    case: Case
    what: str
    detail: str
    trace: Sequence[str]
    history: str


class ChaosFound(AssertionError):
    """A seed was found under which a promise, or the author's invariant, does not hold."""


def chaos(plan: Plan, seeds: Iterable[int], kinds: Collection[Fault] | None) -> int:
    """Run the request under each seed; return how many there were.

    Raises
    ------
    ChaosFound
        At the first seed under which something does not hold, as small as it can be made.
    """
    count = 0
    for seed in seeds:
        case = Case(seed, None if kinds is None else tuple(kinds))
        if (failure := run_case(plan, case)) is not None:
            raise ChaosFound(_told(_shrunk(plan, failure)))
        count += 1
    return count


def run_case(plan: Plan, case: Case, *, is_traced: bool = False) -> Failure | None:
    """Run a case; return what does not hold, None if all does."""
    trace = Trace(is_kept=is_traced)
    plan.before()
    deployment = _Chaotic(plan, case, trace)

    def failure(what: str, detail: str, history: str = "") -> Failure:
        return Failure(case, what, detail, trace.lines, history)

    with _silence():
        try:
            deployment.live()
            seen = RequestSeen(deployment, deployment.request_id)
            try:
                plan.check(seen)
            except Exception as error:
                is_assert = isinstance(error, AssertionError)
                what = str(error) if is_assert else f"it raised {type(error).__name__}: {error}"
                return failure(_YOURS, what, seen.history())
        except Violation as violation:
            return failure(violation.invariant, violation.detail)
        except Runaway as runaway:
            return failure(Invariant.SETTLES, str(runaway))
        finally:
            deployment.hub.end_actors()
    return None


class _Chaotic(Deployment):
    """A deployment in which faults strike for a while, and each write is checked."""

    def __init__(self, plan: Plan, case: Case, trace: Trace) -> None:
        self._plan = plan
        self.request_id = ""
        seed = case.seed
        chance = Random(f"{seed} chance {case.salt}")
        faults = Faults(Random(f"{seed} faults"), chance, case.kinds, _LOWEST_RATE)
        texts: dict[str, bytes] = {}
        self._invariants = RequestInvariants(lambda: self.hub.now, texts)
        super().__init__(
            {name: stub.copy() for name, stub in plan.stubs.items()},
            targets_of(plan.definitions),
            plan.callback_of,
            faults,
            chance,
            trace,
        )
        self.tables.blobs = texts
        define(self.tables, plan.definitions, self.now)
        invariants, bodies = self._invariants, {d.name: d.body for d in plan.definitions}
        invariants.is_faultless = faults.is_faultless
        invariants.is_hidden = lambda request_id: (request_id, None) in self.tables.hidden
        invariants.tolerated = lambda type, step, name: str(
            entry(bodies[type], step, name).get("tolerate", 0)
        )
        invariants.collect = lambda type, step: {
            job["name"]: job.get("collect", "extras")
            for job in bodies[type]["steps"][step - 1]["jobs"]
        }
        shape = Random(f"{seed} shape")
        self.hub.stickiness = shape.choice([0.0, 0.0, 0.5, 0.9])
        self.hub.is_ranked = shape.choice([False, False, True])
        self._chaos_s = shape.choice(_CHAOS_S)

    # -- what is checked -----------------------------------------------------------------------

    def changed(self, old: AnyRow | None, new: AnyRow) -> None:
        """Check what a row has become."""
        match old, new:
            case Request() | None, Request():
                self._invariants.on_request(old, new)
            case Step() | None, Step():
                self._invariants.on_step(old, new)
            case Attempt() | None, Attempt():
                self._invariants.on_attempt(old, new)
        super().changed(old, new)

    def lost_claims(self, claim_ids: Sequence[str]) -> None:
        """See `Cloud`."""
        self._invariants.unchecked_claims.update(claim_ids)

    def begun(self, job: JobInput) -> None:
        """Check that nobody else does the job."""
        self._invariants.started(job.attempt.attempt_id, job.attempt.fence)

    def ended(self, job: JobInput, outcome: Outcome) -> None:
        """Remember what a job has returned."""
        if isinstance(outcome, Completed):
            attempt = job.attempt
            self._invariants.returned(attempt.attempt_id, attempt.fence, outcome.output)

    # -- the run -------------------------------------------------------------------------------

    def live(self) -> None:
        """Run the request to its end.

        Raises
        ------
        Violation
            If something does not hold.
        """
        over: list[bool] = []

        def direct() -> None:
            self._submit()
            since = self.hub.now
            while self.hub.now < since + self._chaos_s and not self._invariants.has_settled():
                self.hub.sleep(1.0)
            self.stop_faults()
            until = self.hub.now + _SETTLED_WITHIN.total_seconds()
            while self.hub.now < until and not self._has_settled():
                self.hub.sleep(15.0)
            self._invariants.at_the_end(list(self.machine.running), {})
            over.append(True)

        self.run(direct, lambda: bool(over))

    def _has_settled(self) -> bool:
        return self._invariants.has_settled() and not self.machine.running

    def _submit(self) -> None:
        """Submit the request, as often as it takes to learn its id."""
        submission = self._plan.submission

        def submit(services: Services) -> str:
            request, _ = services.requests.submit(submission, "chaos")
            return request.request_id

        while not self.request_id:
            try:
                self.request_id = self.functions.call("api", submit)
            except FunctionError as error:
                if error.raised is not None and not isinstance(error.raised, Transient):
                    raise error.raised from error
                self.hub.sleep(_REPEAT_S)


@contextmanager
def _silence() -> Iterator[None]:
    """Log nothing: faults are what is wanted here."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(previous)


# -- telling what was found ------------------------------------------------------------------------


def _shrunk(plan: Plan, failure: Failure) -> Failure:
    """Return a failure by fewer kinds of fault, if there is one, with its trace."""
    best = failure
    kinds = best.case.kinds
    if kinds is None:
        kinds = tuple(Faults(Random(f"{best.case.seed} faults"), Random(0)).rates)
    for kind in kinds:
        fewer = tuple(one for one in kinds if one is not kind)
        if found := _first_like(plan, replace(best.case, kinds=fewer), failure.what):
            best, kinds = found, fewer
    return run_case(plan, best.case, is_traced=True) or best


def _first_like(plan: Plan, case: Case, what: str) -> Failure | None:
    for salt in (case.salt, *range(1, _SALTS)):
        found = run_case(plan, replace(case, salt=salt))
        if found is not None and found.what == what:
            return found
    return None


def _told(failure: Failure) -> str:
    case = failure.case
    kinds = ", ".join(case.kinds or ()) or "none"
    lines = [
        f"seed {case.seed} violates: {failure.what}",
        failure.detail,
        f"with these faults: {kinds}",
        f"run it again with seeds=[{case.seed}]",
    ]
    if failure.history:
        lines += ["", failure.history]
    if failure.trace:
        struck = [line for line in failure.trace if "   ** " in line or line.endswith(" dies")]
        last = failure.trace[-_EVENTS_SHOWN:]
        lines += ["", "where faults struck:", *struck[:_EVENTS_SHOWN]]
        lines += ["", f"the last {len(last)} of {len(failure.trace)} events:", *last]
    return "\n".join(lines)
