"""The published quotas, and the buckets by which AWS enforces them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmarks.quotas.tables import Charge, Partition
from shiftwork_core.domain import quotas as aws


@cache
def quotas() -> dict[str, Any]:
    """Return the quotas and assumptions of the product. Only tests change what this returns."""
    return {
        "partition": {
            "write_units_a_second": aws.PARTITION_WRITE_UNITS_A_SECOND,
            "read_units_a_second": aws.PARTITION_READ_UNITS_A_SECOND,
        },
        "new_table_write_units_a_second": aws.NEW_TABLE_WRITE_UNITS_A_SECOND,
        "lambda": {
            "concurrency": aws.CONCURRENCY,
            "new_environments": aws.NEW_ENVIRONMENTS,
            "new_environments_every_s": aws.NEW_ENVIRONMENTS_EVERY_S,
        },
        "buckets": {
            name: {"size": size, "a_second": rate}
            for name, (size, rate) in {
                "StartExecution": aws.START_EXECUTION,
                "StateTransition": aws.STATE_TRANSITION,
                "SendTaskSuccess": aws.SEND_TASK_SUCCESS,
                "ApiRequests": aws.API_REQUESTS,
            }.items()
        },
        "map": {
            "express_children_a_second": aws.EXPRESS_CHILDREN_A_SECOND,
            "standard_children_a_second": aws.STANDARD_CHILDREN_A_SECOND,
        },
        "queue": {
            "first_pollers": aws.FIRST_POLLERS,
            "more_pollers_a_minute": aws.MORE_POLLERS_A_MINUTE,
            "most_pollers": aws.MOST_POLLERS,
        },
        "assumptions": {
            "dynamodb_ms": aws.DYNAMODB_MS,
            "other_call_ms": aws.OTHER_CALL_MS,
            "invoke_ms": aws.INVOKE_MS,
            "cold_start_ms": aws.COLD_START_MS,
            "transition_ms": aws.TRANSITION_MS,
            "cpu_ms_per_row": aws.CPU_MS_PER_ROW,
            "cpu_ms_per_record": aws.CPU_MS_PER_RECORD,
            "cpu_ms_per_block_job": aws.CPU_MS_PER_BLOCK_JOB,
            "s3_ms_per_mb": aws.S3_MS_PER_MB,
            "log_bytes_per_invocation": aws.LOG_BYTES_PER_INVOCATION,
        },
    }


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
    splits what is hot; it cannot split one key. `table_write_units` is what each table takes in a
    second besides, all its partitions together, while it is new; 0: any number.
    """

    table_write_units = 0.0

    def __init__(self, clock: Callable[[], float]) -> None:
        limits = quotas()["partition"]
        self._rates = {True: limits["write_units_a_second"], False: limits["read_units_a_second"]}
        self._clock = clock
        self._buckets: dict[tuple[Partition, bool], Bucket] = {}
        self._asked: defaultdict[tuple[Partition, bool], defaultdict[int, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self._throttled: Counter[tuple[Partition, bool]] = Counter()
        self._tables: dict[str, Bucket] = {}
        #: How often a call found a new table over what it takes.
        self.throttled_by_tables = 0
        self.write_units = 0.0
        self.read_units = 0.0
        #: Of each table, indexes included; True: write units.
        self.units: Counter[tuple[str, bool]] = Counter()

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
        if not fits or not self._take_of_tables(needs):
            return False
        for key, units in needs.items():
            self._bucket(key).take(units)
            self.units[key[0].table, key[1]] += units  # type: ignore[assignment]
            if key[1]:
                self.write_units += units
            else:
                self.read_units += units
        return True

    def _take_of_tables(self, needs: Mapping[tuple[Partition, bool], float]) -> bool:
        """Take the write units of the tables, or none; return whether these had them."""
        if not self.table_write_units:
            return True
        of_tables: Counter[str] = Counter()
        for (partition, is_write), units in needs.items():
            of_tables[partition.table] += units if is_write else 0  # type: ignore[assignment]
        rate = self.table_write_units
        for table in of_tables:
            self._tables.setdefault(table, Bucket(rate, rate, self._clock))
        if not all(self._tables[table].has(units) for table, units in of_tables.items()):
            self.throttled_by_tables += 1
            return False
        return all(self._tables[table].take(units) for table, units in of_tables.items())

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
