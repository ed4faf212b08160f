"""Routes of workspaces and lifecycle jobs: define, switch, override, plan, list and cancel."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workspaces import lifecycle_jobs
from shiftwork_core.domain.workspaces.records import (
    Cause,
    LogLevel,
    Operation,
    Pending,
    Sighting,
    WorkspaceState,
)
from shiftwork_core.ports.workspaces import DriverError
from shiftwork_core.routes import Scope, grants, match
from tests.unit.functions.api.conftest import Answer, Api, short

DRIVER = {"type": "ec2", "instance_ids": ["i-0123456789abcdef0"]}
BODY: dict[str, Any] = {"driver": DRIVER}
#: On from eight to six, Monday to Friday; the world's clock begins on a Thursday at midnight.
WEEKDAYS: dict[str, Any] = {
    "driver": DRIVER,
    "schedule": {"windows": [{"start": "0 8 * * 1-5", "stop": "0 18 * * 1-5"}]},
}
NOW = "2026-01-01T00:00:00.000Z"
LATER = "2026-01-01T06:00:00.000Z"


def put(api: Api, name: str = "box", body: dict[str, Any] = BODY) -> Answer:
    return api("PUT", f"/v1/workspaces/{name}", body)


def runs(api: Api, name: str = "box", **values: Any) -> None:
    """Make a workspace run since an hour ago, with a deadline in an hour."""
    now = api.world.clock()
    hour = timedelta(hours=1)
    known: dict[str, Any] = {
        "state": WorkspaceState.RUNNING,
        "changed_at": now - hour,
        "looked_at": now,
        "started_by": Cause.MANUAL,
        "deadline": now + hour,
    }
    api.lifecycle.change(name, **(known | values))


def start(api: Api, name: str = "box") -> dict[str, Any]:
    answer = api("POST", f"/v1/workspaces/{name}/start")
    assert answer.status == 202
    job: dict[str, Any] = answer.body
    return job


def claim(api: Api, job_id: str) -> None:
    """Claim a job as the switcher does."""
    now = api.world.clock()
    taken = api.lifecycle.jobs.acquire_workspace_lifecycle_job(
        now, "claim", now + timedelta(minutes=1), job_id=job_id
    )
    assert taken is not None


def end(api: Api, job_id: str, error: str | None = None) -> None:
    """Record the outcome of a claimed job as the switcher does."""
    claim(api, job_id)
    job = api.lifecycle.jobs.get(job_id)
    assert job is not None
    row = api.lifecycle.store.get(job.workspace_id)
    assert row is not None
    now = api.world.clock()
    done = replace(job, completed_at=now, updated_at=now, error=error, due_at=None, claim_id=None)
    both = api.lifecycle.jobs.update_workspace_lifecycle_job_with_complete_by_id(
        done, lifecycle_jobs.without_pending(row, job)
    )
    assert both.won


def messages(api: Api) -> list[Any]:
    """Return what was sent to the scheduler and the switcher since the last call."""
    sent = [message for _, message in api.lifecycle.queue.messages]
    api.lifecycle.queue.messages.clear()
    return sent


# -- scopes --------------------------------------------------------------------------------------

READ = {Scope.ADMIN, Scope.READ}
OPERATE = {Scope.ADMIN, Scope.OPERATE}
SCOPES: dict[tuple[str, str], set[Scope]] = {
    ("PUT", "/v1/workspaces/box"): {Scope.ADMIN},
    ("GET", "/v1/workspaces"): READ,
    ("GET", "/v1/workspaces/box"): READ,
    ("DELETE", "/v1/workspaces/box"): {Scope.ADMIN},
    ("POST", "/v1/workspaces/box/start"): OPERATE,
    ("POST", "/v1/workspaces/box/stop"): OPERATE,
    ("PUT", "/v1/workspaces/box/override"): OPERATE,
    ("DELETE", "/v1/workspaces/box/override"): OPERATE,
    ("POST", "/v1/workspaces/box/activity"): {*OPERATE, Scope.WORKER},
    ("PUT", "/v1/workspaces/box/deadline"): OPERATE,
    ("GET", "/v1/workspaces/box/plan"): READ,
    ("GET", "/v1/workspaces/box/explain"): READ,
    ("GET", "/v1/lifecycle-jobs"): READ,
    ("GET", "/v1/lifecycle-jobs/j1"): READ,
    ("POST", "/v1/lifecycle-jobs/j1/cancel"): OPERATE,
    ("GET", "/v1/lifecycle-jobs/j1/logs"): READ,
}


@pytest.mark.parametrize(("call", "scopes"), SCOPES.items(), ids=short)
def test_a_call_is_allowed_to_its_scopes_only(call: tuple[str, str], scopes: set[Scope]) -> None:
    assert {scope for scope in (*Scope, None) if grants(scope, match(*call))} == scopes


# -- defining ------------------------------------------------------------------------------------


def test_a_workspace_is_defined_and_the_scheduler_is_woken(api: Api) -> None:
    answer = put(api)
    assert answer.status == 201
    assert answer.body == {
        "workspace_id": "box",
        "state": "unknown",
        "changed_at": None,
        "started_by": None,
        "deadline": None,
        "max_deadline": None,
        "override": None,
        "pending": {},
        "failures": 0,
        "blocked_until": None,
        "error": None,
        "detail": "",
        "looked_at": None,
        "created_at": NOW,
        "updated_at": NOW,
        "definition": BODY,
    }
    assert api("GET", "/v1/workspaces/box").body == answer.body
    assert messages(api) == [{"workspace": "box"}]


def test_the_same_definition_again_changes_nothing(api: Api) -> None:
    first = put(api)
    messages(api)
    api.world.clock.advance(60)
    again = put(api, body=BODY | {"kind": "workspace", "name": "box"})
    assert (again.status, again.body) == (200, first.body)
    assert messages(api) == []


def test_another_definition_replaces_the_first(api: Api) -> None:
    put(api)
    api.lifecycle.change("box", failures=3, error="start failed", state=WorkspaceState.RUNNING)
    messages(api)
    api.world.clock.advance(60)
    answer = put(api, body=WEEKDAYS)
    assert answer.status == 200
    assert answer.body["definition"] == WEEKDAYS
    assert (answer.body["failures"], answer.body["error"]) == (0, None)
    assert answer.body["state"] == "running"
    assert answer.body["created_at"] == NOW < answer.body["updated_at"]
    assert messages(api) == [{"workspace": "box"}]


def test_a_workspace_is_shown_in_full(api: Api) -> None:
    put(api)
    now = api.world.clock()
    runs(
        api,
        max_deadline=now + timedelta(hours=8),
        pending={Operation.STOP: Pending("j9", now + timedelta(hours=1), Cause.DEADLINE)},
        failures=2,
        blocked_until=now + timedelta(minutes=10),
        error="stop failed",
        detail="1 of 1 runs",
        memory={"secret": "of the driver"},
    )
    shown = api("GET", "/v1/workspaces/box").body
    assert shown["state"] == "running" and shown["started_by"] == "manual"
    assert shown["deadline"] == "2026-01-01T01:00:00.000Z"
    assert shown["max_deadline"] == "2026-01-01T08:00:00.000Z"
    assert shown["pending"] == {
        "stop": {"job_id": "j9", "at": "2026-01-01T01:00:00.000Z", "cause": "deadline"}
    }
    assert (shown["failures"], shown["error"]) == (2, "stop failed")
    assert (shown["blocked_until"], shown["looked_at"]) == ("2026-01-01T00:10:00.000Z", NOW)
    assert shown["detail"] == "1 of 1 runs"
    assert not {"memory", "revision", "due_at", "skipped"} & set(shown)


def test_workspaces_are_listed_by_id_page_by_page(api: Api) -> None:
    for name in ("c", "a", "b"):
        put(api, name)
    first = api("GET", "/v1/workspaces", query="limit=2").body
    assert [w["workspace_id"] for w in first["items"]] == ["a", "b"]
    query = f"limit=2&next_token={first['next_token']}"
    second = api("GET", "/v1/workspaces", query=query).body
    assert [w["workspace_id"] for w in second["items"]] == ["c"]
    assert second["next_token"] is None


def test_deleting_a_workspace_cancels_its_jobs(api: Api) -> None:
    put(api)
    job = start(api)
    assert api("DELETE", "/v1/workspaces/box").status == 204
    assert api("GET", "/v1/workspaces/box").status == 404
    assert api("DELETE", "/v1/workspaces/box").status == 404
    assert api("GET", f"/v1/lifecycle-jobs/{job['id']}").body["state"] == "cancelled"
    [line] = api("GET", f"/v1/lifecycle-jobs/{job['id']}/logs").body["items"]
    assert line["output"] == "cancelled: the workspace was deleted"


WITH_BODY = {
    "override": {"desired": "on", "until": LATER},
    "deadline": {"deadline": LATER},
}


@pytest.mark.parametrize(
    ("method", "path"), [call for call in SCOPES if "{" not in call[1] and "/box" in call[1]]
)
def test_an_unknown_workspace_is_not_found(api: Api, method: str, path: str) -> None:
    if path.endswith("/box") and method == "PUT":
        return
    body = WITH_BODY.get(path.rpartition("/")[2]) if method == "PUT" else None
    answer = api(method, path, body)
    assert answer.status == 404
    assert answer.body["next"] == "list what there is: GET /v1/workspaces"
    assert not api.has_written


@pytest.mark.parametrize(
    ("method", "path"), [call for call in SCOPES if call[1].startswith("/v1/lifecycle-jobs/")]
)
def test_an_unknown_lifecycle_job_is_not_found(api: Api, method: str, path: str) -> None:
    answer = api(method, path)
    assert answer.status == 404
    assert answer.body["next"] == "list what there is: GET /v1/lifecycle-jobs"


# -- switching -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["start", "stop"])
def test_repeated_calls_to_switch_make_one_job(api: Api, operation: str) -> None:
    put(api)
    messages(api)
    answer = api("POST", f"/v1/workspaces/box/{operation}")
    assert answer.status == 202
    assert answer.headers["Location"] == f"/v1/lifecycle-jobs/{answer.body['id']}"
    assert answer.body == {
        "id": "j1",
        "workspace_id": "box",
        "operation": operation,
        "state": "pending",
        "deadline": NOW,
        "cause": "manual",
        "reason": "somebody asked for it",
        "attempt": 0,
        "created_at": NOW,
        "updated_at": NOW,
        "started_at": None,
        "cancelled_at": None,
        "completed_at": None,
        "error": None,
        "due_at": NOW,
    }
    assert messages(api) == [{"job": "j1", "due_at": NOW}]
    assert api("POST", f"/v1/workspaces/box/{operation}").body == answer.body
    claim(api, "j1")
    again = api("POST", f"/v1/workspaces/box/{operation}").body
    assert (again["id"], again["state"], again["attempt"]) == ("j1", "running", 1)
    shown = api("GET", "/v1/workspaces/box").body
    assert shown["pending"] == {operation: {"job_id": "j1", "at": NOW, "cause": "manual"}}


def test_a_switch_after_the_end_of_another_is_a_new_job(api: Api) -> None:
    put(api)
    end(api, start(api)["id"])
    assert start(api)["id"] != "j1"


def test_a_start_cancels_the_stop_that_is_under_way_and_ends_the_override_that_forbids_it(
    api: Api,
) -> None:
    put(api)
    api("PUT", "/v1/workspaces/box/override", {"desired": "off", "until": LATER})
    stop = api("POST", "/v1/workspaces/box/stop").body
    start(api)
    assert api("GET", f"/v1/lifecycle-jobs/{stop['id']}").body["state"] == "cancelled"
    shown = api("GET", "/v1/workspaces/box").body
    assert shown["override"] is None
    assert list(shown["pending"]) == ["start"]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(api: Api) -> None:
    put(api)
    before = api("GET", "/v1/workspaces/box").body
    messages(api)
    answer = api("POST", "/v1/workspaces/box/start", query="dry_run=true")
    assert answer.status == 200
    calls = ["start instance i-1"]
    assert answer.body == {"state": "stopped", "detail": "1 of 1", "calls": calls}
    assert api("GET", "/v1/workspaces/box").body == before
    assert not api.world.tables.lifecycle_jobs and not messages(api)


def test_a_dry_run_says_what_its_driver_cannot_do_now(api: Api) -> None:
    put(api)
    api.lifecycle.driver.sighting = Sighting(WorkspaceState.STOPPING, "request r1 runs")
    api.lifecycle.driver.plan_error = DriverError("cannot start while it stops")
    answer = api("POST", "/v1/workspaces/box/start", query="dry_run=true")
    detail = "request r1 runs; cannot start while it stops"
    assert answer.body == {"state": "stopping", "detail": detail, "calls": []}


def test_a_dry_run_of_what_does_not_exist_says_so(api: Api) -> None:
    put(api)
    api.lifecycle.driver.look_error = DriverError("instance i-1 is terminated", is_final=True)
    answer = api("POST", "/v1/workspaces/box/stop", query="dry_run=true")
    assert answer.status == 409
    assert "instance i-1 is terminated" in answer.body["detail"]
    assert "fix its definition" in answer.body["next"]


def test_a_dry_run_that_nobody_answers_may_be_tried_again(api: Api) -> None:
    put(api)
    api.lifecycle.driver.look_error = DriverError("EC2 does not answer")
    answer = api("POST", "/v1/workspaces/box/stop", query="dry_run=true")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


@pytest.mark.parametrize("path", ["start?dry_run=maybe", "plan?days=0", "plan?days=91"])
def test_an_unknown_parameter_is_refused(api: Api, path: str) -> None:
    put(api)
    route, _, query = path.partition("?")
    method = "GET" if route == "plan" else "POST"
    answer = api(method, f"/v1/workspaces/box/{route}", query=query)
    assert list(answer.faults) == [query.partition("=")[0]]


@pytest.mark.parametrize("path", ["start", "stop", "activity"])
def test_a_route_without_a_body_refuses_one_of_another_media_type(api: Api, path: str) -> None:
    put(api)
    headers = {"content-type": "text/plain"}
    answer = api("POST", f"/v1/workspaces/box/{path}", raw="dry run", headers=headers)
    assert answer.status == 415
    assert not api.world.tables.lifecycle_jobs


# -- overrides -----------------------------------------------------------------------------------


def test_an_override_holds_from_now_on_and_is_idempotent(api: Api) -> None:
    put(api)
    messages(api)
    body = {"desired": "on", "until": LATER, "reason": "release night"}
    answer = api("PUT", "/v1/workspaces/box/override", body)
    assert answer.status == 200
    held = {"desired": "on", "since": NOW, "until": LATER, "reason": "release night"}
    assert answer.body["override"] == held
    assert messages(api) == [{"workspace": "box"}]
    api.world.clock.advance(60)
    again = api("PUT", "/v1/workspaces/box/override", body)
    assert again.body == answer.body
    assert messages(api) == []


def test_another_override_replaces_the_first(api: Api) -> None:
    put(api)
    api("PUT", "/v1/workspaces/box/override", {"desired": "on", "until": LATER})
    api.world.clock.advance(60)
    for body in (
        {"desired": "off", "until": LATER},
        {"desired": "off", "until": "2026-01-02T00:00:00Z"},
        {"desired": "off", "until": LATER, "since": "2026-01-01T05:00:00+01:00"},
    ):
        override = api("PUT", "/v1/workspaces/box/override", body).body["override"]
        assert override["desired"] == "off"
    assert override["since"] == "2026-01-01T04:00:00.000Z"


def test_a_future_override_can_be_moved_to_now(api: Api) -> None:
    put(api)
    body = {"desired": "on", "until": LATER}
    api("PUT", "/v1/workspaces/box/override", body | {"since": "2026-01-01T05:00:00Z"})
    answer = api("PUT", "/v1/workspaces/box/override", body)
    assert answer.body["override"]["since"] == NOW


def test_an_override_ends_once(api: Api) -> None:
    put(api)
    api("PUT", "/v1/workspaces/box/override", {"desired": "on", "until": LATER})
    messages(api)
    for _ in range(2):
        answer = api("DELETE", "/v1/workspaces/box/override")
        assert (answer.status, answer.body["override"]) == (200, None)
    assert messages(api) == [{"workspace": "box"}]


def far() -> str:
    return to_iso(datetime.now(UTC) + timedelta(days=400))


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, {"desired", "until"}),
        ({"desired": "up", "until": LATER}, {"desired"}),
        ({"desired": True, "until": LATER}, {"desired"}),
        ({"desired": "on", "until": "tomorrow"}, {"until"}),
        ({"desired": "on", "until": "2026-01-01T06:00:00"}, {"until"}),
        ({"desired": "on", "until": 1767225600}, {"until"}),
        ({"desired": "on", "until": NOW}, {"until"}),
        ({"desired": "on", "until": LATER, "since": "2026-01-01T07:00:00Z"}, {"until"}),
        ({"desired": "on", "until": far()}, {"until"}),
        ({"desired": "on", "until": LATER, "reason": "x" * 501}, {"reason"}),
        ({"desired": "on", "until": LATER, "ttl_s": 5}, {"ttl_s"}),
    ],
)
def test_an_override_that_never_holds_is_refused(api: Api, body: Any, paths: set[str]) -> None:
    before = put(api).body
    answer = api("PUT", "/v1/workspaces/box/override", body)
    assert (answer.status, set(answer.faults)) == (422, paths)
    assert api("GET", "/v1/workspaces/box").body == before


# -- deadlines and activity ----------------------------------------------------------------------


def test_a_deadline_is_moved_and_the_same_call_again_changes_nothing(api: Api) -> None:
    put(api)
    runs(api)
    messages(api)
    for _ in range(2):
        answer = api("PUT", "/v1/workspaces/box/deadline", {"deadline": LATER})
        assert (answer.status, answer.body["deadline"]) == (200, LATER)
    assert messages(api) == [{"workspace": "box"}]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "deadline"),
        ({"deadline": None}, "deadline"),
        ({"deadline": "2026-01-01T00:29:59Z"}, "deadline"),
        ({"deadline": "2026-01-01T08:00:01Z"}, "deadline"),
        ({"deadline": LATER, "reason": "x"}, "reason"),
    ],
)
def test_a_deadline_is_half_an_hour_ahead_and_within_the_longest_lifetime(
    api: Api, body: Any, path: str
) -> None:
    put(api)
    runs(api, max_deadline=api.world.clock() + timedelta(hours=8))
    before = api("GET", "/v1/workspaces/box").body
    answer = api("PUT", "/v1/workspaces/box/deadline", body)
    assert (answer.status, list(answer.faults)) == (422, [path])
    assert api("GET", "/v1/workspaces/box").body == before


def test_a_stopped_workspace_has_no_deadline(api: Api) -> None:
    put(api)
    answer = api("PUT", "/v1/workspaces/box/deadline", {"deadline": LATER})
    assert answer.status == 409
    assert "POST /v1/workspaces/box/start" in answer.body["next"]


def test_activity_moves_the_deadline_up_and_never_back(api: Api) -> None:
    put(api)
    runs(api)
    clock = api.world.clock
    clock.advance(1800)
    assert api("POST", "/v1/workspaces/box/activity").body["deadline"] == to_iso(
        clock() + timedelta(hours=1)
    )
    api("PUT", "/v1/workspaces/box/deadline", {"deadline": LATER})
    assert api("POST", "/v1/workspaces/box/activity").body["deadline"] == LATER


@pytest.mark.parametrize(
    ("body", "worker", "status"),
    [
        (BODY, "box", 200),
        (BODY, "box-2", 200),
        (BODY, "boxer", 404),
        (BODY | {"hosts": {"job_types": ["render"], "workers": ["gpu-*"]}}, "gpu-7", 200),
        (BODY | {"hosts": {"job_types": ["render"], "workers": ["gpu-*"]}}, "box", 404),
    ],
)
def test_a_worker_reports_activity_where_it_runs_and_knows_no_other_workspace(
    api: Api, body: dict[str, Any], worker: str, status: int
) -> None:
    api.world.job_type("render", target="worker")
    assert put(api, "box", body).status == 201
    runs(api, "box")
    caller = {"scope": "worker", "subject": worker}
    answer = api("POST", "/v1/workspaces/box/activity", caller=caller)
    assert answer.status == status
    if status == 404:
        missing = api("POST", "/v1/workspaces/nowhere/activity", caller=caller)
        assert missing.body["title"] == answer.body["title"]


def test_activity_in_a_stopped_workspace_changes_nothing(api: Api) -> None:
    before = put(api).body
    messages(api)
    answer = api("POST", "/v1/workspaces/box/activity")
    assert (answer.status, answer.body) == (200, before)
    assert messages(api) == []


# -- plans ---------------------------------------------------------------------------------------


def test_a_plan_says_what_will_happen(api: Api) -> None:
    put(api, body=WEEKDAYS)
    api.lifecycle.change("box", state=WorkspaceState.STOPPED, changed_at=api.world.clock())
    items = api("GET", "/v1/workspaces/box/plan", query="days=2").body["items"]
    assert [(item["at"], item["operation"]) for item in items] == [
        ("2026-01-01T08:00:00.000Z", "start"),
        ("2026-01-01T18:00:00.000Z", "stop"),
        ("2026-01-02T08:00:00.000Z", "start"),
        ("2026-01-02T18:00:00.000Z", "stop"),
    ]
    assert {item["cause"] for item in items} == {"schedule"}
    assert all(item["reason"] and item["is_left_out"] is False for item in items)
    longer = api("GET", "/v1/workspaces/box/plan").body["items"]
    assert longer[:4] == items
    assert "2026-01-30T08" < longer[-1]["at"] < "2026-01-31T01"


def test_a_plan_says_what_is_left_out_and_why(api: Api) -> None:
    schedule = WEEKDAYS["schedule"] | {"holidays": {"dates": {"2026-01-01": "New Year"}}}
    put(api, body=WEEKDAYS | {"schedule": schedule})
    api.lifecycle.change("box", state=WorkspaceState.STOPPED, changed_at=api.world.clock())
    items = api("GET", "/v1/workspaces/box/plan", query="days=1").body["items"]
    [left_out] = [item for item in items if item["is_left_out"]]
    assert (left_out["operation"], left_out["cause"]) == (None, None)
    assert left_out["at"] == "2026-01-01T08:00:00.000Z"
    assert "New Year" in left_out["reason"]


def test_a_workspace_is_explained(api: Api) -> None:
    put(api, body=WEEKDAYS)
    api("PUT", "/v1/workspaces/box/override", {"desired": "off", "until": LATER, "reason": "move"})
    api.lifecycle.change(
        "box",
        state=WorkspaceState.STOPPED,
        changed_at=api.world.clock(),
        looked_at=api.world.clock(),
        detail="1 of 1 is stopped",
    )
    told = api("GET", "/v1/workspaces/box/explain").body
    assert (told["workspace_id"], told["state"]) == ("box", "stopped")
    assert told["summary"].startswith("It is stopped since 2026-01-01")
    [following] = told["next"]
    assert (following["operation"], following["cause"]) == ("start", "schedule")
    assert following["at"] == "2026-01-01T08:00:00.000Z"
    assert any("an override keeps it off" in text and "move" in text for text in told["blocked_by"])
    assert told["latest_jobs"] == []
    job = start(api)
    [latest] = api("GET", "/v1/workspaces/box/explain").body["latest_jobs"]
    assert latest == {
        "id": job["id"],
        "operation": "start",
        "state": "pending",
        "deadline": NOW,
        "reason": "somebody asked for it",
        "error": None,
    }


# -- lifecycle jobs ------------------------------------------------------------------------------


def history(api: Api, query: str = "") -> list[str]:
    items = api("GET", "/v1/lifecycle-jobs", query=query).body["items"]
    return [f"{item['workspace_id']} {item['operation']} {item['state']}" for item in items]


def test_jobs_are_listed_newest_first_by_workspace_and_state(api: Api) -> None:
    for name in ("a", "b"):
        put(api, name)
        end(api, start(api, name)["id"])
        api.world.clock.advance(1)
    end(api, api("POST", "/v1/workspaces/a/stop").body["id"], "EC2 refuses")
    api.world.clock.advance(1)
    last = start(api, "a")["id"]
    claim(api, last)
    expected = {
        "": ["a start running", "a stop failed", "b start completed", "a start completed"],
        "workspace=b": ["b start completed"],
        "state=failed": ["a stop failed"],
        "state=completed&workspace=a": ["a start completed"],
        "workspace=nobody": [],
    }
    assert {query: history(api, query) for query in expected} == expected
    first = api("GET", "/v1/lifecycle-jobs", query="limit=3").body
    query = f"limit=3&next_token={first['next_token']}"
    assert history(api, query) == ["a start completed"]


@pytest.mark.parametrize("query", ["state=done", "limit=0", "next_token=x", "workspace=a/b"])
def test_a_bad_filter_of_jobs_is_refused(api: Api, query: str) -> None:
    answer = api("GET", "/v1/lifecycle-jobs", query=query)
    assert list(answer.faults) == [query.partition("=")[0]]


def test_a_job_that_has_not_ended_is_cancelled_once(api: Api) -> None:
    put(api)
    job = start(api)
    api.world.clock.advance(5)
    first = api("POST", f"/v1/lifecycle-jobs/{job['id']}/cancel")
    assert (first.status, first.body["state"], first.body["due_at"]) == (200, "cancelled", None)
    assert first.body["cancelled_at"] == "2026-01-01T00:00:05.000Z"
    api.world.clock.advance(5)
    assert api("POST", f"/v1/lifecycle-jobs/{job['id']}/cancel").body == first.body
    assert api("GET", f"/v1/lifecycle-jobs/{job['id']}").body == first.body
    assert api("GET", "/v1/workspaces/box").body["pending"] == {}


def test_a_job_that_has_ended_is_not_cancelled(api: Api) -> None:
    put(api)
    job = start(api)
    end(api, job["id"])
    answer = api("POST", f"/v1/lifecycle-jobs/{job['id']}/cancel")
    assert answer.status == 409
    assert "has completed already" in answer.body["detail"]


def test_the_log_of_a_job_is_listed_line_by_line(api: Api) -> None:
    put(api)
    job_id = start(api)["id"]
    job = api.lifecycle.jobs.get(job_id)
    assert job is not None
    api.lifecycle.logs.write(job, "attempt 1: start", "start instance i-1")
    api.world.clock.advance(1)
    api.lifecycle.logs.write(job, "given up", level=LogLevel.ERROR)
    page = api("GET", f"/v1/lifecycle-jobs/{job_id}/logs").body
    assert page["next_token"] is None
    told = [(line["level"], line["output"]) for line in page["items"]]
    assert told == [
        ("info", "attempt 1: start"),
        ("info", "start instance i-1"),
        ("error", "given up"),
    ]
    assert page["items"][0]["created_at"] == NOW
    assert all(line["job_id"] == job_id and line["id"] for line in page["items"])
