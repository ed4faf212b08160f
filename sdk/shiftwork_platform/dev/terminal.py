"""Tell in the terminal what happens: one line an event, with what to type next."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from shiftwork.api.errors import Fault
from shiftwork.cli.render.controls import visible
from shiftwork_core.domain.requests.records import Attempt, Request, Step, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.workspaces.records import Workspace
from shiftwork_platform.cloud.tables import AnyRow

_SHORT = 8
#: Characters of an error that a line shows.
_LONGEST = 200


class Terminal:
    """Writes the lines; it is told of each write of a row."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._has_faults = False
        self._doubts: list[str] = []

    def say(self, text: str) -> None:
        """Write a line of its own, if there is still a terminal: no write of a row may fail by it.

        What a job says cannot steer the terminal, nor look like a line of somebody else's.
        """
        shown = visible(text).replace("\n", "\n    ")
        with self._lock, suppress(OSError, ValueError):
            print(shown, file=self._stream, flush=True)

    def tell_restart(self) -> None:
        """Write that the settings have changed, which are read at the start."""
        self.say("shiftwork.toml has changed: start shiftwork dev again to use it")

    def faults(self, faults: Sequence[Fault]) -> None:
        """Write what is wrong with definitions, or that nothing is any more."""
        if faults:
            self.say("definitions have faults, so what was there before stays:")
            for fault in faults:
                self.say(f"  {fault}")
        elif self._has_faults:
            self.say("definitions have no faults any more")
        self._has_faults = bool(faults)

    def doubts(self, doubts: Iterable[Fault]) -> None:
        """Write what seems misspelt in definitions, unless it was so at the last look."""
        before, self._doubts = self._doubts, list(map(str, doubts))
        for doubt in self._doubts:
            if doubt not in before:
                self.say(f"  {doubt}")

    def changed(self, old: AnyRow | None, new: AnyRow) -> None:
        """Tell what a write means, if it means something to an author."""
        match old, new:
            case Request() | None, Request():
                self._request(old, new)
            case Step() | None, Step():
                self._step(old, new)
            case Attempt() | None, Attempt():
                self._attempt(old, new)

    def deleted(self, old: Workspace) -> None:
        """Tell that a workspace is deleted."""
        self.say(f"workspace {old.workspace_id} is deleted")

    def _request(self, old: Request | None, new: Request) -> None:
        if old is None:
            self.event(new.request_id, f"{new.type}: submitted")
        elif new.has_ended and not old.has_ended:
            took = "" if new.completed_at is None else _seconds(new.created_at, new.completed_at)
            why = f": {new.error.type}: {new.error.message[:_LONGEST]}" if new.error else ""
            self.event(new.request_id, f"{new.type}: {new.status}{took}{why}")
            if new.status is RequestStatus.FAILED:
                self.event(new.request_id, f"next: shiftwork explain {new.request_id}")

    def _step(self, old: Step | None, new: Step) -> None:
        if new.status is StepStatus.COMPLETED and (old is None or old.status is not new.status):
            jobs = "1 job" if new.job_count == 1 else f"{new.job_count:,} jobs"
            took = "" if new.completed_at is None else _seconds(new.started_at, new.completed_at)
            self.event(new.request_id, f"step {new.index}: {jobs} completed{took}")

    def _attempt(self, old: Attempt | None, new: Attempt) -> None:
        if old is None or old.status is new.status:
            return
        if new.status in (AttemptStatus.RETRY, AttemptStatus.FAILURE) and new.error is not None:
            error = f"{new.error.type}: {new.error.message[:_LONGEST]}"
            what = "is retried" if new.status is AttemptStatus.RETRY else "has failed"
            self.event(new.request_id, f"{new.name}, attempt {new.key.attempt}, {what}: {error}")

    def event(self, request_id: str, text: str) -> None:
        """Write a line of a request."""
        self.say(f"{datetime.now(UTC).astimezone():%H:%M:%S} {request_id[:_SHORT]}  {text}")


def _seconds(begin: datetime, end: datetime) -> str:
    return f" in {(end - begin).total_seconds():.1f} s"
