"""Definitions of workspaces: which are refused, and that good ones are returned unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.functions.api.conftest import Answer, Api, short

EC2 = {"type": "ec2", "instance_ids": ["i-0123456789abcdef0"]}
BERLIN = "CRON_TZ=Europe/Berlin 0 8 * * 1-5"
CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//tests//
BEGIN:VEVENT
UID:1
SUMMARY:Christmas
DTSTART;VALUE=DATE:20261225
RRULE:FREQ=YEARLY
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")
HTTP = {
    "type": "http",
    "service": "crm",
    "state": {"path": "/state"},
    "start": {"path": "/on"},
    "stop": {"path": "/off"},
}


def put(api: Api, body: Any, name: str = "box") -> Answer:
    return api("PUT", f"/v1/workspaces/{name}", body)


def with_schedule(**schedule: Any) -> dict[str, Any]:
    return {"driver": EC2, "schedule": schedule}


def with_window(**window: Any) -> dict[str, Any]:
    return with_schedule(windows=[window])


def with_http(**fields: Any) -> dict[str, Any]:
    return {"driver": HTTP | fields}


def with_requests(start: Any, stop: Any = None) -> dict[str, Any]:
    return {"driver": {"type": "request", "start": start, "stop": stop or start}}


def with_hosts(**hosts: Any) -> dict[str, Any]:
    return {"driver": EC2, "hosts": {"job_types": ["render"]} | hosts}


@pytest.fixture
def api(api: Api) -> Api:
    """Return the API with a job type for workers, and a request type whose params have a schema."""
    api.world.job_type("render", target="worker")
    steps = [{"name": "s", "jobs": [{"name": "a", "type": "add"}]}]
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    assert api("PUT", "/v1/request-types/switch", {"params": schema, "steps": steps}).status == 201
    return api


W = "schedule.windows[0]"
FAULTS: list[tuple[Any, set[str]]] = [
    ({}, {"driver"}),
    ({"driver": None}, {"driver"}),
    ({"driver": "ec2"}, {"driver"}),
    ({"driver": {}}, {"driver.type"}),
    ({"driver": {"type": "vm"}}, {"driver.type"}),
    ({"driver": {"type": ["ec2"]}}, {"driver.type"}),
    ({"driver": EC2, "name": "other"}, {"name"}),
    ({"driver": EC2, "kind": "job-type"}, {"kind"}),
    ({"driver": EC2, "colour": "red"}, {"colour"}),
    ({"driver": EC2 | {"colour": "red"}}, {"driver.colour"}),
    # One way of selecting.
    ({"driver": {"type": "ec2"}}, {"driver"}),
    ({"driver": EC2 | {"tags": {"a": "b"}}}, {"driver"}),
    ({"driver": {"type": "ec2", "instance_ids": []}}, {"driver.instance_ids"}),
    ({"driver": {"type": "ec2", "instance_ids": None}}, {"driver.instance_ids"}),
    ({"driver": {"type": "ec2", "instance_ids": ["i-1"]}}, {"driver.instance_ids[0]"}),
    ({"driver": {"type": "ec2", "tags": {}}}, {"driver.tags"}),
    ({"driver": {"type": "ec2", "tags": {"a": 1}}}, {"driver.tags.a"}),
    ({"driver": {"type": "ecs", "services": ["web"]}}, {"driver.cluster"}),
    ({"driver": {"type": "ecs", "cluster": "c"}}, {"driver"}),
    ({"driver": {"type": "ecs", "cluster": "c", "services": ["a b"]}}, {"driver.services[0]"}),
    (
        {"driver": {"type": "ecs", "cluster": "c", "services": ["a"], "desired_count": 0}},
        {"driver.desired_count"},
    ),
    ({"driver": {"type": "rds"}}, {"driver"}),
    ({"driver": {"type": "rds", "instances": ["a"], "clusters": ["b"]}}, {"driver"}),
    ({"driver": {"type": "rds", "clusters": ["-"]}}, {"driver.clusters[0]"}),
    ({"driver": {"type": "rds", "instances": ["a"], "kind": "instance"}}, {"driver.kind"}),
    ({"driver": {"type": "rds", "tags": {"a": "b"}, "kind": "table"}}, {"driver.kind"}),
    # Requests.
    (with_requests({}), {"driver.start.type", "driver.stop.type"}),
    (with_requests({"type": "none"}, {"type": "gone"}), {"driver.start.type", "driver.stop.type"}),
    (with_requests({"type": "switch"}, {"type": "sum"}), {"driver.start.params"}),
    (with_requests({"type": "switch", "params": {"id": 1}}, {"type": "sum"}),
     {"driver.start.params.id"}),
    # Services.
    (with_http(service="billing"), {"driver.service"}),
    (with_http(state={}), {"driver.state.path"}),
    (with_http(state={"path": "state"}), {"driver.state.path"}),
    (with_http(stop={"path": "/a/%2e%2e/b"}), {"driver.stop.path"}),
    (with_http(stop={"path": "/ä"}), {"driver.stop.path"}),
    (with_http(state={"path": "/s", "value": "a["}), {"driver.state.value"}),
    (with_http(state={"path": "/s", "running": "on", "stopped": "on"}), {"driver.state"}),
    (with_http(state={"path": "/s", "starting": "running"}), {"driver.state"}),
    (with_http(state={"path": "/s", "running": "true", "stopped": True}), {"driver.state"}),
    (with_http(state={"path": "/s", "running": 1.5}), {"driver.state.running"}),
    (with_http(state={"path": "/s", "running": ""}), {"driver.state.running"}),
    (with_http(start={"path": "/on", "method": "BREW"}), {"driver.start.method"}),
    (
        with_http(start={"path": "//evil.test/on"}, stop={"path": "/off/..%2F..", "headers": {}}),
        {"driver.start.path", "driver.stop.path"},
    ),
    (
        with_http(start={"path": "/on", "headers": {"Idempotency-Key": "1", "a b": "", "c": "\n"}}),
        {f"driver.start.headers.{name}" for name in ("Idempotency-Key", "a b", "c")},
    ),
    # Schedules.
    (with_window(), {W}),
    (with_window(ttl_s=600), {W}),
    (with_window(start=BERLIN, stop=BERLIN, ttl_s=600), {W}),
    (with_window(start=5), {f"{W}.start"}),
    (with_window(start=BERLIN, end=BERLIN), {f"{W}.end"}),
    (with_schedule(windows=[{"start": BERLIN}] * 21), {"schedule.windows"}),
    (with_schedule(ttl_s=59), {"schedule.ttl_s"}),
    (with_schedule(ttl_s=31 * 86_400), {"schedule.ttl_s"}),
    (with_schedule(manual_ttl_s="1h"), {"schedule.manual_ttl_s"}),
    (with_window(start=BERLIN, ttl_s=31 * 86_400), {f"{W}.ttl_s"}),
    (with_schedule(ttl_s=7200, max_lifetime_s=3600), {"schedule.max_lifetime_s"}),
    (with_schedule(max_lifetime_s=1e300), {"schedule.max_lifetime_s"}),
    (with_schedule(activity_bump_s=-1), {"schedule.activity_bump_s"}),
    (with_schedule(spread_s=3601), {"schedule.spread_s"}),
    (with_schedule(holidays={"dates": "2026-12-25"}), {"schedule.holidays.dates"}),
    (with_schedule(holidays={"dates": None}), {"schedule.holidays.dates"}),
    (
        with_schedule(holidays={"dates": ["2026-12-25", "2026-02-30", "20261225", 5]}),
        {f"schedule.holidays.dates[{n}]" for n in (1, 2, 3)},
    ),
    (
        with_schedule(holidays={"dates": {"2026-12-25": "Christmas", "soon": "", "2026-01-01": 1}}),
        {"schedule.holidays.dates.soon", "schedule.holidays.dates.2026-01-01"},
    ),
    (
        with_schedule(holidays={"dates": [f"2{n:03}-01-01" for n in range(1000)] + ["x"]}),
        {"schedule.holidays.dates"},
    ),
    (with_schedule(holidays={"icalendar": "no calendar"}), {"schedule.holidays.icalendar"}),
    (with_schedule(holidays={"icalendar": "x" * 100_001}), {"schedule.holidays.icalendar"}),
    (
        with_schedule(quiet_hours=[{"start": "24:00", "end": "6:00", "time_zone": "Mars"}]),
        {f"schedule.quiet_hours[0].{name}" for name in ("start", "end", "time_zone")},
    ),
    (with_schedule(quiet_hours=[{"start": "22:00", "end": "22:00"}]), {"schedule.quiet_hours[0]"}),
    # Workers.
    (with_hosts(job_types=[]), {"hosts.job_types"}),
    (with_hosts(job_types=["render"] * 21), {"hosts.job_types"}),
    (with_hosts(job_types=["none", "render", "add"]), {"hosts.job_types[0]", "hosts.job_types[2]"}),
    (with_hosts(workers=["a?"]), {"hosts.workers[0]"}),
    (with_hosts(workers=["[a]"]), {"hosts.workers[0]"}),
    (with_hosts(workers=["a"] * 51), {"hosts.workers"}),
    (with_hosts(idle_timeout_s=0), {"hosts.idle_timeout_s"}),
    (with_hosts(drain_timeout_s=None), {"hosts.drain_timeout_s"}),
    ({"driver": EC2, "retry": {"max_attempts": 0, "jitter": "some"}},
     {"retry.max_attempts", "retry.jitter"}),
    ({"driver": EC2, "verify_timeout_s": 0}, {"verify_timeout_s"}),
    ({"driver": EC2, "verify_timeout_s": 7201}, {"verify_timeout_s"}),
    ({"driver": EC2, "verify_timeout_s": None}, {"verify_timeout_s"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "paths"), FAULTS, ids=short)
def test_a_faulty_workspace_is_refused_with_every_fault_named(
    api: Api, body: Any, paths: set[str]
) -> None:
    answer = put(api, body)
    assert (answer.status, set(answer.faults)) == (422, paths)
    assert all(answer.faults.values()) and answer.body["next"]
    assert not api.world.tables.workspaces and not api.lifecycle.queue.messages


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("CRON_TZ=Europe/Berlni 0 8 * * 1-5", "did you mean Europe/Berlin"),
        ("CRON_TZ=Local 0 8 * * 1-5", "depends on the machine"),
        ("TZ=Europe/Berlin 0 8 * * 1-5", "CRON_TZ="),
        ("0 0 8 * * 1-5", "has 6 fields where five are needed"),
        ("0 8 1 * *", "day-of-month"),
        ("0 8 * 5 *", "the month (the fourth field)"),
        ("@daily", "descriptors such as @daily"),
        ("0 25 * * *", "the hour '25'"),
        ("", "is empty"),
    ],
)
def test_an_impossible_cron_is_answered_with_a_right_one(api: Api, cron: str, said: str) -> None:
    answer = put(api, with_window(start=cron))
    assert answer.status == 422
    assert said in answer.faults[f"{W}.start"]


def test_faults_of_shape_and_of_meaning_are_named_at_once(api: Api) -> None:
    body = {
        "driver": {"type": "http", "service": "none", "state": {"path": "x"}, "start": 1},
        "schedule": {
            "windows": [{"start": "CRON_TZ=Mars 0 8 * * *"}, {"stop": "x", "ttl_s": 5}],
            "holidays": {"dates": ["x"], "icalendar": "x"},
            "quiet_hours": [{"start": "22:00", "end": "06:00", "time_zone": "Local"}],
            "spread_s": -1,
        },
        "hosts": {"job_types": ["add", "none"]},
        "retry": {"delay_s": -1},
        "verify_timeout_s": "long",
    }
    answer = put(api, body)
    assert set(answer.faults) == {
        "driver.service",
        "driver.state.path",
        "driver.start",
        "driver.stop",
        "schedule.windows[0].start",
        "schedule.windows[1].stop",
        "schedule.windows[1].ttl_s",
        "schedule.holidays.dates[0]",
        "schedule.holidays.icalendar",
        "schedule.quiet_hours[0].time_zone",
        "schedule.spread_s",
        "hosts.job_types[0]",
        "hosts.job_types[1]",
        "retry.delay_s",
        "verify_timeout_s",
    }


def test_an_unknown_name_is_answered_with_the_known_ones(api: Api) -> None:
    assert "there are: crm" in put(api, with_http(service="x")).faults["driver.service"]
    faults = put(api, with_hosts(job_types=["none", "add"])).faults
    assert "no job type 'none'" in faults["hosts.job_types[0]"]
    assert "done by python" in faults["hosts.job_types[1]"]
    faults = put(api, with_requests({"type": "none"})).faults
    assert "no request type 'none'" in faults["driver.start.type"]


def test_a_type_that_was_deleted_does_not_exist(api: Api) -> None:
    assert api("DELETE", "/v1/job-types/render").status == 204
    assert list(put(api, with_hosts()).faults) == ["hosts.job_types[0]"]


GOOD: list[dict[str, Any]] = [
    {"driver": EC2},
    {"driver": {"type": "ec2", "instance_ids": ["i-01234567"]}},
    {"driver": {"type": "ec2", "tags": {"team": "a", "empty": ""}}},
    {"driver": {"type": "ecs", "cluster": "c", "services": ["web"], "desired_count": 3}},
    {"driver": {"type": "ecs", "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/c",
                "tags": {"a": "b"}}},
    {"driver": {"type": "rds", "instances": ["db-1"]}},
    {"driver": {"type": "rds", "clusters": ["aurora"]}},
    {"driver": {"type": "rds", "tags": {"a": "b"}, "kind": "cluster"}},
    with_requests({"type": "switch", "params": {"id": "x"}}, {"type": "sum"}),
    with_http(),
    with_http(
        state={"path": "/s?x=1", "method": "POST", "value": "a.b[0]", "running": True,
               "stopped": False, "starting": 2, "stopping": "ending"},
        start={"path": "/on", "method": "PATCH", "body": {"a": [1]}, "headers": {"X-A": "{b}"}},
        stop={"path": "/off", "body": None},
    ),
    with_window(start=BERLIN),
    with_window(stop="0 20 * * *"),
    with_window(start=BERLIN, ttl_s=60),
    with_schedule(windows=[{"start": BERLIN, "stop": "CRON_TZ=Europe/Berlin 0 18 * * 1-5"}] * 20),
    with_schedule(ttl_s=30 * 86_400, manual_ttl_s=60, max_lifetime_s=90 * 86_400, spread_s=3600,
                  activity_bump_s=0),
    with_schedule(holidays={"dates": ["2026-12-25"], "icalendar": CALENDAR}),
    with_schedule(holidays={"dates": {"2026-12-25": "Christmas"}}),
    with_schedule(quiet_hours=[{"start": "22:00", "end": "06:00", "time_zone": "Europe/Berlin"}]),
    with_hosts(),
    with_hosts(workers=["box-*", "*"], idle_timeout_s=900, drain_timeout_s=0),
    {"driver": EC2, "retry": {"max_attempts": 1, "backoff": "linear", "scale": 2, "delay_s": 0,
                              "max_delay_s": 5, "jitter": "none"}, "verify_timeout_s": 7200},
    {"driver": EC2, "schedule": None, "hosts": None, "retry": None},
    {"driver": EC2, "schedule": {}, "retry": {}},
]  # fmt: skip


@pytest.mark.parametrize("body", GOOD, ids=short)
def test_a_workspace_is_returned_as_it_was_put_and_the_domain_can_read_it(
    api: Api, body: dict[str, Any]
) -> None:
    from shiftwork_core.domain.workspaces.specs import WorkspaceSpec

    answer = put(api, body | {"kind": "workspace", "name": "box"})
    assert answer.status == 201, answer.text
    assert answer.body["definition"] == body
    assert api("GET", "/v1/workspaces/box").body == answer.body
    [row] = api.world.tables.workspaces.values()
    spec = WorkspaceSpec.from_body(row.workspace_id, row.body)
    assert spec.driver == body["driver"]


def test_a_definition_of_over_256_kib_is_too_large(api: Api) -> None:
    """A definition that is too large for a row of DynamoDB is refused before it is written."""
    params = {"id": "x" * 256 * 1024}
    answer = put(api, with_requests({"type": "switch", "params": params}, {"type": "sum"}))
    assert answer.status == 413
    assert "definition has" in answer.body["detail"]
    assert not api.world.tables.workspaces


@pytest.mark.parametrize("name", ["1box", "-", "a" * 129])
def test_a_name_goes_into_paths_and_keys(api: Api, name: str) -> None:
    assert list(put(api, {"driver": EC2}, name).faults) == ["name"]


def test_the_body_must_be_json(api: Api) -> None:
    assert api("PUT", "/v1/workspaces/box", raw="{").status == 400
    assert api("PUT", "/v1/workspaces/box", raw="[]").status == 422
    headers = {"content-type": "text/yaml"}
    raw = json.dumps({"driver": EC2})
    assert api("PUT", "/v1/workspaces/box", raw=raw, headers=headers).status == 415
    assert not api.world.tables.workspaces
