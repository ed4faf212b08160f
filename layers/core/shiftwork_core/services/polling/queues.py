"""Read a queue over all its shards: how much waits, since when, and whether anything can be had."""

from __future__ import annotations

from datetime import datetime

from shiftwork_core.domain.requests.queue_names import shard_names
from shiftwork_core.ports.jobs import JobStore, QueueHead


def queue_size(jobs: JobStore, queue: str, shards: int) -> int:
    """Count what waits in a queue, delayed jobs too: the cost grows with it."""
    return sum(jobs.queue_size(shard) for shard in shard_names(queue, shards))


def queue_head(jobs: JobStore, queue: str, shards: int, now: datetime, limit: int) -> QueueHead:
    """Count the jobs that can be claimed now, up to `limit`, and find the oldest of them."""
    count = 0
    oldest: list[datetime] = []
    for shard in shard_names(queue, shards):
        head = jobs.queue_head(shard, now, limit)
        count += head.jobs
        if head.oldest_at is not None:
            oldest.append(head.oldest_at)
    return QueueHead(min(count, limit), min(oldest, default=None))


def has_waiting(jobs: JobStore, queue: str, shards: int, now: datetime) -> bool:
    """Whether a queue has a job that can be claimed now; it reads shards until it finds one."""
    return any(jobs.queued(shard, now, 1).waiting for shard in shard_names(queue, shards))
