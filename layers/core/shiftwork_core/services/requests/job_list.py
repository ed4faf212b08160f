"""List the attempts at a request's jobs, and find one by its id, those of blocks as all others."""

from __future__ import annotations

from shiftwork_core.domain.payloads import Json
from shiftwork_core.domain.requests.block_jobs import jobs_of
from shiftwork_core.domain.requests.blocks import Results
from shiftwork_core.domain.requests.manifests.items import Item
from shiftwork_core.domain.requests.manifests.places import ManifestFault
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, parse_attempt_id
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.domain.requests.step_state import counts_of
from shiftwork_core.errors import FaultAt, Invalid
from shiftwork_core.ports.stores import Page
from shiftwork_core.services.requests.records import RequestRecords

#: A page reads the values of so many blocks at most: then it is short, and not the last.
_MOST_BLOCKS = 20
#: Between how many jobs of a block the page before has shown, and where that block is.
_SEPARATOR = "~"


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
    shown, place = _read(next_token)
    page = records.jobs.find(request_id, steps, status, limit, place)
    found: list[Attempt] = []
    blocks = 0
    for number, row in enumerate(page.items):
        wanted = _wanted(records, row, status)[shown if number == 0 else 0 :]
        room = limit - len(found)
        found += wanted[:room]
        blocks += row.block is not None
        if len(wanted) > room:
            before = _behind(records, request_id, steps, status, number, place)
            already = shown if number == 0 else 0
            return Page(found, f"{already + room}{_SEPARATOR}{before or ''}")
        is_last = number + 1 == len(page.items)
        if not is_last and (len(found) == limit or blocks == _MOST_BLOCKS):
            return Page(found, _behind(records, request_id, steps, status, number + 1, place))
    return Page(found, page.next_token)


def _read(next_token: str | None) -> tuple[int, str | None]:
    """Return how many jobs of its first block a page leaves out, and the store's own token."""
    if next_token is None or _SEPARATOR not in next_token:
        return 0, next_token
    shown, _, place = next_token.partition(_SEPARATOR)
    if not (shown.isascii() and shown.isdigit() and len(shown) < 5):
        message = "not a token of this list"
        raise Invalid(message, [FaultAt("next_token", message)])
    return int(shown), place or None


def _behind(
    records: RequestRecords,
    request_id: str,
    steps: range,
    status: AttemptStatus | None,
    rows: int,
    place: str | None,
) -> str | None:
    """Return the store's token of the page that follows so many rows."""
    if not rows:
        return place
    return records.jobs.find(request_id, steps, status, rows, place).next_token


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
    step = records.requests.get_step(request_id, key.step)
    for span in step.spans if step is not None else ():
        number = span.row_of(key.job)
        if number is None:
            continue
        row = records.jobs.get(request_id, AttemptKey(key.step, number, key.attempt))
        if row is None:
            return None
        return next((job for job in _wanted(records, row, None) if job.key == key), None)
    return None
