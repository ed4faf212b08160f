"""Pages of a request's jobs, those of blocks too, while the jobs change; and jobs found by id."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryJobStore
from shiftwork_core.domain.payloads import Payload, to_json
from shiftwork_core.domain.requests.blocks import Results
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus
from shiftwork_core.errors import Invalid, NotFound
from shiftwork_core.services.polling.lookup import TaskLookup
from tests.unit.services.conftest import counted
from tests.unit.services.requests.test_block_failures import fails_and_retries
from tests.unit.services.requests.test_blocks import jobs, ran, submit
from tests.world.world import World


@pytest.fixture
def running(world: World) -> Callable[..., str]:
    """Return what writes how far the only block of a request is, of which all ten jobs run."""
    request_id = submit(world, 10, ran)
    world.advancer.advance(request_id, 1)
    [row] = world.attempts(request_id)
    assert row.block is not None
    block = replace(row.block, begun=10)

    def write(*completed: int) -> str:
        results = Results(completed={place: {} for place in completed})
        world.tables.put_attempt(
            replace(
                row,
                status=AttemptStatus.INPROGRESS,
                block=replace(block, completed=len(completed)),
                output=Payload(text=to_json(results.to_json())),
            )
        )
        return request_id

    return write


def page(
    world: World, request_id: str, status: AttemptStatus | None, limit: int, token: str | None
) -> tuple[list[int], str | None]:
    found = world.requests.attempts(request_id, None, status, limit, token)
    return [details.attempt.key.job for details in found.items], found.next_token


def test_no_job_is_skipped_because_others_before_it_are_in_another_status_by_now(
    world: World, running: Callable[..., str]
) -> None:
    running_jobs = AttemptStatus.INPROGRESS
    shown, token = page(world, running(), running_jobs, 4, None)
    assert shown == [0, 1, 2, 3]
    assert page(world, running(0, 1, 2, 3, 4, 5), running_jobs, 4, token) == ([6, 7, 8, 9], None)


def test_no_job_is_shown_twice_because_others_before_it_are_in_this_status_by_now(
    world: World, running: Callable[..., str]
) -> None:
    shown, token = page(world, running(4, 5, 8), AttemptStatus.COMPLETED, 2, None)
    assert shown == [4, 5]
    assert page(world, running(0, 1, 4, 5, 8), AttemptStatus.COMPLETED, 2, token) == ([8], None)


def test_a_row_that_has_gone_between_two_pages_hides_none_behind_it(world: World) -> None:
    request_id = submit(world, 20, ran)
    world.run_through()
    _, token = page(world, request_id, None, 4, None)
    first = world.attempts(request_id)[0]
    del world.tables.attempts[request_id][first.key]
    assert page(world, request_id, None, 3, token)[0] == [10, 11, 12]


@pytest.mark.parametrize("limit", [1, 3, 10, 15, 22])
def test_each_page_asks_the_store_once(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    asked: list[Any] = []

    def find(*args: Any) -> Any:
        asked.append(args)
        return MemoryJobStore.find(*args)

    request_id = submit(world, 63, ran, entry={"block": 3})
    world.run_through()
    store = type("Counting", (MemoryJobStore,), {"find": find})(world.tables)
    monkeypatch.setattr(world.requests, "_records", replace(world.records, jobs=store))
    shown, pages, token = [], 0, None
    while pages == 0 or token is not None:
        numbers, token = page(world, request_id, None, limit, token)
        shown += numbers
        pages += 1
    assert shown == list(range(63))
    assert len(asked) == pages


def test_a_page_opens_only_so_many_blocks(world: World) -> None:
    request_id = submit(world, 60, ran, entry={"block": 2})
    world.run_through()
    assert len(page(world, request_id, None, 60, None)[0]) == 40
    assert len(jobs(world, request_id, limit=60)) == 60


def test_a_page_has_as_many_jobs_with_rows_of_their_own_as_are_asked_for(world: World) -> None:
    request_id = submit(world, 60, ran, entry={"block": None})
    world.run_through()
    assert len(page(world, request_id, None, 60, None)[0]) == 60


def test_a_page_that_a_block_fills_ends_before_the_row_behind_it(world: World) -> None:
    world.job_type("rows.load", ran)
    entry = {"name": "load", "type": "rows.load", "for_each": "params.items"}
    world.request_type("load", [entry | {"block": 4}], [entry])
    request_id = world.submit("load", items=[0, 1, 2, 3])
    world.run_through()
    first, token = page(world, request_id, None, 4, None)
    assert first == [0, 1, 2, 3]
    assert page(world, request_id, None, 4, token) == ([0, 1, 2, 3], None)


def test_results_are_read_of_blocks_that_have_jobs_of_the_status_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, 12, fails_and_retries(6), entry={"block": 4, "tolerate": 1})
    world.run_through()
    read = counted(monkeypatch, type(world.records), "items_of")
    assert page(world, request_id, AttemptStatus.FAILURE, 9, None) == ([6], None)
    assert len(read) == 1


def test_all_attempts_of_a_request_are_read_though_a_page_of_them_is_short(world: World) -> None:
    request_id = submit(world, 60, ran, entry={"block": 2})
    world.run_through()
    found = world.tasks.of_request(request_id, 60) or []
    assert [task.attempt.key.job for task in found] == list(range(60))


def token_of(position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "nonsense",
        "3~",
        "äöü",
        token_of("text"),
        token_of([]),
        token_of(["one"]),
        token_of(["0001#000000#0001", "one"]),
        token_of(["0001#000000#0001", "1", "2"]),
        token_of(["1#0#1"]),
        token_of(["2026-01-31T09:00:00.000Z", "r1"]),
    ],
)
def test_a_token_that_this_list_did_not_return_is_refused(world: World, bad: str) -> None:
    request_id = submit(world, 3, ran)
    with pytest.raises(Invalid) as refused:
        page(world, request_id, None, 5, bad)
    assert [fault.path for fault in refused.value.faults] == ["next_token"]


# -- by its id -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "reads"),
    [("1.0.1", 1), ("1.1.1", 2), ("1.10.1", 2), ("1.1.9", 2), ("1.99.1", 1), ("2.0.1", 1)],
)
@pytest.mark.parametrize("by", ["a worker", "people"])
def test_a_job_is_found_without_reading_a_row_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, by: str, place: str, reads: int
) -> None:
    request_id = submit(world, 12, ran)
    world.run_through()
    read: list[object] = []

    def get(self: MemoryJobStore, *key: Any) -> Attempt | None:
        read.append(key)
        return world.tables.attempt(*key)

    monkeypatch.setattr(MemoryJobStore, "get", get)
    find = TaskLookup(world.records).attempt if by == "a worker" else world.requests.attempt
    attempt_id = f"{request_id}.{place}"
    if place in ("1.1.9", "1.99.1", "2.0.1"):
        with pytest.raises(NotFound):
            find(attempt_id)
    else:
        assert find(attempt_id).attempt_id == attempt_id
    assert len(read) == len(set(read)) == reads


def test_a_place_in_a_row_that_is_no_block_is_behind_it(world: World) -> None:
    request_id = submit(world, 3, ran, entry={"block": None})
    world.run_through()
    token = token_of(["0001#000001#0001", "3"])
    assert page(world, request_id, None, 9, token)[0] == [2]
