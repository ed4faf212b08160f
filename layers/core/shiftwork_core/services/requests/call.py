"""Call RunJobs for the batches of a narrow step, and wait for their answers for a bounded time."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import CALL_WAIT, BatchCaller, Clock, SideBySide

logger = logging.getLogger("shiftwork.requests")

#: More batches gain from a Map: they would wait for the slowest of many.
MAX_CALLED_BATCHES = 4
#: A job that may take longer is expected to. It is the default of a job type, as most jobs of types
#: that say nothing end within seconds (docs/decisions/0027-narrow-steps-are-called.md).
MAX_TIMEOUT_S = 60.0
#: So much of an invocation's time is kept for what follows the calls: to settle the step, and to
#: plan one of many thousand jobs.
KEPT = timedelta(seconds=200)


@dataclass(frozen=True, slots=True)
class Called:
    """What came of calls. Whatever it says, the step is settled from the table.

    Attributes
    ----------
    unanswered:
        The batches that did not answer in time. They run on, or have not begun.
    error:
        What one of the others died of, or what one that did not answer is told by; else None.
    """

    unanswered: list[list[str]] = field(default_factory=list)
    error: JobError | None = None


class BatchCalls:
    """Calls batches side by side."""

    def __init__(self, caller: BatchCaller, side_by_side: SideBySide, clock: Clock) -> None:
        self._caller = caller
        self._side_by_side = side_by_side
        self._clock = clock

    def fit(
        self, batches: Sequence[list[str]], types: Collection[JobType], ends_at: datetime
    ) -> bool:
        """Return whether the batches are few and quick enough to wait for, and there is time."""
        return (
            0 < len(batches) <= MAX_CALLED_BATCHES
            and all(job_type.timeout_s <= MAX_TIMEOUT_S for job_type in types)
            and self._clock() + CALL_WAIT + KEPT <= ends_at
        )

    def call(self, request_id: str, execution: int, batches: Sequence[list[str]]) -> Called:
        """Call RunJobs for each batch; return when all have answered, or the wait is over.

        A call may be repeated, and may still run when this returns: a batch claims what it does,
        and what it has done it reports to the barrier by itself.
        """
        until = self._clock() + CALL_WAIT
        calls = {
            number: partial(self._call_one, request_id, execution, batch)
            for number, batch in enumerate(batches)
        }
        pending = dict(enumerate(batches))
        error: JobError | None = None
        for answered in self._side_by_side(calls, lambda: self._left_s(until)):
            for number, answer in answered.items():
                pending.pop(number, None)
                error = answer.result() or error
            if not pending or self._clock() >= until:
                break
        if pending and error is None:
            error = JobError("NoAnswer", f"none within {CALL_WAIT.total_seconds():g} s")
        if error is not None:
            logger.warning("called batches failed", extra={"error": error.type})
        return Called(list(pending.values()), error)

    def _left_s(self, until: datetime) -> float:
        return max((until - self._clock()).total_seconds(), 0.01)

    def _call_one(self, request_id: str, execution: int, jobs: list[str]) -> JobError | None:
        try:
            return self._caller.call(request_id, execution, jobs)
        except Transient as error:
            return JobError(type(error).__name__, str(error))
