"""Choose which of a queue's jobs a poller tries to claim, so that few pollers claim the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shiftwork_core.domain.requests.backoff import Draw
from shiftwork_core.domain.requests.records import AttemptKey

#: A poller reads so many times as much of a queue as it and its rivals want.
_SPREAD = 8
#: One poll reads at most this much of a queue; ten pages of a DynamoDB index would be too slow.
MAX_WINDOW = 500
#: One read of a queue lists at most so many lapsed jobs: its reader declares each lost by itself.
MAX_LAPSED = 10


@dataclass(frozen=True, slots=True)
class Queued:
    """A job as its queue lists it. It may be stale, so act on it conditionally only.

    `queue` names its queue, or the shard in which it is. `at` is when it could first be claimed; of
    a held job, when its lease is over. `fence` is the one it had when it was queued; of a held job,
    that of its claim.
    """

    queue: str
    request_id: str
    key: AttemptKey
    type_version: int
    at: datetime
    priority: int = 0
    fence: int = 0
    started_at: datetime | None = None

    @property
    def order(self) -> tuple[int, datetime, str, AttemptKey]:
        """Return the queue's sort key: the highest priority first, then the longest wait."""
        return -self.priority, self.at, self.request_id, self.key


@dataclass(frozen=True, slots=True)
class QueueView:
    """The head of a queue: the jobs that can be claimed, and those whose lease is over."""

    waiting: list[Queued]
    #: Held, by workers that have probably died: to be declared lost, as their rows say.
    lapsed: list[Queued]


def window_size(count: int, rivals: int) -> int:
    """Return how much of a queue to read for `count` jobs, with so many rivals at it."""
    return min(MAX_WINDOW, _SPREAD * rivals * count if rivals else count)


def pick(found: Sequence[Queued], draw: Draw, *, is_contended: bool) -> list[Queued]:
    """Return the jobs in the order in which to try them.

    Without rivals a poller claims them strictly in order. With rivals it claims any of the window,
    which is several times as wide as all of them want, so that two seldom try the same job.
    """
    if is_contended:
        return sorted(found, key=lambda _: draw())
    return sorted(found, key=lambda job: job.order)
