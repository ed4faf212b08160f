"""Requests, steps and attempts in full: their rows together with their payloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.records import Attempt, Request, Step, StepStatus
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.requests.step_state import count_by_status

_CURRENT_STEP = {
    RequestStatus.QUEUING: StepStatus.PENDING,
    RequestStatus.INPROGRESS: StepStatus.RUNNING,
    RequestStatus.COMPLETED: StepStatus.COMPLETED,
    RequestStatus.FAILED: StepStatus.FAILED,
    RequestStatus.CANCELLED: StepStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class StepDetails:
    """A step of a request as it is; one that is not planned yet has no attempts.

    The `counts` of a wide step that runs are those of its tally: see `domain.requests.step_state`.
    """

    index: int
    name: str
    status: StepStatus
    job_count: int
    counts: Mapping[str, int]
    started_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def of(cls, index: int, name: str, row: Step | None, request: Request) -> StepDetails:
        """Return a step as it is; before it is planned it has no row."""
        status = StepStatus.PENDING if row is None else row.status
        completed_at = row.completed_at if row else None
        if index == request.current_step:  # Its row may not know yet how the request has ended.
            status = _CURRENT_STEP[request.status]
            if status is StepStatus.RUNNING:
                completed_at = None
        return cls(
            index,
            name,
            status,
            job_count=row.job_count if row else 0,
            counts=count_by_status([]) | (row.counts if row else {}),
            started_at=row.started_at if row else None,
            completed_at=completed_at,
        )


@dataclass(frozen=True, slots=True)
class RequestDetails:
    """A request with its payloads and steps.

    `extras` has what the completed jobs of an ended request's last step returned, unless that step
    is wide.
    """

    request: Request
    params: JsonObject
    extras: JsonObject
    steps: list[StepDetails]


@dataclass(frozen=True, slots=True)
class AttemptDetails:
    """An attempt with its payloads; `params` are its request's unless it has its own."""

    attempt: Attempt
    params: Json
    item: Json
    output: Json
