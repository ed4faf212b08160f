"""A worker says that a job completed, and its output is refused: the job has failed by that."""

from __future__ import annotations

import pytest

from shiftwork_core.domain.json_bounds import INT_BOUND
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.services.polling.reports import Reported, ReportStatus
from tests.unit.services.polling.test_reports import row, say, submit, taken
from tests.world.world import World

REFUSED = {"n": INT_BOUND}


def test_a_refused_output_that_is_reported_again_has_the_same_answer(world: World) -> None:
    submit(world)
    attempt = taken(world)
    report = say(attempt, output=REFUSED)
    assert {world.tasks.report(report) for _ in range(2)} == {Reported.RECORDED}
    failed = row(world, attempt)
    assert failed.status is AttemptStatus.FAILURE
    assert failed.late_updates == ()


@pytest.mark.parametrize("output", [REFUSED, {"n": 1}], ids=["refused", "accepted"])
def test_a_completion_of_a_job_that_has_failed_by_something_else_is_late_and_kept(
    world: World, output: dict[str, int]
) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt, ReportStatus.TERMINAL, reason="no"))
    assert world.tasks.report(say(attempt, output=output)) is Reported.LATE
    [late] = row(world, attempt).late_updates
    assert late.status == ReportStatus.COMPLETED
