"""Virtual time for event loops: it leaps to the next timer when nothing else is left to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from shiftwork.worker import Clock, Signal

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
T = TypeVar("T")


class _LeapingSelector(selectors.DefaultSelector):
    leap: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # No timer: only another thread can go on.
            return super().select(None)
        found = super().select(0)
        if not found:
            self.leap(max(timeout, 0))
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at 0 s and leaps from timer to timer.

    Threads take no time: while one computes, the loop leaps all the same if it has a timer.
    """

    def __init__(self) -> None:
        self._virtual_now = 0.0
        selector = _LeapingSelector()
        selector.leap = self._leap
        super().__init__(selector)

    def _leap(self, seconds: float) -> None:
        self._virtual_now += seconds

    def time(self) -> float:
        return self._virtual_now


class VirtualClock(Clock):
    """A pool's clock on a VirtualLoop; `EPOCH` is its 0 s."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time())

    def wait(self, signal: Signal, timeout_s: float | None) -> bool:
        waiting = self.wait_async(signal, timeout_s)
        return asyncio.run_coroutine_threadsafe(waiting, self._loop).result()


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
