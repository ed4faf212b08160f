"""Blocks: consecutive jobs of a `for_each` entry that share one row, one claim and one outcome.

An attempt at a block has a `Block`: which of its jobs it is to do, and what has become of them so
far. A job's place is its number within its block, from 0; its number within the step is what its
id is made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from shiftwork_core.domain.payloads import Json, JsonObject, to_json
from shiftwork_core.domain.requests.backoff import Draw, RetryPolicy
from shiftwork_core.domain.requests.outcomes import (
    Completed,
    Failed,
    JobError,
    Outcome,
    Retryable,
    RetryIn,
    judge,
)

#: The most jobs of a block: what one process does, and one object in S3 holds.
MAX_BLOCK = 1_000
#: So many jobs of a block run side by side at most, whatever their type's `batch_size`.
MAX_LANES = 64

#: Places in a block, as ranges in order that do not touch.
Places = tuple[range, ...]


@dataclass(frozen=True, slots=True)
class Todo:
    """Consecutive jobs that are to be done, and the number of the try that this is for each."""

    places: range
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """The jobs of one attempt at a block.

    Attributes
    ----------
    first_job, first_item
        The number within the step of the block's first job, and within its entry's items.
    size
        How many jobs the block has.
    todo
        What this attempt is to do, in order.
    failed
        Which have failed for good since a user's last retry of the request; with the outcome of
        this attempt, once it has one.
    left
        Of an attempt with an outcome that no other attempt follows: what it has not begun.
    deaths
        How many attempts before have died since then. After the first, what is begun is written
        down beforehand; after the second, one job at a time.
    begun
        How many of `todo` have begun, as far as that is written down.
    completed, retried, given_up
        How many jobs of this attempt have ended so.
    """

    first_job: int
    first_item: int
    size: int
    todo: tuple[Todo, ...]
    failed: Places = ()
    left: Places = ()
    deaths: int = 0
    begun: int = 0
    completed: int = 0
    retried: int = 0
    given_up: int = 0

    @property
    def places(self) -> list[int]:
        """The places of what is to be done, in order."""
        return [place for todo in self.todo for place in todo.places]

    @property
    def tries(self) -> dict[int, int]:
        """The number of the try, by place, of what is to be done."""
        return {place: todo.tries for todo in self.todo for place in todo.places}

    def tries_of(self, place: int) -> int:
        """Return the number of the try of a job; 1 if it is not to be done."""
        return next((todo.tries for todo in self.todo if place in todo.places), 1)

    def again(self, *, is_cancelled: bool) -> Block:
        """Return the block of a user's retry: it does what this attempt, the last, left undone."""
        left = self.places if is_cancelled else _each(self.left)
        undone = places_of([*_each(self.failed), *left])
        return Block(
            self.first_job, self.first_item, self.size, tuple(Todo(places) for places in undone)
        )


def whole_block(first_job: int, first_item: int, size: int) -> Block:
    """Return the first attempt at a block."""
    return Block(first_job, first_item, size, (Todo(range(size)),))


# -- outcomes ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Results:
    """What has become of an attempt's jobs, by place: a result, or an error."""

    completed: dict[int, JsonObject] = field(default_factory=dict)
    failed: dict[int, JobError] = field(default_factory=dict)
    retried: dict[int, JobError] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return them as they are stored: most results are empty, and take no room of their own."""
        empty = places_of(place for place, result in self.completed.items() if not result)
        return {
            "empty": [[places.start, places.stop] for places in empty],
            "results": {str(place): it for place, it in self.completed.items() if it},
            "failed": _errors_to_json(self.failed),
            "retried": _errors_to_json(self.retried),
        }

    @classmethod
    def from_json(cls, stored: JsonObject) -> Results:
        """Return what was stored; nothing has become of any job if nothing was."""
        empty: dict[int, JsonObject] = {
            place: {} for start, stop in stored.get("empty", []) for place in range(start, stop)
        }
        results = {int(place): it for place, it in stored.get("results", {}).items()}
        return cls(
            completed=dict(sorted((empty | results).items())),
            failed=_errors_from_json(stored.get("failed", [])),
            retried=_errors_from_json(stored.get("retried", [])),
        )

    @classmethod
    def of(cls, outcomes: Mapping[int, Outcome]) -> Results:
        """Return what is known of jobs while others of their attempt are still to be done."""
        results = cls()
        for place, outcome in sorted(outcomes.items()):
            match outcome:
                case Completed(output):
                    results.completed[place] = output
                case Failed(error):
                    results.failed[place] = error
                case Retryable(error):
                    results.retried[place] = error
        return results

    def outcomes(self) -> dict[int, Outcome]:
        """Return the outcomes that these are what is known of."""
        return {
            **{place: Completed(output) for place, output in self.completed.items()},
            **{place: Failed(error) for place, error in self.failed.items()},
            **{place: Retryable(error) for place, error in self.retried.items()},
        }


def _errors_to_json(errors: Mapping[int, JobError]) -> list[Json]:
    """Return errors as they are stored: most jobs of a block that fail have the same."""
    places: dict[JobError, list[int]] = {}
    for place, error in errors.items():
        places.setdefault(error, []).append(place)
    return [
        [error.type, error.message, [[part.start, part.stop] for part in places_of(of_it)]]
        for error, of_it in places.items()
    ]


def _errors_from_json(stored: list[Json]) -> dict[int, JobError]:
    errors = {
        place: JobError(type, message)
        for type, message, parts in stored
        for start, stop in parts
        for place in range(start, stop)
    }
    return dict(sorted(errors.items()))


@dataclass(frozen=True, slots=True)
class Judged:
    """What to record of an attempt at a block.

    Attributes
    ----------
    block
        The attempt's, with what has become of its jobs.
    results
        The same in full.
    next
        What the next attempt is to do; None: nothing is left.
    delay_s
        When that may begin: once the longest back-off is over that a job of it has.
    cause
        The first job that has failed for good, and not only because no attempt follows.
    """

    block: Block
    results: Results
    next: Block | None
    delay_s: float = 0.0
    cause: int | None = None

    @property
    def error(self) -> JobError:
        """Why not all of its jobs have completed: the first error, and how many more there are."""
        kept = dict(sorted((self.results.failed or self.results.retried).items()))
        if self.cause is not None:
            kept = {self.cause: kept[self.cause]} | kept
        errors = list(kept.values())
        if not errors:
            return self._error_of_none
        more = len(errors) - 1
        if not more:
            return errors[0]
        return errors[0].with_note(
            f"(and {more} more {'job' if more == 1 else 'jobs'} of its block)"
        )

    @property
    def _error_of_none(self) -> JobError:
        if self.next is not None:
            return JobError("NotBegun", "the rest of its block is left to the next attempt")
        if self.block.failed:
            return JobError("BlockFailed", "jobs of its block failed in attempts before this")
        return JobError("RequestEnded", "its request ended while it was under way")


def judge_block(
    block: Block,
    outcomes: Mapping[int, Outcome],
    policy: RetryPolicy,
    draw: Draw,
    *,
    is_last: bool = False,
    has_died: bool = False,
    is_retried: bool = False,
) -> Judged:
    """Return what to record of an attempt; what has no outcome was not begun, and keeps its tries.

    `is_last`: its request ends, or has ended, so that no attempt follows: what wants a retry has
    failed by its error. `has_died`: its process is gone. `is_retried` is as for `judge`.
    """
    tries, results, delay_s = block.tries, Results(), 0.0
    verdict_of = partial(judge, policy=policy, draw=draw, is_retried=is_retried)
    cause: int | None = None
    for place in block.places:
        match place in outcomes and verdict_of(outcomes[place], tries[place]):
            case Completed(output):
                results.completed[place] = output
            case Failed(error):
                results.failed[place] = error
                cause = place if cause is None else cause
            case RetryIn(error) if is_last:
                results.failed[place] = error
            case RetryIn(error, wanted_s):
                results.retried[place] = error
                delay_s = max(delay_s, wanted_s)
    failed = places_of([*_each(block.failed), *results.failed])
    left = [place for place in block.places if place not in outcomes]
    after = replace(
        progressed(block, results, len(outcomes)),
        failed=failed,
        left=places_of(left) if is_last else (),
    )
    if is_last or not (results.retried or left):
        return Judged(after, results, None, cause=cause)
    again = {place: tries[place] + (place in results.retried) for place in block.places}
    wanted = sorted([*results.retried, *left])
    following = Block(
        block.first_job,
        block.first_item,
        block.size,
        _todo({place: again[place] for place in wanted}),
        failed=failed,
        deaths=block.deaths + has_died,
    )
    return Judged(after, results, following, delay_s, cause)


def progressed(block: Block, results: Results, begun: int) -> Block:
    """Return the block with what has become of its jobs so far, for its row."""
    return replace(
        block,
        begun=begun,
        completed=len(results.completed),
        retried=len(results.retried),
        given_up=len(results.failed),
    )


def lanes_of(batch_size: int) -> int:
    """Return how many jobs of a block run side by side, of a type with this size of batches."""
    return min(batch_size, MAX_LANES)


def wave_of(block: Block, lanes: int) -> int:
    """Return how many jobs may begin before that is written down again; 0: any number."""
    return 0 if not block.deaths else lanes if block.deaths == 1 else 1


def begun_of_dead(block: Block, lanes: int) -> list[int]:
    """Return the places that had begun, as far as is known, when the process died.

    The first ones had in any case: so each death counts as a try of some job, and there is an end.
    """
    return block.places[: max(block.begun, wave_of(block, lanes) or lanes)]


# -- places --------------------------------------------------------------------------------------


def places_of(places: Iterable[int]) -> Places:
    """Return places as ranges, in order."""
    ranges: list[range] = []
    for place in sorted(set(places)):
        if ranges and ranges[-1].stop == place:
            ranges[-1] = range(ranges[-1].start, place + 1)
        else:
            ranges.append(range(place, place + 1))
    return tuple(ranges)


def count_of(places: Places) -> int:
    """Return how many places there are."""
    return sum(map(len, places))


def _each(places: Places) -> Iterator[int]:
    return (place for part in places for place in part)


def _todo(tries: Mapping[int, int]) -> tuple[Todo, ...]:
    """Return what is to be done, given the number of its try by place, in order."""
    found: list[Todo] = []
    for place, number in tries.items():
        if found and (found[-1].places.stop, found[-1].tries) == (place, number):
            found[-1] = Todo(range(found[-1].places.start, place + 1), number)
        else:
            found.append(Todo(range(place, place + 1), number))
    return tuple(found)


# -- as rows keep it -----------------------------------------------------------------------------

_COUNTS = ("deaths", "begun", "completed", "retried", "given_up")


def block_to_text(block: Block) -> str:
    """Return a block as its row keeps it; what is 0 or empty is left out."""
    kept: JsonObject = {"at": [block.first_job, block.first_item, block.size]}
    kept["todo"] = [[t.places.start, t.places.stop, t.tries] for t in block.todo]
    for name in ("failed", "left"):
        kept[name] = [[places.start, places.stop] for places in getattr(block, name)]
    kept |= {name: getattr(block, name) for name in _COUNTS}
    return to_json({name: value for name, value in kept.items() if value})


def block_from_text(text: str) -> Block:
    """Return the block that a row keeps."""
    kept = json.loads(text)
    first_job, first_item, size = kept["at"]
    return Block(
        first_job,
        first_item,
        size,
        todo=tuple(Todo(range(start, stop), tries) for start, stop, tries in kept["todo"]),
        failed=tuple(range(*places) for places in kept.get("failed", [])),
        left=tuple(range(*places) for places in kept.get("left", [])),
        **{name: kept.get(name, 0) for name in _COUNTS},
    )
