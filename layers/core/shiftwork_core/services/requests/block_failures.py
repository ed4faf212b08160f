"""Find the jobs of a block that have failed for good, each in its own attempt, with its error."""

from __future__ import annotations

from dataclasses import replace

from shiftwork_core.domain.requests.block_jobs import Tried, block_of, job_of, tried_by
from shiftwork_core.domain.requests.blocks import Results
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import NotFound
from shiftwork_core.services.requests.records import RequestRecords

#: Of an error that has expired before its row.
EXPIRED = JobError("ErrorExpired", "its error is not stored any more; its log may have it")
#: So many attempts at a block are read at once, the latest ones first.
_READ_AT_ONCE = 50


class BlockFailures:
    """The jobs of a block that have failed for good. It reads the results of an attempt once."""

    def __init__(self, records: RequestRecords, tried: Tried) -> None:
        self._records = records
        self._tried = tried
        self._errors: dict[AttemptKey, dict[int, JobError]] = {}
        latest = tried.latest
        if latest.status is AttemptStatus.INPROGRESS and block_of(latest).given_up:
            # Its row names only what failed before; what fails now is written with its results.
            now = dict.fromkeys(self._errors_in(latest), latest)
            self._tried = Tried(latest, dict(sorted((now | tried.failed).items())))

    @property
    def places(self) -> list[int]:
        """The places of the jobs, in order."""
        return list(self._tried.failed)

    @property
    def reads(self) -> int:
        """How many attempts' results were read."""
        return len(self._errors)

    def is_read(self, place: int) -> bool:
        """Whether the results are read in which a job's error is."""
        return self._tried.failed[place].key in self._errors

    def job(self, place: int) -> Attempt:
        """Return the attempt in which a job failed for good, with its error."""
        attempt = self._tried.failed[place]
        error = self._errors_in(attempt).get(place, EXPIRED)
        return replace(job_of(attempt, place), status=AttemptStatus.FAILURE, error=error)

    def first(self) -> Attempt:
        """Return the job that failed first, as `job` does."""
        return self.job(self._tried.first_place)

    def _errors_in(self, attempt: Attempt) -> dict[int, JobError]:
        if attempt.key not in self._errors:
            self._errors[attempt.key] = self._read(attempt)
        return self._errors[attempt.key]

    def _read(self, attempt: Attempt) -> dict[int, JobError]:
        return _results_of(self._records, attempt).failed


def _results_of(records: RequestRecords, attempt: Attempt) -> Results:
    """Return what has become of an attempt's jobs; nothing of any if that has expired."""
    [row] = records.with_values([attempt])
    try:
        return Results.from_json(records.payloads.unpack_object(row.output))
    except NotFound:
        return Results()


def retried_for(records: RequestRecords, before: Attempt, latest: Attempt) -> JobError | None:
    """Return why the first job that the latest attempt at a block is to do is tried again.

    `before` is the attempt before, whose own error is that of a job that failed for good, if one
    did. None: that job was not begun in it.
    """
    if not block_of(before).given_up:
        return before.error
    [first, *_] = block_of(latest).places
    return _results_of(records, before).retried.get(first)


def failed_job(records: RequestRecords, latest: Attempt) -> Attempt:
    """Return the job that has failed by the latest attempt at it: of a block the first that did.

    Its id and its error are those of the attempt in which it failed, whatever came after that.
    """
    if latest.block is None or not latest.block.failed:
        return latest
    return BlockFailures(records, tried_by(_attempts_until(records, latest))).first()


def _attempts_until(records: RequestRecords, latest: Attempt) -> list[Attempt]:
    """Read the attempts at a block since a user's last retry of it, in order."""
    found: list[Attempt] = []
    last = latest.key.attempt
    while last > 0 and all(row.generation == latest.generation for row in found):
        numbers = range(max(last - _READ_AT_ONCE, 0) + 1, last + 1)
        keys = [(latest.request_id, replace(latest.key, attempt=number)) for number in numbers]
        found = sorted(records.jobs.get_many(keys), key=lambda row: row.key) + found
        last = numbers.start - 1
    return found or [latest]
