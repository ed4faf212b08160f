"""The jobs of a block, each as an attempt of its own: as callbacks get them and people see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from shiftwork_core.domain.payloads import Json, JsonObject, Payload, to_json
from shiftwork_core.domain.requests.blocks import Block, Results, count_of
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus


def block_of(attempt: Attempt) -> Block:
    """Return the block of an attempt at one."""
    if attempt.block is None:
        raise AssertionError(f"{attempt.key} is no attempt at a block")
    return attempt.block


def job_of(attempt: Attempt, place: int) -> Attempt:
    """Return the attempt at one of a block's jobs; its values are left out."""
    block = block_of(attempt)
    return replace(
        attempt,
        key=AttemptKey(attempt.key.step, block.first_job + place, attempt.key.attempt),
        name=f"{attempt.name}[{block.first_item + place}]",
        tries=block.tries_of(place),
        item=None,
        output=None,
        error=None,
        block=None,
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """What the attempts at a job, or at a block, have come to.

    Attributes
    ----------
    latest
        The last of them.
    failed
        Of a block the jobs that have failed for good since a user's last retry of them, by place
        and in order, each with the attempt in whose results its error is.
    """

    latest: Attempt
    failed: dict[int, Attempt]

    @property
    def first_place(self) -> int:
        """The place of the job that failed first: in the earliest attempt the first in order."""
        return min(self.failed, key=lambda place: (self.failed[place].key.attempt, place))


def tried_by(attempts: Iterable[Attempt]) -> Tried:
    """Return what the attempts at a job or a block have come to, given all of them in order.

    An attempt at a block is handed what has failed before. So a job failed in the first attempt
    that names it; what a user's retry has done again begins again.
    """
    latest: Attempt | None = None
    failed: dict[int, Attempt] = {}
    for attempt in attempts:
        if latest is None or latest.generation != attempt.generation:
            failed = {}
        latest = attempt
        for place in failed_places(attempt):
            failed.setdefault(place, attempt)
    if latest is None:
        raise AssertionError("a job without an attempt")
    return Tried(latest, dict(sorted(failed.items())))


def failed_places(attempt: Attempt) -> Iterator[int]:
    """Yield the places of the jobs that an attempt's row says have failed for good, in order."""
    if attempt.block is not None:
        yield from (place for part in attempt.block.failed for place in part)


def jobs_of(attempt: Attempt, results: Results, items: list[Json]) -> Iterator[Attempt]:
    """Yield the attempts at a block's jobs that an attempt at the block stands for, in order.

    Not those that it was to do and never began, if another attempt follows that has them.
    """
    block = block_of(attempt)
    begun = set(block.places[: block.begun])
    for place in block.places:
        status, output, error = _what_became_of(attempt, results, place, is_begun=place in begun)
        if status is None:
            continue
        yield replace(
            job_of(attempt, place),
            status=status,
            item=Payload(text=to_json(items[place])) if place < len(items) else None,
            output=None if output is None else Payload(text=to_json(output)),
            error=error,
        )


def _what_became_of(
    attempt: Attempt, results: Results, place: int, *, is_begun: bool
) -> tuple[AttemptStatus | None, JsonObject | None, JobError | None]:
    if place in results.completed:
        return AttemptStatus.COMPLETED, results.completed[place], None
    if place in results.failed:
        return AttemptStatus.FAILURE, None, results.failed[place]
    if place in results.retried:
        return AttemptStatus.RETRY, None, results.retried[place]
    match attempt.status:
        case AttemptStatus.INPROGRESS:
            return AttemptStatus.INPROGRESS if is_begun else AttemptStatus.NEW, None, None
        case AttemptStatus.NEW:
            return AttemptStatus.NEW, None, None
        case AttemptStatus.RETRY:
            return None, None, None
        case _:
            return AttemptStatus.CANCELLED, None, None


def jobs_ended(block: Block) -> dict[str, int]:
    """Return how many jobs of an attempt at a block have ended, by what has become of them."""
    return {
        AttemptStatus.COMPLETED.value: block.completed,
        AttemptStatus.RETRY.value: block.retried,
        AttemptStatus.FAILURE.value: block.given_up,
    }


def counts_of_block(attempt: Attempt) -> Counter[AttemptStatus]:
    """Return how many attempts at jobs an attempt at a block stands for, by their status."""
    block = block_of(attempt)
    counts = Counter({AttemptStatus(name): count for name, count in jobs_ended(block).items()})
    rest = len(block.places) - counts.total()
    match attempt.status:
        case AttemptStatus.INPROGRESS:
            counts[AttemptStatus.INPROGRESS] = max(block.begun - counts.total(), 0)
            counts[AttemptStatus.NEW] = rest - counts[AttemptStatus.INPROGRESS]
        case AttemptStatus.NEW | AttemptStatus.CANCELLED:
            counts[attempt.status] = rest
        case _:
            counts[AttemptStatus.CANCELLED] = count_of(block.left)
    return counts
