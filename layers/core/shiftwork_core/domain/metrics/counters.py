"""Counters: their keys and fields, and the histograms among the fields.

A counter is a row of numbers for one subject and one set of labels, say `jobs` and the job type
`mail.send`: how many completed, failed, ... and how long they took. One row for all of it costs
one write where a row for each number would cost twenty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

#: How long the series of a minute is kept.
MINUTES_KEPT = timedelta(days=14)
#: A total to which nothing was added for so long expires.
TOTALS_KEPT = timedelta(days=400)
#: That of a queue sooner: queues of domains come and go, and each that is known is measured.
QUEUES_KEPT = timedelta(days=7)


class Subject(StrEnum):
    """What is counted, and so which labels and fields a counter has; see `catalogue.py`."""

    REQUESTS = "requests"
    JOBS = "jobs"
    QUEUES = "queues"
    LIFECYCLE_JOBS = "lifecycle_jobs"
    SWEEPS = "sweeps"
    STREAMS = "streams"


@dataclass(frozen=True, slots=True, order=True)
class CounterKey:
    """The subject and the values of its labels, in the catalogue's order."""

    subject: Subject
    labels: tuple[str, ...]


#: What is added to counters: numbers by field.
Tally = dict[CounterKey, Counter[str]]


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that has happened `count` times, by a field of a counter.

    `at` is when it happened for the last time; None if the row does not tell.
    """

    key: CounterKey
    field: str
    count: int = 1
    at: datetime | None = None


@dataclass(slots=True)
class Additions:
    """What is added: to the totals of epochs, and to the series, which is one for all epochs."""

    totals: dict[int, Tally] = field(default_factory=dict)
    minutes: dict[datetime, Tally] = field(default_factory=dict)

    def add(self, happened: Happened, epochs: Iterable[int], minute: datetime | None) -> None:
        """Add it to the totals of the epochs and, unless `minute` is None, to the series."""
        for epoch in epochs:
            add(self.totals.setdefault(epoch, {}), happened)
        if minute is not None:
            add(self.minutes.setdefault(minute, {}), happened)

    @property
    def size(self) -> int:
        """Return how many counter rows it changes."""
        return sum(map(len, (*self.totals.values(), *self.minutes.values())))


def add(tally: Tally, happened: Happened) -> None:
    """Add what happened."""
    tally.setdefault(happened.key, Counter())[happened.field] += happened.count


def merge(into: Tally, more: Mapping[CounterKey, Mapping[str, int]]) -> None:
    """Add all numbers of `more`."""
    for key, fields in more.items():
        into.setdefault(key, Counter()).update(fields)


def minute_of(moment: datetime) -> datetime:
    """Return the beginning of a moment's minute."""
    return moment.replace(second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Durations:
    """How many durations there were, their sum, and bounds that half and 95 % do not exceed."""

    count: int
    sum_s: float
    p50_s: float
    p95_s: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations in a counter's fields: a number for each bucket, and their sum in milliseconds.

    A bucket's field counts what was longer than the bound before and no longer than its own.
    """

    name: str
    bounds_s: tuple[float, ...]

    @property
    def sum_field(self) -> str:
        """Return the field of the sum."""
        return f"{self.name}_ms"

    def bucket_fields(self) -> dict[str, float]:
        """Return the buckets' fields with their upper bounds in seconds, in order."""
        fields = {f"{self.name}_{round(bound * 1000)}": bound for bound in self.bounds_s}
        return {**fields, f"{self.name}_inf": float("inf")}

    def summary(self, numbers: Mapping[str, int]) -> Durations | None:
        """Return what a counter's numbers say about durations; None if there were none."""
        buckets = [(bound, numbers.get(name, 0)) for name, bound in self.bucket_fields().items()]
        count = sum(number for _, number in buckets)
        if not count:
            return None
        return Durations(
            count,
            numbers.get(self.sum_field, 0) / 1000,
            self._quantile(buckets, 0.5 * count),
            self._quantile(buckets, 0.95 * count),
        )

    def _quantile(self, buckets: list[tuple[float, int]], rank: float) -> float:
        """Return the bound of the bucket that has the rank; of the last, the one before."""
        seen = 0
        for bound, number in buckets[:-1]:
            seen += number
            if seen >= rank:
                return bound
        return self.bounds_s[-1]

    def observe(self, key: CounterKey, seconds: float, at: datetime) -> list[Happened]:
        """Return what one duration adds. One below zero, of clocks that differ, counts as zero."""
        seconds = max(seconds, 0.0)
        name = next(name for name, bound in self.bucket_fields().items() if seconds <= bound)
        return [
            Happened(key, name, 1, at),
            Happened(key, self.sum_field, round(seconds * 1000), at),
        ]


#: From a callback that only looks something up to a job that takes most of a day.
_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0)

#: How long a request or an attempt took.
TOOK = Histogram("took", _BOUNDS_S)
#: How long a step of a request took.
STEP_TOOK = Histogram("step_took", _BOUNDS_S)
#: How long a first attempt waited to be claimed.
WAITED = Histogram("waited", _BOUNDS_S)
#: How long after its deadline a workspace was switched.
LATE = Histogram("late", _BOUNDS_S)
