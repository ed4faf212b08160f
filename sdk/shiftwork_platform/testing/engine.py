"""The engine of a test: it runs requests, skips time, and lets things go wrong when asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from shiftwork.definition_files import TYPES, Definition
from shiftwork_core.adapters.targets.python import CallbackOf
from shiftwork_core.callbacks import CALLBACKS
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.services.requests.requests import Submission
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.services import Services
from shiftwork_platform.cloud.tracing import Trace
from shiftwork_platform.testing.deployment import Deployment
from shiftwork_platform.testing.planned import PlannedFaults
from shiftwork_platform.testing.requests import RequestSeen
from shiftwork_platform.testing.stubs import StubbedJob

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
        types = [one for one in definitions if one.kind in TYPES]
        self._deployment = CalmDeployment(
            self._stubs,
            {d.name: d.body.get("target", "") for d in types if d.kind == "job-type"},
            callback_of,
            self._faults,
            Random(0),
            Trace(is_kept=False),
        )
        self._deployment.hub.stickiness = 1.0
        self._deployment.hub.is_in_order = True
        self._deployment.queue.gathered_s = 0.0
        self._deployment.ask(lambda services: _define(services, types))

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
        request, _ = self._deployment.ask(
            lambda services: services.requests.submit(submission, idempotency_key)
        )
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


def _define(services: Services, types: list[Definition]) -> None:
    kinds = {"job-type": Kind.JOB_TYPE, "request-type": Kind.REQUEST_TYPE}
    for definition in sorted(types, key=lambda one: TYPES.index(one.kind)):
        services.definitions.put(kinds[definition.kind], definition.name, definition.body)
