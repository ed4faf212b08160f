"""The clock of a pool, and signals that threads and coroutines wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime


class Signal:
    """An event that threads, and coroutines of any loop, can wait for and set.

    It takes no lock of its own, so that signal handlers may set it too.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._wakers: set[Callable[[], None]] = set()

    @property
    def is_set(self) -> bool:
        """Whether it has been set."""
        return self._event.is_set()

    def set(self) -> None:
        """Wake all waiters, and let later ones pass."""
        self._event.set()
        for wake in list(self._wakers):
            wake()

    def clear(self) -> None:
        """Make later waiters wait again."""
        self._event.clear()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until it is set, or time is up; return whether it is set."""
        return self._event.wait(timeout_s)

    async def wait_async(self) -> None:
        """Return once it is set."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def settle() -> None:
            if not woken.done():
                woken.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # The loop was closed: nobody waits for it.
                loop.call_soon_threadsafe(settle)

        self._wakers.add(wake)  # Before the check: a set() in between wakes it.
        try:
            if not self._event.is_set():
                await woken
        finally:
            self._wakers.discard(wake)


class Clock:
    """The real time. Tests give a pool a clock of their own."""

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)

    def wait(self, signal: Signal, timeout_s: float | None) -> bool:
        """Block until the signal is set, or time is up; return whether it is set."""
        return signal.wait(timeout_s)

    async def wait_async(self, signal: Signal, timeout_s: float | None) -> bool:
        """Return once the signal is set, or time is up; return whether it is set."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await signal.wait_async()
        return signal.is_set
