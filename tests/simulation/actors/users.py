"""Users: they submit requests, with or without idempotency keys, repeat, cancel and retry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Refusal
from shiftwork_core.services.requests.requests import Submission
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.hub import Signal
from shiftwork_platform.cloud.process import moment
from shiftwork_platform.cloud.services import Services
from tests.simulation.workload import Plan, start_at

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_LONGEST_WAIT_S = 5.0
_LONGEST_REST_S = 100.0
_LONGEST_LOOK_S = 40.0


def spawn(simulation: Simulation) -> None:
    """Add every caller of every submission."""
    for plan in simulation.workload.plans:
        for number in range(plan.callers):
            user = User(simulation, plan, is_first=number == 0)
            simulation.hub.spawn(f"user {plan.label}.{number}", user.act)


class User:
    """One caller. It takes a refusal for an answer, and repeats a call that fails."""

    def __init__(self, simulation: Simulation, plan: Plan, *, is_first: bool) -> None:
        self._simulation = simulation
        self._plan = plan
        self._is_first = is_first
        simulation.users += (
            1  # Before it begins to act: otherwise a run without faults might end first.
        )

    def act(self) -> None:
        """Submit, and then cancel or retry the request."""
        simulation, plan = self._simulation, self._plan
        simulation.hub.sleep(plan.at)
        now = moment(int(plan.at))
        submission = Submission(
            plan.type,
            plan.params,
            plan.extras,
            start_at=start_at(plan, now),
            priority=plan.priority,
            may_ignore_priority=True,
        )
        submit = partial(_submit, submission=submission, key=plan.key)
        request: Request = self._persist(submit)
        simulation.invariants.submitted(plan.key, request.request_id)
        if plan.is_cancelled:
            hub = simulation.hub
            simulation.users += 1
            hub.spawn(f"{hub.actor.name} cancels", partial(self._cancel, request.request_id))
        if self._is_first:
            self._retry(request.request_id)
        simulation.users -= 1

    def _persist(self, call: Callable[[Services], Any]) -> Any:
        """Call the API until it answers; a refusal is an answer."""
        while True:
            try:
                return self._simulation.functions.call("api", call)
            except FunctionError as error:
                if isinstance(error.raised, Refusal):
                    return None
            self._simulation.hub.sleep(_LONGEST_WAIT_S * self._simulation.draw())

    def _cancel(self, request_id: str) -> None:
        simulation = self._simulation
        simulation.rest(_LONGEST_REST_S)
        answer = self._persist(lambda services: services.requests.cancel(request_id))
        if answer is not None and answer[1]:
            simulation.note(f"has cancelled {request_id}")
            simulation.invariants.cancelled(request_id)
        simulation.users -= 1

    def _retry(self, request_id: str) -> None:
        simulation = self._simulation
        left = self._plan.retries
        row = simulation.tables.requests[request_id]
        while left and row.status is not RequestStatus.CANCELLED:
            if not row.has_ended:
                ended = simulation.tables.ends[request_id] = Signal(simulation.hub)
                simulation.hub.wait(ended)
            simulation.rest(_LONGEST_LOOK_S)
            row = simulation.tables.requests[request_id]
            if row.status is RequestStatus.COMPLETED and not self._has_tolerated(request_id):
                return
            if row.status in (RequestStatus.FAILED, RequestStatus.COMPLETED):
                self._persist(lambda services: services.requests.retry(request_id))
                left -= 1

    def _has_tolerated(self, request_id: str) -> bool:
        steps = self._simulation.tables.steps.get(request_id, {})
        return any(step.tolerated for step in steps.values())


def _submit(services: Services, submission: Submission, key: str | None) -> Request:
    request, _ = services.requests.submit(submission, key)
    return request
