"""One call that reports results and claims tasks, kept until the server answers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

from shiftwork.api.task_shapes import Want
from shiftwork.worker.tasks_in_hand import Result


@dataclass(eq=False)
class Exchange:
    """An exchange; the poller repeats it unchanged, under its id, until it is answered.

    Attributes
    ----------
    running
        The ids of all tasks that the process holds.
    """

    results: list[Result]
    wants: list[Want]
    running: list[str]
    wait_s: float
    first_sent_at: float
    exchange_id: str = field(default_factory=lambda: str(uuid4()))
    tries: int = 0

    @property
    def types(self) -> list[str]:
        """The types of task that it polls for."""
        return [want["type"] for want in self.wants]
