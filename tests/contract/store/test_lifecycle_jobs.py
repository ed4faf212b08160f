"""Stores of lifecycle jobs: writing and listing them, and their logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shiftwork_core.domain.workspaces.records import (
    MAX_LOG_CHARACTERS,
    Cause,
    JobState,
    LifecycleJob,
    LogLevel,
    Operation,
    Workspace,
)
from shiftwork_core.errors import Invalid
from shiftwork_core.page_tokens import request_token
from shiftwork_core.ports.workspaces import MOST_LOOKED_AT, LifecycleWrite
from tests.contract.store.lifecycle_rows import (
    ENDS,
    FULL_JOB,
    MILLISECOND,
    a_job,
    a_line,
    a_workspace,
    acquire,
    inserted,
    naming,
    saved,
    updated,
)
from tests.contract.store.rows import LEASE, NOW, SECOND, Stores, a_request, sent_twice

Update = Callable[..., LifecycleWrite]
UPDATES: dict[str, Callable[[Stores], Update]] = {
    "update": lambda s: s.lifecycle_jobs.update_workspace_lifecycle_job_by_id,
    "cancel": lambda s: s.lifecycle_jobs.update_workspace_lifecycle_job_with_cancel_by_id,
    "complete": lambda s: s.lifecycle_jobs.update_workspace_lifecycle_job_with_complete_by_id,
}


@pytest.fixture(params=UPDATES)
def update(request: pytest.FixtureRequest, stores: Stores) -> Update:
    """Return each of the methods that update a job."""
    return UPDATES[request.param](stores)


# -- inserts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [FULL_JOB, a_job()], ids=["full", "bare"])
def test_a_job_is_read_back_as_it_was_written(stores: Stores, job: LifecycleJob) -> None:
    workspace = naming(a_workspace(), job)
    both = sent_twice(lambda: stores.lifecycle_jobs.insert_workspace_lifecycle_job(job, workspace))
    assert both == LifecycleWrite(True, replace(job, revision=1), replace(workspace, revision=1))
    assert stores.lifecycle_jobs.get("j1") == both.job
    assert stores.workspaces.get("w1") == both.workspace


def test_a_job_that_nobody_has_written_does_not_exist(stores: Stores) -> None:
    assert stores.lifecycle_jobs.get("j1") is None
    assert stores.lifecycle_jobs.find(None, None, 9, None).items == []
    assert stores.lifecycle_jobs.find("w1", None, 9, None).items == []
    assert stores.lifecycle_jobs.upcoming(NOW, NOW + LEASE, 9) == []
    assert acquire(stores) is None
    assert acquire(stores, job_id="j1") is None


def test_a_job_that_exists_is_not_written_again(stores: Stores) -> None:
    job = inserted(stores)
    workspace = stores.workspaces.get("w1")
    assert workspace is not None
    for other in (a_job(cause=Cause.IDLE), replace(job, cause=Cause.IDLE)):
        both = sent_twice(
            lambda other=other: stores.lifecycle_jobs.insert_workspace_lifecycle_job(  # type: ignore[misc]
                other, replace(workspace, failures=1)
            )
        )
        assert both == LifecycleWrite(False, job, workspace)
    assert stores.lifecycle_jobs.get("j1") == job
    assert stores.workspaces.get("w1") == workspace


def test_a_job_is_not_written_for_a_workspace_that_was_written_since(stores: Stores) -> None:
    seen = saved(stores, a_workspace())
    winner = saved(stores, replace(seen, failures=1))
    for workspace in (seen, a_workspace()):
        both = stores.lifecycle_jobs.insert_workspace_lifecycle_job(a_job(), workspace)
        assert both == LifecycleWrite(False, None, winner)
    assert stores.lifecycle_jobs.get("j1") is None


def test_a_job_is_not_written_for_a_workspace_that_was_deleted(stores: Stores) -> None:
    seen = saved(stores, a_workspace())
    assert stores.workspaces.delete(seen)
    both = stores.lifecycle_jobs.insert_workspace_lifecycle_job(a_job(), seen)
    assert both == LifecycleWrite(False, None, None)
    assert stores.lifecycle_jobs.get("j1") is None
    assert stores.workspaces.get("w1") is None


# -- updates -------------------------------------------------------------------------------------


def rows(stores: Stores) -> tuple[LifecycleJob, Workspace]:
    """Write a job and its workspace; return both as they are read."""
    job, workspace = inserted(stores), stores.workspaces.get("w1")
    assert workspace is not None
    return job, workspace


def test_a_job_alone_is_written_under_its_revision(stores: Stores, update: Update) -> None:
    job, workspace = rows(stores)
    both = sent_twice(lambda: update(replace(FULL_JOB, revision=job.revision)))
    assert both == LifecycleWrite(True, replace(FULL_JOB, revision=2), None)
    assert stores.lifecycle_jobs.get("j1") == both.job
    assert stores.workspaces.get("w1") == workspace


def test_a_job_and_its_workspace_are_written_together(stores: Stores, update: Update) -> None:
    job, workspace = rows(stores)
    both = sent_twice(
        lambda: update(replace(job, error="broken"), replace(workspace, pending={}, failures=1))
    )
    assert both.won
    assert both.job == stores.lifecycle_jobs.get("j1") == replace(job, error="broken", revision=2)
    assert both.workspace == stores.workspaces.get("w1")
    assert both.workspace == replace(workspace, pending={}, failures=1, revision=2)


def test_a_writer_with_an_older_job_loses_and_sees_both_rows(
    stores: Stores, update: Update
) -> None:
    job, workspace = rows(stores)
    winner = updated(stores, job, error="broken")
    for seen in (job, replace(job, revision=0)):
        loser = replace(seen, attempt=1)
        assert sent_twice(lambda loser=loser: update(loser)) == LifecycleWrite(  # type: ignore[misc]
            False, winner, None
        )
        both = sent_twice(
            lambda loser=loser: update(loser, replace(workspace, failures=1))  # type: ignore[misc]
        )
        assert both == LifecycleWrite(False, winner, workspace)
    assert stores.lifecycle_jobs.get("j1") == winner
    assert stores.workspaces.get("w1") == workspace


def test_a_writer_with_an_older_workspace_loses_and_sees_both_rows(
    stores: Stores, update: Update
) -> None:
    job, workspace = rows(stores)
    winner = saved(stores, replace(workspace, failures=1))
    both = sent_twice(lambda: update(replace(job, attempt=1), workspace))
    assert both == LifecycleWrite(False, job, winner)
    assert stores.lifecycle_jobs.get("j1") == job


def test_a_writer_with_two_older_rows_loses_and_sees_both(stores: Stores, update: Update) -> None:
    job, workspace = rows(stores)
    winner = updated(stores, job, error="broken")
    other = saved(stores, replace(workspace, failures=1))
    both = sent_twice(lambda: update(replace(job, attempt=1), replace(workspace, failures=2)))
    assert both == LifecycleWrite(False, winner, other)


def test_a_writer_of_the_same_workspace_with_another_end_of_the_job_loses(
    stores: Stores, update: Update
) -> None:
    """One cancels a job and another completes it in the same millisecond."""
    job, workspace = rows(stores)
    left = replace(workspace, pending={})
    first = stores.lifecycle_jobs.update_workspace_lifecycle_job_by_id(
        replace(job, cancelled_at=NOW, due_at=None), left
    )
    assert first.won
    both = update(replace(job, completed_at=NOW, due_at=None), left)
    assert both == LifecycleWrite(False, first.job, first.workspace)


def test_a_writer_of_the_same_job_with_another_workspace_loses(
    stores: Stores, update: Update
) -> None:
    job, workspace = rows(stores)
    ended = replace(job, cancelled_at=NOW, due_at=None)
    first = stores.lifecycle_jobs.update_workspace_lifecycle_job_by_id(
        ended, replace(workspace, pending={})
    )
    assert first.won
    both = update(ended, replace(workspace, failures=1))
    assert both == LifecycleWrite(False, first.job, first.workspace)


def test_an_update_does_not_create_a_job(stores: Stores, update: Update) -> None:
    workspace = saved(stores, a_workspace())
    for seen in (a_job(), a_job(revision=1)):
        assert update(seen) == LifecycleWrite(False, None, None)
        assert update(seen, workspace) == LifecycleWrite(False, None, workspace)
    assert stores.lifecycle_jobs.get("j1") is None
    assert stores.workspaces.get("w1") == workspace


# -- lists ---------------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_page_by_page(stores: Stores) -> None:
    jobs = {
        n: inserted(stores, job_id=f"j{n}", created_at=NOW + n * SECOND) for n in (3, 1, 5, 2, 4)
    }
    for workspace_id in (None, "w1"):
        first = stores.lifecycle_jobs.find(workspace_id, None, 2, None)
        assert first.items == [jobs[5], jobs[4]]
        second = stores.lifecycle_jobs.find(workspace_id, None, 2, first.next_token)
        assert second.items == [jobs[3], jobs[2]]
        last = stores.lifecycle_jobs.find(workspace_id, None, 2, second.next_token)
        assert (last.items, last.next_token) == ([jobs[1]], None)


def test_a_page_of_jobs_that_holds_all_is_the_last(stores: Stores) -> None:
    for n in (1, 2):
        inserted(stores, job_id=f"j{n}")
    for state in (None, JobState.PENDING):
        assert stores.lifecycle_jobs.find(None, state, 2, None).next_token is None
        assert stores.lifecycle_jobs.find("w1", state, 2, None).next_token is None


def test_jobs_created_at_one_time_have_places_of_their_own(stores: Stores) -> None:
    """A scheduler plans many at once, and a page may end among them."""
    for n in range(9):
        inserted(stores, job_id=f"j{n}")
    for workspace_id in (None, "w1"):
        ids, token = [], None
        for _ in range(5):
            page = stores.lifecycle_jobs.find(workspace_id, None, 2, token)
            ids += [job.id for job in page.items]
            token = page.next_token
        assert (ids, token) == ([f"j{n}" for n in reversed(range(9))], None)


def test_jobs_are_listed_of_one_workspace(stores: Stores) -> None:
    mine, other = inserted(stores), inserted(stores, job_id="j2", workspace_id="w2")
    assert stores.lifecycle_jobs.find("w1", None, 9, None).items == [mine]
    assert stores.lifecycle_jobs.find("w2", None, 9, None).items == [other]


@pytest.mark.parametrize("state", JobState)
def test_jobs_are_listed_in_one_state(stores: Stores, state: JobState) -> None:
    for n, values in enumerate(ENDS.values()):
        inserted(stores, job_id=f"j{n}", workspace_id=f"w{n % 2}", **values)
    [found] = stores.lifecycle_jobs.find(None, state, 9, None).items
    assert found.state is state
    assert stores.lifecycle_jobs.find(found.workspace_id, state, 9, None).items == [found]
    other = "w1" if found.workspace_id == "w0" else "w0"
    assert stores.lifecycle_jobs.find(other, state, 9, None).items == []


def test_a_page_of_jobs_in_one_state_may_be_short_and_have_a_next_one(stores: Stores) -> None:
    """A page reads a hundred jobs of any state."""
    oldest = [inserted(stores, job_id=f"j{n:03}", started_at=NOW) for n in (0, 1)]
    for n in range(2, MOST_LOOKED_AT + 1):
        inserted(stores, job_id=f"j{n:03}")
    first = stores.lifecycle_jobs.find(None, JobState.RUNNING, 1, None)
    assert first.items == [oldest[1]]
    second = stores.lifecycle_jobs.find(None, JobState.RUNNING, 1, first.next_token)
    assert (second.items, second.next_token) == ([oldest[0]], None)
    updated(stores, oldest[1], started_at=None)
    first = stores.lifecycle_jobs.find(None, JobState.RUNNING, 9, None)
    assert first.items == []
    second = stores.lifecycle_jobs.find(None, JobState.RUNNING, 9, first.next_token)
    assert (second.items, second.next_token) == ([oldest[0]], None)


@pytest.mark.parametrize(
    "token",
    ["nonsense", "", request_token(a_request()), "WyJqMSJd", "WyIyMDI2LTAxLTMxVDA5OjAwOjAwWiJd"],
    ids=["nonsense", "empty", "of requests", "without a time", "without an id"],
)
@pytest.mark.parametrize("workspace_id", [None, "w1"])
def test_a_token_that_no_list_of_jobs_returned_is_refused(
    stores: Stores, workspace_id: str | None, token: str
) -> None:
    with pytest.raises(Invalid):
        stores.lifecycle_jobs.find(workspace_id, None, 9, token)


# -- logs ----------------------------------------------------------------------------------------


def test_lines_are_read_in_order_of_time(stores: Stores) -> None:
    lines = [
        a_line(n, created_at=NOW + at * MILLISECOND, level=level)
        for n, (at, level) in enumerate(zip((3, 1, 2, 4, 5), LogLevel, strict=True))
    ]
    lines.append(a_line(9, created_at=NOW + 6 * MILLISECOND, output=""))
    stores.lifecycle_jobs.insert_workspace_lifecycle_job_logs(lines)
    assert stores.lifecycle_jobs.logs("j1") == [lines[n] for n in (1, 2, 0, 3, 4, 5)]


def test_a_line_that_is_sent_twice_is_stored_once(stores: Stores) -> None:
    line, long = a_line(1), a_line(2, output="ü" * MAX_LOG_CHARACTERS)
    for lines in ([line, line], [line, long], []):
        stores.lifecycle_jobs.insert_workspace_lifecycle_job_logs(lines)
    assert stores.lifecycle_jobs.logs("j1") == [line, long]


def test_a_line_stays_as_it_was_first_written(stores: Stores) -> None:
    for output in ("first", "second"):
        line = a_line(output=output)
        stores.lifecycle_jobs.insert_workspace_lifecycle_job_logs([line])
    assert [line.output for line in stores.lifecycle_jobs.logs("j1")] == ["first"]


def test_lines_of_one_time_are_read_in_the_order_they_were_written(stores: Stores) -> None:
    lines = [a_line(number) for number in (3, 1, 2)]
    stores.lifecycle_jobs.insert_workspace_lifecycle_job_logs(lines)
    stores.lifecycle_jobs.insert_workspace_lifecycle_job_logs(lines[1:])
    assert stores.lifecycle_jobs.logs("j1") == lines


def test_each_job_has_a_log_of_its_own(stores: Stores) -> None:
    lines = [a_line(1, "j1"), a_line(1, "j2")]
    stores.lifecycle_jobs.insert_workspace_lifecycle_job_logs(lines)
    assert [stores.lifecycle_jobs.logs(job_id) for job_id in ("j1", "j2", "j3")] == [
        [lines[0]],
        [lines[1]],
        [],
    ]


def test_an_operation_knows_its_goal_and_its_opposite(stores: Stores) -> None:
    for n, operation in enumerate(Operation):
        job = inserted(stores, job_id=f"j{n}", operation=operation)
        assert stores.lifecycle_jobs.get(job.id) == job
    workspace = stores.workspaces.get("w1")
    assert workspace is not None
    assert {o: p.job_id for o, p in workspace.pending.items()} == {
        Operation.START: "j0",
        Operation.STOP: "j1",
    }
