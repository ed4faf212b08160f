"""The logs of an attempt and of a request, over stubbed answers of CloudWatch Logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from shiftwork_core import bootstrap
from shiftwork_core.adapters.aws.logs import JobLogs
from shiftwork_core.domain.requests.records import AttemptKey, LogLine
from tests.unit.functions.api.conftest import Answer, Api

#: The attempt of the fixture started and completed at the start of 2026.
START = 1767225600000
QUERY = {
    "logGroupName": "/aws/lambda/run-jobs",
    "filterPattern": '"r1.1.0.1"',
    "startTime": START - 60_000,
    "endTime": START + 60_000,
    "limit": 50,
}
#: What a query for all jobs of its request has in other places; None: nothing.
OF_REQUEST: dict[str, Any] = {"filterPattern": '"r1"', "endTime": None}


@dataclass
class Logs:
    """The logs of one attempt that has run."""

    api: Api
    stub: Stubber

    def add(self, *messages: str, token: str | None = None, **query: Any) -> None:
        """Expect a query; answer it with these lines, a second apart."""
        events = [{"timestamp": START + 1000 * n, "message": m} for n, m in enumerate(messages)]
        answer: dict[str, Any] = {"events": events} | ({"nextToken": token} if token else {})
        expected = {k: v for k, v in (QUERY | query).items() if v is not None}
        self.stub.add_response("filter_log_events", answer, expected)

    def get(self, query: str = "") -> Answer:
        return self.api("GET", "/v1/jobs/r1.1.0.1/logs", query=query)

    def follow(self, query: str = "") -> Answer:
        return self.api("GET", "/v1/requests/r1/logs", query=query)


@pytest.fixture
def logs(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    api("POST", "/v1/requests", {"type": "sum", "params": {"numbers": [1]}})
    api.world.run_through()
    client = boto3.client(
        "logs", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    monkeypatch.setattr(bootstrap.world, "client", lambda service: client)
    monkeypatch.setattr(bootstrap.stores, "jobs", lambda: api.world.jobs)
    monkeypatch.setattr(bootstrap.world, "now", api.world.clock)
    with Stubber(client) as stub:
        yield Logs(api, stub)
        stub.assert_no_pending_responses()


def test_the_lines_of_an_attempt_are_listed(logs: Logs) -> None:
    logs.add('{"message": "one", "attempt_id": "r1.1.0.1"}\n', "r1.1.0.1 two")
    assert logs.get().body == {
        "items": [
            {
                "timestamp": "2026-01-01T00:00:00.000Z",
                "message": '{"message": "one", "attempt_id": "r1.1.0.1"}',
            },
            {"timestamp": "2026-01-01T00:00:01.000Z", "message": "r1.1.0.1 two"},
        ],
        "next_token": None,
    }


def test_lines_of_attempts_with_the_same_prefix_are_left_out(logs: Logs) -> None:
    logs.add("r1.1.0.11 other", "xr1.1.0.1 other", "x-r1.1.0.1 other", "done: r1.1.0.1.")
    assert [item["message"] for item in logs.get().body["items"]] == ["done: r1.1.0.1."]


def test_a_page_leads_to_the_next(logs: Logs) -> None:
    logs.add("r1.1.0.1", token="next/page", limit=1)
    assert logs.get("limit=1").body["next_token"] == "next/page"
    logs.add("r1.1.0.1", nextToken="next/page", limit=1)
    assert logs.get("limit=1&next_token=next/page").body["next_token"] is None


def test_empty_pages_are_followed_a_few_times_only(logs: Logs) -> None:
    logs.add(token="1")
    for number in range(1, 5):
        logs.add(token=str(number + 1), nextToken=str(number))
    assert logs.get().body == {"items": [], "next_token": "5"}


def test_an_attempt_that_has_not_started_has_no_lines(logs: Logs) -> None:
    logs.api.world.job_type("polled", target="worker")
    logs.api.world.request_type("polls", [{"name": "a", "type": "polled"}])
    logs.api("POST", "/v1/requests", {"type": "polls", "params": {}})
    logs.api.world.run()
    (attempt,) = (a for key in logs.api.world.tables.attempts if key != "r1"
                  for a in logs.api.world.attempts(key))  # fmt: skip
    answer = logs.api("GET", f"/v1/jobs/{attempt.attempt_id}/logs")
    assert answer.body == {"items": [], "next_token": None}
    assert JobLogs(bootstrap.world.client("logs"), "group").find(attempt, 50, None).items == []


@pytest.mark.parametrize(
    ("code", "http_status", "status"),
    [
        ("ResourceNotFoundException", 400, 200),
        ("InvalidParameterException", 400, 422),
        ("ThrottlingException", 400, 503),
        ("ServiceUnavailableException", 503, 503),
        ("AccessDeniedException", 400, 500),
    ],
)
def test_refusals_by_cloudwatch_are_distinguished(
    logs: Logs, code: str, http_status: int, status: int
) -> None:
    logs.stub.add_client_error("filter_log_events", code, http_status_code=http_status)
    assert logs.get().status == status


# -- polled jobs ---------------------------------------------------------------------------------


def test_the_lines_of_a_polled_attempt_are_those_that_its_worker_sent(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = api.world
    world.job_type("paint", target="worker")
    world.request_type("picture", [{"name": "paint", "type": "paint"}])
    request_id = world.submit("picture")
    world.run()
    lines = [LogLine(world.clock(), f"stroke {n}") for n in range(3)]
    world.jobs.add_logs(request_id, AttemptKey(1, 0, 1), lines, world.clock())
    monkeypatch.setattr(bootstrap.stores, "jobs", lambda: world.jobs)

    path = f"/v1/jobs/{request_id}.1.0.1/logs"

    def get(query: str) -> Any:
        return api("GET", path, query=query).body

    first = get("limit=2")
    assert [item["message"] for item in first["items"]] == ["stroke 0", "stroke 1"]
    last = get(f"limit=2&next_token={first['next_token']}")
    assert last == {
        "items": [{"timestamp": "2026-01-01T00:00:00.000Z", "message": "stroke 2"}],
        "next_token": None,
    }
    assert api("GET", path, query="next_token=x").status == 422


# -- all jobs of a request -----------------------------------------------------------------------


def said(attempt_id: str, message: str) -> str:
    return json.dumps({"message": message, "attempt_id": attempt_id, "job": "sum"})


def test_lines_of_all_jobs_of_a_request_are_followed(logs: Logs) -> None:
    logs.add(
        said("r1.1.0.1", "one"),
        said("r1.1.1.1", "two"),
        said("r11.1.0.1", "of another"),
        '{"message": "batch done", "request_id": "r1"}',
        "no JSON r1",
        **OF_REQUEST,
    )
    body = logs.follow().body
    told = [(i["attempt_id"], i["job"], json.loads(i["message"])["message"]) for i in body["items"]]
    assert told == [("r1.1.0.1", "sum", "one"), ("r1.1.1.1", "sum", "two")]
    assert not body["has_more"]


def test_a_cursor_goes_on_half_a_minute_back_and_lines_keep_their_ids(logs: Logs) -> None:
    logs.add(said("r1.1.0.1", "one"), **OF_REQUEST)
    logs.api.world.clock.advance(3600)
    first = logs.follow().body
    logs.add(said("r1.1.0.1", "one"), **OF_REQUEST | {"startTime": START + 3_600_000 - 30_000})
    second = logs.follow(f"after={first['cursor']}").body
    assert [item["id"] for item in first["items"]] == [item["id"] for item in second["items"]]


def test_a_cursor_in_the_middle_of_a_search_keeps_its_token(logs: Logs) -> None:
    logs.add(said("r1.1.0.1", "one"), token="t/1", **OF_REQUEST)
    first = logs.follow().body
    assert first["has_more"]
    logs.add(said("r1.1.0.1", "two"), nextToken="t/1", **OF_REQUEST)
    assert not logs.follow(f"after={first['cursor']}").body["has_more"]


def test_a_cursor_that_was_made_up_is_refused(logs: Logs) -> None:
    answer = logs.follow("after=yesterday")
    assert answer.status == 422
    assert "after" in json.dumps(answer.body["errors"])


def test_a_request_that_does_not_exist_has_no_logs(logs: Logs) -> None:
    assert logs.api("GET", "/v1/requests/r9/logs").status == 404
