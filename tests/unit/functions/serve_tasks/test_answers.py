"""What holds for every call of the task API: routes, errors, tokens and sizes."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftwork_core.domain.workers.tokens import read, signing_key
from shiftwork_core.errors import Throttled
from shiftwork_core.routes import ROUTES, TASK_ROUTES, Route, Scope, words_beside
from tests.unit.functions.serve_tasks.conftest import TOKENS, TaskApi, result_of
from tests.world.world import World

#: Routes that any token may call are not offered, and read nothing of the call.
OFFERED = [route for route in TASK_ROUTES if Scope.SUBMIT not in route.also]
SHAPE = {"status", "code", "message", "instance", "retryable", "validationErrors", "metadata"}


def path_of(route: Route) -> str:
    """Return a path that fits a route and names things that do not exist."""
    parts = ["nobody" if part.startswith("{") else part for part in route.path.split("/")]
    return "/".join(parts)


@pytest.mark.parametrize("route", TASK_ROUTES, ids=lambda r: f"{r.method} {r.path}")
def test_every_route_answers(api: TaskApi, route: Route) -> None:
    """A refusal has Conductor's shape."""
    answer = api(route.method, path_of(route), {})
    assert answer.status < 600
    if answer.status == 501:
        assert answer.body["message"].startswith("Shiftwork has no")
    assert answer.status != 405
    if answer.status >= 400 and route.path not in ("/api/token", "/v1/tasks/exchange"):
        assert set(answer.body) == SHAPE
        assert answer.body["status"] == answer.status


def test_an_empty_answer_is_never_typed_as_json(api: TaskApi) -> None:
    """Conductor's JavaScript SDK takes it for `{}` then, a task without an id."""
    workflow_id = api.start()
    [task] = api.poll()
    task_defs = "/api/metadata/taskdefs"
    answers = [
        api("GET", "/api/tasks/poll/render", query="workerid=w1"),
        api("POST", f"/api/tasks/{task['taskId']}/log", raw="a line"),
        api("POST", "/api/tasks/update-v2", result_of(task, "FAILED_WITH_TERMINAL_ERROR")),
        api("POST", f"/api/workflow/{workflow_id}/retry"),
        api("DELETE", f"/api/workflow/{workflow_id}"),
        api("POST", task_defs, [{"name": "cut"}]),
        api("PUT", task_defs, {"name": "cut"}),
        api("DELETE", f"{task_defs}/cut"),
    ]
    statuses = [answer.status for answer in answers]
    assert statuses == [204, 200, 204, 204, 200, 200, 200, 200], answers
    assert {(a.text, a.type) for a in answers} == {("", "text/plain; charset=utf-8")}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/workflow/1/pause"),
        ("PUT", "/api/workflow/1/resume"),
        ("POST", "/api/workflow/1/restart"),
        ("GET", "/api/tasks/search"),
        ("GET", "/api/metadata/workflow"),
        ("GET", "/api/metadata/workflow/a"),
        ("POST", "/api/metadata/workflow"),
        ("PUT", "/api/metadata/workflow"),
        ("DELETE", "/api/metadata/workflow/a/1"),
    ],
)
def test_a_route_that_is_not_offered_says_what_to_use_instead(
    api: TaskApi, method: str, path: str
) -> None:
    answer = api(method, path, {})
    assert answer.status == 501
    said = answer.body
    assert "; " in said.pop("message")
    assert said == {
        "status": 501,
        "code": "NOT_IMPLEMENTED",
        "instance": "call-1",
        "retryable": False,
        "validationErrors": None,
        "metadata": None,
    }


def test_an_unknown_path_is_404_and_a_wrong_method_405(api: TaskApi) -> None:
    assert api("GET", "/api/nowhere").status == 404
    assert api("GET", "/api/tasks/poll/batch/a/b").status == 404
    assert api("DELETE", "/api/tasks").status == 405
    assert "POST" in api("DELETE", "/api/tasks").body["message"]


#: Where Conductor's API has a fixed word and Shiftwork's a name or an id.
CONDUCTORS = [
    ("POST", "/api/workflow/test"),
    ("POST", "/api/workflow/start/film/1"),
    ("POST", "/api/workflow/execute/film"),
    ("POST", "/api/workflow/execute/film/1"),
    ("POST", "/api/workflow/execute/retry"),
    ("POST", "/api/workflow/correlated/batch"),
    ("GET", "/api/workflow/execute/film"),
    ("GET", "/api/workflow/execute/status"),
    ("GET", "/api/workflow/running/film"),
    ("GET", "/api/workflow/running/status"),
    *[("PUT", f"/api/workflow/bulk/{action}") for action in ("pause", "resume")],
    *[("POST", f"/api/workflow/bulk/{action}") for action in ("retry", "restart", "terminate")],
    ("PUT", "/api/workflow/decide/pause"),
    ("GET", "/api/workflow/externalstoragelocation"),
    *[("GET", f"/api/workflow/search{rest}") for rest in ("", "-v2", "-by-tasks", "-by-tasks-v2")],
    *[("GET", f"/api/tasks/{rest}") for rest in ("search", "search-v2", "queue/all/verbose")],
    ("GET", "/api/tasks/externalstoragelocation"),
    ("POST", "/api/tasks/queue/requeue/COMPLETED"),
]


@pytest.mark.parametrize(("method", "path"), CONDUCTORS)
def test_a_call_of_conductors_is_never_taken_for_one_with_its_word_as_a_name(
    api: TaskApi, world: World, method: str, path: str
) -> None:
    for name in ("test", "bulk", "execute"):
        world.request_type(name, [{"name": "render", "type": "render"}])
    answer = api(method, path, {})
    assert (answer.status, answer.body["code"]) == (501, "NOT_IMPLEMENTED")
    assert not world.tables.requests


@pytest.mark.parametrize(
    ("word", "status"),
    [("search", 405), ("running", 404), ("bulk", 404), ("te%73t", 404), ("bu%6Ck", 404)],
)
def test_a_request_type_that_is_named_like_a_word_of_the_api_is_started_by_its_name_in_the_body(
    api: TaskApi, world: World, word: str, status: int
) -> None:
    name = unquote(word)
    world.request_type(name, [{"name": "render", "type": "render"}])
    answer = api("POST", f"/api/workflow/{word}", {})
    assert answer.status == status
    assert f"{name!r} is a word of the API" in answer.body["message"]
    assert "POST /api/workflow, with its name in the body" in answer.body["message"]
    assert api("POST", "/api/workflow", {"name": name}).status == 200


def test_a_job_type_that_is_named_batch_is_polled_by_batches(api: TaskApi, world: World) -> None:
    world.job_type("batch", target="worker")
    world.request_type("film", [{"name": "cut", "type": "batch"}])
    api.start()
    answer = api("GET", "/api/tasks/poll/batch", query="workerid=w1")
    assert answer.status == 404
    assert "GET /api/tasks/poll/batch/{type}" in answer.body["message"]
    assert [task["taskType"] for task in api.poll("batch")] == ["batch"]


def test_a_job_may_be_named_like_a_word_that_stands_elsewhere(api: TaskApi, world: World) -> None:
    for name in ("log", "signal", "poll"):
        world.request_type("film", [{"name": name, "type": "render"}])
        workflow_id = api.start()
        answer = api("POST", f"/api/tasks/{workflow_id}/{name}/COMPLETED", {})
        assert answer.status == 200, answer.text


def test_no_route_of_v1_has_a_name_where_another_has_a_word() -> None:
    assert {route.path: words_beside(route) for route in ROUTES if words_beside(route)} == {}


def test_a_head_request_claims_no_task(api: TaskApi) -> None:
    api.start()
    assert api("HEAD", "/api/tasks/poll/render").status == 405
    assert len(api.poll()) == 1


def test_a_fault_has_conductors_shape(api: TaskApi) -> None:
    answer = api("POST", "/api/tasks", {"status": "COMPLETED"})
    assert answer.body == {
        "status": 400,
        "code": "INVALID_INPUT",
        "message": "taskId: is required",
        "instance": "call-1",
        "retryable": False,
        "validationErrors": [{"path": "taskId", "message": "is required", "invalidValue": None}],
        "metadata": None,
    }


def test_a_transient_error_is_retryable(
    api: TaskApi, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(*_: object) -> None:
        raise Throttled("too fast")

    monkeypatch.setattr(world.tasks, "poll", throttled)
    answer = api("GET", "/api/tasks/poll/render", query="workerid=w1")
    assert (answer.status, answer.body["retryable"]) == (503, True)


def test_an_unexpected_error_reveals_nothing(
    api: TaskApi, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(world.tasks, "poll", broken)
    answer = api("GET", "/api/tasks/poll/render", query="workerid=w1")
    assert (answer.status, answer.body["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.text


@pytest.mark.parametrize("path", ["/api/tasks/poll/render", "/api/nowhere", "/api/workflow/1"])
@pytest.mark.parametrize("fault", ["EXPIRED_TOKEN", "INVALID_TOKEN"])
def test_an_invalid_token_is_answered_as_conductors_sdks_expect(
    api: TaskApi, path: str, fault: str
) -> None:
    answer = api("GET", path, authorizer={"scope": "", "error": fault})
    assert (answer.status, answer.body["error"]) == (401, fault)
    ours = api("POST", "/v1/tasks/exchange", {}, authorizer={"scope": "", "error": fault})
    assert (ours.status, ours.type) == (401, "application/problem+json")


def test_a_key_and_a_secret_get_a_token_for_an_hour(api: TaskApi, world: World) -> None:
    body = {"keyId": "team-a", "keySecret": TOKENS["worker"]}
    answer = api("POST", "/api/token", body, authorizer={})
    assert (answer.status, answer.body["userId"]) == (200, "team-a")
    key = signing_key(TOKENS["admin"].encode())
    claims: Any = read(answer.body["token"], key, world.clock())
    assert (claims.scope, claims.subject, claims.is_group) == ("worker", "team-a", True)
    assert claims.expires_at == world.clock() + timedelta(hours=1)


@pytest.mark.parametrize("key", [None, "", "a/b", "a b", "x" * 101, "ä"])
def test_a_key_of_workers_is_their_name_and_must_be_one(api: TaskApi, key: str | None) -> None:
    body = {"keyId": key, "keySecret": TOKENS["worker"]}
    answer = api("POST", "/api/token", body, authorizer={})
    assert (answer.status, list(answer.faults)) == (400, ["keyId"])


@pytest.mark.parametrize(
    "body", [{}, {"keyId": "a"}, {"keySecret": ""}, {"keyId": "a", "keySecret": "wrong"}], ids=str
)
def test_a_wrong_secret_gets_no_token(api: TaskApi, body: dict[str, Any]) -> None:
    answer = api("POST", "/api/token", body, authorizer={})
    assert (answer.status, answer.body["error"]) == (401, "INVALID_TOKEN")


@pytest.mark.parametrize("raw", ["{", "[1", "nothing", '{"a": 1, "a": 2}', '{"a": NaN}'], ids=str)
def test_a_body_that_is_not_json_is_400(api: TaskApi, raw: str) -> None:
    for path in ("/api/tasks", "/api/tasks/update-v2", "/api/workflow", "/api/metadata/taskdefs"):
        answer = api("POST", path, raw=raw)
        assert (answer.status, answer.body["code"]) == (400, "MALFORMED")


DEEP = "[" * 32 + "]" * 32


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("NaN", ": JSON has no NaN and no Infinity"),
        ("-Infinity", ": JSON has no NaN and no Infinity"),
        ("1e999", ": the number is out of range"),
        ("9223372036854775808", ": the number is out of range"),
        ('"\\ud800"', ": the text is not Unicode: half a surrogate pair"),
        (DEEP, " is nested more than 32 levels deep"),
    ],
)
@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/api/tasks", '{"taskId": "1.1.0.1", "outputData": {"loss": [VALUE]}}', "outputData.loss"),
        ("/api/tasks/update-v2", '{"outputData": {"loss": [VALUE]}}', "outputData.loss"),
        ("/v1/tasks/exchange", '{"results": [{"output": [VALUE]}]}', "results[0].output"),
        ("/api/workflow", '{"input": {"loss": [VALUE]}}', "input.loss"),
        ("/api/workflow/film", '{"loss": [VALUE]}', "loss"),
    ],
)
def test_what_is_no_json_in_an_output_or_input_is_named_with_its_place(
    api: TaskApi, path: str, body: str, place: str, value: str, why: str
) -> None:
    answer = api("POST", path, raw=body.replace("VALUE", value))
    assert answer.status in (400, 422)
    message = answer.body["message" if path.startswith("/api") else "detail"]
    named = message.removeprefix("the body is not JSON: ").partition(why)[0]
    assert why in message and named.startswith(place), message


def test_a_body_may_be_sent_in_base64(api: TaskApi) -> None:
    raw = base64.b64encode(b'{"name": "film"}').decode()
    assert api("POST", "/api/workflow", raw=raw, is_base64=True).status == 200
    assert api("POST", "/api/workflow", raw="%", is_base64=True).status == 400
    broken = base64.b64encode(b"\xff").decode()
    assert api("POST", "/api/workflow", raw=broken, is_base64=True).status == 400


def test_a_large_result_is_stored_and_returned(api: TaskApi, world: World) -> None:
    workflow_id = api.start()
    [task] = api.poll()
    output = {"text": "x" * 1_000_000}
    assert api.update(task, "COMPLETED", outputData=output).status == 200
    assert world.attempts(workflow_id)[0].output.ref is not None  # type: ignore[union-attr]
    assert api("GET", f"/api/tasks/{task['taskId']}").body["outputData"] == output


def test_tasks_that_do_not_fit_into_an_answer_are_put_back(api: TaskApi, world: World) -> None:
    """Each has the large result of the step before."""
    world.request_type(
        "saga",
        [{"name": "write", "type": "render"}],
        [{"name": "cut", "type": "render", "for_each": "params.cuts"}],
    )
    workflow_id = api.start("saga", cuts=[1, 2, 3])
    [task] = api.poll()
    api.update(task, "COMPLETED", outputData={"text": "x" * 2_500_000})
    world.run()
    assert [t["referenceTaskName"] for t in api.poll()] == ["cut[0]", "cut[1]"]
    assert [t["referenceTaskName"] for t in api.poll()] == ["cut[2]"]
    answer = api("GET", f"/api/workflow/{workflow_id}")
    assert (answer.status, answer.body["code"]) == (413, "ANSWER_TOO_LARGE")
    assert "includeTasks=false" in answer.body["message"]


def test_a_task_that_no_answer_could_hold_fails(api: TaskApi, world: World) -> None:
    world.request_type(
        "saga", [{"name": "write", "type": "render"}], [{"name": "cut", "type": "render"}]
    )
    workflow_id = api.start("saga")
    [task] = api.poll()
    api.update(task, "COMPLETED", outputData={"text": '"' * 2_500_000})
    world.run()
    assert api.poll() == []
    assert world.request(workflow_id).status == "Failed"
    assert "bytes as JSON" in str(world.view(workflow_id)["error"]["message"])


# -- random input-----------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["taskId", "workflowInstanceId", "status", "outputData", "logs", "log", "createdTime",
     "callbackAfterSeconds", "extendLease", "workerId", "reasonForIncompletion", "name", "input",
     "version", "priority", "taskToDomain", "correlationId", "idempotencyKey", "retryCount",
     "retryLogic", "inputTemplate", "rateLimitPerFrequency", "keyId", "keySecret", "worker_id",
     "results", "wants", "running", "wait_s", "task_id", "fence", "type", "count", "domain",
     "message", "at", "error", "exchange_id"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["COMPLETED", "FAILED", "IN_PROGRESS", "CANCELED", "render", "film", "f1.1.0.1", "f1.1.0.2",
     "w1", "2026-01-01T00:00:00Z", "FIXED", "ok", "error", "*"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
BODIES = st.dictionaries(NAMES, JSON, max_size=8) | st.lists(st.dictionaries(NAMES, JSON)) | JSON
SEGMENTS = st.text(st.characters(exclude_characters="/"), max_size=10) | WORDS
fuzz = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@fuzz
@given(data=st.data(), body=BODIES, query=st.text(max_size=20))
@pytest.mark.parametrize("route", OFFERED, ids=lambda r: f"{r.method} {r.path}")
def test_nothing_that_a_client_sends_makes_it_fail(
    api: TaskApi, world: World, route: Route, data: st.DataObject, body: Any, query: str
) -> None:
    if not world.tables.requests:
        api.start()
        api.poll()
    parts = [data.draw(SEGMENTS) if p.startswith("{") else p for p in route.path.split("/")]
    options = {"query": query, "authorizer": data.draw(st.sampled_from([None, {"scope": ""}]))}
    if data.draw(st.booleans()):
        answer = api(route.method, "/".join(parts), body, **options)
    else:
        raw = data.draw(st.text(max_size=30) | st.just(json.dumps(body)))
        answer = api(route.method, "/".join(parts), raw=raw, **options)
    assert answer.status < 500 or answer.status == 501, answer.text
