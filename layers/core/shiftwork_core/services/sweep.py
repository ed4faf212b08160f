"""Run the sweeps: find what is due because a process died, and set it going again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Any, Protocol

from shiftwork_core.domain.put_offs import PutOff
from shiftwork_core.domain.requests.backoff import Draw
from shiftwork_core.domain.times import to_iso
from shiftwork_core.errors import Transient
from shiftwork_core.ports.shards import SHARDS
from shiftwork_core.ports.world import Clock, SideBySide

logger = logging.getLogger("shiftwork.sweep")

#: The longest that an invocation lasts.
_LONGEST = timedelta(minutes=15)
#: So many finds are taken from a shard at once, and checked from a random one on.
_CHUNK = 100
_TICK_S = 60.0


class Sweep(StrEnum):
    """The sweeps by name; the template's schedules send these."""

    NEW_REQUESTS = "new-requests"
    INPROGRESS_REQUESTS = "inprogress-requests"
    JOBS = "jobs"
    WORKERS = "workers"


class Finds(Protocol):
    """What a sweep goes through."""

    def due_in(self, shard: str) -> Iterable[Any]:
        """List what is due in a shard, the longest due first, read as far as the caller goes.

        It may be stale.
        """

    def check(self, find: Any) -> bool:
        """Set a find going again, so that it is due no more; return whether it needed that.

        By conditional writes alone, so that sweeps may overlap.
        """

    def put_off(self, find: Any) -> PutOff | None:
        """Make a find that cannot be checked due later; None if it is no longer due."""


@dataclass(frozen=True, slots=True)
class SweepHost:
    """What a sweeper is given of its process; `tally` counts what it does by outcome."""

    side_by_side: SideBySide
    clock: Clock
    draw: Draw
    tally: Callable[[dict[str, int]], None]


class Sweeper:
    """Checks whatever is due, until nothing is left or its time is over; sweeps may overlap.

    It goes through the shards of an index side by side, and through each page by page. What it has
    set going is due no more, and what it cannot check is due later and later: neither keeps it, or
    the next sweep, from the rest.
    """

    def __init__(self, finds: Mapping[Sweep, Finds], host: SweepHost) -> None:
        self._finds = finds
        self._host = host

    def sweep(self, sweep: Sweep, remaining: timedelta = _LONGEST) -> int:
        """Run one sweep; return how many finds it set going. A find that fails stops no other.

        It begins nothing more once half of the remaining time is over: the other half is for what
        is slow. The next sweep goes on.

        Raises
        ------
        Exception
            If a shard cannot be read; the others are gone through all the same.
        """
        until = self._host.clock() + remaining / 2
        drains = {shard: partial(self._drain, self._finds[sweep], shard, until) for shard in SHARDS}
        found: Counter[str] = Counter()
        errors = []
        for ended in self._host.side_by_side(drains, lambda: _TICK_S):
            for future in ended.values():
                if error := future.exception():
                    errors.append(error)
                else:
                    found += future.result()
        self._host.tally(dict(found))
        if errors:
            raise errors[0]
        return found["acted on"]

    def _drain(self, finds: Finds, shard: str, until: datetime) -> Counter[str]:
        """Check what is due in a shard; return how often what came of it."""
        found: Counter[str] = Counter()
        due = iter(finds.due_in(shard))
        while chunk := list(islice(due, _CHUNK)):
            # Of sweeps that overlap each begins at another place, so they share the work.
            begin = int(self._host.draw() * len(chunk))
            for find in (*chunk[begin:], *chunk[:begin]):
                if self._host.clock() >= until:
                    logger.warning("the time is over; the next sweep goes on from here")
                    return found
                found[self._check(finds, find)] += 1
        return found

    def _check(self, finds: Finds, find: Any) -> str:
        try:
            return "acted on" if finds.check(find) else "left"
        except Transient as error:
            logger.warning(
                "left for the next sweep", extra={"find": str(find), "reason": str(error)}
            )
            return "left"
        except Exception as error:
            self._put_off(finds, find, error)
            return "put off"

    def _put_off(self, finds: Finds, find: Any, error: Exception) -> None:
        try:
            put_off = finds.put_off(find)
        except Exception:
            put_off = None
            logger.exception("cannot be put off", extra={"find": str(find)})
        logger.error(
            "cannot be swept",
            exc_info=error,
            extra={
                "find": str(find),
                "times": put_off and put_off.times,
                "put_off_until": put_off and to_iso(put_off.until),
            },
        )
