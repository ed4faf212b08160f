"""A list of a request's failed jobs: each with its own error, whatever its block did after."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryJobStore
from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.domain.payloads import Payload, to_json
from shiftwork_core.domain.requests.blocks import Results
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Invalid, NotFound
from shiftwork_core.services.requests import failures
from shiftwork_core.services.requests.failures import FailedJob
from tests.unit.services.conftest import counted
from tests.unit.services.requests.test_block_failures import fails_and_retries
from tests.unit.services.requests.test_blocks import submit
from tests.world.world import World


def all_failures(
    world: World, request_id: str, *, limit: int = 100, step: int | None = None
) -> list[FailedJob]:
    """Return all failed jobs, read page by page."""
    found: list[FailedJob] = []
    token = None
    while True:
        page = world.requests.failures(request_id, step, limit, token)
        assert len(page.items) <= limit
        found += page.items
        assert len(found) < 1_000, "it goes in circles"
        if (token := page.next_token) is None:
            return found


def told(world: World, request_id: str, **wanted: Any) -> list[str]:
    """Return the place and the error of each failed job."""
    return [
        f"{failed.attempt.attempt_id.removeprefix(f'{request_id}.')} "
        f"{failed.attempt.error and failed.attempt.error.message}"
        for failed in all_failures(world, request_id, **wanted)
    ]


# -- which, and how ------------------------------------------------------------------------------


def test_a_failed_job_is_listed_with_its_name_item_error_tries_and_time(world: World) -> None:
    for block in (None, 4):
        request_id = submit(world, 10, fails_and_retries(6), entry={"block": block, "tolerate": 1})
        world.run_through()
        assert world.request(request_id).status is RequestStatus.COMPLETED
        [failed] = all_failures(world, request_id)
        attempt = failed.attempt
        assert (attempt.attempt_id, attempt.name) == (f"{request_id}.1.6.1", "load[6]")
        assert attempt.error == JobError("Failure", "no. 6 is bad")
        assert (attempt.status, attempt.tries) == (AttemptStatus.FAILURE, 1)
        assert failed.item == "6"
        assert attempt.completed_at is not None


def test_jobs_that_failed_in_several_attempts_at_their_block_have_each_its_own(
    world: World,
) -> None:
    request_id = submit(
        world, 10, fails_and_retries(3, 5, for_ever=True), entry={"tolerate": "100%"}
    )
    world.run_through()
    assert told(world, request_id) == [
        "1.3.1 no. 3 is bad",
        "1.5.1 no. 5 is bad",
        "1.8.3 busy (gave up after 3 attempts)",
    ]
    assert [failed.attempt.tries for failed in all_failures(world, request_id)] == [1, 1, 3]


def test_failures_of_a_block_are_listed_while_it_waits_and_while_it_runs(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries(3), entry={"tolerate": 5})
    [batch] = world.advancer.advance(request_id, 1).batches
    world.invoke("RunJobs", {"request_id": request_id, "jobs": batch["jobs"]})
    assert told(world, request_id) == ["1.3.1 no. 3 is bad"]
    latest = world.attempts(request_id)[-1]
    assert latest.block is not None
    results = Results(failed={8: JobError("Failure", "no. 8 is bad")})
    world.tables.put_attempt(
        replace(
            latest,
            status=AttemptStatus.INPROGRESS,
            block=replace(latest.block, begun=1, given_up=1),
            output=Payload(text=to_json(results.to_json())),
        )
    )
    assert told(world, request_id) == ["1.3.1 no. 3 is bad", "1.8.2 no. 8 is bad"]


@pytest.mark.parametrize("block", [None, 4])
def test_what_a_users_retry_does_again_is_listed_only_if_it_fails_again(
    world: World, block: int | None
) -> None:
    failing = [3, 6]
    request_id = submit(
        world,
        10,
        lambda job: fails_and_retries(*failing)(job),
        entry={"block": block},
        on_failure="finish",
    )
    world.run_through()
    assert told(world, request_id) == ["1.3.1 no. 3 is bad", "1.6.1 no. 6 is bad"]
    failing.remove(3)
    world.requests.retry(request_id)
    world.run_through()
    assert told(world, request_id) == ["1.6.2 no. 6 is bad"]


def test_jobs_that_completed_or_were_cancelled_are_not_listed(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries(4), batch_size=1)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.FAILED
    assert told(world, request_id) == ["1.4.1 no. 4 is bad"]


def test_failures_of_all_steps_are_listed_or_of_one(world: World) -> None:
    world.job_type("rows.load", fails_and_retries(2), retry={"max_attempts": 1})
    entry = {"name": "load", "type": "rows.load", "for_each": "params.items", "tolerate": 1}
    world.request_type("load", [entry | {"block": 2}], [entry], [{**entry, "name": "last"}])
    request_id = world.submit("load", items=[0, 1, 2, 3])
    world.run_through()
    assert told(world, request_id) == [f"{step}.2.1 no. 2 is bad" for step in (1, 2, 3)]
    assert told(world, request_id, step=2) == ["2.2.1 no. 2 is bad"]
    assert told(world, request_id, step=9) == []
    # What was done in later steps stays, should an earlier one be gone through again.
    world.tables.put_request(replace(world.request(request_id), current_step=1))
    assert len(all_failures(world, request_id)) == 3


def test_a_request_without_failures_has_none_and_an_unknown_one_is_not_found(world: World) -> None:
    request_id = submit(world, 10, fails_and_retries())
    assert all_failures(world, request_id) == []
    world.run_through()
    assert all_failures(world, request_id) == []
    with pytest.raises(NotFound):
        all_failures(world, "none")


def test_a_long_item_is_cut_and_a_job_without_one_has_none(world: World) -> None:
    world.job_type("rows.load", lambda job: failing(job), retry={"max_attempts": 1})
    entry = {"name": "load", "type": "rows.load", "for_each": "params.items", "tolerate": 9}
    alone = {"name": "alone", "type": "rows.load"}
    world.request_type("load", [entry | {"block": 2}, entry, alone], on_failure="finish")
    request_id = world.submit("load", items=["x" * 999, "x" * 998])
    world.run_through()
    items = {failed.attempt.key.job: failed.item for failed in all_failures(world, request_id)}
    cut, whole = '"' + "x" * 999 + "…", json.dumps("x" * 998)
    assert items == {0: cut, 1: whole, 2: None, 3: cut, 4: whole}


def failing(job: Job) -> None:
    raise Failure("bad")


def test_what_has_expired_is_left_out_of_a_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 10, fails_and_retries(0, 3), entry={"tolerate": 2})
    world.run_through()

    def gone(*_: object) -> None:
        raise NotFound("it is not stored any more")

    monkeypatch.setattr(type(world.records.payloads), "unpack", gone)
    found = all_failures(world, request_id)
    assert [(failed.attempt.key.job, failed.item) for failed in found] == [(0, None), (3, None)]
    for failed in found:
        assert failed.attempt.error is not None
        assert "not stored any more" in failed.attempt.error.message


# -- pages ---------------------------------------------------------------------------------------


def thirds(job: Job) -> None:
    if job.item % 3 == 0 and job.attempt <= job.item % 4:
        raise Retry("busy")
    if job.item % 3 == 0:
        raise Failure(f"no. {job.item} is bad")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 100])
@pytest.mark.parametrize("block", [None, 1, 4, 40])
@pytest.mark.parametrize("bounds", [(1, 1, 2), (3, 2, 3), (500, 100, 20)])
def test_pages_list_each_failure_once_whatever_their_bounds(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    block: int | None,
    bounds: tuple[int, int, int],
) -> None:
    for name, bound in zip(("_MOST_ROWS", "_ROWS_AT_ONCE", "_MOST_READ"), bounds, strict=True):
        monkeypatch.setattr(failures, name, bound)
    entry = {"block": block, "tolerate": "100%"}
    request_id = submit(world, 40, thirds, entry=entry, retry={"max_attempts": 5})
    world.run_through()
    assert told(world, request_id, limit=limit) == [
        f"1.{n}.{n % 4 + 1} no. {n} is bad" for n in range(0, 40, 3)
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
@pytest.mark.parametrize("block", [None, 2, 4])
def test_pages_list_the_failures_of_each_step_once(
    world: World, limit: int, block: int | None
) -> None:
    world.job_type("rows.load", fails_and_retries(0, 1, 3), retry={"max_attempts": 1})
    entry = {"name": "load", "type": "rows.load", "for_each": "params.items", "tolerate": 3}
    world.request_type("load", *([entry | {"block": block}] for _ in range(3)))
    request_id = world.submit("load", items=[0, 1, 2, 3])
    world.run_through()
    assert told(world, request_id, limit=limit) == [
        f"{step}.{n}.1 no. {n} is bad" for step in (1, 2, 3) for n in (0, 1, 3)
    ]


def test_steps_that_have_completed_without_failures_are_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def find(self: MemoryJobStore, request_id: str, wanted: range, *args: Any) -> Any:
        steps.extend(wanted)
        return real(self, request_id, wanted, *args)

    bad = [True, False, True, True]
    world.job_type("rows.load", lambda job: failing(job) if bad.pop(0) else None)
    entry = {"name": "load", "type": "rows.load", "tolerate": 1, "for_each": "`[1]`"}
    world.request_type("load", *([entry] for _ in bad))
    world.job_type("rows.load", retry={"max_attempts": 1})
    request_id = world.submit("load")
    world.run_through()
    real = MemoryJobStore.find
    monkeypatch.setattr(MemoryJobStore, "find", find)
    assert told(world, request_id) == ["1.0.1 bad", "3.0.1 bad", "4.0.1 bad"]
    assert steps == [1, 3, 4]
    token = None
    for expected in ([1, 3], [1, 3, 4], [3, 4]):
        steps.clear()
        token = world.requests.failures(request_id, None, 1, token).next_token
        assert steps == expected


@pytest.mark.parametrize(("characters", "listed"), [(9, 25), (9_000, 20)])
def test_a_page_reads_a_bounded_number_of_large_items(
    world: World, characters: int, listed: int
) -> None:
    world.job_type("rows.load", failing, retry={"max_attempts": 1})
    entry = {"name": "load", "type": "rows.load", "for_each": "params.items", "tolerate": 25}
    world.request_type("load", [entry])
    request_id = world.submit("load", items=["x" * characters] * 25)
    world.run_through()
    assert len(world.requests.failures(request_id, None, 100, None).items) == listed
    assert len(all_failures(world, request_id)) == 25


def test_a_page_reads_a_bounded_number_of_rows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def find(self: MemoryJobStore, *args: Any) -> Any:
        rows = real(self, *args)
        read.append(len(rows.items))
        return rows

    request_id = submit(world, 1_200, fails_and_retries(1_100), entry={"block": None})
    world.advancer.advance(request_id, 1)
    real = MemoryJobStore.find
    monkeypatch.setattr(MemoryJobStore, "find", find)
    page = world.requests.failures(request_id, None, 10, None)
    assert (page.items, page.next_token is not None) == ([], True)
    assert sum(read) == 600
    assert all_failures(world, request_id) == []


def test_a_page_reads_the_results_of_a_bounded_number_of_blocks(world: World) -> None:
    request_id = submit(
        world, 50, fails_and_retries(*range(50)), entry={"block": 2, "tolerate": "100%"}
    )
    world.run_through()
    assert len(world.requests.failures(request_id, None, 100, None).items) == 40
    assert len(all_failures(world, request_id)) == 50


def test_a_page_reads_the_results_of_a_bounded_number_of_attempts_at_a_block(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_MOST_READ", 2)

    def one_by_one(job: Job) -> None:
        if job.attempt <= job.item:
            raise Retry("busy")
        raise Failure("bad")

    entry = {"block": 5, "tolerate": "100%"}
    request_id = submit(world, 5, one_by_one, entry=entry, retry={"max_attempts": 9})
    world.run_through()
    pages: list[list[int]] = []
    token: str | None = None
    while not pages or token is not None:
        page = world.requests.failures(request_id, None, 100, token)
        token = page.next_token
        pages.append([failed.attempt.key.job for failed in page.items])
    assert pages == [[0, 1], [2, 3], [4]]


def test_items_are_read_of_blocks_with_failures_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 12, fails_and_retries(6), entry={"block": 4, "tolerate": 1})
    world.run_through()
    read = counted(monkeypatch, type(world.records), "items_of")
    assert told(world, request_id) == ["1.6.1 no. 6 is bad"]
    assert len(read) == 1


def test_a_job_that_is_tried_again_between_two_pages_is_not_listed_twice(world: World) -> None:
    request_id = submit(
        world, 4, fails_and_retries(0, 2), entry={"block": None}, on_failure="finish"
    )
    world.run_through()
    first = world.requests.failures(request_id, None, 1, None)
    assert [failed.attempt.key.job for failed in first.items] == [0]
    world.requests.retry(request_id)
    world.run_through()
    second = world.requests.failures(request_id, None, 9, first.next_token)
    assert [str(failed.attempt.key) for failed in second.items] == ["0001#000002#0002"]


def test_a_token_that_this_list_did_not_return_is_refused(world: World) -> None:
    request_id = submit(world, 3, fails_and_retries())
    world.run_through()
    of_jobs = world.requests.attempts(request_id, None, None, 1, None).next_token
    for bad in ("", "nonsense", of_jobs, "WyJmYWlsZWQiXQ", "WyJmYWlsZWQiLCIxIiwiMDEiXQ"):
        with pytest.raises(Invalid):
            world.requests.failures(request_id, None, 1, bad)
