"""Send wake-ups for lifecycle jobs and for the scheduler, so that nothing waits for the next tick.

Wake-ups only make things prompt. The ticks make up for a lost one; one that comes twice or late
finds nothing to do.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces.records import LifecycleJob
from shiftwork_core.errors import Transient
from shiftwork_core.ports.world import MAX_DELAY, Clock, Queue

logger = logging.getLogger("shiftwork.workspaces")


class LifecycleWakeUps:
    """Sends messages to the queue of SwitchWorkspaces."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock

    def wake_lifecycle_job(self, job: LifecycleJob) -> None:
        """Have the job executed when it falls due, if a message can wait that long.

        The message names the due time: if that moves, another message is sent for it.
        """
        if job.due_at is None:
            return
        wait = max(job.due_at - self._clock(), timedelta(0))
        if wait <= MAX_DELAY:
            self._send({"job": job.id, "due_at": to_iso(job.due_at)}, wait.total_seconds())

    def has_woken(self, job: LifecycleJob) -> bool:
        """Whether the row's last writer has sent a wake-up for its due time.

        Every writer sends one if a message can wait that long, except a claimant: few leases run
        out.
        """
        if job.due_at is None or job.claim_id is not None:
            return False
        return job.due_at - job.updated_at <= MAX_DELAY

    def wake_scheduler(self, workspace_id: str) -> None:
        """Have the scheduler check a workspace now."""
        self._send({"workspace": workspace_id}, 0.0)

    def _send(self, message: dict[str, str], delay_s: float) -> None:
        try:
            self._queue.send({**message}, delay_s)
        except Transient as error:
            logger.warning("left for the next tick", extra={**message, "reason": str(error)})
