"""Errors inside the API, and calls without a route: always a problem that reveals nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from shiftwork_core.errors import (
    Conflict,
    FaultAt,
    Invalid,
    NotFound,
    Throttled,
    TooLarge,
    Unavailable,
)
from tests.unit.functions.api.conftest import CONTEXT, Api, http_event

GOOD: dict[str, Any] = {"type": "sum", "params": {"numbers": [1, 2]}}


def failing(error: Exception) -> Any:
    def call(*args: object, **options: object) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (NotFound("none"), 404, "not-found"),
        (Conflict("busy"), 409, "conflict"),
        (TooLarge("large"), 413, "too-large"),
        (Invalid("bad", [FaultAt("a", "b")]), 422, "invalid"),
        (Throttled("slow down"), 503, "unavailable"),
        (Unavailable("gone"), 503, "unavailable"),
        (RuntimeError("secret inside"), 500, "internal"),
        (KeyError("secret inside"), 500, "internal"),
        (RecursionError(), 500, "internal"),
        (
            RequestValidationError([{"loc": ("body", "a", 0), "type": "x", "msg": "m"}]),
            422,
            "invalid",
        ),
    ],
    ids=repr,
)
def test_every_error_has_its_problem(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, slug: str
) -> None:
    monkeypatch.setattr(api.world.store, "get", failing(error))
    answer = api("POST", "/v1/requests/r1/cancel")
    assert answer.status == answer.body["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["type"] == f"https://shiftwork.dev/problems/{slug}"
    assert set(answer.body) == {"type", "title", "status", "detail", "errors", "next"}
    assert answer.body["next"] or slug in ("not-found", "conflict")
    assert "secret" not in answer.text and "Traceback" not in answer.text


def test_a_transient_error_says_when_to_try_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.world.store, "create", failing(Throttled("slow down")))
    answer = api("POST", "/v1/requests", GOOD)
    assert int(answer.headers["Retry-After"]) > 0
    assert "Idempotency-Key" in answer.body["next"]


def test_an_unexpected_error_is_logged_under_the_id_that_the_answer_gives(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(api.world.store, "create", failing(RuntimeError("secret inside")))
    answer = api("POST", "/v1/requests", GOOD)
    assert CONTEXT.aws_request_id in answer.body["detail"]
    assert "secret inside" in caplog.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v2/requests"), ("GET", "/v1/requests/"), ("GET", "/metric"),
     ("GET", "/v1/requests/a/b"), ("GET", "/v1/job-types/a#b"), ("GET", "/heartbeat\n"),
     # Another function answers these.
     ("GET", "/api/tasks/0"), ("POST", "/v1/tasks/exchange")],
)  # fmt: skip
def test_an_unknown_path_is_not_found(api: Api, method: str, path: str) -> None:
    answer = api(method, path)
    assert (answer.status, answer.body["next"]) == (404, "GET /openapi.json lists them all")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/heartbeat", "GET, HEAD"),
        ("DELETE", "/v1/requests", "POST, GET, HEAD"),
        ("OPTIONS", "/v1/requests", "POST, GET, HEAD"),
        ("GET", "/v1/requests/r1/cancel", "POST"),
        ("PATCH", "/v1/job-types/a", "GET, PUT, DELETE, HEAD"),
        ("TRACE", "/v1/job-types", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_answered_with_the_right_ones(
    api: Api, method: str, path: str, allowed: str
) -> None:
    answer = api(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


def test_an_answer_that_lambda_would_not_pass_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = api("POST", "/v1/requests", GOOD).body["request_id"]
    service = api.app.request_routes.service()
    for size, status in ((5_900_000, 200), (6_100_000, 422)):
        large = replace(service.details(service.get(request_id)), extras={"a": "x" * size})
        monkeypatch.setattr(service, "details", lambda request, large=large: large)
        answer = api("GET", f"/v1/requests/{request_id}")
        assert answer.status == status
        monkeypatch.undo()
    assert answer.body["type"].endswith("/answer-too-large")


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_an_event_that_is_not_a_call_fails_the_function(api: Api) -> None:
    with pytest.raises(KeyError):
        api.app.handler({}, CONTEXT)


def test_the_stage_in_the_path_is_left_out(api: Api) -> None:
    for path in ("/dev/v1/requests", "/v1/requests"):
        event = http_event("GET", path)
        event["requestContext"]["stage"] = "dev"
        assert api.app.handler(event, CONTEXT)["statusCode"] == 200


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (("POST", "/v1/requests", GOOD), {"CallsAnswered"}),
        (("POST", "/v1/requests", {}), {"CallsRefused"}),
        (("PUT", "/v1/job-types/a", {"target": "python"}), {"DefinitionsPut", "CallsAnswered"}),
    ],
)
def test_outcomes_are_counted(
    api: Api, capsys: pytest.CaptureFixture[str], call: tuple[Any, ...], names: set[str]
) -> None:
    api(*call)
    line = next(line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line)
    found = json.loads(line)["_aws"]["CloudWatchMetrics"][0]
    assert {metric["Name"] for metric in found["Metrics"]} == names
    assert found["Dimensions"] == [["stage"]]
