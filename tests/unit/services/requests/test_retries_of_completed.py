"""A request that completed with failures its steps tolerate is retried: only these run again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests import step_state
from shiftwork_core.domain.requests.records import StepStatus
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Conflict
from tests.unit.services.conftest import counted
from tests.world.world import World

LOAD = {"name": "load", "type": "rows.load", "for_each": "params.items", "tolerate": 5}
CHECK = LOAD | {"name": "check", "type": "rows.check"}
REPORT = {"name": "report", "type": "rows.report"}


class Rows:
    """What the jobs do: they note that they run, and fail where they are told to."""

    def __init__(self, world: World) -> None:
        self.ran: list[tuple[str, int]] = []
        self.bad: dict[str, set[int]] = {}
        for type in ("rows.load", "rows.check", "rows.report"):
            world.job_type(type, self)

    def __call__(self, job: Job) -> dict[str, Any]:
        name = job.name.partition("[")[0]
        self.ran.append((name, job.item))
        if job.item in self.bad.get(name, set()):
            raise Failure(f"{name} {job.item} is bad")
        return {f"{name} {job.item}": job.attempt}

    def mended(self) -> None:
        """From now on all of them complete."""
        self.ran.clear()
        self.bad.clear()


def run(world: World, *steps: dict[str, Any], items: int = 10) -> str:
    world.request_type("rows", *([entry] for entry in steps))
    request_id = world.submit("rows", items=list(range(items)))
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    return request_id


def retry(world: World, request_id: str) -> None:
    world.requests.retry(request_id)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED


@pytest.mark.parametrize("most_read", [500, 3])
@pytest.mark.parametrize("block", [None, 1, 4])
def test_what_was_tolerated_runs_again_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch, block: int | None, most_read: int
) -> None:
    monkeypatch.setattr(step_state, "MOST_JOBS_READ", most_read)
    rows = Rows(world)
    rows.bad = {"load": {2, 3, 7}}
    request_id = run(world, LOAD | {"block": block})
    assert len(world.view(request_id)["extras"]) == 7
    rows.mended()
    retry(world, request_id)
    assert sorted(rows.ran) == [("load", 2), ("load", 3), ("load", 7)]
    view = world.view(request_id)
    assert view["extras"] == {f"load {n}": 2 if n in (2, 3, 7) else 1 for n in range(10)}
    counts = view["steps"][0]["jobs"]
    assert (counts["completed"], counts["failure"]) == (10, 3)


def test_steps_that_follow_are_come_through_again_and_only_their_failures_run(
    world: World,
) -> None:
    rows = Rows(world)
    rows.bad = {"load": {1}, "check": {5, 8}}
    request_id = run(world, LOAD | {"block": 4}, CHECK, REPORT)
    steps = [step["completed_at"] for step in world.view(request_id)["steps"]]
    rows.mended()
    world.clock.advance(60)
    retry(world, request_id)
    assert sorted(rows.ran) == [("check", 5), ("check", 8), ("load", 1)]
    view = world.view(request_id)
    assert len(view["extras"]) == 21
    assert [step["status"] for step in view["steps"]] == ["completed"] * 3
    assert [step["completed_at"] for step in view["steps"]] == steps


def test_a_retry_begins_with_the_first_step_that_had_failures(world: World) -> None:
    rows = Rows(world)
    rows.bad = {"check": {5}}
    request_id = run(world, LOAD, CHECK, REPORT)
    rows.mended()
    assert world.requests.retry(request_id).current_step == 2
    world.run_through()
    assert rows.ran == [("check", 5)]


def test_what_fails_again_is_tolerated_again_and_may_be_retried_again(world: World) -> None:
    rows = Rows(world)
    rows.bad = {"load": {2, 3}}
    request_id = run(world, LOAD | {"block": 5}, REPORT)
    rows.bad = {"load": {3}}
    retry(world, request_id)
    rows.mended()
    retry(world, request_id)
    assert rows.ran == [("load", 3)]
    with pytest.raises(Conflict, match="one that has completed with failures"):
        world.requests.retry(request_id)


@pytest.mark.parametrize("entry", [LOAD, LOAD | {"block": 4}, REPORT])
def test_a_request_of_which_nothing_has_failed_cannot_be_retried(
    world: World, entry: dict[str, Any]
) -> None:
    Rows(world)
    request_id = run(world, entry)
    before = world.request(request_id)
    with pytest.raises(Conflict, match="is Completed"):
        world.requests.retry(request_id)
    assert world.request(request_id) == before


def test_a_manifest_of_results_has_what_completed_since(world: World) -> None:
    rows = Rows(world)
    rows.bad = {"load": {0, 9}}
    request_id = run(world, LOAD | {"collect": "manifest", "block": 4})
    assert world.view(request_id)["extras"]["load"]["count"] == 8
    rows.mended()
    retry(world, request_id)
    assert world.view(request_id)["extras"]["load"]["count"] == 10


def test_a_request_that_is_cancelled_while_it_is_retried_is_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(world)
    rows.bad = {"load": {0, 9}}
    request_id = run(world, LOAD)
    rows.mended()
    world.requests.retry(request_id)
    world.requests.cancel(request_id)
    world.run_through()
    request = world.request(request_id)
    assert (request.status, request.due_at) == (RequestStatus.CANCELLED, None)
    assert rows.ran == []
    again = [status for status in world.statuses(request_id) if " 2 " in status]
    assert again == ["load[0] 2 cancelled", "load[9] 2 cancelled"]
    [step] = world.store.steps(request_id)
    counts = (step.counts["completed"], step.counts["failure"], step.counts["cancelled"])
    assert (step.status, counts) == (StepStatus.COMPLETED, (8, 2, 2))
    closed = counted(monkeypatch, world.store, "close_step")
    world.cleaner.clean_up(request)
    assert closed == []


def test_the_jobs_of_a_retry_that_is_cancelled_are_cancelled_though_they_were_handed_out(
    world: World,
) -> None:
    rows = Rows(world)
    rows.bad = {"load": {0, 9}}
    request_id = run(world, LOAD)
    rows.mended()
    world.requests.retry(request_id)
    world.advancer.advance(request_id, 2)
    assert world.statuses(request_id)[-1] == "load[9] 2 new"
    world.requests.cancel(request_id)
    world.run_through()
    assert world.statuses(request_id)[-1] == "load[9] 2 cancelled"
    assert rows.ran == []


def test_a_step_that_has_completed_is_not_opened_again_by_a_retry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Rows(world)
    rows.bad = {"load": {0, 9}}
    request_id = run(world, LOAD)
    rows.mended()
    world.requests.retry(request_id)
    closed = counted(monkeypatch, world.store, "close_step")
    world.advancer.advance(request_id, 2)
    assert closed == []
    assert world.statuses(request_id)[-1] == "load[9] 2 new"


@pytest.mark.parametrize(("steps", "write"), [(1, "finish"), (2, "enter_step")])
def test_an_execution_that_is_held_up_while_it_settles_a_step_undoes_no_retry(
    world: World, monkeypatch: pytest.MonkeyPatch, steps: int, write: str
) -> None:
    rows = Rows(world)
    rows.bad = {"load": {1}}
    world.request_type("rows", [LOAD], *([REPORT] for _ in range(steps - 1)))
    request_id = world.submit("rows", items=list(range(3)))
    [batch] = world.advancer.advance(request_id, 1).batches
    world.runner.run(request_id, batch["jobs"], timedelta(minutes=15))
    late = getattr(world.store, write)

    def others_are_faster(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(world.store, write, late)
        world.run_through()
        rows.mended()
        world.requests.retry(request_id)
        return late(*given, **named)

    monkeypatch.setattr(world.store, write, others_are_faster)
    world.advancer.advance(request_id, 1)
    assert world.request(request_id).status is RequestStatus.INPROGRESS
    assert world.request(request_id).current_step == 1
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert rows.ran == [("load", 1)]


def test_a_job_that_is_retried_sees_the_extras_with_which_its_step_began(world: World) -> None:
    seen: list[Any] = []

    def look(job: Job) -> dict[str, Any]:
        seen.append(job.extras)
        if len(seen) == 1:
            raise Failure("not yet")
        return {"state": "checked"}

    world.job_type("first", lambda job: {"state": "raw"})
    world.job_type("look", look)
    world.job_type("last", lambda job: {"state": "final"})
    look_once = {"name": "look", "type": "look", "for_each": "`[1]`", "tolerate": 1}
    first, last = {"name": "a", "type": "first"}, {"name": "b", "type": "last"}
    request_id = run(world, first, look_once, last)
    retry(world, request_id)
    assert seen == [{"state": "raw"}, {"state": "raw"}]
    assert world.view(request_id)["extras"] == {"state": "final"}


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_request_that_has_not_completed_is_not_taken_back_to_failures_of_earlier_steps(
    world: World, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    rows = Rows(world)
    rows.bad = {"load": {1}}
    world.job_type("poll", target="worker")
    world.request_type("rows", [LOAD], [{"name": "poll", "type": "poll"}])
    request_id = world.submit("rows", items=[0, 1, 2])
    world.run()
    if is_cancelled:
        world.requests.cancel(request_id)
        world.run()
    before = world.request(request_id)
    assert (before.current_step, before.has_ended) == (2, is_cancelled)
    reopened = counted(monkeypatch, world.store, "reopen")
    with pytest.raises(Conflict, match="only a Failed request can be retried"):
        world.requests.retry(request_id)
    assert (reopened, world.request(request_id)) == ([], before)


def test_a_step_from_before_its_extras_were_kept_begins_with_those_of_its_request(
    world: World,
) -> None:
    rows = Rows(world)
    rows.bad = {"load": {1}}
    request_id = run(world, LOAD, REPORT, items=3)
    step = world.store.get_step(request_id, 1)
    assert step is not None
    world.tables.put_step(replace(step, extras=None))
    rows.mended()
    retry(world, request_id)
    assert set(world.view(request_id)["extras"]) == {"load 0", "load 1", "load 2", "report None"}


def test_a_second_retry_keeps_what_the_first_has_brought(world: World) -> None:
    """The first began at the first step, the second begins at the one behind."""
    rows = Rows(world)
    rows.bad = {"load": {1}, "check": {2}}
    request_id = run(world, LOAD, CHECK)
    rows.bad = {"check": {2}}
    retry(world, request_id)
    rows.mended()
    retry(world, request_id)
    extras = world.view(request_id)["extras"]
    assert (extras["load 1"], extras["check 2"]) == (2, 3)
    assert len(extras) == 20
