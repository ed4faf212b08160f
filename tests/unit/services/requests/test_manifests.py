"""Items from a manifest: planned as it streams by, read block by block."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryManifestSource
from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.payloads import to_json
from shiftwork_core.domain.requests.manifests.places import Place
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.services.requests import manifests
from shiftwork_core.services.requests.manifests import Slice
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

LONG = timedelta(minutes=15)
EACH = {
    "name": "load",
    "type": "rows.load",
    "for_each_in": "params.manifest",
    "block": 10,
}
CSV = "id,name\n" + "".join(f'{n},"no. {n}\nof many"\n' for n in range(25))
LINES = "\n".join(json.dumps({"id": str(n), "name": f"no. {n}\nof many"}) for n in range(25))


def store(world: World, key: str, content: str | bytes, bucket: str = "uploads") -> str:
    source = world.ports.manifests
    assert isinstance(source, MemoryManifestSource)
    data = content.encode() if isinstance(content, str) else content
    source.put(Place(bucket, key), gzip.compress(data) if key.endswith(".gz") else data)
    return f"s3://{bucket}/{key}"


def submit(world: World, manifest: Any, function: Any = None, **entry: Any) -> str:
    world.job_type("rows.load", function or name_of)
    world.request_type("load", [EACH | entry])
    return world.submit("load", manifest=manifest)


def name_of(job: Job) -> dict[str, Any]:
    return {f"job {job.item['id']}": job.item["name"]}


@pytest.mark.parametrize(
    "key, content",
    [
        ("rows.csv", CSV),
        ("rows.csv.gz", CSV),
        ("rows.jsonl", LINES),
        ("rows.ndjson.gz", LINES),
    ],
)
def test_each_record_of_a_manifest_is_the_item_of_a_job(
    world: World, key: str, content: str
) -> None:
    request_id = submit(world, store(world, key, content))
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert world.view(request_id)["extras"] == {f"job {n}": f"no. {n}\nof many" for n in range(25)}
    page = world.requests.attempts(request_id, None, None, 50, None)
    found = page.items
    assert [d.item["id"] for d in found] == [str(n) for n in range(len(found))]
    assert len(world.attempts(request_id)) == 3


@pytest.mark.parametrize("key", ["rows.jsonl", "rows.jsonl.gz"])
def test_a_record_that_cannot_be_read_fails_only_its_job(world: World, key: str) -> None:
    lines = [json.dumps({"id": n, "name": "x"}) for n in range(12)]
    lines[3] = "{broken"
    request_id = submit(world, store(world, key, "\n".join(lines)), tolerate=1)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    page = world.requests.attempts(request_id, None, AttemptStatus.FAILURE, 50, None)
    assert [(d.attempt.name, d.item) for d in page.items] == [("load[3]", None)]
    error = page.items[0].attempt.error
    assert error is not None and error.type == "ItemFault"
    [failed] = world.requests.failures(request_id, None, 50, None).items
    assert (failed.attempt.name, failed.item) == ("load[3]", None)


@pytest.mark.parametrize(
    "manifest, message",
    [
        (None, "s3://"),
        ("s3://forbidden/rows.csv", "ManifestArns"),
        ("s3://uploads/gone.csv", "gone.csv"),
        ("s3://uploads/rows.xlsx", ".csv"),
    ],
)
def test_a_manifest_that_cannot_be_used_fails_the_request_and_says_why(
    world: World, manifest: Any, message: str
) -> None:
    request_id = submit(world, manifest)
    world.run_through()
    error = world.request(request_id).error
    assert error is not None
    assert error.type == "PlanFault"
    assert message in error.message


def test_a_manifest_that_changes_while_its_request_runs_fails_the_jobs_left(world: World) -> None:
    manifest = store(world, "rows.csv", CSV)
    request_id = submit(world, manifest)
    batches = world.advancer.advance(request_id, 1).batches
    world.runner.run(request_id, batches[0]["jobs"], LONG)
    store(world, "rows.csv", CSV + "25,more\n")
    world.run_through()
    error = world.request(request_id).error
    assert error is not None and error.type == "ManifestFault"
    assert "rows.csv" in error.message


def test_a_manifest_that_changed_since_a_process_before_planned_it_fails_the_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = store(world, "rows.csv", CSV)
    request_id = submit(world, manifest)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "add_step", die)
        with pytest.raises(KeyboardInterrupt):
            world.advancer.advance(request_id, 1)
    store(world, "rows.csv", CSV.replace("no. 0", "no. zero"))
    world.advancer.advance(request_id, 1)
    error = world.request(request_id).error
    assert error is not None and "changed while the step was being planned" in error.message


def test_jobs_of_a_manifest_that_failed_are_retried_with_their_items(world: World) -> None:
    is_mended = False

    def some_fail(job: Job) -> dict[str, Any]:
        if job.item["id"] in ("7", "21") and not is_mended:
            raise Failure("bad row")
        return name_of(job)

    request_id = submit(world, store(world, "rows.csv", CSV), some_fail, tolerate=1)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.FAILED
    is_mended = True
    world.requests.retry(request_id)
    world.run_through()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert len(world.view(request_id)["extras"]) == 25


def kept_in_rows(world: World, request_id: str) -> list[str]:
    """Return what the rows of a request hold of the items of their blocks."""
    items = [row.item for row in world.attempts(request_id)]
    return [item.text for item in items if item is not None and item.text is not None]


def test_what_a_gzip_unpacks_to_is_kept_in_parts_and_not_in_rows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "PART_BYTES", 200)
    kept = counted(monkeypatch, world.blobs, "put_bytes")
    request_id = submit(world, store(world, "rows.csv.gz", CSV), block=1)
    world.advancer.advance(request_id, 1)
    assert len(kept) == 3
    assert all(len(text) < 400 for text in kept_in_rows(world, request_id))
    world.run_through()
    assert len(world.view(request_id)["extras"]) == 25


def test_a_header_of_many_columns_is_kept_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [f"column {n}" for n in range(500)]
    kept = counted(monkeypatch, world.blobs, "put_bytes")
    content = "\n".join(",".join(line) for line in [["id", "name", *columns]] + [["7"] * 502] * 3)
    request_id = submit(world, store(world, "rows.csv", content), block=1)
    world.advancer.advance(request_id, 1)
    assert len(kept) == 1
    assert all(len(text) < 400 for text in kept_in_rows(world, request_id))
    world.run_through()
    assert world.view(request_id)["extras"] == {"job 7": "7"}


@pytest.mark.parametrize("is_larger", [False, True])
def test_what_blocks_have_in_common_is_in_each_row_up_to_a_bound(
    world: World, monkeypatch: pytest.MonkeyPatch, is_larger: bool
) -> None:
    manifest = store(world, "rows.csv", CSV)
    request_id = submit(world, manifest)
    world.advancer.advance(request_id, 1)
    size = len(to_json(json.loads(kept_in_rows(world, request_id)[0])["head"]))
    monkeypatch.setattr(manifests, "_MAX_HEAD_BYTES", size - is_larger)
    kept = counted(monkeypatch, world.blobs, "put_bytes")
    world.advancer.advance(submit(world, manifest), 1)
    assert len(kept) == is_larger


def test_a_planner_that_reads_a_long_manifest_puts_off_its_requests_due_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, store(world, "rows.csv", CSV), block=1)
    postponed = counted(monkeypatch, world.store, "postpone_due")
    slices = world.records.manifests().slices

    def slowly(*given: Any) -> Iterator[Slice]:
        for one in slices(*given):
            world.clock.advance(LEASE.total_seconds() / 6)
            yield one

    monkeypatch.setattr(world.records.manifests(), "slices", slowly)
    world.advancer.advance(request_id, 1)
    assert len(postponed) == 13
