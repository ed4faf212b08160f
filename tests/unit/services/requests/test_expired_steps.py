"""A retry of a completed request finds the rows of the steps that it comes through again."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Poller
from shiftwork_platform.wiring import RETENTION
from tests.unit.services.requests.test_lifetimes import (
    DAY,
    Rows,
    bucket,  # noqa: F401  (a fixture)
    pass_days,
    rows,  # noqa: F401  (a fixture)
)
from tests.world.world import World

pytestmark = pytest.mark.usefixtures("bucket")
POLL = {"name": "slow", "type": "poll"}


def report(world: World, status: ReportStatus = ReportStatus.COMPLETED) -> None:
    """Have a worker do the job that waits."""
    [task] = world.tasks.poll("poll", Poller("w"), 1)
    world.tasks.report(Report(task.attempt.attempt_id, status, {}, "", "w"))
    world.run()


def completed_after_110_days(world: World, ran: list[str], **entry: Any) -> str:
    """Return a request whose first step ended on day 40, with a failure that it tolerates."""

    def work(job: Job) -> dict[str, Any]:
        ran.append(job.name)
        if job.item == 0:
            raise Failure("not yet")
        return {"n": job.item}

    world.job_type("work", work)
    world.job_type("poll", target="worker", retry={"max_attempts": 1})
    load = {"name": "load", "type": "work", "for_each": "params.items", "tolerate": 1, **entry}
    world.request_type("some", [load, POLL], [POLL])
    request_id = world.submit("some", items=[0, 1, 2])
    world.run()
    for days in (40, 70):
        pass_days(world, days)
        report(world)
    assert world.request(request_id).status is RequestStatus.COMPLETED
    return request_id


@pytest.mark.parametrize("block", [None, 2])
def test_rows_of_a_step_with_failures_live_as_long_as_its_request_may_be_retried(
    world: World,
    rows: Rows,  # noqa: F811
    block: int | None,
) -> None:
    ran: list[str] = []
    request_id = completed_after_110_days(world, ran, collect="manifest", block=block)
    world.clock.advance((RETENTION - 10 * DAY).total_seconds())
    rows.expire()
    ran.clear()
    world.requests.retry(request_id)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert ran == ["load[0]"]
    assert world.view(request_id)["extras"]["load"]["count"] == 2


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_step_whose_rows_have_expired_fails_the_request_and_runs_nothing(
    world: World, is_behind: bool
) -> None:
    ran: list[str] = []
    request_id = completed_after_110_days(world, ran)
    ran.clear()
    if is_behind:
        del world.tables.steps[request_id][2]
    else:
        del world.tables.attempts[request_id][world.attempts(request_id)[1].key]
    for _ in range(2):
        world.requests.retry(request_id)
        world.run()
        error = world.request(request_id).error
        assert error is not None and error.type == "JobsExpired"
    assert ran == (["load[0]"] if is_behind else [])


def test_rows_of_steps_behind_live_on_while_a_retried_job_waits(
    world: World,
    rows: Rows,  # noqa: F811
) -> None:
    ran: list[str] = []
    world.job_type("pay", lambda job: ran.append(job.attempt_id))
    world.job_type("poll", target="worker", retry={"max_attempts": 1})
    each = POLL | {"for_each": "params.items", "tolerate": 1}
    world.request_type("some", [each], [{"name": "pay", "type": "pay"}])
    request_id = world.submit("some", items=[0])
    world.run()
    report(world, ReportStatus.TERMINAL)
    assert len(ran) == 1
    world.clock.advance((RETENTION - DAY).total_seconds())
    world.requests.retry(request_id)
    world.run()
    pass_days(world, 300)
    rows.expire()
    report(world)
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert len(ran) == 1
