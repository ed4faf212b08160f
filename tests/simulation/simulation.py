"""Run one seed: build the deployment, let users and faults act, check that everything settles."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from shiftwork_core.adapters.memory import MemoryDefinitionStore
from shiftwork_core.callbacks import CALLBACKS
from shiftwork_core.domain.requests import step_state
from shiftwork_core.domain.requests.definitions import Kind, Target
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.workspaces import (
    lifecycle_jobs,
    next_switch,
    user_changes,
    wanted_switches,
    windows,
)
from shiftwork_core.services.requests import call, cancel, dispatch, payloads, results
from shiftwork_core.services.requests import plan as planner
from shiftwork_core.services.sweep import Sweep
from shiftwork_platform import wiring
from shiftwork_platform.cloud.cloud import Cloud
from shiftwork_platform.cloud.faults import GENTLE, Fault, Faults
from shiftwork_platform.cloud.hub import Runaway
from shiftwork_platform.cloud.process import MAX_SKEW_S, Process, moment
from shiftwork_platform.cloud.queue import Stream
from shiftwork_platform.cloud.schedules import PERIOD_S
from shiftwork_platform.cloud.services import Services
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.guarantees.invariants import Invariant, Violation
from shiftwork_platform.guarantees.requests import Life, RequestInvariants
from shiftwork_platform.machine.interpreter import State, load_machine
from shiftwork_platform.wiring import LEASE, Ports
from tests.simulation import expectations
from tests.simulation.actors import operators, owners, schedules, users, workers
from tests.simulation.callbacks import Behaviour, Callbacks
from tests.simulation.lifecycle_invariants import LifecycleInvariants
from tests.simulation.observing import Writes
from tests.simulation.streams import (
    Delivery,
    FailingStore,
    differences,
    rebuild_while_counting,
    recount,
)
from tests.simulation.targets import SimulatedDriver, Targets
from tests.simulation.verdicts import Verdicts
from tests.simulation.workload import Limits, draw_workload
from tests.simulation.workspace_workload import almanac_for, draw_workspaces
from tests.world.releases import RELEASE_BEFORE

Choice = TypeVar("Choice")

#: The modules whose actors use the platform.
ACTORS = (schedules, users, operators, workers, owners)

_LOOK_S = 15.0
#: For how long workers die on once the platform has no more faults, without workspaces.
_CALM_S = 400.0
#: When a sweep finds what was left behind by the faults of the platform.
_RECOVERY_S = LEASE.total_seconds() + PERIOD_S[Sweep.INPROGRESS_REQUESTS]
_LONGEST_REST_TURNS = 200
#: One seed in so many is gentle.
_GENTLE = 10
#: How long AWS may throttle every call: in a gentle seed half a lease, else beyond any retries.
_LONGEST_GENTLE_S = LEASE.total_seconds() / 2
_LONGEST_STARVED_S = 300.0
#: The longest response timeout of a polled job type; see `workload.py`.
_LONGEST_RESPONSE_S = 100.0
_SLACK = timedelta(seconds=2 * MAX_SKEW_S + _LOOK_S + 5)


@dataclass(frozen=True, slots=True)
class Case:
    """What decides a run: its seed, and what makes it smaller than the seed alone would."""

    seed: int
    limits: Limits = field(default_factory=Limits)
    #: Only these kinds of fault; None for all that the seed has.
    kinds: tuple[Fault, ...] | None = None
    #: Another order of events for the same workload and faults.
    salt: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A violation, and what led to it."""

    case: Case
    invariant: Invariant
    detail: str
    trace: Trace


class Simulation(Cloud):
    """A deployment, its users and its faults, in virtual time."""

    def __init__(self, case: Case, trace: Trace) -> None:
        self.case = case
        seed = str(case.seed)
        chance = Random(f"{seed} chance {case.salt}")
        plan = Random(f"{seed} plan")
        #: Whether nothing happens by which an attempt could be lost.
        self.is_gentle = Random(f"{seed} gentle").randrange(_GENTLE) == 0
        kinds = case.kinds
        if self.is_gentle:
            kinds = tuple(kind for kind in GENTLE if case.kinds is None or kind in case.kinds)
        faults = Faults(Random(f"{seed} faults"), chance, kinds)
        self.workload = draw_workload(seed, Random(f"{seed} workload"), case.limits)
        plans = draw_workspaces(
            Random(f"{seed} workspaces"),
            has_polled="polled" in self.workload.job_types,
            most=case.limits.workspaces,
        )
        self.workspace_plans = {plan.name: plan for plan in plans}
        self.verdicts = Verdicts(self, self.workspace_plans)
        self.lifecycle = LifecycleInvariants(
            lambda: self.hub.actor, self.workspace_plans, self.verdicts.on_workspace
        )
        self.blob_texts: dict[str, bytes] = {}
        self.invariants = RequestInvariants(lambda: self.hub.now, self.blob_texts)
        self.writes = Writes(
            self.invariants, self.lifecycle, Stream(self).announce, lambda: moment(self.hub.now)
        )
        super().__init__(chance, faults, trace, self.writes)
        self.tables.blobs = self.blob_texts
        if self.is_gentle:  # Two times of throttling in a row would be longer than a lease.
            self.longest_starved_s = _LONGEST_GENTLE_S
            self.fed_s = LEASE.total_seconds()
        self.hub.stickiness = plan.choice([0.0, 0.0, 0.5, 0.9])
        self.hub.is_ranked = plan.choice([False, False, True])
        self._chaos_s = plan.choice([0.0, 100.0, 300.0, 1000.0])
        self._calm_s = _CALM_S if Fault.WORKERS_DOWN in self.faults.rates else 0.0
        self._sizes = {
            (dispatch, "MAX_INLINE_BATCHES"): plan.choice([40, 40, 1, 3]),
            (dispatch, "MAX_EVENTS"): plan.choice([20_000, 20_000, 60]),
            (planner, "_INSERT_CHUNK"): plan.choice([500, 2]),
            (payloads, "INLINE_LIMIT_BYTES"): (inline := plan.choice([8192, 8192, 30])),
            (payloads, "SMALL_BYTES"): min(inline, 192),
            (cancel, "_CHUNK"): 1,
            (results, "_HELD_BYTES"): 10 if inline == 30 else 4_000_000,
            (lifecycle_jobs, "FIRST_BLOCK"): timedelta(seconds=20),
            (lifecycle_jobs, "LONGEST_BLOCK"): expectations.LONGEST_BLOCK,
            (wanted_switches, "LOOK_AGAIN_AFTER_ERROR"): expectations.LOOK_AGAIN,
            (user_changes, "MIN_DEADLINE_AHEAD"): timedelta(seconds=owners.MIN_DEADLINE_S - 10),
            (windows, "GRACE"): expectations.GRACE,
            (next_switch, "GRACE"): expectations.GRACE,
        }
        # Drawn apart: the rest of a seed stays as it was.
        narrow = Random(f"{seed} narrow")
        self._sizes[call, "MAX_CALLED_BATCHES"] = narrow.choice([4, 4, 1, 0])
        wide = Random(f"{seed} wide")
        self._sizes[step_state, "MOST_JOBS_READ"] = wide.choice([500, 2, 0])
        self._sizes[call, "KEPT"] = timedelta(seconds=narrow.choice([200, 280, 0]))
        #: How likely an execution began before the state machine was replaced.
        self._old_executions = narrow.choice([0.0, 0.0, 0.0, 0.5, 1.0])
        if plans:
            self._chaos_s = plan.choice([100.0, 200.0, 300.0, 600.0])
            self._calm_s = 0.0
        self.users = 0
        self.invariants.is_gentle = self.is_gentle
        self.invariants.is_faultless = self.faults.is_faultless
        self.invariants.tolerated = self._tolerated
        self.invariants.collect = self._collect
        self.invariants.alive_until = self.tables.alive.get
        self.invariants.is_hidden = lambda request_id: (request_id, None) in self.tables.hidden
        self.behaviour = Behaviour(
            self.workload, self.hub.sleep, self.invariants.started, self.invariants.returned
        )
        self.targets = Targets(self)
        #: Workers that are drained, and how often each was drained or resumed.
        self.drained: set[str] = set()
        self.drains: Counter[str] = Counter()
        #: Workers of whom a drain or resume was given up by its caller, and may still take effect.
        self.given_up: set[str] = set()
        self.machines: list[workers.Worker] = []
        self.invariants.limits = {
            name: limit
            for name, body in self.workload.job_types.items()
            if (limit := body.get("worker", {}).get("concurrency_limit", 0))
        }
        self._settling_since = 0.0

    # -- the run -------------------------------------------------------------------------------

    def run(self) -> None:
        """Run to the end.

        Raises
        ------
        Violation, Runaway
            If an invariant does not hold, or the end is never reached.
        """
        callbacks = dict.fromkeys(self.workload.job_types, self.behaviour)
        with _patched(self._sizes), _registered(callbacks):
            self._define()
            for actors in ACTORS:
                actors.spawn(self)
            self.hub.spawn("director", self._direct)
            try:
                self.hub.run()
            finally:
                self.hub.end_actors()

    def _tolerated(self, type: str, step: int, entry: str) -> str:
        """Return what an entry of a request type tolerates, as its definition says it."""
        jobs = self.workload.request_types[type]["steps"][step - 1]["jobs"]
        return next(str(job.get("tolerate", 0)) for job in jobs if job["name"] == entry)

    def _collect(self, type: str, step: int) -> dict[str, str]:
        """Return where the results of a step's jobs go, by their entries' names."""
        jobs = self.workload.request_types[type]["steps"][step - 1]["jobs"]
        return {job["name"]: job.get("collect", "extras") for job in jobs}

    def _define(self) -> None:
        ports = Ports(definitions=MemoryDefinitionStore(self.tables), clock=lambda: moment(0))
        definitions = wiring.Services(ports).definitions
        for name, body in self.workload.job_types.items():
            definitions.put(Kind.JOB_TYPE, name, body)
        for name, body in self.workload.request_types.items():
            definitions.put(Kind.REQUEST_TYPE, name, body)

    def _direct(self) -> None:
        """Let faults strike for a while, then stop them, and check that everything settles."""
        while self.hub.now < self._chaos_s and not (self._is_quiet() and not self.workspace_plans):
            self.hub.sleep(_LOOK_S)
        self.note("the faults are over")
        self.targets.repair()
        self.stop_faults()
        calm_until = self.hub.now + self._calm_s
        self.invariants.quiet_since = self.hub.now + _RECOVERY_S
        while self.hub.now < calm_until and not self._is_quiet():
            self.hub.sleep(_LOOK_S)
            self.invariants.lost_is_back()
        self.note("the workers are safe")
        self.faults.are_workers_safe = True
        self._settling_since = self.hub.now
        while not (self._is_quiet() and self.verdicts.is_over(self._settling_since)):
            self.hub.sleep(_LOOK_S)
            self.invariants.lost_is_back()
            self.verdicts.look(self._settling_since)
            workers_since = self.verdicts.workers_since(self._settling_since)
            self.invariants.makes_progress(moment(self.hub.now), workers_since, self._allowance)
            self._executions_end()
        self.invariants.at_the_end(self._running(), self.machine.transitions())
        self.invariants.slots_are_free(self._free_slots())
        self.verdicts.at_the_end()
        self._counters_are_right()
        self.hub.stop()

    def _counters_are_right(self) -> None:
        """Count what the streams report, delivered badly, and recount the rows meanwhile."""
        chance = Random(f"{self.case.seed} counting")
        store = FailingStore(chance, chance.choice([0.0, 0.1, 0.3]))
        now = moment(self.hub.now)
        delivery = Delivery(self.writes.streams, store, now, chance)
        begin, later = sorted(moment(chance.random() * self.hub.now) for _ in range(2))
        counted_to = chance.choice([None, later])
        rebuild_while_counting(delivery, store, self.tables, begin, counted_to, now)
        rows = recount(self.tables)
        # A row keeps when its last retry was, and the failure before it, but not when others were.
        often = {r.type for r in self.tables.requests.values() if r.generation > 1}
        wrong = {
            (key, field): numbers
            for (key, field), numbers in differences(store.totals(2), rows).items()
            if field not in ("retries", RequestStatus.FAILED) or key.labels[0] not in often
        }
        if Fault.CLOCK_JUMPED in self.faults.rates:  # By more than the margin of a rebuild.
            wrong = {}
        if counted_to is None:  # Otherwise the first counters were replaced before all was counted.
            wrong |= differences(store.totals(1), rows)
        if wrong:
            raise Violation(Invariant.COUNTED_ONCE, f"counted, in rows: {wrong}")

    def _free_slots(self) -> dict[str, int]:
        """Return how many slots of each limited type a worker would find free."""
        limiter = Services(self, Process(self, "looker")).limiter
        return {
            name: len(limiter.free_slots(name, limit, limit))
            for name, limit in self.invariants.limits.items()
        }

    def _is_quiet(self) -> bool:
        return not self.users and not self._running() and self.invariants.has_settled()

    def _running(self) -> list[str]:
        """Return the executions that still run, and must not once their requests have ended.

        Those of requests for which people started executions by hand are left out: one of them may
        wait until its timeout, a day, is over. It costs nothing, and then does nothing. So are
        those that hold back after a round without progress, which end when they look again.
        """
        twins = self.machine.twins
        running = self.machine.running.values()
        now = self.hub.now
        return [
            e.name for e in running if e.input["request_id"] not in twins and e.waits_until <= now
        ]

    def _allowance(self, life: Life) -> timedelta:
        """Return how long a request may make no progress: a lease, and until the next sweep."""
        sweep_s = PERIOD_S[Sweep.INPROGRESS_REQUESTS]
        if life.row.status is RequestStatus.QUEUING:
            sweep_s = PERIOD_S[Sweep.NEW_REQUESTS]
        elif life.row.has_ended or any(a.is_polled for a in life.open_attempts.values()):
            # Until its response timeout is over, the holder of a polled job counts as alive. A
            # request that has ended is due then, also if the job has ended since.
            sweep_s += _LONGEST_RESPONSE_S
        return LEASE + timedelta(seconds=sweep_s) + _SLACK

    def _executions_end(self) -> None:
        """Check that no execution still waits once all requests have ended."""
        if not self.invariants.has_settled() or self.users or self.functions.working:
            return
        lives = self.invariants.lives.values()
        since = [self._settling_since, self.functions.worked_at, *(v.progress_at for v in lives)]
        if self._running() and self.hub.now > max(since) + (LEASE + _SLACK).total_seconds():
            self.invariants.at_the_end(self._running(), {})

    # -- what actors need ----------------------------------------------------------------------

    def services_of(self, process: Process) -> Services:
        """Return the services of a process: what it does and switches is drawn by the seed."""
        callbacks = Callbacks(self.behaviour, lambda: self.faults.strikes(Fault.MODULE_BROKEN))
        driver = SimulatedDriver(self, process)
        return Services(
            self,
            process,
            target_for={Target.PYTHON: callbacks}.get,
            driver_for=lambda kind: driver,
            almanac_for=almanac_for,
        )

    def definition_of(self, execution: str) -> State:
        """Draw whether an execution goes by the state machine of the release before."""
        is_old = Random(f"{self.case.seed} {execution}").random() < self._old_executions
        return load_machine(RELEASE_BEFORE) if is_old else load_machine()

    def lost_claims(self, claim_ids: Sequence[str]) -> None:
        """Let the invariants know which claims nobody has checked afterwards."""
        self.invariants.unchecked_claims.update(claim_ids)

    def clock_jumps(self, seconds: float) -> None:
        """Let the verdicts allow for a clock that is wrong."""
        self.verdicts.jumps(seconds)

    def choose(self, options: Sequence[Choice]) -> Choice:
        """Choose one of the options."""
        return self.chance.choice(options)

    def rest(self, longest_s: float) -> None:
        """Let some events pass, or some time; most events fall within one moment."""
        if self.chance.random() < 0.5:
            turns = int(self.faults.seconds(_LONGEST_REST_TURNS))
            while turns and self.hub.step_aside():
                turns -= 1
            self.hub.sleep(0.0)
        else:
            self.hub.sleep(self.faults.seconds(longest_s))

    def after_event(self) -> None:
        """Check what must hold between events."""
        self.lifecycle.after_event()


def run_case(case: Case, *, is_traced: bool = False) -> Failure | None:
    """Run a case; return its failure, or None if every invariant holds."""
    trace = Trace(is_kept=is_traced)
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        Simulation(case, trace).run()
    except Violation as violation:
        return Failure(case, violation.invariant, violation.detail, trace)
    except Runaway as runaway:
        return Failure(case, Invariant.SETTLES, str(runaway), trace)
    finally:
        logging.disable(previous)
    return None


@contextmanager
def _patched(values: Mapping[tuple[Any, str], Any]) -> Iterator[None]:
    """Set constants of the engine so that its rare paths become common; restore them afterwards."""
    before = {(module, name): getattr(module, name) for module, name in values}
    for (module, name), value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


@contextmanager
def _registered(callbacks: Mapping[str, Any]) -> Iterator[None]:
    before = dict(CALLBACKS)
    CALLBACKS.update(callbacks)
    try:
        yield
    finally:
        CALLBACKS.clear()
        CALLBACKS.update(before)
