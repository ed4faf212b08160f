"""Operators with a console: they stop executions and start others, and reshard queues."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.functions import FunctionError

if TYPE_CHECKING:
    from shiftwork_core.domain.payloads import JsonObject
    from shiftwork_platform.cloud.services import Services
    from tests.simulation.simulation import Simulation

_LONGEST_REST_S = 120.0


def spawn(simulation: Simulation) -> None:
    """Add an operator for each of these faults that the seed has."""
    if Fault.EXECUTION_STOPPED in simulation.faults.rates:
        simulation.hub.spawn("stopper", partial(_stop_some, simulation))
    if Fault.EXECUTION_DOUBLED in simulation.faults.rates:
        simulation.hub.spawn("starter", partial(_start_some, simulation))
    if simulation.workload.reshards:
        simulation.hub.spawn("resharder", partial(_reshard, simulation))


def _stop_some(simulation: Simulation) -> None:
    machine = simulation.machine
    while not simulation.faults.is_over:
        simulation.rest(_LONGEST_REST_S)
        if machine.running and not simulation.faults.is_over:
            execution = simulation.choose(list(machine.running.values()))
            simulation.note(f"stops {execution.name}")
            machine.stop(execution)


def _reshard(simulation: Simulation) -> None:
    """Give the polled type other numbers of shards, while jobs wait."""
    body = simulation.workload.job_types["polled"]
    for shards in simulation.workload.reshards:
        simulation.rest(_LONGEST_REST_S)
        changed = body | {"worker": body["worker"] | {"shards": shards}}
        with suppress(FunctionError):
            simulation.functions.call("api", partial(_put, body=changed))
            simulation.note(f"has given the polled type {shards} shards")


def _put(services: Services, body: JsonObject) -> None:
    services.definitions.put(Kind.JOB_TYPE, "polled", body)


def _start_some(simulation: Simulation) -> None:
    """Start executions again under other names, with the same input."""
    machine = simulation.machine
    count = 0
    while not simulation.faults.is_over:
        simulation.rest(_LONGEST_REST_S)
        if machine.executions and not simulation.faults.is_over:
            execution = simulation.choose(list(machine.executions.values()))
            count += 1
            name = f"{execution.input['request_id']}-again-{count}"
            simulation.note(f"starts {name}")
            machine.start_by_hand(name, execution.input)
