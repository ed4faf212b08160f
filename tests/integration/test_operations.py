"""Cancel, retry and explain, on the deployed stack."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from shiftwork.api.errors import Conflict
from tests.integration.lab import Lab, job, seconds_between, side_by_side, unique, until


def is_quiet(lab: Lab, request_id: str) -> bool:
    """Whether no attempt of the request runs any more."""
    return not list(lab.api.jobs(request_id, status="inprogress"))


def test_once_cancel_has_returned_nothing_starts(lab: Lab) -> None:
    # Many small batches, so that the cancel meets planned, claimed and completed jobs.
    jobs = [job(f"j{n}", "sleep", seconds=0.3) for n in range(15)]
    name = lab.define(*[jobs] * 12)

    def started(request_id: str) -> set[str]:
        return {a["attempt_id"] for a in lab.attempts(request_id) if a["started_at"]}

    def cancel_at(count: int) -> None:
        request_id = lab.api.submit(name)["request_id"]
        until(lambda: len(started(request_id)) >= count, f"{count} jobs have started")
        assert lab.api.cancel(request_id)["status"] == "Cancelled"
        returned_at = datetime.now(UTC).isoformat()
        before = started(request_id)
        # A planner that had begun may still write rows; its execution cancels them.
        assert lab.execution_ended(lab.execution_arn(request_id))["status"] == "SUCCEEDED"
        until(lambda: is_quiet(lab, request_id), "what ran has finished")
        attempts = lab.attempts(request_id)
        assert {a["attempt_id"] for a in attempts if a["started_at"]} == before
        assert all(
            seconds_between(a["started_at"], returned_at) >= 0 for a in attempts if a["started_at"]
        )
        assert {a["status"] for a in attempts} <= {"completed", "cancelled"}

    side_by_side([partial(cancel_at, count) for count in (0, 1, 7, 20)])


def test_running_jobs_learn_of_the_cancel_and_waiting_ones_never_start(lab: Lab) -> None:
    request_id = lab.submit(
        [
            job("running", "wait", gate=unique("never")),
            job("waiting", "flaky", failures=1, delay_s=60),
            job("polled", "polled"),
        ],
        [job("never", "note")],
    )
    lab.running(request_id)
    until(lambda: "waiting 2 new" in lab.history(request_id), "a job waits for its retry")
    lab.api.cancel(request_id)
    assert {"waiting 2 cancelled", "polled 1 cancelled"} <= set(lab.history(request_id))
    until(lambda: is_quiet(lab, request_id), "the running job has learnt of the cancel")
    assert lab.history(request_id) == [
        "running 1 completed",
        "waiting 1 retry",
        "waiting 2 cancelled",
        "polled 1 cancelled",
    ]
    request = lab.api.get(request_id)
    assert [s["status"] for s in request["steps"]] == ["cancelled", "pending"]
    assert request["extras"] == {"running": {"was_stopped": True}}
    assert lab.api.cancel(request_id)["completed_at"] == request["completed_at"]


def test_an_ended_request_cannot_be_cancelled(lab: Lab) -> None:
    request_id = lab.submit([job("a", "note")])
    lab.completed(request_id)
    with pytest.raises(Conflict, match="Completed"):
        lab.api.cancel(request_id)
    with pytest.raises(Conflict, match="Failed"):
        lab.api.retry(request_id)


def test_a_retried_request_runs_only_what_failed_and_then_continues(lab: Lab) -> None:
    gate = unique("fixed")
    request_id = lab.submit(
        [job("a", "note"), job("b", "note")],
        [
            job("fine", "note"),
            job("broken", "mendable", gate=gate),
            # Due in a minute, so it is cancelled with its request.
            job("sibling", "flaky", failures=1, delay_s=60),
        ],
        [job("c", "note")],
    )
    request = lab.failed(request_id)
    assert request["error"] is not None and request["error"]["job"] == "broken"
    before = {a["attempt_id"]: a for a in lab.at_rest(request_id)}
    lab.open(gate)
    retried = lab.api.retry(request_id)
    assert (retried["status"], retried["error"]) == ("Inprogress", None)
    request = lab.completed(request_id)
    after = {a["attempt_id"]: a for a in lab.attempts(request_id)}
    assert {k: after[k] for k in before} == before
    again = [f"{a['job']} {a['status']}" for k, a in after.items() if k not in before]
    unfinished = {a["job"] for a in before.values() if a["step"] == 2} - {
        a["job"] for a in before.values() if a["status"] == "completed"
    }
    assert "broken" in unfinished
    assert sorted(again) == sorted(f"{name} completed" for name in {*unfinished, "c"})
    assert request["extras"].keys() == {"a", "b", "fine", "broken", "sibling", "c"}
    assert request["error"] is None
    assert [s["status"] for s in request["steps"]] == ["completed"] * 3


def test_explain_names_what_blocks_a_request_and_when_it_wakes(lab: Lab) -> None:
    gate = unique("gate")
    request_id = lab.submit(
        [
            job("slow", "wait", gate=gate),
            job("late", "flaky", failures=1, delay_s=60),
            job("x", "note"),
        ]
    )
    lab.running(request_id)
    is_ready = {"x 1 completed", "late 2 new"}.issubset
    until(lambda: is_ready(lab.history(request_id)), "its siblings stand where they should")
    explanation = lab.api.explain(request_id)
    assert explanation["status"] == "Inprogress"
    assert "1 of 3 jobs" in explanation["summary"]
    assert explanation["step"] is not None and explanation["step"]["index"] == 1
    blockers = {b["job"]: b for b in explanation["blocked_by"]}
    assert blockers.keys() == {"slow", "late"}
    assert blockers["slow"]["status"] == "inprogress"
    assert "back-off" in blockers["late"]["reason"]
    assert blockers["late"]["wakes_at"] is not None
    assert explanation["wakes_at"] is not None
    assert explanation["next"] == f"shiftwork watch {request_id}"
    lab.api.cancel(request_id)
    assert "cancelled" in lab.api.explain(request_id)["summary"]


def test_explain_says_why_a_request_failed_and_what_to_do(lab: Lab) -> None:
    request_id = lab.submit([job("a", "fail", message="the disk is full")])
    lab.failed(request_id)
    explanation = lab.api.explain(request_id)
    assert "the disk is full" in explanation["summary"]
    assert explanation["next"] == f"shiftwork retry {request_id}"
    assert explanation["wakes_at"] is None


def test_requests_are_listed_by_type_and_status_page_by_page(lab: Lab) -> None:
    name = lab.define([job("a", "note")])
    ids = [lab.api.submit(name)["request_id"] for _ in range(5)]
    for request_id in ids:
        lab.completed(request_id)
    until(
        lambda: len(list(lab.api.list_all(type=name, status="Completed"))) == 5,
        "the index shows them",
    )
    first = lab.api.list(type=name, limit=3)
    assert first["next_token"] is not None
    second = lab.api.list(type=name, limit=3, next_token=first["next_token"])
    found = [request["request_id"] for request in [*first["items"], *second["items"]]]
    assert found == ids[::-1]
    assert second["next_token"] is None
    assert lab.api.list(type=name, status="Failed")["items"] == []
