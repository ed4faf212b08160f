"""SQS and its event source: messages wait for their time, and then for a poller."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.quotas.limits import quotas
from shiftwork_core.domain.payloads import JsonObject
from tests.simulation.cloud.functions import FunctionError
from tests.simulation.cloud.queue import VISIBILITY_TIMEOUT_S
from tests.simulation.hub import Signal

if TYPE_CHECKING:
    from benchmarks.quotas.model import Model

_FUNCTION = "retry_jobs"


class Queue:
    """The queue of RetryJobs. Lambda polls with few connections at first, and adds more by time."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._visible: list[JsonObject] = []
        self._pollers = 0
        self._busy_since: float | None = None
        self.sent = 0

    def send(self, message: JsonObject, delay_s: float) -> None:
        """Keep the message until it has been handled."""
        self.sent += 1
        self._model.hub.spawn("message", partial(self._arrive, message, delay_s))

    def _arrive(self, message: JsonObject, delay_s: float) -> None:
        self._model.hub.sleep(delay_s)
        self._visible.append(message)
        if self._pollers < self._most_pollers():
            self._pollers += 1
            self._poll()
            self._pollers -= 1
            if not self._pollers:
                self._busy_since = None

    def _most_pollers(self) -> int:
        limits, now = quotas()["queue"], self._model.hub.now
        if self._busy_since is None:
            self._busy_since = now
        more = limits["more_pollers_a_minute"] * (now - self._busy_since) / 60
        return int(min(limits["first_pollers"] + more, limits["most_pollers"]))

    def _poll(self) -> None:
        """Handle messages, up to ten in one call, until none is visible."""
        hub = self._model.hub
        while self._visible:
            batch, self._visible = self._visible[:10], self._visible[10:]
            ended = [Signal(hub) for _ in batch]
            for message, signal in zip(batch, ended, strict=True):
                hub.spawn("receive", partial(self._handle, message, signal))
            for signal in ended:
                hub.wait(signal)

    def _handle(self, message: JsonObject, ended: Signal) -> None:
        try:
            self._model.functions.call(_FUNCTION, message)
        except FunctionError:
            self._model.hub.spawn(
                "message", partial(self._arrive, message, VISIBILITY_TIMEOUT_S[_FUNCTION])
            )
        ended.set()
