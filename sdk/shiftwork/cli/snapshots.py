"""Poll a request until it ends, and yield a snapshot whenever something has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from shiftwork.api.calls.requests import ENDED

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import Attempt, Request, Step

#: How long to wait between two polls: this when something has just changed...
_SHORTEST_S = 0.2
#: ...growing by this factor while nothing does...
_GROWTH = 1.5
#: ...up to this.
_LONGEST_S = 2.0
#: A step of more attempts is not read as a whole; only the attempts that people look for are.
_MAX_READ_WHOLE = 100
_MAX_READ_BY_STATUS = 20
_TELLING_STATUSES = ("failure", "retry", "inprogress")


@dataclass(frozen=True)
class Snapshot:
    """A request at one moment, with attempts of each step by the step's index.

    Of a wide step it has only failures, retries and running attempts, and only so many. It was
    asked for before the request answered, so an end that it does not show yet is later.
    `is_partial`: the counts have changed, and the attempts are those of before: another follows.
    """

    request: Request
    attempts: dict[int, list[Attempt]] = field(default_factory=dict)
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_partial: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.request["status"] in ENDED


def follow(
    client: ShiftworkClient,
    request_id: str,
    sleep: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Snapshot]:
    """Yield a snapshot at once and another after every change; end when the request has ended.

    The jobs of a step are read only when its counts have changed. An API at work on a wide step
    may take seconds to list them, so the counts come first. Polling takes at most half of the
    time, so that it does not slow down what it watches.
    """
    last: Request | None = None
    attempts: dict[int, list[Attempt]] = {}
    interval_s = _SHORTEST_S
    while True:
        started, asked_at = clock(), datetime.now(UTC)
        request = client.get(request_id)
        if request == last:
            interval_s = min(interval_s * _GROWTH, _LONGEST_S)
        else:
            interval_s = _SHORTEST_S
            steps = _changed_steps(last, request)
            if steps:
                yield Snapshot(request, dict(attempts), asked_at, is_partial=True)
            for step in steps:
                attempts[step["index"]] = _telling_attempts(client, request_id, step)
            last = request
            yield Snapshot(request, dict(attempts), asked_at)
        if request["status"] in ENDED:
            return
        sleep(max(interval_s, clock() - started))


def _changed_steps(before: Request | None, after: Request) -> list[Step]:
    """Return the steps whose counts of jobs differ from before, and that have any."""
    counts = {step["index"]: step["jobs"] for step in before["steps"]} if before else {}
    return [
        step
        for step in after["steps"]
        if any(step["jobs"].values()) and counts.get(step["index"]) != step["jobs"]
    ]


def _telling_attempts(client: ShiftworkClient, request_id: str, step: Step) -> list[Attempt]:
    counts: dict[str, int] = {**step["jobs"]}  # type: ignore[dict-item]
    index = step["index"]
    if sum(counts.values()) <= _MAX_READ_WHOLE:
        return list(client.jobs(request_id, step=index))
    return [
        attempt
        for status in _TELLING_STATUSES
        if counts[status]
        for attempt in islice(
            client.jobs(request_id, step=index, status=status), _MAX_READ_BY_STATUS
        )
    ]
