"""Owners of workspaces: they define, delete, switch and override them, and cancel their jobs.

And somebody who switches targets without the platform.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.workspaces.records import Desired, JobState, Operation, Override
from shiftwork_core.errors import NotFound, Refusal
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.process import moment
from shiftwork_platform.cloud.services import Services
from tests.simulation.workspace_workload import WorkspacePlan

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_LONGEST_REST_S = 400.0
_LONGEST_WAIT_S = 5.0
_LONGEST_OVERRIDE_S = 300.0
#: How far ahead the deadlines are that owners set, at least.
MIN_DEADLINE_S = 30.0
#: How long a call to the API takes, more or less: nobody defines a workspace, deletes it and
#: defines it again within one millisecond.
_CALL_S = 0.3

#: What an owner may do; what stands here twice is done twice as often.
_ACTS = (
    *("start", "stop", "define", "cancel", "override", "replace") * 2,
    *("clear", "active", "deadline", "delete", "look"),
)


def spawn(simulation: Simulation) -> None:
    """Add the owners of each workspace."""
    for plan in simulation.workspace_plans.values():
        for number, acts in enumerate(plan.acts):
            owner = Owner(simulation, plan, acts)
            simulation.hub.spawn(f"owner {plan.name}.{number}", owner.act)
    if simulation.workspace_plans and Fault.TARGET_SWITCHED in simulation.faults.rates:
        simulation.hub.spawn("console", partial(_switch_some, simulation))


def _switch_some(simulation: Simulation) -> None:
    names = [plan.bodies[0]["driver"]["id"] for plan in simulation.workspace_plans.values()]
    while not simulation.faults.is_over:
        simulation.rest(_LONGEST_REST_S)
        if not simulation.faults.is_over:
            operation = simulation.choose(list(Operation))
            simulation.targets.switch_without_platform(simulation.choose(names), operation)


class Owner:
    """One of the owners of a workspace. It takes a refusal for an answer."""

    def __init__(self, simulation: Simulation, plan: WorkspacePlan, acts: int) -> None:
        self._simulation = simulation
        self._plan = plan
        self._acts = acts
        simulation.users += (
            1  # Before it begins to act: otherwise a run without faults might end first.
        )

    def act(self) -> None:
        """Define the workspace, and then act on it."""
        simulation = self._simulation
        self._persist(partial(_define, name=self._plan.name, body=self._plan.bodies[0]))
        for _ in range(self._acts):
            simulation.rest(_LONGEST_REST_S)
            if simulation.faults.is_over:
                break
            act = simulation.choose(_ACTS)
            if act == "replace":
                self._persist(self._call("delete"))
                act = "define"
            self._persist(self._call(act))
        if self._plan.is_needed:
            self._persist(partial(_define, name=self._plan.name, body=self._plan.bodies[0]))
        simulation.users -= 1

    def _call(self, act: str) -> Callable[[Services], Any]:
        simulation, name = self._simulation, self._plan.name
        match act:
            case "define":
                return partial(_define, name=name, body=simulation.choose(self._plan.bodies))
            case "start" | "stop":
                return partial(_switch, name=name, operation=Operation(act))
            case "override":
                now = moment(simulation.hub.now)
                since = now + timedelta(seconds=simulation.faults.seconds(_LONGEST_REST_S))
                until = since + timedelta(seconds=simulation.faults.seconds(_LONGEST_OVERRIDE_S))
                override = Override(simulation.choose(list(Desired)), since, until)
                return partial(_override, name=name, override=override)
            case "deadline":
                ahead_s = MIN_DEADLINE_S + simulation.faults.seconds(_LONGEST_OVERRIDE_S)
                deadline = moment(simulation.hub.now + ahead_s)
                simulation.verdicts.acts(name, deadline)
                return partial(_set_deadline, name=name, deadline=deadline)
            case "cancel":
                return partial(_cancel, name=name)
        calls = {
            "clear": lambda services: services.workspaces.clear_override(name),
            "active": lambda services: services.workspaces.active(name),
            "delete": lambda services: services.workspaces.delete(name),
            "look": lambda services: services.workspaces.dry_run(name, Operation.STOP),
        }
        return calls[act]

    def _persist(self, call: Callable[[Services], Any]) -> None:
        """Call the API until it answers; a refusal is an answer."""
        simulation = self._simulation
        while True:
            simulation.hub.sleep(_CALL_S * (0.1 + simulation.draw()))
            simulation.verdicts.acts(self._plan.name)
            try:
                simulation.functions.call("workspace_api", call)
            except FunctionError as error:
                if not isinstance(error.raised, Refusal):
                    simulation.hub.sleep(_LONGEST_WAIT_S * simulation.draw())
                    continue
            simulation.verdicts.acts(self._plan.name)
            return


def _define(services: Services, name: str, body: Any) -> object:
    return services.workspaces.put(name, body)


def _switch(services: Services, name: str, operation: Operation) -> object:
    return services.workspaces.switch(name, operation)


def _override(services: Services, name: str, override: Override) -> object:
    return services.workspaces.override(name, override)


def _set_deadline(services: Services, name: str, deadline: datetime) -> object:
    return services.workspaces.set_deadline(name, deadline)


def _cancel(services: Services, name: str) -> object:
    """Cancel the newest job that has not ended."""
    for state in (JobState.RUNNING, JobState.PENDING):
        page = services.workspaces.jobs(name, state, 10, None)
        if page.items:
            return services.workspaces.cancel_job(page.items[0].id)
    raise NotFound("there is nothing to cancel")
