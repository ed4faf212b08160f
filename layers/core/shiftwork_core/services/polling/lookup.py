"""Find a polled attempt by its id, with everything that its worker needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from shiftwork_core.caller import ANYBODY, Caller
from shiftwork_core.domain.payloads import Json, JsonObject
from shiftwork_core.domain.requests.definitions import JobType
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, Request, parse_attempt_id
from shiftwork_core.errors import NotFound
from shiftwork_core.services.requests.records import RequestRecords


@dataclass(frozen=True, slots=True)
class HeldTask:
    """An attempt with all that a view of it needs; its input data is {params, extras, item}."""

    request: Request
    attempt: Attempt
    job_type: JobType
    params: Json
    extras: JsonObject
    item: Json
    #: What its workers have reported so far.
    output: JsonObject


class TaskLookup:
    """Reads attempts and their requests; one that is missing is NotFound."""

    def __init__(self, records: RequestRecords) -> None:
        self._records = records

    def attempt(self, attempt_id: str, caller: Caller = ANYBODY) -> Attempt:
        """Return the attempt.

        Raises
        ------
        NotFound
            If there is none that the caller may see.
        """
        key = key_of(attempt_id)
        found = None if key is None else self._records.jobs.get(*key)
        if key is not None and (found is None or found.block is not None):
            # Few requests have blocks, and each module makes each cold start longer.
            from shiftwork_core.services.requests.job_list import find_in_block

            found = find_in_block(self._records, *key, found)
        if found is None or not caller.may_see(found.worker_id, found.type):
            raise NotFound(f"there is no task {attempt_id!r}", "poll for one")
        return found

    def request(self, request_id: str) -> Request:
        """Return the request.

        Raises
        ------
        NotFound
            If there is none.
        """
        request = self._records.requests.get(request_id)
        if request is None:
            raise NotFound(f"there is no request {request_id!r}", "list them: GET /v1/requests")
        return request

    def task(self, request: Request, attempt: Attempt) -> HeldTask:
        """Return the attempt with its job type and its input, fetched if need be."""
        payloads = self._records.payloads
        own = payloads.unpack(attempt.params)
        return HeldTask(
            request=request,
            attempt=attempt,
            job_type=self._records.job_type_of(attempt),
            params=payloads.unpack(request.params) if own is None else own,
            extras=payloads.unpack_object(request.extras),
            item=payloads.unpack(attempt.item),
            output=payloads.unpack_object(attempt.output),
        )


def key_of(attempt_id: str) -> tuple[str, AttemptKey] | None:
    """Return the request's id and the key within it; None if it is not an attempt id."""
    try:
        return parse_attempt_id(attempt_id)
    except ValueError:
        return None
