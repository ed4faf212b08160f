"""Each quota that a request meets is told, with what to change; a narrow request hears nothing."""

from __future__ import annotations

from typing import Any

import pytest

from shiftwork_core.adapters.dynamodb.lots import JOBS_A_LOT
from shiftwork_core.domain.requests.definitions import JobType, RequestType
from shiftwork_core.services.requests import plan
from shiftwork_core.services.requests.estimates import estimate as estimates
from shiftwork_core.services.requests.estimates.estimate import Estimate, estimate
from shiftwork_core.services.requests.estimates.notices import (
    Level,
    Notice,
    limits_of,
    notices_of,
)
from shiftwork_core.services.requests.estimates.shapes import ROWS_A_LOT, Way, Workload
from tests.template import memory_mb

LIST = {"for_each": "extras.rows"}
MANIFEST = {"for_each_in": "params.rows", "block": 100}


def request_type(**entry: Any) -> RequestType:
    job = {"name": "row", "type": "work", **entry}
    return RequestType.from_body("load", 1, {"steps": [{"name": "load", "jobs": [job]}]})


def job_types(**body: Any) -> dict[str, JobType]:
    return {"work": JobType.from_body("work", 1, {"target": "python", **body})}


def predict(entry: dict[str, Any], load: Workload, **body: Any) -> Estimate:
    return estimate(request_type(**entry), job_types(**body), load)


def told(entry: dict[str, Any], load: Workload, **body: Any) -> dict[str, Notice]:
    found = notices_of(predict(entry, load, **body))
    assert len({notice.quota for notice in found}) == len(found)
    return {notice.quota: notice for notice in found}


def test_a_narrow_request_hears_nothing() -> None:
    assert told(LIST, Workload(20, duration_s=2)) == {}


def test_a_step_of_too_many_rows_is_refused_and_told_its_block() -> None:
    notice = told(LIST, Workload(60_000, item_bytes=20))["rows_per_step"]
    assert notice.level is Level.REFUSAL
    assert (notice.figure, notice.bound) == (60_000, 10_000)
    assert notice.change == "let jobs share rows: give 'row' block: 10"


def test_with_that_block_it_is_not_refused() -> None:
    assert told(LIST | {"block": 10}, Workload(60_000, item_bytes=20)).keys() <= {
        "lambda_concurrency"
    }


def test_of_a_step_that_is_refused_nothing_else_is_told() -> None:
    assert told(LIST, Workload(60_000, item_bytes=20), batch_size=1).keys() == {"rows_per_step"}


def test_jobs_that_cannot_share_rows_are_to_be_spread_over_requests() -> None:
    notice = told(LIST, Workload(60_000, item_bytes=20), target="worker")["rows_per_step"]
    assert notice.change == "spread the items over several requests"


@pytest.mark.parametrize(
    ("expression", "items", "quota"),
    [("params.rows", 3_000, "params_bytes"), ("extras.rows", 9_000, "extras_bytes")],
)
def test_a_list_that_has_no_room_in_the_request_is_refused(
    expression: str, items: int, quota: str
) -> None:
    notice = told({"for_each": expression}, Workload(items, item_bytes=800))[quota]
    assert notice.level is Level.REFUSAL
    assert "for_each_in" in notice.change


def test_a_manifest_has_room_for_any_list() -> None:
    assert told(MANIFEST, Workload(50_000, item_bytes=800)) == {}


def test_large_rows_ask_a_partition_for_more_than_it_gives() -> None:
    notice = told(LIST, Workload(1_000, item_bytes=2_000), batch_size=100)["partition_write_units"]
    assert notice.level is Level.WARNING
    assert (notice.figure, notice.bound) == (3_000, 1_000)


def test_longer_jobs_ask_it_for_less() -> None:
    quick, slow = (
        predict(LIST, Workload(1_000, duration_s=s), batch_size=100).busiest_write_units
        for s in (0, 5)
    )
    assert slow < quick


def test_jobs_that_outlast_their_timeout_are_refused() -> None:
    notice = told(LIST, Workload(3, duration_s=61))["timeout_s"]
    assert notice.level is Level.REFUSAL
    assert (notice.figure, notice.bound) == (61, 60)


def test_a_queue_of_one_shard_is_told_at_high_rates_only() -> None:
    assert told(LIST, Workload(4_999, item_bytes=20), target="worker") == {}
    notice = told(LIST, Workload(6_000, item_bytes=20), target="worker")["queue_jobs_a_second"]
    assert "6,000 take 12 s" in notice.message
    assert "worker.shards: 4" in notice.change
    shards = {"shards": 8}
    assert told(LIST, Workload(6_000, item_bytes=20), target="worker", worker=shards) == {}


def test_a_step_that_takes_all_of_the_accounts_functions_is_told() -> None:
    assert "lambda_concurrency" in told(MANIFEST, Workload(100_000))
    assert told(MANIFEST, Workload(100_000), max_concurrency=200) == {}


def test_batches_that_start_slowly_are_told() -> None:
    found = told(LIST, Workload(9_000, item_bytes=20), timeout_s=600, batch_size=5)
    assert found.keys() == {"standard_children", "lambda_concurrency"}
    assert "the last after 18 s" in found["standard_children"].message


def test_a_batch_of_blocks_that_has_too_little_time_is_told() -> None:
    load = Workload(1_000_000, duration_s=30)
    found = told(MANIFEST, load, batch_size=10)["batch_seconds"]
    assert found.bound == 280
    assert told(MANIFEST, load, batch_size=64).keys() >= {"batch_seconds"}
    assert "batch_seconds" not in told(MANIFEST, Workload(1_000_000, duration_s=1), batch_size=64)


def test_results_that_extras_have_no_room_for_are_told() -> None:
    found = told(MANIFEST, Workload(100_000, result_bytes=100), max_concurrency=100)
    assert found["extras_bytes"].level is Level.WARNING


@pytest.mark.parametrize("collect", ["manifest", "none"])
def test_results_that_do_not_go_into_the_extras_need_no_room_there(collect: str) -> None:
    entry = MANIFEST | {"collect": collect}
    assert "extras_bytes" not in told(entry, Workload(100_000, result_bytes=100))


@pytest.mark.parametrize("expression", ["params.rows[:3]", "params.rows[?ok]", "keys(extras.rows)"])
def test_of_a_list_that_may_leave_items_out_no_size_is_told(expression: str) -> None:
    found = told({"for_each": expression}, Workload(9_000, item_bytes=800))
    assert not found.keys() & {"params_bytes", "extras_bytes"}


def test_a_list_in_the_extras_is_none_of_params_whatever_its_name() -> None:
    found = told({"for_each": "extras.params_found"}, Workload(1_000, item_bytes=800))
    assert "params_bytes" not in found


@pytest.mark.parametrize("items", [1, 40, 1_000, 10_000])
@pytest.mark.parametrize("batch_size", [1, 10, 100])
def test_no_state_of_the_machine_has_too_many_ids(items: int, batch_size: int) -> None:
    found = predict(LIST, Workload(items, item_bytes=20), batch_size=batch_size, timeout_s=61)
    assert "state_bytes" not in {notice.quota for notice in notices_of(found)}


@pytest.mark.parametrize(
    ("items", "body", "way"),
    [
        (1, {}, Way.CALLED),
        (40, {}, Way.CALLED),
        (40, {"timeout_s": 61}, Way.MAP),
        (40, {"max_concurrency": 2}, Way.MAP),
        (41, {}, Way.MAP),
        (401, {}, Way.WIDE),
        (401, {"timeout_s": 241}, Way.WIDE_SLOW),
        (5, {"target": "worker"}, Way.WORKERS),
    ],
)
def test_a_step_is_set_going_as_the_dispatcher_does(
    items: int, body: dict[str, Any], way: Way
) -> None:
    [step] = predict(LIST, Workload(items), **body).steps
    assert step.shape.way is way


# -- the widest request of a type -----------------------------------------------------------------


def limits(schema: dict[str, Any] | None = None, **entry: Any) -> list[str]:
    found = limits_of(request_type(**entry), job_types(), schema)
    return [f"{notice.message}; {notice.change}" for notice in found]


def test_a_list_without_a_block_has_its_limit_told() -> None:
    assert limits(for_each="params.rows") == [
        "beyond 10,000 items the step is refused: each job has a row; "
        "for more give it a block, so that jobs share rows"
    ]


def test_a_list_that_its_schema_bounds_has_nothing_told() -> None:
    rows = {"type": "array", "maxItems": 10_000}
    schema = {"properties": {"sheet": {"properties": {"rows": rows}}}}
    assert limits(schema, for_each="params.sheet.rows") == []
    rows["maxItems"] = 10_001
    assert len(limits(schema, for_each="params.sheet.rows")) == 1


def test_a_type_without_lists_or_with_blocks_has_nothing_told() -> None:
    assert limits() == []
    assert limits(for_each="params.rows", block=100) == []
    assert limits(for_each_in="params.rows", block=100) == []


def test_a_list_for_workers_has_its_queue_told_too() -> None:
    found = limits_of(request_type(**LIST), job_types(target="worker"), None)
    assert len(found) == 1
    assert "500 a second" in found[0].message
    assert "worker.shards" in found[0].change


# -- what the model takes from elsewhere ----------------------------------------------------------


def test_the_sizes_of_lots_and_chunks_are_the_stores_and_the_planners() -> None:
    assert ROWS_A_LOT == JOBS_A_LOT == plan._INSERT_CHUNK


def test_the_functions_memory_is_the_templates() -> None:
    assert memory_mb("AdvanceRequestFunction") == estimates.ADVANCE_REQUEST_MB
    assert memory_mb("RunJobsFunction") == estimates.RUN_JOBS_MB
    assert memory_mb("ApiFunction") == estimates.API_MB
