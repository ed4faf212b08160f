"""Cut what is counted into portions, each of which fits into one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from shiftwork_core.domain.metrics.counters import (
    MINUTES_KEPT,
    Additions,
    CounterKey,
    Happened,
    minute_of,
)
from shiftwork_core.ports.metrics import MAX_ROWS

#: What tells where a portion ends: a stream's record, a row of a table.
Place = TypeVar("Place")


@dataclass(frozen=True, slots=True)
class Counted:
    """Something to count in the counters of an epoch; in its minute's series too, if there is one.

    The series has no minute for what happened too long ago.
    """

    epoch: int
    happened: Happened
    minute: datetime | None

    @property
    def rows(self) -> set[tuple[int, datetime | None, CounterKey]]:
        """Return the counter rows that it changes: a total, and a minute if there is one."""
        return {(self.epoch, minute, self.happened.key) for minute in (None, self.minute)}


def to_count(
    epochs: Mapping[int, datetime | None], happened: Happened, at: datetime, now: datetime
) -> Iterator[Counted]:
    """Yield what to add for something that happened at a time, in each epoch that counts it.

    An epoch with a time counts what happened from then on. What happened too long ago is in no
    series.
    """
    minute = minute_of(at) if now - at < MINUTES_KEPT else None
    for epoch, since in epochs.items():
        if since is None or at >= since:
            yield Counted(epoch, happened, minute)


@dataclass(slots=True)
class Portion(Generic[Place]):
    """What comes up to and with `last`, and what it adds to the counters of each epoch."""

    last: Place
    size: int = 0
    additions: dict[int, Additions] = field(default_factory=dict)
    _rows: set[tuple[int, datetime | None, CounterKey]] = field(default_factory=set)

    def has_room(self, more: Sequence[Counted]) -> bool:
        """Whether one transaction can hold this too."""
        return len(self._rows.union(*(counted.rows for counted in more))) <= MAX_ROWS

    def add(self, last: Place, more: Sequence[Counted]) -> None:
        """Add what comes next."""
        self.last = last
        self.size += 1
        for counted in more:
            self._rows.update(counted.rows)
            additions = self.additions.setdefault(counted.epoch, Additions())
            additions.add(counted.happened, counted.minute)


def portions(
    things: Iterable[tuple[Place, Sequence[Counted]]], most: int | None = None
) -> Iterator[Portion[Place]]:
    """Yield all things in order, as few portions as hold them; each has at most `most` of them."""
    portion: Portion[Place] | None = None
    for place, counted in things:
        if portion is not None and (portion.size == most or not portion.has_room(counted)):
            yield portion
            portion = None
        if portion is None:
            portion = Portion(place)
        portion.add(place, counted)
    if portion is not None:
        yield portion
