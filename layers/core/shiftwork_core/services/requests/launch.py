"""Start a request's newest execution: at once, or by a message when its start time is near."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import MAX_DELAY, Clock, Machine, Queue


class Launcher:
    """Starts executions for the API. While it is not enabled, no request starts."""

    def __init__(
        self, machine: Machine, queue: Queue, clock: Clock, *, is_enabled: bool = True
    ) -> None:
        self._machine = machine
        self._queue = queue
        self._clock = clock
        self.is_enabled = is_enabled

    def launch(self, request: Request) -> None:
        """Start the newest execution now or by a delayed message; if that fails, a sweep does."""
        if not self.is_enabled:
            return
        wait = (request.start_at or request.created_at) - self._clock()
        with suppress(Transient):
            if wait <= timedelta(0):
                self._machine.start(request.request_id, request.execution)
            elif wait <= MAX_DELAY:
                self._queue.send({"request_id": request.request_id}, wait.total_seconds())
