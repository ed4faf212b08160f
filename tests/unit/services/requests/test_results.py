"""Reading a step's attempts and their results in little memory."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.services.requests import results
from shiftwork_core.services.requests.results import attempts_of, extras_so_far
from tests.unit.services.conftest import counted
from tests.world.world import World


def worked(world: World, **entry: Any) -> str:
    """Return a request of four jobs, of which the last two have failed."""

    def work(job: Job) -> dict[str, Any]:
        if job.item["n"] > 1:
            raise Failure("bad")
        return {"n": job.item["n"]}

    world.job_type("work", work)
    each = {"name": "j", "type": "work", "for_each": "params.items", "params": {"of": "{item.n}"}}
    world.request_type("some", [each | entry], on_failure="finish")
    request_id = world.submit("some", items=[{"n": n} for n in range(4)])
    world.run_through()
    return request_id


@pytest.mark.parametrize(("held_bytes", "whole"), [(10_000, [0, 1, 2, 3]), (1, [2, 3])])
def test_only_attempts_that_have_completed_lack_their_values_and_only_beyond_a_bound(
    world: World, monkeypatch: pytest.MonkeyPatch, held_bytes: int, whole: list[int]
) -> None:
    monkeypatch.setattr(results, "_HELD_BYTES", held_bytes)
    request_id = worked(world)
    found = attempts_of(world.records, request_id, 1)
    assert [a.key.job for a in found if a.item is not None and a.params is not None] == whole
    assert [a.key.job for a in found if a.output is not None] == [n for n in whole if n < 2]


def test_the_bound_is_one_of_all_attempts_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = worked(world)
    one = sum(len(text) for text in ('{"n":0}', '{"n":0}', '{"of":0}'))
    for held_bytes, whole in ((one - 1, []), (one, [0]), (2 * one, [0, 1])):
        monkeypatch.setattr(results, "_HELD_BYTES", held_bytes)
        found = attempts_of(world.records, request_id, 1)
        assert [a.key.job for a in found if a.output is not None] == whole


@pytest.mark.parametrize("block", [2, 4])
def test_attempts_at_blocks_lack_their_values(world: World, block: int) -> None:
    request_id = worked(world, block=block)
    found = attempts_of(world.records, request_id, 1)
    assert len(found) == 4 // block
    assert {(a.item, a.output) for a in found} == {(None, None)}


@pytest.mark.parametrize(("block", "reads"), [(None, 0), (2, 1)])
def test_results_that_are_at_hand_are_not_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, block: int | None, reads: int
) -> None:
    request_id = worked(world, block=block)
    request = world.request(request_id)
    [spec] = world.records.type_of(request).steps
    attempts = attempts_of(world.records, request_id, 1)
    read = counted(monkeypatch, world.jobs, "of_step")
    assert extras_so_far(world.records, request, spec, attempts) == {"n": 1}
    assert len(read) == reads


def test_no_results_are_read_of_a_block_of_which_no_job_has_completed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = worked(world, block=2)
    request = world.request(request_id)
    [spec] = world.records.type_of(request).steps
    attempts = attempts_of(world.records, request_id, 1)
    opened = counted(monkeypatch, results, "_results_of_block")
    assert extras_so_far(world.records, request, spec, attempts) == {"n": 1}
    assert len(opened) == 1
