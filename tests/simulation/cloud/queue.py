"""SQS: delayed messages to RetryJobs, at least once, in any order, dropped after five receives."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import JsonObject
from tests.simulation.cloud.functions import FunctionError
from tests.simulation.faults import Fault

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: As template.yaml has them.
VISIBILITY_TIMEOUT_S = 180.0
MAX_RECEIVES = 5

_LONGEST_DELAY_S = 300.0
_DELIVERY_S = 0.2


class Queue:
    """The wake queue and its event source mapping."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def send(self, message: JsonObject, delay_s: float) -> None:
        """Keep the message until somebody has handled it."""
        faults = self._simulation.faults
        if faults.strikes(Fault.MESSAGE_LOST):
            return
        for _ in range(2 if faults.strikes(Fault.MESSAGE_DOUBLED) else 1):
            late_s = faults.seconds(_LONGEST_DELAY_S) if faults.strikes(Fault.MESSAGE_LATE) else 0
            wait_s = delay_s + late_s + faults.seconds(_DELIVERY_S)
            work = partial(self._deliver, message, wait_s)
            self._simulation.hub.spawn(f"message {message['request_id']}", work)

    def _deliver(self, message: JsonObject, wait_s: float) -> None:
        hub = self._simulation.hub
        hub.sleep(wait_s)
        for _ in range(MAX_RECEIVES):
            try:
                self._simulation.functions.call("retry_jobs", message)
                return
            except FunctionError:
                hub.sleep(VISIBILITY_TIMEOUT_S)
