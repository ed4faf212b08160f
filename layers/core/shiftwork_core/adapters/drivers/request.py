"""Switch a workspace by submitting requests, whose jobs do the starting and the stopping.

The state of the workspace is the outcome of the latest request. The memory holds that request's
`{"operation", "request_id"}`.
"""

from __future__ import annotations

from shiftwork_core.adapters.drivers.groups import SETTLED, Unanswered
from shiftwork_core.adapters.drivers.specs import RequestSpec
from shiftwork_core.domain.payloads import JsonObject, to_json
from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.workspaces.records import Operation, Sighting, WorkspaceState
from shiftwork_core.errors import Refusal, Transient
from shiftwork_core.ports.workspaces import DriverError, RequestPort

_ON_THE_WAY = {
    Operation.START: WorkspaceState.STARTING,
    Operation.STOP: WorkspaceState.STOPPING,
}


class RequestDriver:
    """Driver `request`: submits a request for each switch, once."""

    def __init__(self, requests: RequestPort) -> None:
        self._requests = requests

    def look(self, spec: JsonObject, memory: JsonObject) -> Sighting:
        """Return the state that the latest request has left.

        Unknown if that failed or has expired, or if none was submitted.
        """
        last = _last(memory)
        if last is None:
            return Sighting(WorkspaceState.UNKNOWN, "no request was ever submitted for it")
        operation, request_id = last
        told = f"request {request_id} to {operation.value} it"
        try:
            request = self._requests.get(request_id)
        except Transient as error:
            raise Unanswered(f"cannot look at {told}: {error}; tried again later") from error
        if request is None:
            return Sighting(WorkspaceState.UNKNOWN, f"{told} is not kept any more")
        told += f" is {request.status.value}"
        if request.status in (RequestStatus.QUEUING, RequestStatus.INPROGRESS):
            return Sighting(_ON_THE_WAY[operation], told)
        if request.status is RequestStatus.COMPLETED:
            return Sighting(operation.goal, told)
        return Sighting(WorkspaceState.UNKNOWN, told + _reason(request))

    def remember(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> JsonObject:
        """Return the memory as it is: `switch` adds the request that it submits."""
        return memory

    def plan(self, spec: JsonObject, memory: JsonObject, operation: Operation) -> list[str]:
        """Name the request that `switch` would submit."""
        call = self._call(spec, memory, operation)
        if call is None:
            return []
        params = f" with {to_json(call.params)}" if call.params else ""
        return [f"submit a request of type {call.type}{params}"]

    def switch(
        self, spec: JsonObject, memory: JsonObject, operation: Operation, key: str
    ) -> JsonObject:
        """Submit a request; the same key finds the same one.

        After a failed request submit a new one, whose key is the same for every attempt as well.
        """
        call = self._call(spec, memory, operation)
        if call is None:
            return memory
        last = _last(memory)
        if last is not None and last[0] is operation:
            key = f"{key}:{last[1]}"
        doing = f"submit a request of type {call.type}"
        try:
            request_id = self._requests.submit(call.type, call.params, key)
        except Transient as error:
            raise Unanswered(f"cannot {doing} now: {error}; tried again later") from error
        except Refusal as error:
            raise DriverError(_told(doing, error), is_final=True) from error
        return {**memory, "operation": operation.value, "request_id": request_id}

    def _call(
        self, spec: JsonObject, memory: JsonObject, operation: Operation
    ) -> RequestSpec | None:
        """Return what to submit; None if the latest request has done it, or is doing it."""
        call = RequestSpec.of(spec, operation)
        seen = self.look(spec, memory)
        if seen.state in SETTLED[operation]:
            return None
        if seen.state in _ON_THE_WAY.values():
            # The two would undo each other's work, and either could end last.
            message = f"cannot {operation.value} while {seen.detail}; tried again later"
            raise DriverError(message)
        return call


def _last(memory: JsonObject) -> tuple[Operation, str] | None:
    if not memory.get("request_id"):
        return None
    return Operation(memory["operation"]), str(memory["request_id"])


def _reason(request: Request) -> str:
    error = request.error
    return "" if error is None else f": {error.message} ({error.type})"


def _told(doing: str, error: Refusal) -> str:
    faults = [f"{f.path}: {f.message}" for f in getattr(error, "faults", [])]
    parts = [f"cannot {doing}: {error.detail}", *faults[:3], error.next_step]
    return "; ".join(part for part in parts if part)
