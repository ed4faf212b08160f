"""Run mutants in parallel, each in a process of its own."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.mutants.child import Suite, try_mutant
from tests.mutants.covering import Coverage
from tests.mutants.mutant import Mutant
from tests.mutants.scope import Scope

#: A process ends itself after its limit of processor time. One that waits forever is ended after
#: this many times that limit; on a busy machine the others take a few times as long.
_PATIENCE = 10
#: Seconds until a process reports what it runs.
_START_S = 300.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What killed a mutant. None: nothing turned red."""

    mutant: Mutant | None
    killer: str | None
    taken_s: float


@dataclass(slots=True)
class _Trial:
    """A process that runs a mutant."""

    mutant: Mutant | None
    pid: int
    pipe: int
    started: float
    ends_at: float
    unread: bytes = b""
    runs: str = ""
    verdict: Verdict | None = None


@dataclass(slots=True)
class Runner:
    """Runs mutants."""

    scope: Scope
    suite: Suite
    covered: Coverage
    killers: dict[str, str]
    jobs: int
    _trials: list[_Trial] = field(default_factory=list)

    def run(self, mutants: Iterable[Mutant | None]) -> Iterator[Verdict]:
        """Yield the verdicts as they arrive. None in place of a mutant is the unchanged code."""
        waiting = iter(mutants)
        selector = selectors.DefaultSelector()
        try:
            while True:
                while len(self._trials) < self.jobs and (found := next(waiting, _END)) is not _END:
                    trial = self._start(found)  # type: ignore[arg-type]
                    self._trials.append(trial)
                    selector.register(trial.pipe, selectors.EVENT_READ, trial)
                if not self._trials:
                    return
                wait_s = min(trial.ends_at for trial in self._trials) - time.monotonic()
                for ready, _ in selector.select(max(wait_s, 0.0)):
                    self._hear(ready.data)
                for trial in list(self._trials):
                    if trial.verdict is None and time.monotonic() >= trial.ends_at:
                        trial.verdict = self._verdict(trial, f"{trial.runs} (hangs)")
                    if trial.verdict is not None:
                        selector.unregister(trial.pipe)
                        self._end(trial)
                        yield trial.verdict
        finally:
            for trial in list(self._trials):
                self._end(trial)

    def _start(self, mutant: Mutant | None) -> _Trial:
        order: dict[str, float] = {}
        is_known = False
        if mutant is not None:
            order = self.covered.order(mutant, self.killers)
            is_known = self.killers.get(mutant.key, "").partition(" (")[0] in order
        hears, tells = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(hears)
            try_mutant(self.scope, self.suite, mutant, order, tells, is_known)
        os.close(tells)
        now = time.monotonic()
        return _Trial(mutant, pid, hears, now, now + _START_S)

    def _hear(self, trial: _Trial) -> None:
        heard = os.read(trial.pipe, 65536)
        *lines, trial.unread = (trial.unread + heard).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "killed" in message:
                trial.verdict = self._verdict(trial, message["killed"])
            elif "survived" in message:
                trial.verdict = self._verdict(trial, None)
            else:
                trial.runs = message["runs"]
                trial.ends_at = time.monotonic() + _PATIENCE * message["limit_s"]
            if trial.verdict is not None:
                return
        if not heard:  # It is gone.
            trial.verdict = self._verdict(trial, f"{trial.runs} (out of time, or memory)")

    def _verdict(self, trial: _Trial, killer: str | None) -> Verdict:
        return Verdict(trial.mutant, killer, time.monotonic() - trial.started)

    def _end(self, trial: _Trial) -> None:
        self._trials.remove(trial)
        try:
            os.killpg(trial.pid, signal.SIGKILL)
        except ProcessLookupError:
            os.kill(trial.pid, signal.SIGKILL)  # It has not come so far as to lead a group.
        os.waitpid(trial.pid, 0)
        os.close(trial.pipe)


_END = object()
