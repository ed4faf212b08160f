"""Where the results of a step's jobs go: into the extras, a manifest of lines, or nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.services.requests import lines
from shiftwork_core.services.requests import results as merging
from tests.unit.services.conftest import counted
from tests.world.world import World

FIRST = {"name": "load", "type": "rows.load", "for_each": "params.items"}
THEN = {"name": "sum", "type": "rows.sum", "for_each_in": "extras.load", "block": 4}


def run(world: World, *entries: dict[str, Any], items: int = 10, bad: tuple[int, ...] = ()) -> str:
    """Run a request with a step for each entry; return its id."""

    def load(job: Job) -> dict[str, Any]:
        if job.item in bad:
            raise Failure("bad row")
        return {"n": job.item, "text": "line\nfeed"}

    world.job_type("rows.load", load)
    world.job_type("rows.sum", lambda job: {f"got {job.item['n']}": job.item["text"]})
    world.request_type("two", *([entry] for entry in entries))
    request_id = world.submit("two", items=list(range(items)))
    world.run_through()
    return request_id


@pytest.mark.parametrize("block", [None, 1, 3, 100])
def test_the_next_step_takes_its_items_from_a_manifest_of_results(
    world: World, monkeypatch: pytest.MonkeyPatch, block: int | None
) -> None:
    monkeypatch.setattr(lines, "PART_BYTES", 70)
    request_id = run(world, FIRST | {"collect": "manifest", "block": block}, THEN)
    assert world.request(request_id).status is RequestStatus.COMPLETED
    extras = world.view(request_id)["extras"]
    manifest = extras.pop("load")
    assert manifest["count"] == 10
    assert len(manifest["parts"]) == 4
    assert extras == {f"got {n}": "line\nfeed" for n in range(10)}


def test_a_manifest_has_a_line_for_each_job_that_completed(world: World) -> None:
    entry = FIRST | {"collect": "manifest", "block": 4, "tolerate": 3}
    request_id = run(world, entry, THEN, bad=(0, 5, 9))
    extras = world.view(request_id)["extras"]
    assert extras.pop("load")["count"] == 7
    assert sorted(extras) == [f"got {n}" for n in (1, 2, 3, 4, 6, 7, 8)]


def test_a_manifest_of_no_results_yields_no_jobs(world: World) -> None:
    request_id = run(world, FIRST | {"collect": "manifest"}, THEN, items=0)
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert world.view(request_id)["extras"] == {"load": {"parts": [], "count": 0}}


@pytest.mark.parametrize("block", [None, 3])
def test_results_that_go_nowhere_are_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch, block: int | None
) -> None:
    request_id = run(world, FIRST | {"collect": "none", "block": block})
    assert world.view(request_id)["extras"] == {}
    page = world.requests.attempts(request_id, None, None, 20, None)
    assert [one.output["n"] for one in page.items] == list(range(10))


def test_each_entry_of_a_step_says_where_its_own_results_go(world: World) -> None:
    entries: list[dict[str, Any]] = [
        FIRST | {"name": "kept", "block": 4},
        FIRST | {"name": "left", "collect": "none"},
        FIRST | {"name": "lines", "collect": "manifest", "block": 3},
    ]
    world.job_type("rows.load", lambda job: {f"job {job.item}": 1})
    world.request_type("three", entries)
    request_id = world.submit("three", items=list(range(10)))
    world.run_through()
    extras = world.view(request_id)["extras"]
    assert extras.pop("lines")["count"] == 10
    assert extras == {f"job {n}": 1 for n in range(10)}


def test_results_that_are_too_many_for_a_manifest_fail_the_request_and_say_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PART_BYTES", 1)
    monkeypatch.setattr(lines, "MAX_PARTS", 9)
    request_id = run(world, FIRST | {"collect": "manifest", "block": 3}, THEN)
    error = world.request(request_id).error
    assert error is not None and error.type == "ResultsTooLarge"
    assert "collect: none" in error.message


def test_what_a_stopped_step_has_collected_is_shown_without_manifests(world: World) -> None:
    entry = FIRST | {"block": 4}
    request_id = run(world, entry | {"collect": "manifest"}, THEN, bad=(9,))
    assert world.request(request_id).status is RequestStatus.FAILED
    assert world.view(request_id)["extras"] == {}
    request_id = run(world, entry, THEN, bad=(9,))
    assert world.view(request_id)["extras"] != {}


def test_a_request_cannot_name_the_parts_of_another(world: World) -> None:
    other = run(world, FIRST | {"collect": "manifest"})
    manifest = world.view(other)["extras"]["load"]
    world.request_type("steal", [THEN | {"for_each_in": "params.manifest"}])
    request_id = world.submit("steal", manifest=manifest)
    world.run_through()
    error = world.request(request_id).error
    assert error is not None and error.type == "PlanFault"
    assert "only what its own steps have collected" in error.message


def test_a_part_that_is_shorter_than_it_is_said_to_be_is_refused(world: World) -> None:
    longer = "{parts: [[extras.load.parts[0][0], `1000`]], count: `10`}"
    request_id = run(world, FIRST | {"collect": "manifest"}, THEN | {"for_each_in": longer})
    error = world.request(request_id).error
    assert error is not None and error.type == "PlanFault"
    assert "ends before byte 1,000" in error.message


@pytest.mark.parametrize(
    "parts",
    [[None], [["a"]], [["a", "1"]], [["a", 0]], [["a", 10**9]], ["a"], [["a", 1]] * 257],
)
def test_what_names_no_parts_is_refused(world: World, parts: Any) -> None:
    world.job_type("rows.sum", lambda job: None)
    world.request_type("odd", [THEN | {"for_each_in": "params.manifest"}])
    request_id = world.submit("odd", manifest={"parts": parts, "count": 1})
    world.run_through()
    error = world.request(request_id).error
    assert error is not None and error.type == "PlanFault"


def test_a_part_is_stored_as_soon_as_it_is_full(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = counted(monkeypatch, world.payloads, "keep_part")
    result = {"n": 1}
    monkeypatch.setattr(lines, "PART_BYTES", len(b'{"n":1}\n'))
    written = lines.Lines(world.payloads, "r1", "j")
    written.add(result)
    assert len(kept) == 1
    written.add(result)
    assert (len(kept), written.finish()["count"]) == (2, 2)


@pytest.mark.parametrize(("results", "checks"), [(3, 1), (20, 2)])
def test_the_size_of_extras_is_looked_at_whenever_as_much_again_has_come(
    results: int, checks: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = counted(monkeypatch, merging, "_check")
    monkeypatch.setattr(merging, "MAX_RESULT_BYTES", 100)
    world.job_type("work", lambda job: {"n": job.item})
    each = {"name": "j", "type": "work", "for_each": "params.items"}
    world.request_type("some", [each])
    world.submit("some", items=list(range(results)))
    world.run()
    assert len(looks) == checks
