"""Name the queues of polled jobs and their shards, and choose the shard in which a job waits.

A queue is named by a job type and a domain. A busy one lies in several shards, because a partition
of an index takes a thousand writes a second (DynamoDB's quotas) and a job costs it two.
"""

from __future__ import annotations

import zlib

from shiftwork_core.domain.names import KEY_SEPARATOR

#: A queue has at most so many shards: a poll that finds no job reads them all.
MAX_SHARDS = 16


def queue_name(job_type: str, domain: str | None) -> str:
    """Return the name of the queue in which a type's jobs wait for the workers of a domain."""
    return job_type if domain is None else f"{job_type}{KEY_SEPARATOR}{domain}"


def type_and_domain(queue: str) -> tuple[str, str | None]:
    """Return the job type and the domain of a queue."""
    name, separator, domain = queue.partition(KEY_SEPARATOR)
    return name, domain if separator else None


def shard_name(queue: str, shard: int) -> str:
    """Return the name of a queue's shard. The first is named as the queue: most have no other.

    No other queue has the name of a further one, because no domain is empty or has a separator.
    """
    return f"{queue}{KEY_SEPARATOR}{KEY_SEPARATOR}{shard}" if shard else queue


def shard_names(queue: str, shards: int) -> list[str]:
    """Return the names of all shards of a queue that has so many."""
    return [shard_name(queue, shard) for shard in range(shards)]


def shard_of(attempt_id: str, shards: int) -> int:
    """Return the shard for a job that is first tried as this attempt."""
    return zlib.crc32(attempt_id.encode()) % shards
