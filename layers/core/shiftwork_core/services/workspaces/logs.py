"""Write the logs of lifecycle jobs: what was done and why, for people who ask later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock

from shiftwork_core.domain.workspaces.records import (
    MAX_LOG_CHARACTERS,
    LifecycleJob,
    LifecycleLog,
    LogLevel,
)
from shiftwork_core.ports.workspaces import LifecycleJobStore
from shiftwork_core.ports.world import Clock, NewId


class LifecycleLogs:
    """Writes each line at once, so the log of a process that dies says what it was about to do.

    A log is in order of time, so each line of a process gets a time of its own.
    """

    def __init__(self, jobs: LifecycleJobStore, clock: Clock, new_id: NewId) -> None:
        self._jobs = jobs
        self._clock = clock
        self._new_id = new_id
        self._last = datetime.min.replace(tzinfo=UTC)
        self._lock = Lock()

    def write(self, job: LifecycleJob, *lines: str, level: LogLevel = LogLevel.INFO) -> None:
        """Add lines to the job's log, in this order; a long one is cut."""
        logs = [
            LifecycleLog(self._new_id(), job.id, self._now(), level, line[:MAX_LOG_CHARACTERS])
            for line in lines
        ]
        self._jobs.insert_workspace_lifecycle_job_logs(logs)

    def _now(self) -> datetime:
        with self._lock:
            self._last = max(self._clock(), self._last + timedelta(milliseconds=1))
            return self._last
