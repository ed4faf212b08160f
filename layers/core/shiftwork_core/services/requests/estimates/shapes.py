"""The shapes that a workload gives a request's steps: rows, batches, how these are set going."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from shiftwork_core.domain.requests.blocks import lanes_of
from shiftwork_core.domain.requests.definitions import JobSpec, JobType, StepSpec
from shiftwork_core.domain.requests.planning import (
    MAX_BLOCKS_A_BATCH,
    MAX_INLINE_BATCHES,
    MAX_WIDE_BATCHES,
    concurrency_of,
)
from shiftwork_core.services.requests.call import MAX_CALLED_BATCHES, MAX_TIMEOUT_S
from shiftwork_core.services.requests.dispatch import EXPRESS_TIMEOUT_S
from shiftwork_core.services.requests.payloads import INLINE_LIMIT_BYTES

#: Rows that share a partition, and that a planner inserts before it says that it is alive. A test
#: compares it with the stores' lots.
ROWS_A_LOT = 500
#: A row without its item and result, once it has ended; what a block adds; and what says where the
#: items of a manifest are. Sizes that were counted on the emulator.
_ROW_BYTES, _BLOCK_BYTES, _PLACE_BYTES = 390, 110, 160


@dataclass(frozen=True, slots=True)
class Workload:
    """How much a request is to do: the same for each of its `for_each` entries.

    Attributes
    ----------
    items
        How many items each entry has.
    duration_s
        How long a job lasts.
    item_bytes, result_bytes
        How large an item and a job's result are, as JSON; `{}` has two bytes.
    """

    items: int
    duration_s: float = 0.0
    item_bytes: int = 100
    result_bytes: int = 2


class Way(StrEnum):
    """How the jobs of a step are set going."""

    #: AdvanceRequest calls RunJobs and waits.
    CALLED = "called"
    #: A Map of the state machine, inline.
    MAP = "map"
    #: A distributed Map, whose children are Express or Standard.
    WIDE = "wide"
    WIDE_SLOW = "wide_slow"
    #: Workers poll for all of them.
    WORKERS = "workers"


@dataclass(frozen=True, slots=True)
class Part:
    """What one entry of a step comes to."""

    entry: JobSpec
    job_type: JobType
    jobs: int
    load: Workload

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return -(-self.jobs // (self.entry.block or 1))

    @property
    def is_many(self) -> bool:
        """Whether it has a job for each item."""
        return self.entry.for_each is not None or self.entry.for_each_in is not None

    @property
    def list_bytes(self) -> int:
        """The size of the list that its items come in; 0 if they come from a manifest, or none."""
        return self.jobs * (self.load.item_bytes + 1) if self.entry.for_each is not None else 0

    @property
    def row_bytes(self) -> int:
        """The size of a row at its end; what is too large for it lies in S3."""
        jobs = min(self.entry.block or 1, self.jobs)
        kept = 0 if not self.is_many else jobs * (self.load.item_bytes + 1)
        if self.entry.for_each_in is not None:
            kept = _PLACE_BYTES
        result = jobs * self.load.result_bytes if self.load.result_bytes > 2 else 2
        own = _ROW_BYTES + (_BLOCK_BYTES if self.entry.block is not None else 0)
        return own + sum(size for size in (kept, result) if size <= INLINE_LIMIT_BYTES)

    @property
    def objects_a_row(self) -> int:
        """How many values of a row lie in S3."""
        jobs = min(self.entry.block or 1, self.jobs)
        is_listed = self.entry.for_each is not None
        item = jobs * (self.load.item_bytes + 1) if is_listed else 0
        return sum(size > INLINE_LIMIT_BYTES for size in (item, jobs * self.load.result_bytes))

    @property
    def units_a_write(self) -> int:
        """Write units of a row's largest write."""
        return -(-self.row_bytes // 1024)


@dataclass(frozen=True, slots=True)
class Batches:
    """So many batches of one entry, of so many rows each."""

    part: Part
    rows: int
    count: int


class Shape:
    """A step as the dispatcher would see it: its rows in batches, and how these are set going."""

    def __init__(self, spec: StepSpec, types: Mapping[str, JobType], load: Workload) -> None:
        self.name = spec.name
        self.load = load
        self.parts = [_part(entry, types[entry.type], load) for entry in spec.jobs]
        self.types = {part.job_type.name: part.job_type for part in self.parts}

    @property
    def jobs(self) -> int:
        """How many jobs it has."""
        return sum(part.jobs for part in self.parts)

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return sum(part.rows for part in self.parts)

    @property
    def polled(self) -> list[Part]:
        """The entries whose jobs workers do."""
        return [part for part in self.parts if part.job_type.is_polled]

    @property
    def batch_count(self) -> int:
        """How many batches its rows are cut into."""
        return sum(alike.count for alike in self.batches)

    @cached_property
    def batches(self) -> list[Batches]:
        """Its batches, those of the same size together: see `planning.cut_batches`."""
        groups: dict[tuple[str, bool], list[Part]] = {}
        for part in self.parts:
            if not part.job_type.is_polled and part.rows:
                kind = (part.job_type.name, part.entry.block is not None)
                groups.setdefault(kind, []).append(part)
        batches: list[Batches] = []
        for (_, is_block), parts in groups.items():
            rows, size = sum(part.rows for part in parts), parts[0].job_type.batch_size
            if is_block:
                size = min(-(-rows // MAX_WIDE_BATCHES), MAX_BLOCKS_A_BATCH)
            longest = max(parts, key=lambda part: part.entry.block or 1)
            full, rest = divmod(rows, size)
            alike = (Batches(longest, size, full), Batches(longest, rest, int(rest > 0)))
            batches += [some for some in alike if some.count]
        return batches

    @property
    def way(self) -> Way:
        """How its batches are set going: see `services.requests.dispatch`."""
        count, bound = self.batch_count, concurrency_of(self.types.values())
        if not count:
            return Way.WORKERS
        is_quick = all(t.timeout_s <= MAX_TIMEOUT_S for t in self._own_types)
        if count <= MAX_CALLED_BATCHES and is_quick and not 0 < bound < count:
            return Way.CALLED
        if count <= MAX_INLINE_BATCHES:
            return Way.MAP
        is_slow = any(t.timeout_s > EXPRESS_TIMEOUT_S for t in self._own_types)
        return Way.WIDE_SLOW if is_slow else Way.WIDE

    @property
    def _own_types(self) -> list[JobType]:
        return [t for t in self.types.values() if not t.is_polled]

    @property
    def at_once(self) -> int:
        """How many batches run side by side."""
        most = MAX_WIDE_BATCHES if self.way in (Way.WIDE, Way.WIDE_SLOW) else MAX_INLINE_BATCHES
        return min(self.batch_count, concurrency_of(self.types.values()) or most, most)

    @property
    def lots(self) -> list[int]:
        """How many rows each partition of its rows has."""
        full, rest = divmod(self.rows, ROWS_A_LOT)
        return [ROWS_A_LOT] * full + [rest] * (rest > 0)


def _part(entry: JobSpec, job_type: JobType, load: Workload) -> Part:
    is_many = entry.for_each is not None or entry.for_each_in is not None
    return Part(entry, job_type, load.items if is_many else 1, load)


def jobs_side_by_side(part: Part) -> int:
    """Return how many jobs one batch does at once."""
    size = part.job_type.batch_size
    return size if part.entry.block is None else lanes_of(size)
