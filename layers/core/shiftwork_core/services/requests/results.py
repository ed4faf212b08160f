"""Read a step's attempts and merge their results, in little memory however wide the step is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice

from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.requests.outcomes import MAX_RESULT_BYTES
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.requests.records import RequestRecords

#: So many bytes of results are held while a step's attempts are; a wide step has ten times that.
_HELD_BYTES = 4 * 1024 * 1024


class ExtrasTooLarge(Exception):
    """What a step's jobs have returned does not fit into its request's extras."""


def attempts_of(
    records: RequestRecords, request_id: str, step: int, most: int | None = None
) -> list[Attempt]:
    """Read a step's attempts in key order, strongly consistent: `most` of them, or all.

    Beyond `_HELD_BYTES` the completed ones lack their values, as blocks do: `extras_after` reads
    those again, and nothing else needs them.
    """
    held_bytes = 0
    attempts: list[Attempt] = []
    for attempt in islice(records.jobs.of_step(request_id, step), most):
        if attempt.block is not None:
            attempt = replace(attempt, output=None, item=None)
        elif attempt.status is AttemptStatus.COMPLETED:
            held_bytes += sum(
                len(payload.text)
                for payload in (attempt.output, attempt.item, attempt.params)
                if payload is not None and payload.text is not None
            )
            if held_bytes > _HELD_BYTES:
                attempt = replace(attempt, output=None, item=None, params=None)
        attempts.append(attempt)
    return attempts


def extras_after(
    records: RequestRecords, request: Request, step: int, completed: list[Attempt]
) -> JsonObject:
    """Return the request's extras with the results of the step's completed attempts, in key order.

    Of a block they are in each attempt in which some of its jobs completed.

    Raises
    ------
    ExtrasTooLarge
        If they would have more than `MAX_RESULT_BYTES`, or twice as many on the way.
    """
    held: Iterable[Attempt] = completed
    if any(attempt.output is None for attempt in completed):
        held = records.jobs.of_step(request.request_id, step)
    extras = records.payloads.unpack_object(request.extras)
    of_jobs = groupby(held, key=lambda attempt: attempt.key.job)
    return _merged(
        extras, (result for _, attempts in of_jobs for result in _results(records, attempts))
    )


def _results(records: RequestRecords, attempts: Iterable[Attempt]) -> Iterator[JsonObject]:
    """Yield what a job has returned, or the jobs of a block in their order, by all attempts."""
    of_block: dict[int, JsonObject] = {}
    for attempt in attempts:
        if attempt.block is not None:
            of_block |= _results_of_block(records, attempt)
        elif attempt.status is AttemptStatus.COMPLETED:
            yield records.payloads.unpack_object(attempt.output)
    for _, result in sorted(of_block.items()):
        yield result


def _results_of_block(records: RequestRecords, attempt: Attempt) -> dict[int, JsonObject]:
    """Return what jobs of a block have returned in one attempt, by their places."""
    if attempt.block is None or not attempt.block.completed:
        return {}
    # Few requests have blocks, and each module makes each cold start longer.
    from shiftwork_core.domain.requests.blocks import Results

    stored = Results.from_json(records.payloads.unpack_object(attempt.output))
    return {place: result for place, result in stored.completed.items() if result}


def _merged(extras: JsonObject, results: Iterator[JsonObject]) -> JsonObject:
    """Merge one result after the other; look at the size whenever as much again has come."""
    merged, come_bytes = dict(extras), 0
    for result in results:
        merged.update(result)
        come_bytes += _size_of(result)
        if come_bytes > MAX_RESULT_BYTES:
            come_bytes = 0
            _check(merged, 2 * MAX_RESULT_BYTES)
    _check(merged, MAX_RESULT_BYTES)
    return merged


def _check(extras: JsonObject, most: int) -> None:
    if (size := _size_of(extras)) > most:
        raise ExtrasTooLarge(
            f"the extras would have {size:,} bytes of at most {MAX_RESULT_BYTES:,}; "
            "let jobs store what is large and return where it lies"
        )


def _size_of(value: JsonObject) -> int:
    return len(to_json(value).encode())
