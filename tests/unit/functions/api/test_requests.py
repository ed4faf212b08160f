"""Routes of requests and their jobs: read, cancel, retry and explain them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shiftwork_core.callbacks import CALLBACKS, Failure, Job, Retry
from tests.unit.functions.api.conftest import Api

GOOD: dict[str, Any] = {"type": "sum", "params": {"numbers": [1, 2]}}


def submit(api: Api, type: str = "sum", **params: Any) -> str:
    answer = api("POST", "/v1/requests", {"type": type, "params": params})
    assert answer.status == 201
    request_id: str = answer.body["request_id"]
    return request_id


def token(*position: str) -> str:
    """Return a token as the stores make them, of any position."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def fail(job: Job) -> None:
    raise Failure("the numbers are odd")


def retry(job: Job) -> None:
    raise Retry("busy", delay_s=30)


def test_a_request_is_shown_with_its_steps_and_what_its_jobs_returned(api: Api) -> None:
    request_id = submit(api, numbers=[1, 2])
    api.world.run_through()
    shown = api("GET", f"/v1/requests/{request_id}").body
    assert (shown["status"], shown["current_step"], shown["error"]) == ("Completed", 1, None)
    assert shown["extras"] == {"sum": 3}
    assert [(s["index"], s["name"], s["status"]) for s in shown["steps"]] == [
        (1, "s1", "completed")
    ]
    assert shown["steps"][0]["jobs"]["completed"] == 1


def test_every_attempt_is_listed_in_pages(api: Api) -> None:
    api.world.request_type(
        "wide",
        [{"name": "add", "type": "add", "for_each": "params.items", "params": {"numbers": [1]}}],
    )
    request_id = submit(api, "wide", items=list(range(7)))
    api.world.run_through()
    seen: list[str] = []
    query = "limit=3"
    while query:
        page = api("GET", f"/v1/requests/{request_id}/jobs", query=query).body
        seen += [item["job"] for item in page["items"]]
        token = page["next_token"]
        query = f"limit=3&next_token={token}" if token else ""
    assert seen == [f"add[{n}]" for n in range(7)]
    one = api("GET", f"/v1/requests/{request_id}/jobs", query="limit=1").body["items"][0]
    assert one["attempt_id"] == f"{request_id}.1.0.1"
    assert (one["item"], one["params"], one["output"]) == (0, {"numbers": [1]}, {"sum": 1})


def test_attempts_are_found_by_step_and_status(api: Api) -> None:
    request_id = submit(api, numbers=[1])
    api.world.run_through()
    path = f"/v1/requests/{request_id}/jobs"
    for query, count in {
        "step=1": 1, "step=2": 0, "status=completed": 1, "status=new": 0,
        "step=1&status=completed": 1,
    }.items():  # fmt: skip
        assert len(api("GET", path, query=query).body["items"]) == count


def test_requests_are_listed_newest_first_in_pages(api: Api) -> None:
    ids = []
    for _ in range(5):
        ids.append(submit(api, numbers=[]))
        api.world.clock.advance(1)
    first = api("GET", "/v1/requests", query="limit=3").body
    rest = api("GET", "/v1/requests", query=f"limit=3&next_token={first['next_token']}").body
    assert [i["request_id"] for i in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_token"] is None


def test_requests_are_found_by_status_and_type(api: Api) -> None:
    done = submit(api, numbers=[1])
    api.world.run_through()
    waiting = submit(api, numbers=[1])
    found = api("GET", "/v1/requests", query="status=Completed").body["items"]
    assert [item["request_id"] for item in found] == [done]
    found = api("GET", "/v1/requests", query="status=Queuing&type=sum").body["items"]
    assert [item["request_id"] for item in found] == [waiting]
    assert api("GET", "/v1/requests", query="type=other").body["items"] == []


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("/v1/requests", "status=completed", "status"),
        ("/v1/requests", "status=", "status"),
        ("/v1/requests", "type=", "type"),
        ("/v1/requests", "type=" + "x" * 129, "type"),
        ("/v1/requests", "next_token=nonsense", "next_token"),
        ("/v1/requests", "next_token=%C3%A4", "next_token"),
        ("/v1/requests", "next_token=" + "x" * 301, "next_token"),
        ("/v1/requests", "next_token=" + token("0001-01-01T00:00:00+23:59", "r1"), "next_token"),
        ("/v1/requests", "next_token=" + token("2026-01-01T00:00:00Z"), "next_token"),
        ("/v1/requests/r1/jobs", "next_token=" + token("1#1"), "next_token"),
        ("/v1/requests/r1/jobs", "next_token=" + token("9" * 1000 + "#1#1"), "next_token"),
        ("/v1/requests/r1/jobs", "status=Completed", "status"),
        ("/v1/requests/r1/jobs", "step=0", "step"),
        ("/v1/requests/r1/jobs", "step=1e3", "step"),
        ("/v1/requests/r1/jobs", "step=" + "9" * 50, "step"),
        ("/v1/requests/r1/jobs", "limit=101", "limit"),
        ("/v1/requests/r1/jobs", "next_token=WyJhIl0", "next_token"),
        ("/v1/requests/r1/failures", "limit=101", "limit"),
        ("/v1/requests/r1/failures", "step=0", "step"),
        ("/v1/requests/r1/failures", "next_token=WyJhIl0", "next_token"),
    ],
)
def test_a_bad_parameter_is_named(api: Api, path: str, query: str, name: str) -> None:
    submit(api, numbers=[])
    answer = api("GET", path, query=query)
    assert (answer.status, list(answer.faults)) == (422, [name])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/requests/none"),
        ("GET", "/v1/requests/none/jobs"),
        ("GET", "/v1/requests/none/failures"),
        ("GET", "/v1/requests/none/explain"),
        ("POST", "/v1/requests/none/cancel"),
        ("POST", "/v1/requests/none/retry"),
        ("GET", "/v1/jobs/none/logs"),
        ("GET", "/v1/jobs/none.1.0.1/logs"),
        ("GET", "/v1/jobs/r1.1.0.99/logs"),
        ("GET", "/v1/jobs/r1.-1.0.1/logs"),
        ("GET", "/v1/jobs/r1.1.0." + "9" * 100 + "/logs"),
    ],
)
def test_an_unknown_id_is_not_found(api: Api, method: str, path: str) -> None:
    submit(api, numbers=[])
    answer = api(method, path)
    assert (answer.status, answer.body["title"]) == (404, "There is no such thing")
    assert answer.body["next"]


def test_cancel_answers_with_the_request_and_again_the_same(api: Api) -> None:
    request_id = submit(api, numbers=[1])
    first = api("POST", f"/v1/requests/{request_id}/cancel")
    api.world.clock.advance(5)
    again = api("POST", f"/v1/requests/{request_id}/cancel")
    assert (first.status, first.body["status"]) == (200, "Cancelled")
    assert (again.status, again.body) == (200, first.body)
    api.world.run_through()
    assert api.world.attempts(request_id) == []


def test_only_a_running_request_can_be_cancelled_and_only_a_failed_one_retried(api: Api) -> None:
    request_id = submit(api, numbers=[1])
    assert api("POST", f"/v1/requests/{request_id}/retry").status == 409
    api.world.run_through()
    for action in ("cancel", "retry"):
        answer = api("POST", f"/v1/requests/{request_id}/{action}")
        assert answer.status == 409
        assert "Completed" in answer.body["detail"]
        assert answer.body["next"] == f"look at it: GET /v1/requests/{request_id}"


def test_a_failed_request_says_why_and_can_be_retried(api: Api) -> None:
    api.world.job_type("odd", fail)
    api.world.request_type("fails", [{"name": "check", "type": "odd"}])
    request_id = submit(api, "fails", numbers=[2])
    api.world.run_through()
    shown = api("GET", f"/v1/requests/{request_id}").body
    assert shown["status"] == "Failed"
    assert shown["error"] == {
        "type": "Failure",
        "message": "the numbers are odd",
        "step": 1,
        "job": "check",
        "attempt_id": f"{request_id}.1.0.1",
    }
    why = api("GET", f"/v1/requests/{request_id}/explain").body
    assert (why["status"], why["next"]) == ("Failed", f"shiftwork retry {request_id}")
    assert why["blocked_by"][0]["reason"] == "Failure: the numbers are odd"
    CALLBACKS["odd"] = lambda job: {"ok": True}
    again = api("POST", f"/v1/requests/{request_id}/retry")
    assert (again.status, again.body["status"], again.body["error"]) == (200, "Inprogress", None)
    step = again.body["steps"][0]
    assert (step["status"], step["completed_at"]) == ("running", None)
    api.world.run_through()
    assert api("GET", f"/v1/requests/{request_id}").body["extras"] == {"ok": True}


def test_failures_are_listed_in_pages_each_with_its_item_and_error(api: Api) -> None:
    api.world.job_type("odd", fail)
    entry = {"name": "check", "type": "odd", "for_each": "params.numbers", "tolerate": "100%"}
    api.world.request_type("checks", [entry | {"block": 2}])
    request_id = submit(api, "checks", numbers=[1, {"n": 2}, 3])
    api.world.run_through()
    first = api("GET", f"/v1/requests/{request_id}/failures", query="limit=2").body
    assert [item["item"] for item in first["items"]] == ["1", '{"n":2}']
    query = f"step=1&next_token={first['next_token']}"
    last = api("GET", f"/v1/requests/{request_id}/failures", query=query).body
    assert last == {
        "items": [
            {
                "attempt_id": f"{request_id}.1.2.1",
                "job": "check[2]",
                "type": "odd",
                "step": 1,
                "attempt": 1,
                "tries": 1,
                "item": "3",
                "error": {"type": "Failure", "message": "the numbers are odd"},
                "failed_at": "2026-01-01T00:00:00.000Z",
            }
        ],
        "next_token": None,
    }


def test_a_waiting_request_explains_for_what_and_until_when(api: Api) -> None:
    api.world.job_type("busy", retry, retry={"max_attempts": 5, "jitter": "none"})
    api.world.request_type("waits", [{"name": "ask", "type": "busy"}])
    request_id = submit(api, "waits")
    api.world.run()
    why = api("GET", f"/v1/requests/{request_id}/explain").body
    assert why["step"]["jobs"] | {"new": 1, "retry": 1} == why["step"]["jobs"]
    assert [b["attempt_id"] for b in why["blocked_by"]] == [f"{request_id}.1.0.2"]
    assert why["blocked_by"][0]["wakes_at"] == "2026-01-01T00:00:30.000Z"
    assert why["blocked_by"][0]["reason"].startswith(
        "attempt 2 waits for its back-off, after Retry"
    )


def test_a_request_for_later_explains_when_it_starts(api: Api) -> None:
    later = "2026-01-01T09:00:00.000Z"
    body = {"type": "sum", "params": {"numbers": []}, "start_at": later}
    request_id = api("POST", "/v1/requests", body).body["request_id"]
    why = api("GET", f"/v1/requests/{request_id}/explain").body
    assert (why["summary"], why["wakes_at"]) == (f"It starts at {later}.", later)
    api.world.clock.advance(9 * 3600)
    assert api("GET", f"/v1/requests/{request_id}/explain").body["summary"].startswith("It waits")


def test_a_waiting_request_says_that_workers_are_switched_off(api: Api) -> None:
    service = api.app.request_routes.service()
    service._is_enabled = False
    request_id = submit(api, numbers=[])
    why = api("GET", f"/v1/requests/{request_id}/explain").body
    assert why["summary"].startswith("It waits") and "WorkersEnabled" in why["summary"]
    api("POST", f"/v1/requests/{request_id}/cancel")
    why = api("GET", f"/v1/requests/{request_id}/explain").body
    assert "WorkersEnabled" not in why["summary"]


def test_a_head_is_answered_as_its_get_without_a_body(api: Api) -> None:
    answer = api("HEAD", "/v1/requests")
    assert (answer.status, answer.text) == (200, "")
    assert api("HEAD", "/v1/requests/none").status == 404


def test_a_body_that_no_route_reads_does_no_harm(api: Api) -> None:
    request_id = submit(api, numbers=[])
    assert api("GET", "/v1/requests", raw="{", headers={"content-type": "x"}).status == 200
    assert api("POST", f"/v1/requests/{request_id}/cancel", raw="{}").status == 200
