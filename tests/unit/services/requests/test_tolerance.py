"""More failures than a step tolerates fail its request early, unless it is to finish."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.domain.requests.outcomes import Failed, JobError
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import RequestStatus
from tests.world.world import World

BAD = Failed(JobError("Bad", "row"))


def failed(world: World, failures: int, *, on_failure: str = "stop", **entry: Any) -> str:
    """Return a request of four jobs, of which so many have failed and nobody has looked since."""
    world.job_type("rows.load", lambda job: {})
    load = {"name": "load", "type": "rows.load", "for_each": "params.items", "tolerate": 1}
    world.request_type("load", [load | entry], on_failure=on_failure)
    request_id = world.submit("load", items=[0, 1, 2, 3])
    world.advancer.advance(request_id, 1)
    for attempt in world.attempts(request_id)[:failures]:
        held = world.runner.holder.claim(world.request(request_id), attempt.key)
        assert isinstance(held, Attempt)
        world.recorder.record(held, BAD)
    return request_id


@pytest.mark.parametrize(
    ("failures", "on_failure", "status"),
    [
        (1, "stop", RequestStatus.INPROGRESS),
        (2, "stop", RequestStatus.FAILED),
        (2, "finish", RequestStatus.INPROGRESS),
    ],
)
def test_an_execution_that_finds_too_many_failures_fails_the_request_unless_it_is_to_finish(
    world: World, failures: int, on_failure: str, status: RequestStatus
) -> None:
    request_id = failed(world, failures, on_failure=on_failure)
    world.advancer.advance(request_id, 1)
    assert world.request(request_id).status is status
