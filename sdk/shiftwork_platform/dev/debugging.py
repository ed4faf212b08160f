"""Let time stand still while an author looks at a job in a debugger: no job runs out of its own."""

from __future__ import annotations

import os
import pdb
import sys
import threading
import time
from typing import Any

from shiftwork_core.adapters.targets.printed import printed_for_nobody

#: Modules of debuggers that stop all threads of a process, and do not tell it.
_DEBUGGERS = ("debugpy", "pydevd")
_TICK_S = 0.5
#: A tick that comes so late comes after a stop.
_STOPPED_S = 3.0


class Stopwatch:
    """Knows how long the deployment has stood still so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looking = 0
        self._since = 0.0
        self._stood_s = 0.0

    def stood_s(self) -> float:
        """Return for how many seconds it has stood still, until now."""
        with self._lock:
            return self._stood_s + (time.monotonic() - self._since if self._looking else 0.0)

    def stand(self) -> None:
        """Stand still until as many calls of `go_on` have come."""
        with self._lock:
            if not self._looking:
                self._since = time.monotonic()
            self._looking += 1

    def go_on(self) -> None:
        """End one call of `stand`."""
        with self._lock:
            self._looking -= 1
            if not self._looking:
                self._stood_s += time.monotonic() - self._since

    def add(self, seconds: float) -> None:
        """Learn that it has stood still for so long."""
        with self._lock:
            self._stood_s += seconds


class Debugger(pdb.Pdb):
    """Lets time stand still while it waits for a command; one job is looked at at a time."""

    _alone = threading.Lock()

    def __init__(self, watch: Stopwatch) -> None:
        # Ctrl-C ends `shiftwork dev`, here as anywhere.
        super().__init__(nosigint=True)
        self._watch = watch

    def interaction(self, *stopped: Any) -> None:
        """Ask for commands; see `pdb.Pdb`."""
        self._watch.stand()
        try:
            with self._alone, printed_for_nobody():
                super().interaction(*stopped)
        finally:
            self._watch.go_on()


def stand_still_in_debuggers(watch: Stopwatch) -> None:
    """Have `breakpoint()` stop the watch, unless PYTHONBREAKPOINT names another debugger.

    That of an editor stops this process as a whole: then the time that it misses is added.
    """
    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = lambda *_, **__: Debugger(watch).set_trace(sys._getframe(1))
    if any(name in sys.modules for name in _DEBUGGERS):
        threading.Thread(target=_notice_stops, args=(watch,), daemon=True).start()


def _notice_stops(watch: Stopwatch) -> None:
    before = time.monotonic()
    while True:
        time.sleep(_TICK_S)
        now = time.monotonic()
        if now - before > _STOPPED_S:
            watch.add(now - before)
        before = now
