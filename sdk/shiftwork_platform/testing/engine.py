"""The engine of a test: it runs requests, skips time, and lets things go wrong when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from shiftwork.definition_files import Definition
from shiftwork_core.adapters.targets.python import CallbackOf
from shiftwork_core.callbacks import CALLBACKS
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.errors import Invalid
from shiftwork_core.services.requests.requests import Submission
from shiftwork_platform.cloud.faults import GENTLE, Fault
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.testing.deployment import Deployment
from shiftwork_platform.testing.planned import PlannedFaults
from shiftwork_platform.testing.requests import Check, RequestSeen
from shiftwork_platform.testing.stubs import StubbedJob
from shiftwork_platform.types import define, targets_of, types_in

#: How long a request may take, in virtual time, unless a test says otherwise.
PATIENCE = timedelta(days=1)


class Engine:
    """The real engine in virtual time, with definitions and callbacks, and no server.

    Nothing takes time but what must: back-offs, timeouts, leases, and what a test lets take time. A
    back-off with jitter takes as long as it can.

    Parameters
    ----------
    definitions:
        Those of a project; workspaces among them are left out.
    callback_of:
        Finds callbacks by name; by default all that are registered.
    """

    def __init__(
        self, definitions: Iterable[Definition], callback_of: CallbackOf = CALLBACKS.get
    ) -> None:
        self._faults = PlannedFaults()
        self._stubs: dict[str, StubbedJob] = {}
        self._requests: list[RequestSeen] = []
        self._types = types_in(definitions)
        self._callback_of = callback_of
        self._deployment = CalmDeployment(
            self._stubs,
            targets_of(self._types),
            callback_of,
            self._faults,
            Random(0),
            Trace(is_kept=False),
        )
        self._deployment.hub.stickiness = 1.0
        self._deployment.hub.is_in_order = True
        self._deployment.queue.gathered_s = 0.0
        define(self._deployment.tables, self._types, self._deployment.now)

    # -- time ----------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """Return the virtual time."""
        return self._deployment.now

    @property
    def elapsed(self) -> timedelta:
        """Return how much virtual time has passed since the test began."""
        return timedelta(seconds=round(self._deployment.hub.now, 3))

    def advance(self, **duration: float) -> None:
        """Let time pass, in the words of `timedelta`: `advance(hours=3)`."""
        self._deployment.pass_time(timedelta(**duration).total_seconds())

    # -- requests ------------------------------------------------------------------------------

    def run(self, type: str, /, **params: Any) -> RequestSeen:
        """Submit a request with these params, and let time pass until it has ended.

        Raises
        ------
        Refusal
            If the type is unknown, or the params do not fit it.
        StillRunning
            If it has not ended within a day: see `submit` and `RequestSeen.wait`.
        """
        return self.submit(type, params).wait(PATIENCE)

    def submit(
        self,
        type: str,
        params: JsonObject | None = None,
        *,
        extras: JsonObject | None = None,
        start_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> RequestSeen:
        """Submit a request. Time does not pass: it goes on with `advance` or `wait`.

        Raises
        ------
        Refusal
            If the type is unknown, or the params do not fit it.
        """
        submission = Submission(type, params or {}, extras or {}, start_at=start_at)
        try:
            request, _ = self._deployment.ask(
                lambda services: services.requests.submit(submission, idempotency_key)
            )
        except Invalid as error:
            for fault in error.faults:
                error.add_note(f"{fault.path}: {fault.message}")
            raise
        seen = RequestSeen(self._deployment, request.request_id)
        self._requests.append(seen)
        return seen

    @property
    def requests(self) -> list[RequestSeen]:
        """Return the requests of the test, in the order of their submission."""
        return list(self._requests)

    # -- what jobs do --------------------------------------------------------------------------

    def job(self, type: str) -> StubbedJob:
        """Say what the jobs of a type do, or see which were done."""
        return self._stubs.setdefault(type, StubbedJob(type))

    # -- what goes wrong -----------------------------------------------------------------------

    def crash_before(self, moment: str, *, times: int = 1) -> None:
        """Let the process die that is about to do something: see `MOMENTS`.

        `crash_before("outcome")`: a job is done, and nothing of it is recorded.
        """
        self._faults.plan(moment, Fault.KILLED, is_before=True, times=times)

    def crash_after(self, moment: str, *, times: int = 1) -> None:
        """Let the process die that has just done something."""
        self._faults.plan(moment, Fault.KILLED, times=times)

    def lose_reply(self, moment: str, *, times: int = 1) -> None:
        """Let something be done whose caller learns that there was no answer."""
        self._faults.plan(moment, Fault.REPLY_LOST, times=times)

    def throttle(self, moment: str, *, times: int = 1) -> None:
        """Let calls be refused for their rate."""
        self._faults.plan(moment, Fault.THROTTLED, times=times)

    def send_twice(self, moment: str, *, times: int = 1) -> None:
        """Let a call arrive twice."""
        self._faults.plan(moment, Fault.SENT_TWICE, times=times)

    def lose_messages(self, times: int = 1) -> None:
        """Let the next messages of the queue be lost; the sweeps make good for them."""
        self._faults.plan_strikes(Fault.MESSAGE_LOST, times)

    def duplicate_messages(self, times: int = 1) -> None:
        """Let the next messages of the queue come twice."""
        self._faults.plan_strikes(Fault.MESSAGE_DOUBLED, times)

    def chaos(
        self,
        type: str,
        params: JsonObject | None = None,
        *,
        seeds: int | Iterable[int] = 100,
        invariant: Check = lambda request: None,
        before: Callable[[], object] = lambda: None,
        processes_die: bool = True,
    ) -> int:
        """Run a request under the faults of many seeds; return how many seeds there were.

        Each seed has other faults in another order: calls that are throttled, lost or sent twice,
        messages late or doubled, processes that die or stall, clocks that are off. After each the
        platform's own guarantees are checked, and `invariant` when the request has ended.

        Parameters
        ----------
        seeds:
            How many, or which.
        invariant:
            What must be true of a request that has ended, however it has; it asserts.
        before:
            Is called before each seed: it makes as new what callbacks have changed.
        processes_die:
            Whether there are faults by which attempts are lost. A job may then run out of attempts.

        Raises
        ------
        ChaosFound
            If something does not hold: with the seed, the fewest faults, and the events.
        """
        from shiftwork_platform.testing.chaos import Plan, chaos

        submission = Submission(type, params or {}, {})
        plan = Plan(self._types, self._callback_of, self._stubs, submission, before, invariant)
        numbers = range(seeds) if isinstance(seeds, int) else seeds
        return chaos(plan, numbers, None if processes_die else GENTLE)

    def close(self) -> None:
        """End every actor, so that none is left for the garbage collector."""
        self._deployment.hub.end_actors()

    # -- when a test fails ---------------------------------------------------------------------

    def history(self) -> str:
        """Return what became of every request of the test."""
        return "\n\n".join(request.history() for request in self._requests)


class CalmDeployment(Deployment):
    """A deployment in which nothing is left to chance."""

    def draw(self) -> float:
        """Return the number by which a back-off is as long as its jitter allows."""
        return 1.0
