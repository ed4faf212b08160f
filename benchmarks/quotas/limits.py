"""The published quotas, and the buckets by which AWS enforces them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.quotas.tables import Charge, Partition


@cache
def quotas() -> dict[str, Any]:
    """Return the file of quotas and assumptions. Nobody changes what this returns."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("quotas.json").read_text())
    return found


class Bucket:
    """Tokens that come back at a constant rate, up to a size."""

    def __init__(self, size: float, rate: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._rate = rate
        self._clock = clock
        self._left = size
        self._at = clock()

    def take(self, tokens: float = 1.0) -> bool:
        """Take tokens, if there are so many; a call larger than the bucket empties it."""
        self._refill()
        if self._left < min(tokens, self._size):
            return False
        self._left -= tokens
        return True

    def wait_s(self, tokens: float = 1.0) -> float:
        """Take tokens that may still have to come; return in how many seconds they are there."""
        self._refill()
        self._left -= tokens
        return max(0.0, -self._left / self._rate)

    def has(self, tokens: float) -> bool:
        """Whether `take` would succeed."""
        self._refill()
        return self._left >= min(tokens, self._size)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now


@dataclass(frozen=True, slots=True)
class Hot:
    """How hard the busiest second of a partition, or of a kind of partition, was.

    Attributes
    ----------
    peak
        Units in that second, those of throttled calls included, as a share of the quota.
    throttled
        How many calls found it over its quota.
    """

    partition: Partition
    is_write: bool
    peak: float
    throttled: int


class Partitions:
    """Every partition's write and read units, which come back each second, with no burst.

    Each partition key is counted as a partition of its own. That is what DynamoDB comes to when it
    splits what is hot; it cannot split one key.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        limits = quotas()["partition"]
        self._rates = {True: limits["write_units_a_second"], False: limits["read_units_a_second"]}
        self._clock = clock
        self._buckets: dict[tuple[Partition, bool], Bucket] = {}
        self._asked: defaultdict[tuple[Partition, bool], defaultdict[int, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self._throttled: Counter[tuple[Partition, bool]] = Counter()
        self.write_units = 0.0
        self.read_units = 0.0

    def take(self, charges: Sequence[Charge]) -> bool:
        """Take all units, or none; return whether the partitions had them."""
        needs: defaultdict[tuple[Partition, bool], float] = defaultdict(float)
        for charge in charges:
            needs[charge.partition, charge.is_write] += charge.units
        second, fits = int(self._clock()), True
        for key, units in needs.items():
            self._asked[key][second] += units
            if not self._bucket(key).has(units):
                self._throttled[key] += 1
                fits = False
        if not fits:
            return False
        for key, units in needs.items():
            self._bucket(key).take(units)
            if key[1]:
                self.write_units += units
            else:
                self.read_units += units
        return True

    def _bucket(self, key: tuple[Partition, bool]) -> Bucket:
        if key not in self._buckets:
            rate = self._rates[key[1]]
            self._buckets[key] = Bucket(rate, rate, self._clock)
        return self._buckets[key]

    @property
    def throttled(self) -> int:
        """Return how often a call found a partition over its quota."""
        return self._throttled.total()

    def hottest(self, count: int) -> list[Hot]:
        """Return the partitions with the busiest seconds, the busiest first."""
        peaks = [(max(s.values()) / self._rates[key[1]], key) for key, s in self._asked.items()]
        peaks.sort(key=lambda found: -found[0])
        return [
            Hot(partition, is_write, peak, self._throttled[partition, is_write])
            for peak, (partition, is_write) in peaks[:count]
        ]
