"""Read what the jobs of a request log, once or until the request has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from shiftwork.api.calls.requests import ENDED
from shiftwork.api.errors import NotFound

if TYPE_CHECKING:
    from shiftwork.api.client import ShiftworkClient
    from shiftwork.api.shapes import Attempt, JobCounts, Request, Step

#: How long to wait between two looks, and for what comes late when the request has ended.
_EVERY_S = 2.0
#: One look reads so many pages at most; the next goes on.
_MAX_PAGES = 100
#: Of each step so many attempts are looked at for lines that workers have sent...
MAX_ATTEMPTS = 200
#: ...and so many of these are read by one look while the request is followed.
_MAX_READ = 20


@dataclass(frozen=True)
class Line:
    """A line of a job."""

    timestamp: str
    message: str
    attempt_id: str
    job: str


class LogReader:
    """Reads the lines of a request's jobs, each once.

    What callbacks log is read for the whole request, behind a cursor; what workers have sent is
    read by attempt.
    """

    def __init__(self, client: ShiftworkClient, request_id: str, attempts: str = "") -> None:
        self._client = client
        self._request_id = request_id
        #: What the ids of the wanted attempts begin with.
        self._attempts = attempts
        self._cursor: str | None = None
        self._known: set[str] = set()
        #: Of the attempts of workers: how many lines have been read, and which have no more.
        self._counts: dict[str, int] = {}
        self._complete: set[str] = set()
        self._is_polled: dict[str, bool] = {}
        #: Of each step: its counts of attempts when these were looked at, unless some go on.
        self._looked: dict[int, JobCounts] = {}

    def follow(self, sleep: Callable[[float], None]) -> Iterator[tuple[Request, list[Line]]]:
        """Yield new lines, in order of time, until the request has ended; and the request."""
        has_ended = False
        while True:
            request = self._client.get(self._request_id)
            yield request, self._new_lines(request, _MAX_READ)
            if has_ended:
                return
            has_ended = request["status"] in ENDED
            sleep(_EVERY_S)

    def read(self) -> tuple[Request, list[Line]]:
        """Return the request, and the lines that there are, in order of time."""
        request = self._client.get(self._request_id)
        return request, self._new_lines(request, MAX_ATTEMPTS)

    def _new_lines(self, request: Request, most: int) -> list[Line]:
        lines = [*self._of_callbacks(), *self._of_workers(request["steps"], most)]
        return sorted(lines, key=lambda line: line.timestamp)

    def _is_wanted(self, attempt_id: str) -> bool:
        return f"{attempt_id}.".startswith(self._attempts)

    # -- callbacks -----------------------------------------------------------------------------

    def _of_callbacks(self) -> Iterator[Line]:
        read: set[str] = set()
        for _ in range(_MAX_PAGES):
            answer = self._client.follow_logs(self._request_id, after=self._cursor)
            self._cursor = answer["cursor"]
            for line in answer["items"]:
                read.add(line["id"])
                if line["id"] not in self._known and self._is_wanted(line["attempt_id"]):
                    yield Line(line["timestamp"], line["message"], line["attempt_id"], line["job"])
            self._known |= read
            if not answer["has_more"]:
                break
        # The next look begins behind its cursor: only what this one has read can come again.
        self._known = read

    # -- workers -------------------------------------------------------------------------------

    def _of_workers(self, steps: list[Step], most: int) -> Iterator[Line]:
        left = most
        for step in steps:
            counts = step["jobs"]
            if not any(counts.values()) or self._looked.get(step["index"]) == counts:
                continue
            found = self._with_lines(step["index"])
            for attempt in found[:left]:
                yield from self._of_worker(attempt)
            left -= len(found[:left])
            if all(attempt["attempt_id"] in self._complete for attempt in found):
                self._looked[step["index"]] = counts

    def _with_lines(self, step: int) -> list[Attempt]:
        """Return the step's attempts whose workers may have sent lines, those that run first."""
        attempts = islice(self._client.jobs(self._request_id, step=step), MAX_ATTEMPTS)
        found = filter(self._may_have_lines, attempts)
        return sorted(found, key=lambda attempt: attempt["status"] != "inprogress")

    def _may_have_lines(self, attempt: Attempt) -> bool:
        id, type = attempt["attempt_id"], attempt["type"]
        if attempt["started_at"] is None or id in self._complete or not self._is_wanted(id):
            return False
        if type not in self._is_polled:
            try:
                definition = self._client.definition("job-type", type)
            except NotFound:  # It has been deleted since.
                definition = {}
            self._is_polled[type] = definition.get("target") == "worker"
        return self._is_polled[type]

    def _of_worker(self, attempt: Attempt) -> Iterator[Line]:
        id = attempt["attempt_id"]
        for _ in range(_MAX_PAGES):
            seen = self._counts.get(id, 0)
            page = self._client.job_logs_page(id, next_token=str(seen))
            for line in page["items"]:
                yield Line(line["timestamp"], line["message"], id, attempt["job"])
            self._counts[id] = seen + len(page["items"])
            if page["next_token"] is None:
                break
        if attempt["completed_at"] is not None:
            self._complete.add(id)
