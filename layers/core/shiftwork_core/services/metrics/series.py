"""Read the counters minute by minute: what happened when, and how long it took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shiftwork_core.domain.metrics.counters import CounterKey
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.ports.metrics import CounterStore
from shiftwork_core.ports.world import Clock

#: The longest time that is read at once; an hour takes a query for each shard.
LONGEST = timedelta(hours=6)
_USUAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MinuteCount:
    """What was added to a counter of things that happened within a minute."""

    minute: datetime
    key: CounterKey
    numbers: Counter[str] = field(default_factory=Counter)


class MetricSeries:
    """Reads the series of each minute."""

    def __init__(self, counters: CounterStore, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock

    def read(self, since: datetime | None, until: datetime | None) -> list[MinuteCount]:
        """Return the counts of each minute from `since` to before `until`, in order.

        Without `until` up to now, without `since` of the hour before.

        Raises
        ------
        Invalid
            If that is more than `LONGEST`, or nothing.
        """
        until = until or self._clock()
        since = since or until - _USUAL
        if not timedelta(0) < until - since <= LONGEST:
            hours = LONGEST.total_seconds() / 3600
            message = f"must be before until, and at most {hours:g} hours before it"
            raise Invalid(f"since {message}", [FaultAt("since", message)])
        series = self._counters.minutes(since, until)
        return [
            MinuteCount(minute, key, numbers)
            for minute, tally in sorted(series.items())
            for key, numbers in sorted(tally.items())
        ]
