"""Serve the clients of requests: submit, read, cancel, retry and explain them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shiftwork_core.domain.payloads import Json, JsonObject, Payload, to_json
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.requests.records import (
    Attempt,
    Request,
    RequestError,
)
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.times import to_iso
from shiftwork_core.errors import Conflict, FaultAt, Invalid, NotFound
from shiftwork_core.ports.stores import IdempotencyKey, Page
from shiftwork_core.ports.world import Runtime
from shiftwork_core.services.requests.cancel import Canceller
from shiftwork_core.services.requests.details import AttemptDetails, RequestDetails, StepDetails
from shiftwork_core.services.requests.executions import Executions, first_due_at
from shiftwork_core.services.requests.explain import Explanation, explain
from shiftwork_core.services.requests.job_list import find_attempt, list_attempts
from shiftwork_core.services.requests.records import RequestRecords
from shiftwork_core.services.requests.results import ExtrasTooLarge, extras_so_far
from shiftwork_core.services.requests.standing import read_standing, see_jobs

if TYPE_CHECKING:
    from shiftwork_core.services.requests.failures import FailedJob

#: Returns every fault of a value against a JSON Schema.
CheckSchema = Callable[[JsonObject, Json], list[FaultAt]]


#: A call of the API may take 29 s.
_CANCEL_FOR = timedelta(seconds=20)
#: Of params that no schema names: so many are told, and so much of each name.
_MOST_UNNAMED = 20
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client submits; shapes and sizes are checked at the API's edge."""

    type: str
    params: JsonObject
    extras: JsonObject
    version: int | None = None
    correlation_id: str | None = None
    priority: int = 0
    #: Conductor's clients may give any workflow a priority, also where nothing can honour it.
    may_ignore_priority: bool = False
    start_at: datetime | None = None
    #: The domain in which the polled jobs of a type wait; `*` means every other type.
    domains: dict[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Return the digest that tells a replay from another submission under the same key."""
        start_at = None if self.start_at is None else to_iso(self.start_at)
        content = [self.type, self.version, self.params, self.extras]
        content += [self.correlation_id, self.priority, start_at]
        content += [self.domains] if self.domains else []
        return hashlib.sha256(to_json(content).encode()).hexdigest()


class Requests:
    """The service behind `/v1/requests`. While it is not enabled, no request starts."""

    def __init__(
        self,
        *,
        records: RequestRecords,
        executions: Executions,
        canceller: Canceller,
        check_schema: CheckSchema,
        runtime: Runtime,
        is_enabled: bool = True,
    ) -> None:
        self._records = records
        self._executions = executions
        self._canceller = canceller
        self._check_schema = check_schema
        self._runtime = runtime
        self._is_enabled = is_enabled

    def submit(self, submission: Submission, idempotency_key: str | None) -> tuple[Request, bool]:
        """Write the request and start its execution; return it, and whether it is new.

        Once the request is written it will run, whatever fails afterwards: if its execution was not
        started, the new-requests sweep starts it.

        Raises
        ------
        Invalid
            If the type is unknown, the params do not fit its schema (every fault is named), no job
            of the type can honour the priority, or the idempotency key was used for another body.
        """
        definition = self._find_type(submission)
        self._check_params(submission, definition)
        job_types = self._records.definitions.pin_job_types(definition.body)
        self._check_priority(submission, job_types)
        now = self._runtime.clock()
        request_id = self._runtime.new_id()
        payloads, delay = self._records.payloads, (submission.start_at or now) - now
        request = Request(
            request_id=request_id,
            type=submission.type,
            type_version=definition.version,
            job_types=job_types,
            params=payloads.pack_apart(request_id, submission.params, delay),
            extras=payloads.pack_apart(request_id, submission.extras, delay),
            created_at=now,
            start_at=submission.start_at,
            due_at=first_due_at(now, submission.start_at, self._runtime.lease),
            correlation_id=submission.correlation_id,
            priority=submission.priority,
            domains=submission.domains,
        )
        key = IdempotencyKey(idempotency_key, submission.digest()) if idempotency_key else None
        created = self._records.requests.create(request, key)
        if key is not None and created.digest != key.digest:
            raise Invalid(
                "this Idempotency-Key was used for a different request",
                [FaultAt("Idempotency-Key", f"it belongs to {created.request.request_id}")],
                "send a new key for a new request, or the same body for a replay",
            )
        if self._is_enabled and created.request.status is RequestStatus.QUEUING:
            self._executions.launch(created.request)
        return created.request, created.is_new

    def _check_params(self, submission: Submission, definition: Definition) -> None:
        schema = definition.body.get("params")
        faults = self._check_schema(schema, submission.params) if schema else []
        if faults:
            named = [FaultAt(f"params{fault.path}", fault.message) for fault in faults]
            raise Invalid(
                f"the params do not fit request type {submission.type!r}",
                [*named, *_unnamed(schema or {}, submission.params)],
                f"see its schema: GET /v1/request-types/{submission.type}",
            )

    def _check_priority(self, submission: Submission, job_types: Mapping[str, int]) -> None:
        """Refuse a priority that no job of the request can honour: others than workers' never wait.

        Raises
        ------
        Invalid
            If none of its job types is polled.
        """
        if not submission.priority or submission.may_ignore_priority:
            return
        types = self._records.definitions
        if any(types.job_type(name, version).is_polled for name, version in job_types.items()):
            return
        reason = (
            f"no job of {submission.type!r} is done by workers, and only jobs that wait for workers"
            " go by priority"
        )
        raise Invalid(
            f"the priority would have no effect: {reason}",
            [FaultAt("priority", reason)],
            "leave it out, or send 0; or let workers do a job: its type's `target: worker`",
        )

    def _find_type(self, submission: Submission) -> Definition:
        try:
            return self._records.definitions.get(
                Kind.REQUEST_TYPE, submission.type, submission.version
            )
        except NotFound as error:
            path = "type" if submission.version is None else "version"
            raise Invalid(error.detail, [FaultAt(path, error.detail)], error.next_step) from error

    def get(self, request_id: str) -> Request:
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

    def find(
        self, status: RequestStatus | None, type: str | None, limit: int, next_token: str | None
    ) -> Page[Request]:
        """List requests, newest first."""
        return self._records.requests.find(status, type, limit, next_token)

    def cancel(self, request_id: str, reason: str = "") -> tuple[Request, bool]:
        """Cancel the request; return it, and whether none of its attempts is claimed any more.

        If not, because it is so wide that this takes longer than `_CANCEL_FOR`, no process begins
        with it any more, and a sweep cancels the rest of what has not started. The request then
        names `reason`, if there is one, as its error.

        Raises
        ------
        Conflict
            If it has completed or failed.
        """
        request = self.get(request_id)
        until = self._runtime.clock() + _CANCEL_FOR
        done = self._records.requests.finish(
            request_id,
            RequestStatus.CANCELLED,
            self._runtime.clock(),
            error=RequestError("Cancelled", reason) if reason else None,
            due_at=self._runtime.lease_end(),
        )
        if not done.won:
            raise Conflict(
                f"request {request_id} is {done.row.status.value} and cannot be cancelled",
                f"look at it: GET /v1/requests/{request_id}",
            )
        if request.status is not RequestStatus.CANCELLED or request.due_at is not None:
            return done.row, self._canceller.cancel_new(done.row, until)
        return done.row, True

    def retry(self, request_id: str) -> Request:
        """Run again what failed or was cancelled in the failed step, then continue.

        Of a completed request the jobs run again whose failures its steps have tolerated, step by
        step from the first on; no other job does.

        Raises
        ------
        Conflict
            If nothing of it has failed.
        """
        row = self.get(request_id)
        is_ours, begin = False, self._where_to_retry(row)
        if begin is not None:
            now, due_at = self._runtime.clock(), self._runtime.lease_end()
            reopened = self._records.requests.reopen(row, *begin, now, due_at)
            is_ours, row = reopened.won, reopened.row
        if not is_ours:
            raise Conflict(
                f"request {request_id} is {row.status.value}; only a Failed request can be retried,"
                " or one that has completed with failures",
                f"look at it: GET /v1/requests/{request_id}",
            )
        if self._is_enabled:
            self._executions.launch(row)
        return row

    def _where_to_retry(self, request: Request) -> tuple[int, Payload] | None:
        """Return the step that a retry begins with, and the extras; None: nothing has failed."""
        if request.status is RequestStatus.FAILED:
            return max(request.current_step, 1), request.extras
        if request.status is not RequestStatus.COMPLETED:
            return None
        steps = self._records.requests.steps(request.request_id)
        failed = sorted((step for step in steps if step.tolerated), key=lambda step: step.index)
        return (failed[0].index, failed[0].extras or request.extras) if failed else None

    # -- reading -----------------------------------------------------------------------------

    def details(self, request: Request) -> RequestDetails:
        """Return the request in full, with the current counts of its steps' attempts.

        Of a wide step that runs they are those of its tally. Nothing is merged of the results of a
        wide step in which the request has ended: a page of its jobs has them.
        """
        rows = {step.index: step for step in self._records.requests.steps(request.request_id)}
        extras = self._records.payloads.unpack_object(request.extras)
        current = rows.get(request.current_step)
        if current is not None and request.status is not RequestStatus.COMPLETED:
            standing = read_standing(self._records, request, current)
            rows[current.index] = replace(current, counts=standing.counts)
            if request.has_ended and standing.attempts is not None:
                # No execution settles the step any more, but what its jobs returned is not lost.
                extras = self._with_results(request, extras, standing.attempts)
        spec = self._records.type_of(request)
        steps = [
            StepDetails.of(index, step.name, rows.get(index), request)
            for index, step in enumerate(spec.steps, start=1)
        ]
        params = self._records.payloads.unpack_object(request.params)
        return RequestDetails(request, params, extras, steps)

    def _with_results(
        self, request: Request, extras: JsonObject, attempts: list[Attempt]
    ) -> JsonObject:
        """Merge the results of a step that does not settle any more, unless they are too large."""
        spec = self._records.type_of(request).steps[request.current_step - 1]
        try:
            return extras_so_far(self._records, request, spec, attempts)
        except ExtrasTooLarge:
            return extras

    def attempts(
        self,
        request_id: str,
        step: int | None,
        status: AttemptStatus | None,
        limit: int,
        next_token: str | None,
    ) -> Page[AttemptDetails]:
        """List the request's attempts in order of step, job and attempt.

        Raises
        ------
        NotFound
            If there is no such request.
        """
        request = self.get(request_id)
        params = self._records.payloads.unpack_object(request.params)
        steps = range(1, request.current_step + 1) if step is None else range(step, step + 1)
        page = list_attempts(self._records, request_id, steps, status, limit, next_token)
        return Page([self._attempt_details(a, params) for a in page.items], page.next_token)

    def failures(
        self, request_id: str, step: int | None, limit: int, next_token: str | None
    ) -> Page[FailedJob]:
        """List the request's jobs that have failed for good, in order of step and job.

        Raises
        ------
        NotFound
            If there is no such request.
        """
        # Only the API shows them, and each module makes each cold start longer.
        from shiftwork_core.services.requests.failures import list_failures

        self.get(request_id)
        return list_failures(self._records, request_id, step, limit, next_token)

    def attempt(self, attempt_id: str) -> Attempt:
        """Return one attempt.

        Raises
        ------
        NotFound
            If there is none of this id.
        """
        try:
            found = find_attempt(self._records, attempt_id)
        except ValueError:
            found = None
        if found is None:
            raise NotFound(
                f"there is no attempt {attempt_id!r}",
                "list a request's attempts: GET /v1/requests/{request_id}/jobs",
            )
        return found

    def _attempt_details(self, attempt: Attempt, request_params: JsonObject) -> AttemptDetails:
        own = self._records.payloads.unpack(attempt.params)
        return AttemptDetails(
            attempt,
            params=request_params if own is None else own,
            item=self._records.payloads.unpack(attempt.item),
            output=self._records.payloads.unpack(attempt.output),
        )

    def explain(self, request_id: str) -> Explanation:
        """Explain where the request is and why, what blocks it, and when it is due next."""
        request = self.get(request_id)
        records, now = self._records, self._runtime.clock()
        step = records.requests.get_step(request_id, request.current_step)
        jobs = see_jobs(records, request, step)
        return explain(request, step, jobs, now, is_enabled=self._is_enabled)


def _unnamed(schema: JsonObject, params: JsonObject) -> list[FaultAt]:
    """Return the params that a schema does not name, unless it says what others there may be.

    They are no faults by themselves; of params that have faults, they may be what was meant.
    """
    named = schema.get("properties")
    if not isinstance(named, dict) or {"additionalProperties", "patternProperties"} & schema.keys():
        return []
    from difflib import get_close_matches  # Few submissions have faults.

    found = []
    for name in list(params)[:_MOST_UNNAMED]:
        if name not in named:
            close = get_close_matches(name[:_LONGEST_NAME], named, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            found.append(FaultAt(f"params.{name[:_LONGEST_NAME]}", f"is not in the schema{hint}"))
    return found
