"""Keep and read the lines that workers log for their attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import ceil

from shiftwork_core.caller import ANYBODY, Caller
from shiftwork_core.domain.requests.records import LogLine
from shiftwork_core.domain.texts import written_out
from shiftwork_core.ports.jobs import JobStore
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.polling.lookup import TaskLookup

#: A line is cut into pieces of so many characters; of one call so many pieces are kept.
_MAX_LINE = 1000
_MAX_LINES = 1000


class TaskLogs:
    """The logs of attempts."""

    def __init__(self, jobs: JobStore, lookup: TaskLookup, clock: Clock) -> None:
        self._jobs = jobs
        self._lookup = lookup
        self._clock = clock

    def add(self, attempt_id: str, lines: Sequence[LogLine], caller: Caller = ANYBODY) -> None:
        """Keep lines logged for an attempt; long ones are cut into pieces of 1,000 characters.

        What UTF-8 cannot write is written out.

        Raises
        ------
        NotFound
            If there is no such attempt that the caller may see.
        """
        attempt = self._lookup.attempt(attempt_id, caller)
        pieces = [
            # They are kept in the order of their times, to the millisecond.
            LogLine(
                line.at + timedelta(milliseconds=number),
                message[number * _MAX_LINE : (number + 1) * _MAX_LINE],
            )
            for line in lines
            for message in (written_out(line.message),)
            for number in range(max(1, ceil(len(message) / _MAX_LINE)))
        ]
        self._jobs.add_logs(attempt.request_id, attempt.key, pieces[:_MAX_LINES], self._clock())

    def of(self, attempt_id: str, caller: Caller = ANYBODY) -> list[LogLine]:
        """Return the lines that were logged for an attempt.

        Raises
        ------
        NotFound
            If there is no such attempt that the caller may see.
        """
        attempt = self._lookup.attempt(attempt_id, caller)
        return self._jobs.logs(attempt.request_id, attempt.key)
