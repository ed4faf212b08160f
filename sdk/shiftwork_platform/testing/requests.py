"""What a test sees of a request: its status, its attempts, and the history of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Request, RequestError
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.requests.details import AttemptDetails, RequestDetails, StepDetails
from shiftwork_core.services.requests.explain import Explanation
from shiftwork_platform.testing.stubs import ANY, fits

if TYPE_CHECKING:
    from shiftwork_platform.testing.deployment import Deployment

#: A history shows so many attempts.
_MOST_TOLD = 60
_PAGE = 500


class StillRunning(AssertionError):
    """A request has not ended in the time that it was given."""


@dataclass(frozen=True, slots=True)
class AttemptSeen:
    """An attempt at a job.

    `name` is that of its entry in the step, and `label` names the job, such as `send[1]`. `number`
    counts the attempts at this job from 1. `status` is one of new, inprogress, completed, failure,
    retry, cancelled.
    """

    attempt_id: str
    step: str
    name: str
    label: str
    type: str
    number: int
    status: str
    params: Json
    item: Json
    output: Json
    error: JobError | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    worker_id: str | None

    def __str__(self) -> str:
        """Return the attempt as a line of a history."""
        why = f" ({self.error.type}: {self.error.message})" if self.error else ""
        return f"{self.label} attempt {self.number} {self.status}{why}"


class RequestSeen:
    """A request of a test, as it is whenever it is looked at."""

    def __init__(self, deployment: Deployment, request_id: str) -> None:
        self._deployment = deployment
        self.request_id = request_id

    # -- what it is ----------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """Return Queuing, Inprogress, Completed, Failed or Cancelled."""
        return self._row.status.value

    @property
    def completed(self) -> bool:
        """Whether it has completed."""
        return self._row.status is RequestStatus.COMPLETED

    @property
    def failed(self) -> bool:
        """Whether it has failed."""
        return self._row.status is RequestStatus.FAILED

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._row.status is RequestStatus.CANCELLED

    @property
    def has_ended(self) -> bool:
        """Whether it has completed, failed, or was cancelled."""
        return self._row.has_ended

    @property
    def error(self) -> RequestError | None:
        """Return why it failed."""
        return self._row.error

    @property
    def params(self) -> JsonObject:
        """Return what it was submitted with."""
        return self._details.params

    @property
    def extras(self) -> JsonObject:
        """Return what its jobs have returned so far, merged."""
        return self._details.extras

    @property
    def steps(self) -> list[StepDetails]:
        """Return its steps as they are, with how many attempts are in each status."""
        return self._details.steps

    @property
    def duration(self) -> timedelta:
        """Return how long it has taken, or has been under way."""
        end = self._row.completed_at or self._deployment.now
        return end - self._row.created_at

    def attempts(self, name: str | None = None, *, item: Any = ANY) -> list[AttemptSeen]:
        """Return its attempts, step by step, job by job.

        Parameters
        ----------
        name:
            Only those of an entry, or of a step, of this name.
        item:
            Only those of an item: see `StubbedJob.on`.
        """
        steps = {step.index: step.name for step in self.steps}
        found = [_seen(one, steps) for one in self._all_attempts()]
        return [
            one
            for one in found
            if name in (None, one.name, one.step) and (item is ANY or fits(one.item, item))
        ]

    def explain(self) -> Explanation:
        """Return where it stands, what blocks it, and when it wakes next."""
        return self._deployment.ask(lambda s: s.requests.explain(self.request_id))

    # -- what is done to it --------------------------------------------------------------------

    def wait(self, timeout: timedelta) -> RequestSeen:
        """Let time pass until it has ended.

        Raises
        ------
        StillRunning
            If it has not when the time is over.
        """
        if not self._deployment.wait_for(self.request_id, timeout.total_seconds()):
            raise StillRunning(f"the request has not ended after {timeout}\n{self.history()}")
        return self

    def cancel(self, reason: str = "") -> None:
        """Cancel it: none of its jobs starts afterwards."""
        self._deployment.ask(lambda s: s.requests.cancel(self.request_id, reason))

    def retry(self) -> None:
        """Let what has failed be tried again."""
        self._deployment.ask(lambda s: s.requests.retry(self.request_id))

    # -- how it came to this -------------------------------------------------------------------

    def history(self) -> str:
        """Return what became of it, as `explain` says it, and its attempts in order of time."""
        attempts = self.attempts()
        lines = [f"request {self.request_id} ({self._row.type}): {self.status}"]
        lines.append(f"  {self.explain().summary}")
        begun = self._row.created_at
        told = sorted(attempts, key=lambda one: one.completed_at or self._deployment.now)
        for one in told[:_MOST_TOLD]:
            at = one.completed_at or one.started_at
            when = "      -" if at is None else f"{(at - begun).total_seconds():7.1f}"
            lines.append(f"  {when} s  {one.step}: {one}")
        if len(told) > _MOST_TOLD:
            lines.append(f"           and {len(told) - _MOST_TOLD:,} more attempts")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Return the request as an assertion shows it."""
        return f"<request {self.request_id} of {self._row.type}: {self.status}>"

    @property
    def _row(self) -> Request:
        return self._deployment.tables.requests[self.request_id]

    @property
    def _details(self) -> RequestDetails:
        return self._deployment.ask(lambda s: s.requests.details(self._row))

    def _all_attempts(self) -> Sequence[AttemptDetails]:
        found: list[AttemptDetails] = []
        token: str | None = None
        while True:
            page = self._deployment.ask(
                lambda s, token=token: s.requests.attempts(  # type: ignore[misc]
                    self.request_id, None, None, _PAGE, token
                )
            )
            found += page.items
            token = page.next_token
            if token is None:
                return found


def _seen(details: AttemptDetails, steps: dict[int, str]) -> AttemptSeen:
    row = details.attempt
    return AttemptSeen(
        attempt_id=row.attempt_id,
        step=steps[row.key.step],
        name=row.name.partition("[")[0],
        label=row.name,
        type=row.type,
        number=row.key.attempt,
        status=row.status.value,
        params=details.params,
        item=details.item,
        output=details.output,
        error=row.error,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        worker_id=row.worker_id,
    )


#: Checks a request that has ended; it may assert.
Check = Callable[[RequestSeen], object]
