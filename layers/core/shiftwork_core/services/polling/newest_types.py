"""Remember for a moment the newest version of each job type: its limits and shards hold for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.requests.definitions import Definitions

#: The newest version of a job type is read again after this long.
KEPT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class NewestType:
    """The newest version of a job type, None if it was deleted, and the shards of its queues."""

    job_type: JobType | None
    shards: int


@dataclass(slots=True)
class NewestTypes:
    """Reads the newest version of job types, each seldom: a poll of an empty queue asks too."""

    definitions: Definitions
    clock: Clock
    _kept: dict[str, tuple[datetime, NewestType]] = field(default_factory=dict)

    def of(self, name: str) -> NewestType:
        """Return the newest version of a job type, at most some seconds old."""
        now = self.clock()
        # Pollers may make names up, so each is forgotten once its time is over.
        self._kept = {other: one for other, one in self._kept.items() if one[0] > now}
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = (now + KEPT, self._read(name))
        return found[1]

    def _read(self, name: str) -> NewestType:
        newest = self.definitions.newest_job_type(name)
        if newest is None:
            return NewestType(None, 1)
        if newest.is_deleted:  # What was submitted before goes on.
            return NewestType(None, newest.queue_shards)
        job_type = JobType.from_body(name, newest.version, newest.body)
        return NewestType(job_type, newest.queue_shards)
