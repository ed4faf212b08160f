"""Keep sweeps away from a request on which this process works for long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from shiftwork_core.domain.requests.records import Request
from shiftwork_core.ports.stores import RequestStore
from shiftwork_core.ports.world import Runtime

Part = TypeVar("Part")


class LastingWork:
    """Work that may take longer than a lease, done part by part.

    A sweep starts another execution for a request that is due. So its due time is put off every
    third of a lease, as long as parts get done.
    """

    def __init__(self, store: RequestStore, runtime: Runtime, request: Request) -> None:
        self._store = store
        self._runtime = runtime
        self._request_id = request.request_id
        self._next_at = runtime.clock() + runtime.lease / 3

    def through(self, parts: Iterable[Part]) -> Iterator[Part]:
        """Yield the parts; after each one the request is not due for the better half of a lease."""
        for part in parts:
            yield part
            self.go_on()

    def go_on(self) -> None:
        """Put the due time off, if it is time for that."""
        now = self._runtime.clock()
        if now < self._next_at:
            return
        self._next_at = now + self._runtime.lease / 3
        self._store.postpone_due(self._request_id, now + self._runtime.lease)
