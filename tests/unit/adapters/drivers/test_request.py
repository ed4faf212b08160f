"""Driver `request` against an engine that keeps requests by their keys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shiftwork_core.adapters.drivers.groups import SETTLED, Unanswered
from shiftwork_core.adapters.drivers.request import RequestDriver
from shiftwork_core.domain.payloads import JsonObject, Payload
from shiftwork_core.domain.requests.records import Request, RequestError
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.errors import FaultAt, Invalid, ShiftworkError, Unavailable
from shiftwork_core.ports.workspaces import DriverError

START, STOP = Operation.START, Operation.STOP
SPEC = {
    "type": "request",
    "start": {"type": "lab.up", "params": {"size": 2}},
    "stop": {"type": "lab.down"},
}


@dataclass
class Engine:
    """The requests, and the calls of `submit` in order."""

    requests: dict[str, Request] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    submitted: list[tuple[str, JsonObject, str]] = field(default_factory=list)
    error: ShiftworkError | None = None

    def submit(self, type: str, params: JsonObject, idempotency_key: str) -> str:
        self.submitted.append((type, params, idempotency_key))
        if self.error is not None:
            raise self.error
        new_id = f"r-{len(self.by_key) + 1}"
        request_id = self.by_key.setdefault(idempotency_key, new_id)
        if request_id == new_id:
            empty = Payload("{}")
            now = datetime(2026, 1, 1, tzinfo=UTC)
            self.requests[new_id] = Request(new_id, type, 1, {}, empty, empty, now)
        return request_id

    def get(self, request_id: str) -> Request | None:
        if self.error is not None:
            raise self.error
        return self.requests.get(request_id)

    def end(self, request_id: str, status: RequestStatus, message: str = "") -> None:
        error = RequestError("JobFailed", message) if message else None
        self.requests[request_id] = replace(self.requests[request_id], status=status, error=error)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def driver(engine: Engine) -> RequestDriver:
    return RequestDriver(engine)


def test_before_the_first_request_nothing_is_known(driver: RequestDriver) -> None:
    seen = driver.look(SPEC, {})
    assert (seen.state, seen.detail) == (
        WorkspaceState.UNKNOWN,
        "no request was ever submitted for it",
    )


@pytest.mark.parametrize(
    ("operation", "status", "state"),
    [
        (START, RequestStatus.QUEUING, WorkspaceState.STARTING),
        (START, RequestStatus.INPROGRESS, WorkspaceState.STARTING),
        (START, RequestStatus.COMPLETED, WorkspaceState.RUNNING),
        (START, RequestStatus.FAILED, WorkspaceState.UNKNOWN),
        (START, RequestStatus.CANCELLED, WorkspaceState.UNKNOWN),
        (STOP, RequestStatus.QUEUING, WorkspaceState.STOPPING),
        (STOP, RequestStatus.INPROGRESS, WorkspaceState.STOPPING),
        (STOP, RequestStatus.COMPLETED, WorkspaceState.STOPPED),
        (STOP, RequestStatus.FAILED, WorkspaceState.UNKNOWN),
    ],
)
def test_the_last_requests_status_is_the_state(
    engine: Engine,
    driver: RequestDriver,
    operation: Operation,
    status: RequestStatus,
    state: WorkspaceState,
) -> None:
    memory = driver.switch(SPEC, {"x": 1}, operation, "job-1")
    assert memory == {"x": 1, "operation": operation.value, "request_id": "r-1"}
    engine.end("r-1", status)
    seen = driver.look(SPEC, memory)
    assert seen.state is state
    assert seen.detail == f"request r-1 to {operation.value} it is {status.value}"


def test_a_failed_request_and_its_error_are_named(engine: Engine, driver: RequestDriver) -> None:
    memory = driver.switch(SPEC, {}, START, "job-1")
    engine.end("r-1", RequestStatus.FAILED, "no room left")
    assert driver.look(SPEC, memory).detail == (
        "request r-1 to start it is Failed: no room left (JobFailed)"
    )


def test_an_expired_request_says_nothing_about_the_state(driver: RequestDriver) -> None:
    seen = driver.look(SPEC, {"operation": "start", "request_id": "r-0"})
    assert seen.state is WorkspaceState.UNKNOWN
    assert seen.detail == "request r-0 to start it is not kept any more"


def test_a_plan_names_the_request_that_will_be_submitted(
    engine: Engine, driver: RequestDriver
) -> None:
    assert driver.plan(SPEC, {}, START) == ['submit a request of type lab.up with {"size":2}']
    assert driver.plan(SPEC, {}, STOP) == ["submit a request of type lab.down"]
    assert engine.submitted == []
    driver.switch(SPEC, {}, START, "job-1")
    assert engine.submitted == [("lab.up", {"size": 2}, "job-1")]


def test_an_attempt_whose_memory_was_lost_finds_its_request_again(
    engine: Engine, driver: RequestDriver
) -> None:
    first = driver.switch(SPEC, {}, START, "job-1")
    assert driver.switch(SPEC, {}, START, "job-1") == first
    assert len(engine.requests) == 1


def test_after_a_failed_request_one_more_is_submitted(
    engine: Engine, driver: RequestDriver
) -> None:
    memory = driver.switch(SPEC, {}, START, "job-1")
    engine.end("r-1", RequestStatus.FAILED)
    again = driver.switch(SPEC, memory, START, "job-1")
    assert engine.submitted[-1][2] == "job-1:r-1"
    assert driver.switch(SPEC, memory, START, "job-1") == again, "its memory was lost"
    assert driver.switch(SPEC, again, START, "job-1") == again, "it is under way"
    assert len(engine.requests) == 2
    engine.end("r-2", RequestStatus.CANCELLED)
    driver.switch(SPEC, again, START, "job-1")
    assert engine.submitted[-1][2] == "job-1:r-2"


def test_a_stop_waits_for_the_start_that_is_under_way(
    engine: Engine, driver: RequestDriver
) -> None:
    memory = driver.switch(SPEC, {}, START, "job-1")
    with pytest.raises(DriverError, match="cannot stop while request r-1 to start it") as raised:
        driver.switch(SPEC, memory, STOP, "job-2")
    assert not raised.value.is_final
    engine.end("r-1", RequestStatus.COMPLETED)
    assert driver.switch(SPEC, memory, STOP, "job-2")["request_id"] == "r-2"
    assert engine.submitted[-1] == ("lab.down", {}, "job-2")


def test_a_request_that_does_not_fit_its_type_is_a_final_error(
    engine: Engine, driver: RequestDriver
) -> None:
    fault = FaultAt("params.size", "2 is greater than the maximum of 1")
    engine.error = Invalid("the params do not fit", [fault], "see its schema")
    expected = (
        "cannot submit a request of type lab.up: the params do not fit; "
        "params.size: 2 is greater than the maximum of 1; see its schema"
    )
    with pytest.raises(DriverError) as raised:
        driver.switch(SPEC, {}, START, "job-1")
    assert (str(raised.value), raised.value.is_final) == (expected, True)


def test_an_engine_that_does_not_answer_is_retried(engine: Engine, driver: RequestDriver) -> None:
    memory = driver.switch(SPEC, {}, START, "job-1")
    engine.error = Unavailable("no answer")
    with pytest.raises(Unanswered, match=r"cannot submit .* now: no answer; tried again later"):
        driver.switch(SPEC, {}, START, "job-2")
    with pytest.raises(Unanswered, match="cannot look at request r-1 to start it: no answer"):
        driver.look(SPEC, memory)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("last", [None, START, STOP])
@pytest.mark.parametrize("status", list(RequestStatus))
def test_a_plan_is_what_is_done(
    engine: Engine,
    driver: RequestDriver,
    operation: Operation,
    last: Operation | None,
    status: RequestStatus,
) -> None:
    memory: dict[str, Any] = {}
    if last is not None:
        memory = driver.switch(SPEC, {}, last, "job-1")
        engine.end("r-1", status)
    engine.submitted.clear()
    try:
        plan = driver.plan(SPEC, memory, operation)
    except DriverError:
        with pytest.raises(DriverError):
            driver.switch(SPEC, memory, operation, "job-2")
        assert engine.submitted == []
        return
    assert driver.remember(SPEC, memory, operation) == memory
    driver.switch(SPEC, memory, operation, "job-2")
    assert bool(engine.submitted) == bool(plan)
    assert (plan == []) is (driver.look(SPEC, memory).state in SETTLED[operation])
