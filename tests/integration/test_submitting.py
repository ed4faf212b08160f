"""What the deployed API accepts and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from threading import Barrier
from typing import Any

import httpx2
import pytest

from shiftwork.api.errors import Invalid, NotFound
from shiftwork_core.services.requests.requests import Submission
from tests.integration.conftest import token_of
from tests.integration.lab import Lab, job, side_by_side, unique, until

Headers = dict[str, str]
JSON = {"Content-Type": "application/json"}


# -- idempotency -------------------------------------------------------------------------------


def test_fifty_posts_with_one_key_make_one_request(
    lab: Lab, http: httpx2.Client, admin: Headers
) -> None:
    name, key = lab.define([job("a", "note")]), unique("key")

    def post() -> httpx2.Response:
        headers = admin | {"Idempotency-Key": key}
        return http.post("/v1/requests", json={"type": name, "params": {}}, headers=headers)

    # The emulator starts a process for each call under way, so they are not all sent at once.
    answers = side_by_side([post] * 50, at_once=8)
    assert Counter(a.status_code for a in answers) == {201: 1, 200: 49}
    (request_id,) = {a.json()["request_id"] for a in answers}
    lab.completed(request_id)
    assert lab.history(request_id) == ["a 1 completed"]
    requests = until(lambda: list(lab.api.list_all(type=name)), "the index shows it")
    assert [r["request_id"] for r in requests] == [request_id]


def test_fifty_submissions_at_the_same_moment_with_one_key_make_one_request(lab: Lab) -> None:
    name, key = lab.define([job("a", "note")]), unique("key")
    start = Barrier(50)

    def submit() -> tuple[str, bool]:
        start.wait()
        request, is_new = lab.service().submit(Submission(name, {"n": 1}, {}), key)
        return request.request_id, is_new

    submitted = side_by_side([submit] * 50)
    assert Counter(is_new for _, is_new in submitted) == {True: 1, False: 49}
    (request_id,) = {request_id for request_id, _ in submitted}
    lab.completed(request_id)
    assert lab.rows_with(name) == 3  # The type, the request and its step.


def test_a_replay_with_another_body_is_refused_and_writes_nothing(lab: Lab) -> None:
    name, key, marker = lab.define([job("a", "note")]), unique("key"), unique("marker")
    first = lab.api.submit(name, {"n": 1}, idempotency_key=key)
    lab.completed(first["request_id"])
    with pytest.raises(Invalid, match="Idempotency-Key") as refusal:
        lab.api.submit(name, {"n": marker}, idempotency_key=key)
    assert refusal.value.status == 422
    assert lab.rows_with(marker) == 0
    again = lab.api.submit(name, {"n": 1}, idempotency_key=key)
    assert (again["request_id"], again["status"]) == (first["request_id"], "Completed")


# -- bad input ---------------------------------------------------------------------------------


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"x": value}
    return value


def submission(**fields: Any) -> str:
    return json.dumps({"type": "TYPE", "params": {}, **fields})


#: Bodies of POST /v1/requests, in which TYPE stands for a type of the test's own, and the answer
#: to each. Unit tests send what is not UTF-8: the emulator repairs it on its way.
BAD_SUBMISSIONS: dict[str, tuple[str, int]] = {
    "nothing": ("", 422),
    "not JSON": ("{TYPE", 400),
    "a list": ('["TYPE"]', 422),
    "a number": ("42", 422),
    "null": ("null", 422),
    "NaN": ('{"type": "TYPE", "params": {"x": NaN}}', 400),
    "a key twice": ('{"type": "TYPE", "type": "TYPE", "params": {}}', 400),
    "a number out of range": ('{"type": "TYPE", "params": {"x": 1e999}}', 422),
    "half a surrogate pair": ('{"type": "TYPE", "params": {"x": "\\ud800"}}', 422),
    "no type": ('{"params": {"x": "TYPE"}}', 422),
    "no params": ('{"type": "TYPE"}', 422),
    "a type of the wrong type": ('{"type": 7, "params": {"x": "TYPE"}}', 422),
    "a type's name that is no name": (submission(type="TYPE/../x"), 422),
    "an unknown type": (submission(type="TYPE-unknown"), 422),
    "an unknown version": (submission(version=99), 422),
    "version zero": (submission(version=0), 422),
    "a version that is text": (submission(version="1"), 422),
    "params that are a list": (submission(params=[]), 422),
    "params against the schema": (submission(params={"size": "big"}), 422),
    "extras that are text": (submission(extras="x"), 422),
    "an unknown field": (submission(surprise=1), 422),
    "a priority out of range": (submission(priority=100), 422),
    "a priority that is true": (submission(priority=True), 422),
    "a start time that is none": (submission(start_at="tomorrow"), 422),
    "a start time without an offset": (submission(start_at="2026-01-31T09:00:00"), 422),
    "a start time in ten years": (submission(start_at="2036-01-31T09:00:00Z"), 422),
    "too deep": (submission(params=nested(40)), 422),
    "far too deep": ('{"type": "TYPE", "params": ' + '{"x":' * 9_000 + "1" + "}" * 9_001, 422),
    "params too large": (submission(params={"x": "x" * 270_000}), 413),
    "extras too large": (submission(extras={"x": "x" * 270_000}), 413),
    "huge": (submission(params={"x": "x" * 1_100_000}), 413),
}


@pytest.mark.parametrize("case", BAD_SUBMISSIONS)
def test_a_bad_submission_gets_a_clear_refusal_and_writes_nothing(
    lab: Lab, http: httpx2.Client, admin: Headers, case: str
) -> None:
    body, status = BAD_SUBMISSIONS[case]
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}}
    name = lab.define([job("a", "note")], name="bad", params=schema)
    before = lab.rows_with(name)
    answer = http.post("/v1/requests", content=body.replace("TYPE", name), headers=admin | JSON)
    assert answer.status_code == status, answer.text
    assert_is_problem(answer)
    assert lab.rows_with(name) == before == 1  # The type itself.


def assert_is_problem(answer: httpx2.Response) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() == {"type", "title", "status", "detail", "errors", "next"}
    assert problem["status"] == answer.status_code
    assert problem["title"] and problem["detail"] and len(answer.content) < 20_000


def test_a_refusal_names_every_fault_at_once(lab: Lab, http: httpx2.Client, admin: Headers) -> None:
    schema = {
        "type": "object",
        "required": ["prefix"],
        "properties": {"size": {"type": "integer"}, "names": {"items": {"type": "string"}}},
    }
    name = lab.define([job("a", "note")], params=schema)
    body: dict[str, Any] = {"type": name, "params": {"size": "big", "names": ["x", 1]}}
    errors = http.post("/v1/requests", json=body, headers=admin).json()["errors"]
    assert {e["path"] for e in errors} == {"params", "params.size", "params.names[1]"}
    body = {"type": 7, "params": [], "surprise": 1, "priority": -1}
    errors = http.post("/v1/requests", json=body, headers=admin).json()["errors"]
    assert {e["path"] for e in errors} == {"type", "params", "surprise", "priority"}


def request_type(**changes: Any) -> dict[str, Any]:
    return {"steps": [{"name": "s", "jobs": [{"name": "j", "type": "probe.note"}]}], **changes}


def steps_of(count: int, jobs: int = 1) -> list[Any]:
    listed = [{"name": f"j{n}", "type": "probe.note"} for n in range(jobs)]
    return [{"name": f"s{n}", "jobs": listed} for n in range(count)]


BAD_DEFINITIONS: dict[str, tuple[str, Any, int]] = {
    "no steps": ("request-type", {}, 422),
    "an empty list of steps": ("request-type", {"steps": []}, 422),
    "a step without jobs": ("request-type", {"steps": [{"name": "s", "jobs": []}]}, 422),
    "an unknown field": ("request-type", request_type(surprise=1), 422),
    "an unknown job type": (
        "request-type",
        {"steps": [{"name": "s", "jobs": [{"name": "j", "type": "probe.unheard-of"}]}]},
        422,
    ),
    "two steps of one name": ("request-type", {"steps": steps_of(1) * 2}, 422),
    "too many steps": ("request-type", {"steps": steps_of(101)}, 422),
    "too many jobs": ("request-type", {"steps": steps_of(1, jobs=10_001)}, 422),
    "a schema that is none": ("request-type", request_type(params={"type": "thing"}), 422),
    "another name than the path's": ("request-type", request_type(name="other"), 422),
    "a for_each that is no JMESPath": (
        "request-type",
        {"steps": [{"name": "s", "jobs": [{"name": "j", "type": "probe.note", "for_each": "a["}]}]},
        422,
    ),
    "no target": ("job-type", {}, 422),
    "an unknown target": ("job-type", {"target": "fax"}, 422),
    "a target without its block": ("job-type", {"target": "lambda"}, 422),
    "an unknown service": (
        "job-type",
        {"target": "http", "http": {"service": "elsewhere", "path": "/"}},
        422,
    ),
    "no attempts": ("job-type", {"target": "python", "retry": {"max_attempts": 0}}, 422),
    "too long a time": ("job-type", {"target": "python", "timeout_s": 841}, 422),
    "too large a batch": ("job-type", {"target": "python", "batch_size": 101}, 422),
}


@pytest.mark.parametrize("case", BAD_DEFINITIONS)
def test_a_bad_definition_gets_a_clear_refusal_and_writes_nothing(
    lab: Lab, http: httpx2.Client, admin: Headers, case: str
) -> None:
    kind, body, status = BAD_DEFINITIONS[case]
    name = unique("bad")
    answer = http.put(f"/v1/{kind}s/{name}", json=body, headers=admin)
    assert answer.status_code == status, answer.text
    assert_is_problem(answer)
    assert answer.json()["errors"]
    assert lab.rows_with(name) == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/requests", 405),
        ("GET", "/v1/requests/no-such-request", 404),
        ("GET", "/v1/requests/no-such-request/jobs", 404),
        ("GET", "/v1/requests/no-such-request/explain", 404),
        ("POST", "/v1/requests/no-such-request/cancel", 404),
        ("POST", "/v1/requests/no-such-request/retry", 404),
        ("GET", "/v1/jobs/no-such-attempt/logs", 404),
        ("GET", "/v1/job-types/no-such-type", 404),
        ("DELETE", "/v1/request-types/no-such-type", 404),
        ("GET", "/v1/requests?limit=0", 422),
        ("GET", "/v1/requests?limit=many", 422),
        ("GET", "/v1/requests?status=Lost", 422),
        ("GET", "/v1/requests?next_token=forged", 422),
    ],
)
def test_a_call_for_an_unknown_resource_gets_a_clear_refusal(
    http: httpx2.Client, admin: Headers, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path, headers=admin)
    assert answer.status_code == status, answer.text
    assert_is_problem(answer)


# -- tokens ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"X-Authorization": "wrong"},
        {"Authorization": f"Bearer {'x' * 5000}"},
    ],
)
def test_a_bad_token_is_refused_and_nothing_is_written(
    lab: Lab, http: httpx2.Client, headers: Headers
) -> None:
    name = unique("stranger")
    answer = http.put(f"/v1/request-types/{name}", json=request_type(), headers=headers)
    assert answer.status_code in (401, 403)
    assert http.get("/v1/requests", headers=headers).status_code in (401, 403)
    assert lab.rows_with(name) == 0


def test_a_token_opens_the_routes_of_its_scope_and_no_others(lab: Lab, http: httpx2.Client) -> None:
    name = lab.define([job("a", "note")])
    calls = {
        "read": ("GET", "/v1/requests", None),
        "submit": ("POST", "/v1/requests", {"type": name, "params": {}}),
        "operate": ("POST", "/v1/requests/no-such-request/cancel", None),
        "admin": ("PUT", f"/v1/request-types/{name}", request_type()),
    }

    def is_let_in(scope: str, wanted: str) -> bool:
        method, path, body = calls[wanted]
        headers = {"Authorization": f"Bearer {token_of(scope)}"}
        return http.request(method, path, json=body, headers=headers).status_code not in (401, 403)

    for scope in ("read", "submit", "operate"):
        # The authorizer reads the tokens again a few seconds after they have changed.
        until(lambda scope=scope: is_let_in(scope, scope), f"the token for {scope} works", 20)  # type: ignore[misc]
        for wanted in calls.keys() - {scope}:
            assert not is_let_in(scope, wanted)


def test_the_heartbeat_is_open_to_all_and_the_api_describes_itself(
    http: httpx2.Client, admin: Headers
) -> None:
    assert http.get("/heartbeat").json() == {"status": "ok"}
    document = http.get("/openapi.json", headers=admin).json()
    assert "/v1/requests/{request_id}/cancel" in document["paths"]


# -- definitions -------------------------------------------------------------------------------


def test_a_changed_definition_makes_a_version_and_running_requests_keep_theirs(lab: Lab) -> None:
    gate = unique("gate")
    waiting = [job("wait", "wait", gate=gate)]
    name = lab.define(waiting, [job("old", "note")])
    first = lab.api.definition("request-type", name)
    assert first["version"] == 1
    running = lab.api.submit(name)["request_id"]
    lab.running(running)
    assert lab.redefine(name, waiting, [job("old", "note")])["version"] == 1
    assert lab.redefine(name, waiting, [job("new", "note")], [job("last", "note")])["version"] == 2
    later = lab.api.submit(name)["request_id"]
    chosen = lab.api.submit(name, version=1)["request_id"]
    lab.open(gate)
    for request_id, version, jobs in (
        (running, 1, {"wait", "old"}),
        (later, 2, {"wait", "new", "last"}),
        (chosen, 1, {"wait", "old"}),
    ):
        request = lab.completed(request_id)
        assert request["type_version"] == version
        assert request["extras"].keys() == jobs


def test_a_running_request_keeps_the_job_types_it_began_with(lab: Lab) -> None:
    gate, kind = unique("gate"), unique("probe.own")
    lab.api.put_definition("job-type", kind, {"target": "worker"})
    name = lab.define([job("wait", "wait", gate=gate)], [{"name": "own", "type": kind}])
    request_id = lab.api.submit(name)["request_id"]
    # No callback has this name: had the request used this version, it would fail.
    assert lab.api.put_definition("job-type", kind, {"target": "python"})["version"] == 2
    lab.open(gate)
    until(lambda: lab.history(request_id, step=2) == ["own 1 new"], "the job waits for a worker")
    lab.api.cancel(request_id)


def test_a_deleted_type_accepts_no_requests_and_its_running_ones_go_on(lab: Lab) -> None:
    gate = unique("gate")
    name = lab.define([job("wait", "wait", gate=gate)], [job("after", "note")])
    running = lab.api.submit(name)["request_id"]
    lab.running(running)
    lab.api.delete_definition("request-type", name)
    with pytest.raises(NotFound):
        lab.api.definition("request-type", name)
    with pytest.raises(Invalid) as refusal:
        lab.api.submit(name)
    assert refusal.value.status == 422
    assert name not in [d["name"] for d in lab.api.definitions("request-type")]
    lab.open(gate)
    lab.completed(running)
