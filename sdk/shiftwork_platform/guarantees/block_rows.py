"""Read what rows of blocks say of their jobs, from their stored text alone.

The engine's own code for blocks is not used here: what it writes is checked by this.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from shiftwork_core.domain.payloads import JsonObject, Payload
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus


@dataclass(slots=True)
class JobsOfBlock:
    """The jobs of an attempt at a block, by number within the step."""

    todo: list[int] = field(default_factory=list)
    completed: dict[int, JsonObject] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    retried: set[int] = field(default_factory=set)

    @property
    def rest(self) -> int:
        """How many have no outcome."""
        return len(self.todo) - len(self.completed) - len(self.failed) - len(self.retried)


def jobs_of_block(attempt: Attempt, text_of: Callable[[Payload], str]) -> JobsOfBlock:
    """Return the jobs of an attempt at a block, and what its row says of them."""
    assert attempt.block is not None
    first = attempt.block.first_job
    jobs = JobsOfBlock([first + place for todo in attempt.block.todo for place in todo.places])
    if attempt.output is None:
        return jobs
    stored = json.loads(text_of(attempt.output))
    empty: dict[int, JsonObject] = {first + place: {} for place in _each(stored["empty"])}
    results = {first + int(place): it for place, it in stored["results"].items()}
    jobs.completed = dict(sorted((empty | results).items()))
    jobs.failed = {first + place for _, _, parts in stored["failed"] for place in _each(parts)}
    jobs.retried = {first + place for _, _, parts in stored["retried"] for place in _each(parts)}
    return jobs


def _each(parts: list[list[int]]) -> Iterator[int]:
    return (place for start, stop in parts for place in range(start, stop))


def statuses_of(attempt: Attempt, text_of: Callable[[Payload], str]) -> Counter[AttemptStatus]:
    """Return how many attempts at jobs an attempt stands for, by their status."""
    if attempt.block is None:
        return Counter([attempt.status])
    jobs = jobs_of_block(attempt, text_of)
    counts = Counter(
        {
            AttemptStatus.COMPLETED: len(jobs.completed),
            AttemptStatus.FAILURE: len(jobs.failed),
            AttemptStatus.RETRY: len(jobs.retried),
        }
    )
    match attempt.status:
        case AttemptStatus.NEW | AttemptStatus.INPROGRESS | AttemptStatus.CANCELLED:
            counts[attempt.status] += jobs.rest
        case AttemptStatus.FAILURE:  # What it had not begun when its request ended.
            counts[AttemptStatus.CANCELLED] += jobs.rest
    return counts
