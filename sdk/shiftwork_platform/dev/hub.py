"""Keep real time: actors are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from shiftwork_platform.cloud.hub import Group, Hub, Killed, Signal
from shiftwork_platform.cloud.process import EPOCH


class ThreadActor:
    """One thread of work; see `cloud.hub.Actor`."""

    def __init__(self, name: str, group: Group) -> None:
        self.name = name
        self.group = group
        self.woken = threading.Event()


class RealHub(Hub):
    """A scheduler that leaves it to the system who acts: see `cloud.hub.Hub`.

    Parameters
    ----------
    stood_s:
        For how many seconds time has stood still so far.
    """

    def __init__(self, stood_s: Callable[[], float]) -> None:
        self._stood_s = stood_s
        self._local = threading.local()
        super().__init__(Random())
        self.lock = threading.RLock()
        self._later: list[tuple[float, int, str, Callable[[], None]]] = []
        self._order = count()
        self._changed = threading.Condition()
        threading.Thread(target=self._begin_in_time, name="later", daemon=True).start()

    @property
    def now(self) -> float:
        """Return the seconds since the epoch of virtual time."""
        return (datetime.now(UTC) - EPOCH).total_seconds() - self._stood_s()

    @now.setter
    def now(self, seconds: float) -> None:
        """Leave the time to the system."""

    @property
    def actor(self) -> Any:
        """The actor of this thread; one that the hub did not begin gets its own."""
        if not hasattr(self._local, "actor"):
            name = threading.current_thread().name
            self._local.actor = ThreadActor(name, Group(name))
        return self._local.actor

    def spawn(self, name: str, work: Callable[[], None], group: Group | None = None) -> Any:
        """Begin a thread."""
        actor = ThreadActor(name, group or Group(name))

        def run() -> None:
            self._local.actor = actor
            try:
                if not actor.group.is_dead:
                    work()
            except Killed:
                pass

        threading.Thread(target=run, name=name, daemon=True).start()
        return actor

    def spawn_after(self, seconds: float, name: str, work: Callable[[], None]) -> None:
        """Begin a thread after so many seconds; until then nothing waits for it."""
        if seconds <= 0:
            self.spawn(name, work)
            return
        with self._changed:
            heappush(self._later, (self.now + seconds, next(self._order), name, work))
            self._changed.notify()

    def pause(self) -> None:
        """Go on, unless the process was ended."""
        if self.actor.group.is_dead:
            raise Killed

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""
        actor = self.actor
        actor.woken.clear()
        actor.woken.wait(max(seconds, 0.0))
        self.pause()

    def wait(self, signal: Signal, timeout_s: float | None = None) -> bool:
        """Wait until the signal is set; return False if it is not set in time."""
        actor = self.actor
        with self.lock:
            if signal.is_set:
                return True
            actor.woken.clear()
            signal.waiters.append(actor)
        actor.woken.wait(timeout_s)
        with self.lock:
            if actor in signal.waiters:
                signal.waiters.remove(actor)
        self.pause()
        return signal.is_set

    def unblock(self, actor: Any) -> None:
        """Let an actor that waits go on."""
        actor.woken.set()

    def kill(self, group: Group) -> None:
        """End what belongs to a group, at its next call."""
        group.is_dead = True

    def _begin_in_time(self) -> None:
        while True:
            with self._changed:
                while not self._later or self._later[0][0] > self.now:
                    wait_s = self._later[0][0] - self.now if self._later else None
                    self._changed.wait(wait_s)
                _, _, name, work = heappop(self._later)
            self.spawn(name, work)
