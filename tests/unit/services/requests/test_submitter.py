"""Requests switch a workspace, on a whole engine."""

from __future__ import annotations

import pytest

from shiftwork_core.adapters.drivers.request import RequestDriver
from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError
from shiftwork_core.services.requests.submitter import Submitter
from tests.world.world import World

SPEC = {
    "start": {"type": "up", "params": {"size": 2}},
    "stop": {"type": "down"},
}


@pytest.fixture
def driver(world: World) -> RequestDriver:
    world.job_type("work", lambda job: {"size": job.params.get("size")})
    for name in ("up", "down"):
        world.request_type(name, [{"name": "j", "type": "work"}])
    return RequestDriver(Submitter(world.requests))


def test_a_workspace_is_started_and_stopped_by_requests(
    world: World, driver: RequestDriver
) -> None:
    memory = driver.switch(SPEC, {}, Operation.START, "job-1")
    assert driver.look(SPEC, memory).state is WorkspaceState.STARTING
    assert driver.switch(SPEC, {}, Operation.START, "job-1") == memory
    world.run()
    assert driver.look(SPEC, memory).state is WorkspaceState.RUNNING
    assert world.view(memory["request_id"])["extras"] == {"size": 2}

    memory = driver.switch(SPEC, memory, Operation.STOP, "job-2")
    assert driver.look(SPEC, memory).state is WorkspaceState.STOPPING
    world.run()
    assert driver.look(SPEC, memory).state is WorkspaceState.STOPPED


def test_after_a_failed_request_another_is_submitted(world: World, driver: RequestDriver) -> None:
    def fail(job: Job) -> None:
        raise Failure("no room left")

    world.job_type("work", fail)
    memory = driver.switch(SPEC, {}, Operation.START, "job-1")
    world.run()
    seen = driver.look(SPEC, memory)
    assert seen.state is WorkspaceState.UNKNOWN
    assert "is Failed: no room left" in seen.detail

    world.job_type("work", lambda job: {})
    again = driver.switch(SPEC, memory, Operation.START, "job-1")
    assert again["request_id"] != memory["request_id"]
    world.run()
    assert driver.look(SPEC, again).state is WorkspaceState.RUNNING


def test_an_unknown_request_type_is_a_final_error(world: World, driver: RequestDriver) -> None:
    with pytest.raises(DriverError, match="there is no request-type 'sideways'") as raised:
        driver.switch({"start": {"type": "sideways"}}, {}, Operation.START, "job-1")
    assert raised.value.is_final


def test_a_request_past_its_retention_is_gone(driver: RequestDriver) -> None:
    seen = driver.look(SPEC, {"operation": "start", "request_id": "r-0"})
    assert seen.detail == "request r-0 to start it is not kept any more"
