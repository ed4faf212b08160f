"""The schedules: each sweep at its rate, and with a fault never, or at any other moment too."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.services.sweeping import Sweep
from tests.simulation.cloud.functions import FunctionError
from tests.simulation.faults import Fault

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Seconds, as template.yaml has them.
PERIOD_S = {Sweep.JOBS: 900.0, Sweep.NEW_REQUESTS: 300.0, Sweep.INPROGRESS_REQUESTS: 60.0}

_LONGEST_REST_S = 60.0


def spawn(simulation: Simulation) -> None:
    """Add a schedule for each sweep."""
    for sweep, period_s in PERIOD_S.items():
        simulation.hub.spawn(f"schedule {sweep}", partial(_tick, simulation, sweep, period_s))
    if Fault.SWEEP_EXTRA in simulation.faults.rates:
        simulation.hub.spawn("hasty schedule", partial(_sweep_at_random, simulation))


def _tick(simulation: Simulation, sweep: Sweep, period_s: float) -> None:
    simulation.hub.sleep(period_s * simulation.draw())
    while True:
        if not simulation.faults.strikes(Fault.SWEEP_MISSED):
            simulation.hub.spawn(f"tick {sweep}", partial(_call, simulation, sweep))
        simulation.hub.sleep(period_s)


def _sweep_at_random(simulation: Simulation) -> None:
    while not simulation.faults.is_over:
        simulation.rest(_LONGEST_REST_S)
        _call(simulation, simulation.choose(list(Sweep)))


def _call(simulation: Simulation, sweep: Sweep) -> None:
    with suppress(FunctionError):  # The next tick does it.
        simulation.functions.call("sweep", {"sweep": sweep.value})
