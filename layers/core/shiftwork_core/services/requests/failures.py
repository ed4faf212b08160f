"""List a request's jobs that have failed for good, each with its own error, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from shiftwork_core.domain.payloads import Json, to_json
from shiftwork_core.domain.requests.block_jobs import Tried, tried_by
from shiftwork_core.domain.requests.manifests.items import Item
from shiftwork_core.domain.requests.manifests.places import ManifestFault
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import NotFound
from shiftwork_core.page_tokens import from_token, refuse, to_token
from shiftwork_core.ports.stores import MOST_LOOKED_AT, Page
from shiftwork_core.services.requests.block_failures import BlockFailures
from shiftwork_core.services.requests.records import RequestRecords

#: A page reads rows until it has read so many, and then to the end of the job that it is at.
_MOST_ROWS = MOST_LOOKED_AT
_ROWS_AT_ONCE = 100
#: So many results of blocks, and large items, are read for a page, from S3 at worst. A block whose
#: jobs failed in more attempts than that goes on on the next page.
_MOST_READ = 20
#: An item is shown as far as this; an attempt's own view has the whole.
_MOST_CHARACTERS = 1_000
#: No attempt has a greater number.
_LAST = 9_999
#: What tokens of this list begin with, so that those of the list of attempts are refused.
_MARK = "failed"


@dataclass(frozen=True, slots=True)
class FailedJob:
    """The attempt in which a job failed for good, and its item as JSON, cut for display."""

    attempt: Attempt
    item: str | None


def list_failures(
    records: RequestRecords, request_id: str, step: int | None, limit: int, next_token: str | None
) -> Page[FailedJob]:
    """Return a page of the jobs of a step, or of all, that have failed for good, in order.

    A job has failed if its latest attempt has: what a user's retry does again is not listed. A page
    may be short or empty, and not be the last.

    Raises
    ------
    Invalid
        If `next_token` is of no such page.
    """
    begun = None if next_token is None else _read(next_token)
    page = _FailuresFound(records, limit)
    row = begun
    jobs = groupby(
        page.counted(_rows(records, request_id, step, begun)),
        key=lambda attempt: (attempt.key.step, attempt.key.job),
    )
    for (index, number), attempts in jobs:
        if page.is_full and row is not None:
            return Page(page.found, replace(row, place=None).token)
        row = _Place(index, number)
        if begun is not None and (begun.step, begun.row) == (index, number):
            row = begun
        last = page.add(tried_by(attempts), behind=row.place)
        if last is not None:
            return Page(page.found, replace(row, place=last).token)
    return Page(page.found)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page ends: behind all attempts of a row, or behind one of its block's places."""

    step: int
    row: int
    place: int | None = None

    @property
    def after(self) -> AttemptKey:
        """The key behind which the rows of the next page begin."""
        return AttemptKey(self.step, self.row, _LAST if self.place is None else 0)

    @property
    def token(self) -> str:
        """The token of the next page."""
        places = [] if self.place is None else [str(self.place)]
        return to_token([_MARK, str(self.step), str(self.row), *places])


def _read(next_token: str) -> _Place:
    """Return where the page before ended.

    Raises
    ------
    Invalid
        If it is not a token of a list of failures.
    """
    try:
        _, *numbers = from_token(next_token)
        read = _Place(*map(int, numbers))
    except (TypeError, ValueError):
        raise refuse() from None
    if read.token != next_token:
        raise refuse()
    return read


def _rows(
    records: RequestRecords, request_id: str, wanted: int | None, begun: _Place | None
) -> Iterator[Attempt]:
    """Yield the attempts of the steps that may have failures, from a place on, in order.

    Those of every step that has a row: one after the current step may have failures as well.
    """
    for step in records.requests.steps(request_id):
        if wanted not in (None, step.index) or (begun is not None and step.index < begun.step):
            continue
        if step.status is StepStatus.COMPLETED and not step.counts.get(AttemptStatus.FAILURE):
            continue  # Its counts are exact.
        this = range(step.index, step.index + 1)
        after = None if begun is None else begun.after
        while True:
            page = records.jobs.find(request_id, this, None, _ROWS_AT_ONCE, after)
            yield from page.items
            if (after := page.behind) is None:
                break


class _FailuresFound:
    """The failures of a page, and what it took to find them."""

    def __init__(self, records: RequestRecords, limit: int) -> None:
        self.found: list[FailedJob] = []
        self._records = records
        self._limit = limit
        self._rows = 0
        self._reads = 0

    @property
    def is_full(self) -> bool:
        """Whether the page ends before the next job."""
        is_tired = self._rows > _MOST_ROWS or self._reads >= _MOST_READ
        return is_tired or len(self.found) == self._limit

    def counted(self, rows: Iterator[Attempt]) -> Iterator[Attempt]:
        """Yield the rows, and count them."""
        for row in rows:
            self._rows += 1
            yield row

    def add(self, tried: Tried, *, behind: int | None) -> int | None:
        """Add what has failed of a job, or of a block behind a place.

        Return the place behind which the page ends if it is full before the end of the block.
        """
        latest = tried.latest
        if latest.block is not None:
            return self._add_of_block(tried, -1 if behind is None else behind)
        if latest.status is AttemptStatus.FAILURE:
            self._reads += latest.item is not None and latest.item.ref is not None
            self.found.append(FailedJob(latest, self._item(latest)))
        return None

    def _add_of_block(self, tried: Tried, behind: int) -> int | None:
        before = self._reads
        failures = BlockFailures(self._records, tried)
        left = [place for place in failures.places if place > behind]
        items = self._items(tried.latest) if left else []
        for place in left:
            self._reads = before + failures.reads
            is_tired = self._reads >= _MOST_READ and not failures.is_read(place)
            if is_tired or len(self.found) == self._limit:
                return place - 1
            item = items[place] if place < len(items) else None
            self.found.append(FailedJob(failures.job(place), item))
        self._reads = before + failures.reads
        return None

    def _item(self, attempt: Attempt) -> str | None:
        """Return what is shown of the item of a job that has a row of its own."""
        if attempt.item is None:
            return None
        try:
            return _shortened(self._records.payloads.unpack(attempt.item))
        except NotFound:
            return None

    def _items(self, row: Attempt) -> list[str | None]:
        """Return what is shown of the items of a block, by place; none if they cannot be read."""
        try:
            found = self._records.items_of(row)
        except (ManifestFault, NotFound):
            return []
        return [_shortened(one.value) if isinstance(one, Item) else None for one in found]


def _shortened(item: Json) -> str:
    text = to_json(item)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
