"""Make the calls of a tick side by side, in batches: one that fails stops no other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import Clock, SideBySide

logger = logging.getLogger("shiftwork.workspaces")

#: A tick takes on so many workspaces or jobs; the next one finds the rest.
MAX_PER_TICK = 1000
_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True)
class TickCalls:
    """Makes a tick's calls, each named by an id, and logs those that fail.

    `id_field` is the log's field for the id, `on_transient` and `on_failure` are the messages.
    `max_wait` bounds the wait for a batch, so that a call that hangs does not hold up the others.
    """

    side_by_side: SideBySide
    clock: Clock
    id_field: str
    on_transient: str
    on_failure: str
    max_wait: timedelta | None = None

    def make(self, calls: Mapping[str, Callable[[], None]]) -> None:
        """Make every call; return once all have ended, but for those that hang."""
        ids = list(calls)
        for start in range(0, len(ids), _BATCH_SIZE):
            batch = ids[start : start + _BATCH_SIZE]
            self._make_batch({key: self._guarded(key, calls[key]) for key in batch})

    def _make_batch(self, calls: Mapping[str, Callable[[], None]]) -> None:
        until = None if self.max_wait is None else self.clock() + self.max_wait
        for _ in self.side_by_side(calls, lambda: 1.0):
            if until is not None and self.clock() > until:
                logger.warning("a driver hangs; its lease will lapse")
                return

    def _guarded(self, key: str, call: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                call()
            except Transient as error:
                logger.warning(self.on_transient, extra={self.id_field: key, "reason": str(error)})
            except Exception:
                logger.exception(self.on_failure, extra={self.id_field: key})

        return guarded
