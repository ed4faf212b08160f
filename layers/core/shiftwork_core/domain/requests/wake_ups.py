"""The messages to RetryJobs, and which of them are acted on together."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.requests.records import Attempt, batch_name, parse_batch_name

Source = TypeVar("Source")


def wake_up(attempt: Attempt, batch_size: int) -> JsonObject:
    """Return the message that has an attempt run.

    It may share a batch of so many jobs with others of its step and type.
    """
    return {
        "request_id": attempt.request_id,
        "jobs": [batch_name(attempt)],
        "type": attempt.type,
        # Blocks are done one after the other: each has a batch of its own.
        "batch_size": batch_size if attempt.block is None else 1,
    }


def together(messages: Iterable[tuple[Source, JsonObject]]) -> list[list[Source]]:
    """Group the messages, each named by where it is from, by what to act on together.

    Jobs of a step that fail together are due together. A batch for each would read their request
    and write their step's row once a job. Others come last, alone: a start may wait for its time.
    """
    runs: list[list[Source]] = []
    others: list[list[Source]] = []
    begun: dict[_Kind, list[Source]] = {}
    for source, message in messages:
        kind = _kind(message)
        if kind is None:
            others.append([source])
            continue
        batch = begun.get(kind, [])
        if not 0 < len(batch) < kind.batch_size:
            batch = begun[kind] = []
            runs.append(batch)
        batch.append(source)
    return runs + others


def jobs_of(messages: Iterable[JsonObject]) -> list[str]:
    """Return the jobs that the messages of a group run, each once.

    Raises
    ------
    ValueError
        If one is no key of an attempt.
    """
    jobs = [job for message in messages for job in message["jobs"]]
    for job in jobs:
        parse_batch_name(job)
    return list(dict.fromkeys(jobs))


class _Kind(NamedTuple):
    """What messages have in common that share a batch."""

    request_id: str
    step: int
    type: str
    batch_size: int


def _kind(message: JsonObject) -> _Kind | None:
    """Return the kind of a message that runs a job; None if it is not as `wake_up` makes it.

    Such a one may be of an older release, or broken: then it must fail by itself.
    """
    match message:
        case {
            "request_id": str(request_id),
            "jobs": [str(job)],
            "type": str(type),
            "batch_size": int(batch_size),
        }:
            with suppress(ValueError):
                return _Kind(request_id, parse_batch_name(job)[0].step, type, batch_size)
    return None
