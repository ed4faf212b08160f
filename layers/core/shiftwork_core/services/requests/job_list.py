"""List the attempts at a request's jobs, and find one by its id, those of blocks as all others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.block_jobs import block_of, jobs_of
from shiftwork_core.domain.requests.blocks import Results
from shiftwork_core.domain.requests.manifests.items import Item
from shiftwork_core.domain.requests.manifests.places import ManifestFault
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, parse_attempt_id
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.step_state import counts_of
from shiftwork_core.page_tokens import from_token, refuse, to_token
from shiftwork_core.ports.stores import Page
from shiftwork_core.services.requests.records import RequestRecords

#: A page reads the values of so many blocks at most: then it is short, and not the last.
_MOST_BLOCKS = 20


def list_attempts(
    records: RequestRecords,
    request_id: str,
    steps: range,
    status: AttemptStatus | None,
    limit: int,
    next_token: str | None,
) -> Page[Attempt]:
    """Return a page of the attempts at the jobs of some steps, in order.

    It may be short, and not be the last.

    Raises
    ------
    Invalid
        If `next_token` is of no such page.
    """
    begun = None if next_token is None else _read(next_token)
    after = None if begun is None else begun.after
    page = records.jobs.find(request_id, steps, status, limit, after)
    found: list[Attempt] = []
    blocks = 0
    for row in page.items:
        wanted = [
            job for job in _wanted(records, row, status) if begun is None or begun.leaves(row, job)
        ]
        room = limit - len(found)
        found += wanted[:room]
        blocks += row.block is not None
        if len(wanted) > room:
            return Page(found, _Place(row.key, _place_in(row, found[-1])).token)
        is_full = len(found) == limit or blocks == _MOST_BLOCKS
        if is_full and row is not page.items[-1]:
            return Page(found, _Place(row.key).token)
    return Page(found, None if page.behind is None else _Place(page.behind).token)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ends: behind a row, or behind one of the jobs of its block.

    What changes between two pages moves no other job to another place, so none is shown twice or
    left out that does not change itself.
    """

    key: AttemptKey
    place: int | None = None

    @property
    def after(self) -> AttemptKey:
        """The key behind which the rows of the next page begin."""
        if self.place is None:
            return self.key
        return replace(self.key, attempt=self.key.attempt - 1)

    @property
    def token(self) -> str:
        """The token of the next page."""
        return to_token([str(self.key), *([] if self.place is None else [str(self.place)])])

    def leaves(self, row: Attempt, job: Attempt) -> bool:
        """Whether a job of a row is still to be shown."""
        if self.place is None or row.key != self.key:
            return True
        return row.block is not None and _place_in(row, job) > self.place


def _place_in(row: Attempt, job: Attempt) -> int:
    return job.key.job - block_of(row).first_job


def _read(next_token: str) -> _Place:
    """Return where the page before ended.

    Raises
    ------
    Invalid
        If it is not a token of a list of attempts.
    """
    try:
        key, *place = from_token(next_token)
        read = _Place(AttemptKey.parse(key), *map(int, place))
    except (TypeError, ValueError):
        raise refuse() from None
    if read.token != next_token:
        raise refuse()
    return read


def _wanted(records: RequestRecords, row: Attempt, status: AttemptStatus | None) -> list[Attempt]:
    if row.block is None:
        return [row]
    if status is not None and not counts_of(row)[status]:
        return []
    results = Results.from_json(records.payloads.unpack_object(row.output))
    return [
        job for job in jobs_of(row, results, _items(records, row)) if status in (None, job.status)
    ]


def _items(records: RequestRecords, row: Attempt) -> list[Json]:
    """Return a block's items; None for one that cannot be read, and none if all cannot."""
    try:
        found = records.items_of(row)
    except ManifestFault:
        return []
    return [one.value if isinstance(one, Item) else None for one in found]


def find_attempt(records: RequestRecords, attempt_id: str) -> Attempt | None:
    """Return an attempt by its id; None: none has it.

    Raises
    ------
    ValueError
        If it is no attempt's id.
    """
    request_id, key = parse_attempt_id(attempt_id)
    row = records.jobs.get(request_id, key)
    if row is not None and row.block is None:
        return row
    return find_in_block(records, request_id, key, row)


def find_in_block(
    records: RequestRecords, request_id: str, key: AttemptKey, row: Attempt | None
) -> Attempt | None:
    """Return the attempt of this key at a job of a block; None: there is none.

    `row` is what was read under the key, where the block itself may lie.
    """
    step = records.requests.get_step(request_id, key.step)
    for span in step.spans if step is not None else ():
        number = span.row_of(key.job)
        if number is None:
            continue
        if number != key.job:
            row = records.jobs.get(request_id, AttemptKey(key.step, number, key.attempt))
        jobs = [] if row is None else _wanted(records, row, None)
        return next((job for job in jobs if job.key == key), None)
    return None
