"""SQS and its event source: messages wait for their time, and then for a poller."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.quotas.limits import quotas
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.queue import VISIBILITY_TIMEOUT_S

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
        # SqsQueue rounds up to whole seconds.
        self._model.hub.spawn("message", partial(self._arrive, message, math.ceil(delay_s)))

    def _arrive(self, message: JsonObject, delay_s: float) -> None:
        self._model.hub.sleep(delay_s)
        self._visible.append(message)
        self._add_pollers()

    def _add_pollers(self) -> None:
        while self._visible and self._pollers < self._most_pollers():
            self._pollers += 1
            batch, self._visible = self._visible[:10], self._visible[10:]
            self._model.hub.spawn("poller", partial(self._poll, batch))

    def _most_pollers(self) -> int:
        limits, now = quotas()["queue"], self._model.hub.now
        if self._busy_since is None:
            self._busy_since = now
        more = limits["more_pollers_a_minute"] * (now - self._busy_since) / 60
        return int(min(limits["first_pollers"] + more, limits["most_pollers"]))

    def _poll(self, batch: list[JsonObject]) -> None:
        """Handle messages, up to ten in one call, until none is visible."""
        while batch:
            self._handle(batch)
            self._add_pollers()
            batch, self._visible = self._visible[:10], self._visible[10:]
        self._pollers -= 1
        if not self._pollers:
            self._busy_since = None

    def _handle(self, batch: list[JsonObject]) -> None:
        """Handle a batch in one call; what fails is visible again after its time-out."""
        try:
            failed = self._model.functions.call(_FUNCTION, batch)
        except FunctionError:
            failed = batch
        for message in failed:
            again = partial(self._arrive, message, VISIBILITY_TIMEOUT_S[_FUNCTION])
            self._model.hub.spawn("message", again)
