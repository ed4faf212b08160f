"""Schedules: they call each function at its rate; a fault skips calls or adds others."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_platform.cloud.faults import Fault
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.schedules import PERIOD_S

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: The functions of the lifecycle, each minute.
_OF_WORKSPACES = ("schedule_workspaces", "switch_workspaces")
_MINUTE_S = 60.0

_LONGEST_REST_S = 60.0

#: A function, and the event that a schedule passes to it.
Tick = tuple[str, JsonObject]


def spawn(simulation: Simulation) -> None:
    """Add a schedule for each sweep, and for workspaces if the seed has some."""
    ticks: dict[str, tuple[Tick, float]] = {
        sweep: (("sweep", {"sweep": sweep.value}), period_s) for sweep, period_s in PERIOD_S.items()
    }
    if simulation.workspace_plans:
        ticks |= {function: ((function, {}), _MINUTE_S) for function in _OF_WORKSPACES}
    for name, (tick, period_s) in ticks.items():
        simulation.hub.spawn(f"schedule {name}", partial(_tick, simulation, name, tick, period_s))
    if Fault.SWEEP_EXTRA in simulation.faults.rates:
        hasty = [tick for tick, _ in ticks.values()]
        simulation.hub.spawn("hasty schedule", partial(_tick_at_random, simulation, hasty))


def _tick(simulation: Simulation, name: str, tick: Tick, period_s: float) -> None:
    simulation.hub.sleep(period_s * simulation.draw())
    while True:
        if not simulation.faults.strikes(Fault.SWEEP_MISSED):
            simulation.hub.spawn(f"tick {name}", partial(_call, simulation, tick))
        simulation.hub.sleep(period_s)


def _tick_at_random(simulation: Simulation, ticks: list[Tick]) -> None:
    while not simulation.faults.is_over:
        simulation.rest(_LONGEST_REST_S)
        _call(simulation, simulation.choose(ticks))


def _call(simulation: Simulation, tick: Tick) -> None:
    with suppress(FunctionError):  # The next tick does it.
        simulation.functions.call(*tick)
