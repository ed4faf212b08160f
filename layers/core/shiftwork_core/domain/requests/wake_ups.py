"""The messages to RetryJobs, and which of them are acted on together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.records import Attempt, AttemptKey

Source = TypeVar("Source")


def wake_up(attempt: Attempt, batch_size: int) -> JsonObject:
    """Return the message that has an attempt run.

    It may share a batch of so many jobs with others of its step and type.
    """
    return {
        "request_id": attempt.request_id,
        "jobs": [str(attempt.key)],
        "type": attempt.type,
        "batch_size": batch_size,
    }


def together(messages: Iterable[tuple[Source, JsonObject]]) -> list[list[Source]]:
    """Group the messages, each named by where it is from, by what to act on together.

    Jobs of a step that fail together are due together. A batch for each would read their request
    and write their step's row once a job. Starts come last: they may wait for their time.
    """
    runs: list[list[Source]] = []
    others: list[list[Source]] = []
    begun: dict[Hashable, list[Source]] = {}
    for source, message in messages:
        if "jobs" not in message:
            others.append([source])
            continue
        kind = _kind(message)
        batch = begun.get(kind, [])
        if not 0 < len(batch) < message.get("batch_size", 1):
            batch = begun[kind] = []
            runs.append(batch)
        batch.append(source)
    return runs + others


def jobs_of(messages: Iterable[JsonObject]) -> list[str]:
    """Return the jobs that the messages of a group run, each once."""
    return list(dict.fromkeys(job for message in messages for job in message["jobs"]))


def _kind(message: JsonObject) -> Hashable:
    """Return what messages have in common that share a batch."""
    steps = {AttemptKey.parse(job).step for job in message["jobs"]}
    return message["request_id"], frozenset(steps), message.get("type"), message.get("batch_size")
