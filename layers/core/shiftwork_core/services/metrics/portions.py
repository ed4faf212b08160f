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
    Tally,
    add,
    minute_of,
)
from shiftwork_core.ports.metrics import MAX_ROWS

#: What tells where a portion ends: a stream's record, a row of a table.
Place = TypeVar("Place")
#: A counter row: a total of an epoch, or a minute of the series.
_CounterRow = tuple[int | datetime, CounterKey]


@dataclass(frozen=True, slots=True)
class Counted:
    """Something to count: in the totals of these epochs, and in its minute of the series."""

    happened: Happened
    epochs: tuple[int, ...]
    minute: datetime | None = None

    @property
    def rows(self) -> set[_CounterRow]:
        """Return the counter rows that it changes."""
        places = (*self.epochs, *(() if self.minute is None else (self.minute,)))
        return {(place, self.happened.key) for place in places}


def to_count(
    epochs: Mapping[int, datetime | None], happened: Happened, at: datetime, now: datetime
) -> Counted:
    """Return what to add for something that happened at a time.

    An epoch with a time counts what happened from then on. What happened too long ago is in no
    series.
    """
    minute = minute_of(at) if now - at < MINUTES_KEPT else None
    counting = [epoch for epoch, since in epochs.items() if since is None or at >= since]
    return Counted(happened, tuple(counting), minute)


@dataclass(slots=True)
class Portion(Generic[Place]):
    """What comes up to and with `last`: what happened, and what that adds to the counters."""

    last: Place
    size: int = 0
    happened: Tally = field(default_factory=dict)
    additions: Additions = field(default_factory=Additions)
    _rows: set[_CounterRow] = field(default_factory=set)

    def has_room(self, more: Sequence[Counted]) -> bool:
        """Whether one transaction can hold this too."""
        return len(self._rows.union(*(counted.rows for counted in more))) <= MAX_ROWS

    def add(self, last: Place, more: Sequence[Counted]) -> None:
        """Add what comes next."""
        self.last = last
        self.size += 1
        for counted in more:
            self._rows.update(counted.rows)
            add(self.happened, counted.happened)
            self.additions.add(counted.happened, counted.epochs, counted.minute)


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
