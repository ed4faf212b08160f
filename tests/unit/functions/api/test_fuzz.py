"""Random input: the answer is a success or a problem, never a failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftwork_core.domain.workspaces.records import WorkspaceState
from tests.unit.functions.api.conftest import Api

#: Real names of fields, so that random bodies get past the first check.
NAMES = st.sampled_from([
    "type", "params", "extras", "version", "priority", "start_at", "correlation_id",
    "steps", "name", "jobs", "for_each", "target", "retry", "timeout_s", "batch_size",
    "http", "lambda", "service", "path", "method", "headers", "body", "function", "kind",
    "description", "$ref", "properties", "items", "required", "pattern", "anyOf", "not",
    "max_attempts", "delay_s",
    "hostname", "address", "routes", "build_limit", "running_build_ids", "active", "status",
    "error",
    "driver", "instance_ids", "tags", "cluster", "services", "instances", "clusters", "start",
    "stop", "state", "value", "running", "schedule", "windows", "ttl_s", "holidays", "dates",
    "icalendar", "quiet_hours", "end", "time_zone", "hosts", "job_types", "workers", "desired",
    "until", "since", "deadline",
])  # fmt: skip
WORDS = st.sampled_from(
    ["sum", "add", "a", "python", "http", "lambda", "worker", "crm", "/a/{params.b}", "extras.a",
     "POST", "object", "string", "#", "#/properties/a", "{params.x}", "{", "[",
     "2026-01-31T09:00:00Z", "ec2", "ecs", "rds", "request", "i-01234567", "on", "2026-12-25",
     "22:00", "Europe/Berlin", "CRON_TZ=Europe/Berlin 0 8 * * 1-5", "0 8 * * *", "BEGIN:VCALENDAR"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner),
    max_leaves=20,
)
BODIES = st.dictionaries(NAMES, JSON, max_size=6)
SCHEMAS = st.dictionaries(NAMES, JSON, max_size=4)
fuzz = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@fuzz
@given(body=BODIES | JSON)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/requests"),
        ("PUT", "/v1/request-types/fuzzed"),
        ("PUT", "/v1/job-types/fuzzed"),
        ("POST", "/v1/worker-registrations"),
        ("POST", "/v1/workers"),
        ("PUT", "/v1/workers/fuzzed"),
        ("POST", "/v1/workers/fuzzed/refresh"),
        ("PUT", "/v1/workspaces/fuzzed"),
        ("PUT", "/v1/workspaces/fuzzed/override"),
        ("PUT", "/v1/workspaces/fuzzed/deadline"),
    ],
)
def test_no_body_makes_it_fail(api: Api, method: str, path: str, body: Any) -> None:
    assert api(method, path, body).status < 500


@fuzz
@given(raw=st.text(max_size=30) | st.binary(max_size=30).map(lambda b: b.decode("latin-1")))
def test_no_text_makes_it_fail(api: Api, raw: str) -> None:
    assert api("POST", "/v1/requests", raw=raw).status < 500


@fuzz
@given(schema=SCHEMAS, params=st.dictionaries(NAMES, JSON, max_size=3))
def test_no_schema_that_is_accepted_makes_a_submission_fail(
    api: Api, schema: dict[str, Any], params: dict[str, Any]
) -> None:
    body = {"params": schema, "steps": [{"name": "s", "jobs": [{"name": "a", "type": "add"}]}]}
    assert api("PUT", "/v1/request-types/fuzzed", body).status < 500
    assert api("POST", "/v1/requests", {"type": "fuzzed", "params": params}).status < 500


#: Nearly right values, so that random bodies reach the domain.
CRONS = st.builds(
    "{}{}".format,
    st.sampled_from(["", "CRON_TZ=Europe/Berlin ", "CRON_TZ=UTC ", "CRON_TZ="]),
    st.lists(
        st.sampled_from(["*", "0", "8", "*/7", "1-5", "1,3", "MON-FRI", "59", "60", "x", "L"]),
        min_size=4,
        max_size=6,
    ).map(" ".join)
    | st.text(max_size=12),
)
TTLS = st.sampled_from([60, 3600.5, 2_592_000, 59, 1e300, -1]) | SCALARS
WINDOWS = st.fixed_dictionaries({}, optional={"start": CRONS, "stop": CRONS, "ttl_s": TTLS})
SCHEDULES = st.fixed_dictionaries(
    {},
    optional={
        "windows": st.lists(WINDOWS, max_size=3),
        "ttl_s": TTLS,
        "manual_ttl_s": TTLS,
        "max_lifetime_s": TTLS,
        "activity_bump_s": TTLS,
        "holidays": st.fixed_dictionaries(
            {},
            optional={
                "dates": st.lists(st.dates().map(str) | SCALARS, max_size=3)
                | st.dictionaries(st.dates().map(str) | NAMES, SCALARS, max_size=3),
                "icalendar": st.text(max_size=20).map(
                    "BEGIN:VCALENDAR\nBEGIN:VEVENT\n{}\nEND:VEVENT\nEND:VCALENDAR".format
                )
                | st.text(max_size=20),
            },
        ),
        "quiet_hours": st.lists(
            st.dictionaries(st.sampled_from(["start", "end", "time_zone"]), WORDS), max_size=2
        ),
        "spread_s": TTLS,
    },
)


@fuzz
@given(schedule=SCHEDULES)
def test_no_schedule_that_is_accepted_makes_a_plan_fail(api: Api, schedule: dict[str, Any]) -> None:
    driver = {"type": "ec2", "tags": {"a": "b"}}
    body = {"driver": driver, "schedule": schedule}
    status = api("PUT", "/v1/workspaces/fuzzed", body).status
    assert status < 500
    if status < 300:
        api.lifecycle.change("fuzzed", state=WorkspaceState.STOPPED)
        assert api("GET", "/v1/workspaces/fuzzed/plan", query="days=3").status == 200
        assert api("GET", "/v1/workspaces/fuzzed/explain").status == 200


@fuzz
@given(path=st.text(max_size=20), query=st.text(max_size=20), key=st.text(max_size=10))
def test_no_address_makes_it_fail(api: Api, path: str, query: str, key: str) -> None:
    for address in (
        path,
        f"/v1/requests/{path}",
        f"/v1/jobs/{path}/logs",
        "/v1/workspaces",
        f"/v1/workspaces/{path}/plan",
        "/v1/lifecycle-jobs",
        f"/v1/lifecycle-jobs/{path}/logs",
    ):
        answer = api("GET", address, query=f"{query}&next_token={key}&limit={key}")
        assert answer.status < 500
    assert api("POST", "/v1/requests", {}, headers={"Idempotency-Key": key}).status < 500
