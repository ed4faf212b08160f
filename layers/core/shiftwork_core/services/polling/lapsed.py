"""Declare attempts lost whose leases are over, when a poll finds them in its queue."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from shiftwork_core.domain.requests.queue_order import Queued
from shiftwork_core.errors import Transient
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.barrier import StepBarrier
from shiftwork_core.services.requests.outcome_writer import Result
from shiftwork_core.services.requests.outcomes import OutcomeRecorder

logger = logging.getLogger("shiftwork.tasks")


class LapsedAttempts:
    """Gives the jobs of silent workers back to their queue, as the sweep does, but at once.

    A queue hides what is held until its lease is over, so a poll reads nothing of it before. The
    index may lag, and several polls find the same: what counts is the row, and then the condition
    of the write.
    """

    def __init__(
        self, jobs: JobStore, recorder: OutcomeRecorder, barrier: StepBarrier, runtime: Runtime
    ) -> None:
        self._jobs = jobs
        self._recorder = recorder
        self._barrier = barrier
        self._clock = runtime.clock
        self._draw = runtime.draw

    def declare_lost(self, found: Iterable[Queued]) -> list[Queued]:
        """Declare each lost that its worker has not kept; return those that are dealt with.

        Whatever goes wrong with one of them keeps no other job from the worker that polls.
        """
        # In any order, so that pollers that find the same seldom work on the same one.
        return [one for one in sorted(found, key=lambda _: self._draw()) if self._is_done(one)]

    def _is_done(self, found: Queued) -> bool:
        extra = {"request_id": found.request_id, "key": str(found.key)}
        try:
            attempt = self._jobs.get(found.request_id, found.key)
            if attempt is None or not attempt.has_lapsed(self._clock()):
                return False  # The index lags.
            result = self._barrier.report(attempt, self._recorder.expire(attempt))
            return result is not Result.DISCARDED
        except Transient:
            logger.warning("lapsed attempt left for the next poll", extra=extra)
            return False
        except Exception:
            logger.exception("lapsed attempt cannot be declared lost", extra=extra)
            return True
