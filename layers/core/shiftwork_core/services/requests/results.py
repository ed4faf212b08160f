"""Read a step's attempts and collect their results, in little memory however wide the step is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice, tee
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.requests.definitions import Collect, StepSpec
from shiftwork_core.domain.requests.outcomes import MAX_RESULT_BYTES
from shiftwork_core.domain.requests.records import Attempt, Request
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.requests.lasting import LastingWork
from shiftwork_core.services.requests.records import RequestRecords

if TYPE_CHECKING:
    from shiftwork_core.services.requests.lines import Lines

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
    records: RequestRecords,
    request: Request,
    spec: StepSpec,
    attempts: list[Attempt],
    work: LastingWork,
) -> JsonObject:
    """Return the request's extras with the results of its step's attempts, in key order.

    Of a block they are in each attempt in which some of its jobs completed. Manifests are stored
    with the request, and the extras hold where. Doing that again stores the same again.

    Raises
    ------
    ExtrasTooLarge
        If they would have more than `MAX_RESULT_BYTES`, or twice as many on the way.
    ResultsTooLarge
        If the results of an entry would have more than `MAX_PARTS` parts.
    """
    collects = {entry.name: entry.collect for entry in spec.jobs}
    extras = _Extras(records.payloads.unpack_object(request.extras))
    lines: dict[str, Lines] = {}
    if Collect.MANIFEST in collects.values():
        # Few requests have manifests, and each module makes each cold start longer.
        from shiftwork_core.services.requests.lines import Lines

        for name in collects:
            if collects[name] is Collect.MANIFEST:
                lines[name] = Lines(records.payloads, request.request_id, name)
    found = _results(records, request, attempts, collects)
    for entry, result in work.through(found):
        if entry in lines:
            lines[entry].add(result)
        else:
            extras.add(result)
    for entry, of_entry in lines.items():
        extras.add({entry: of_entry.finish()})
    return extras.finish()


def extras_so_far(
    records: RequestRecords, request: Request, spec: StepSpec, attempts: list[Attempt]
) -> JsonObject:
    """Return the same of a step that has not settled, but without manifests, and store nothing.

    Raises
    ------
    ExtrasTooLarge
        As above.
    """
    collects = {
        entry.name: entry.collect if entry.collect is Collect.EXTRAS else Collect.NONE
        for entry in spec.jobs
    }
    extras = _Extras(records.payloads.unpack_object(request.extras))
    for _, result in _results(records, request, attempts, collects):
        extras.add(result)
    return extras.finish()


def _results(
    records: RequestRecords,
    request: Request,
    attempts: list[Attempt],
    collects: dict[str, Collect],
) -> Iterator[tuple[str, JsonObject]]:
    """Yield what each job has returned, with its entry's name, unless that goes nowhere.

    The jobs of a block come in their order, whichever attempt each completed in.
    """
    wanted: Iterable[Attempt] = [one for one in attempts if _has_results(one, collects)]
    if any(attempt.output is None for attempt in wanted):
        held = records.jobs.of_step(request.request_id, request.current_step)
        wanted = (one for one in held if _has_results(one, collects))
    ended, again = tee(wanted)
    outputs = records.payloads.unpack_many(attempt.output for attempt in again)
    of_jobs = groupby(zip(ended, outputs, strict=True), key=lambda pair: pair[0].key.job)
    for _, pairs in of_jobs:
        of_block: dict[int, JsonObject] = {}
        entry = ""
        for attempt, output in pairs:
            entry = attempt.entry
            if attempt.block is None:
                yield entry, output or {}
            else:
                of_block |= _results_of_block(output)
        for _, result in sorted(of_block.items()):
            yield entry, result


def _has_results(attempt: Attempt, collects: dict[str, Collect]) -> bool:
    if collects[attempt.entry] is Collect.NONE:
        return False
    if attempt.block is not None:
        return attempt.block.completed > 0
    return attempt.status is AttemptStatus.COMPLETED


def _results_of_block(output: JsonObject | None) -> dict[int, JsonObject]:
    """Return what jobs of a block have returned in one attempt, by their places."""
    # Few requests have blocks, and each module makes each cold start longer.
    from shiftwork_core.domain.requests.blocks import Results

    return Results.from_json(output or {}).completed


class _Extras:
    """Results that are merged one after the other.

    Their size is looked at whenever as much again has come.
    """

    def __init__(self, extras: JsonObject) -> None:
        self._merged = dict(extras)
        self._come_bytes = 0

    def add(self, result: JsonObject) -> None:
        self._merged.update(result)
        self._come_bytes += _size_of(result)
        if self._come_bytes > MAX_RESULT_BYTES:
            self._come_bytes = 0
            _check(self._merged, 2 * MAX_RESULT_BYTES)

    def finish(self) -> JsonObject:
        _check(self._merged, MAX_RESULT_BYTES)
        return self._merged


def _check(extras: JsonObject, most: int) -> None:
    if (size := _size_of(extras)) > most:
        raise ExtrasTooLarge(
            f"the extras would have {size:,} bytes of at most {MAX_RESULT_BYTES:,}; let jobs store "
            "what is large and return where it lies, or give a wide entry collect: manifest"
        )


def _size_of(value: JsonObject) -> int:
    return len(to_json(value).encode())
