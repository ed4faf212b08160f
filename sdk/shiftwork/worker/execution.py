"""The report on a worker: its status, its attempts, and what happened to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ExecutionStatus(StrEnum):
    """What a worker is doing."""

    #: Registered; the pool has not been started.
    UNKNOWN = "unknown"
    #: Waits for its deferred start. It keeps this status if the pool stops meanwhile.
    DEFERRED = "deferred"
    RUNNING = "running"
    #: Its `run` returned, or ended because the pool was stopped.
    SUCCESS = "success"
    #: Its `run` raised. The pool restarts it while attempts are left, unless the pool is stopping.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ExecutionEvent:
    """Something that happened to a worker, when (UTC), and in which execution."""

    execution_id: str
    message: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class WorkerExecution:
    """The report on a worker at the time it was asked for; it never changes afterwards.

    Attributes
    ----------
    id
        The current execution's. A restart gets a new one and keeps the report and its events.
    current_execution_attempt
        0 until it is started.
    deferred_start_threshold
        Seconds.
    """

    id: str
    name: str
    max_executions_attempts: int
    deferred_start_threshold: float
    status: ExecutionStatus = ExecutionStatus.UNKNOWN
    current_execution_attempt: int = 0
    events: tuple[ExecutionEvent, ...] = ()
