"""Ordered steps of parallel jobs, on the deployed stack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.integration.lab import Lab, job, unique


def moment(text: str | None) -> datetime:
    assert text is not None
    return datetime.fromisoformat(text)


def test_a_request_runs_to_its_end_and_its_execution_succeeds(lab: Lab) -> None:
    request_id = lab.submit([job("a", "echo", answer=42)])
    request = lab.completed(request_id)
    assert request["extras"] == {"answer": 42}
    assert request["started_at"] is not None and request["completed_at"] is not None
    assert lab.execution_ended(lab.execution_arn(request_id))["status"] == "SUCCEEDED"


def test_no_job_of_a_step_exists_before_every_job_of_the_step_before_is_completed(
    lab: Lab,
) -> None:
    gate = unique("gate")
    request_id = lab.submit(
        [job("quick", "note"), job("slow", "wait", gate=gate)],
        [job("b1", "note"), job("b2", "flaky", failures=1)],
        [job("c", "note")],
    )
    lab.running(request_id)
    seen = lab.api.get(request_id)
    assert [s["status"] for s in seen["steps"]] == ["running", "pending", "pending"]
    assert lab.attempts(request_id, step=2) == []
    lab.open(gate)
    lab.completed(request_id)
    steps = [lab.attempts(request_id, step) for step in (1, 2, 3)]
    for before, after in pairwise(steps):
        last_end = max(moment(a["completed_at"]) for a in before if a["status"] == "completed")
        assert min(moment(a["created_at"]) for a in after) >= last_end


def test_twenty_jobs_of_a_step_run_all_at_once(lab: Lab) -> None:
    # The gate opens only when all of them run, so one after the other they would never end.
    gate = unique("gate")
    request_id = lab.submit([job(f"j{n}", "wait", gate=gate) for n in range(20)])
    assert len(lab.running(request_id, 20)) == 20
    lab.open(gate)
    lab.completed(request_id)
    assert lab.history(request_id) == [f"j{n} 1 completed" for n in range(20)]


def test_parallel_jobs_lose_no_key_and_later_steps_overwrite_top_level_keys(lab: Lab) -> None:
    name = lab.define(
        [job(f"j{n}", "note") for n in range(25)],
        [job("last", "echo", j0="overwritten", deep={"only": "this"})],
    )
    extras = {"kept": 1, "deep": {"was": "there"}}
    request = lab.completed(lab.api.submit(name, {}, extras=extras)["request_id"])
    found = request["extras"]
    assert found.keys() == {"kept", "deep", *(f"j{n}" for n in range(25))}
    assert found["j0"] == "overwritten"
    assert found["deep"] == {"only": "this"}
    assert found["j1"]["extras"] == ["deep", "kept"]


def test_a_fan_out_makes_a_job_of_each_item_that_an_earlier_step_returned(lab: Lab) -> None:
    items = [{"n": n} for n in range(7)]
    request_id = lab.submit(
        [job("list", "echo", found=items)],
        [job("each", "note", for_each="extras.found", half="{item.n}", who="{params.user}")],
        user="ada",
    )
    request = lab.completed(request_id)
    for n in range(7):
        noted = request["extras"][f"each[{n}]"]
        assert (noted["item"], noted["params"]) == ({"n": n}, {"half": n, "who": "ada"})


def test_a_step_of_more_than_forty_batches_runs_through_the_distributed_map(lab: Lab) -> None:
    request_id = lab.submit(
        [job("each", "one-a-batch", for_each="params.items")],
        [job("after", "note")],
        items=list(range(41)),
    )
    request = lab.completed(request_id)
    assert {request["extras"][f"each[{n}]"]["item"] for n in range(41)} == set(range(41))
    assert all(a["attempt"] == a["fence"] == 1 for a in lab.attempts(request_id))
    assert "RunManyBatches" in lab.states_entered(request_id)


@pytest.mark.parametrize("size", [9_000, 300_000])
def test_large_results_go_through_s3_and_come_back_whole(lab: Lab, size: int) -> None:
    request_id = lab.submit(
        [job("a", "large", letter="x", size=size), job("b", "large", letter="y", size=size)],
        [job("c", "large", letter="z", size=3)],
    )
    extras = lab.completed(request_id)["extras"]
    assert (extras["a"], extras["b"]) == ("x" * size, "y" * size)
    assert extras["c-found"] == {"a": size, "b": size}
    outputs = {a["job"]: a["output"] for a in lab.attempts(request_id, step=1)}
    assert outputs["a"]["a"] == "x" * size
    # Two results, and the extras after each of the two steps.
    assert len(lab.blobs(request_id)) == 4


def test_large_params_and_extras_reach_the_jobs(lab: Lab) -> None:
    text = "p" * 200_000
    name = lab.define([job("a", "note")], [job("b", "large", letter="z", size=1)])
    submitted = lab.api.submit(name, {"text": text}, extras={"given": text})
    request = lab.completed(submitted["request_id"])
    assert request["params"] == {"text": text}
    assert request["extras"]["a"]["params"] == {"text": text}
    assert request["extras"]["b-found"] == {"given": 200_000}


def test_a_request_starts_at_its_time_and_not_before(lab: Lab) -> None:
    name = lab.define([job("a", "note")])
    start_at = datetime.now(UTC) + timedelta(seconds=8)
    request_id = lab.api.submit(name, start_at=start_at)["request_id"]
    waiting = lab.api.get(request_id)
    assert (waiting["status"], lab.attempts(request_id)) == ("Queuing", [])
    assert lab.api.explain(request_id)["summary"].startswith("It starts at ")
    request = lab.completed(request_id)
    # Times on the wire have milliseconds.
    assert moment(request["started_at"]) >= start_at - timedelta(milliseconds=1)


def test_an_empty_fan_out_completes_its_step(lab: Lab) -> None:
    request_id = lab.submit([job("each", "note", for_each="params.items")], items=[])
    assert lab.completed(request_id)["extras"] == {}
    assert lab.attempts(request_id) == []


def test_a_polled_job_stays_new_until_a_worker_claims_it(lab: Lab) -> None:
    request_id = lab.submit([job("a", "note"), job("b", "polled")])
    lab.execution_waits(request_id)
    assert lab.history(request_id) == ["a 1 completed", "b 1 new"]
    blocked: list[Any] = list(lab.api.explain(request_id)["blocked_by"])
    assert [b["job"] for b in blocked] == ["b"]
    assert "worker" in blocked[0]["reason"]
    lab.api.cancel(request_id)
