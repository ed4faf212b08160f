"""POST /v1/requests: what is accepted, what is refused with every fault named, and replays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.errors import Unavailable
from tests.unit.adapters.schemas.test_bounds import doubling
from tests.unit.functions.api.conftest import Api, short
from tests.world.counted import no_hang

GOOD: dict[str, Any] = {"type": "sum", "params": {"numbers": [1, 2]}}

#: The changes to a good submission (None leaves a field out), and the paths of the faults.
FAULTS: list[tuple[dict[str, Any], set[str]]] = [
    ({"type": None}, {"type"}),
    ({"type": 5}, {"type"}),
    ({"type": ""}, {"type"}),
    ({"type": "no spaces"}, {"type"}),
    ({"type": "x" * 129}, {"type"}),
    ({"type": "sum\n"}, {"type"}),
    ({"type": "unknown"}, {"type"}),
    ({"version": 2}, {"version"}),
    ({"version": 0}, {"version"}),
    ({"version": "1"}, {"version"}),
    ({"version": 1.0}, {"version"}),
    ({"version": True}, {"version"}),
    ({"version": 10**18}, {"version"}),
    ({"params": None}, {"params"}),
    ({"params": []}, {"params"}),
    ({"params": "{}"}, {"params"}),
    ({"extras": []}, {"extras"}),
    ({"correlation_id": ""}, {"correlation_id"}),
    ({"correlation_id": "x" * 256}, {"correlation_id"}),
    ({"correlation_id": 5}, {"correlation_id"}),
    ({"priority": -1}, {"priority"}),
    ({"priority": 100}, {"priority"}),
    ({"priority": "1"}, {"priority"}),
    ({"priority": 1.5}, {"priority"}),
    ({"start_at": "tomorrow"}, {"start_at"}),
    ({"start_at": 1767225600}, {"start_at"}),
    ({"start_at": "2026-01-31T09:00:00"}, {"start_at"}),
    ({"start_at": "2026-01-31"}, {"start_at"}),
    ({"start_at": "2026-02-31T09:00:00Z"}, {"start_at"}),
    ({"start_at": "2126-01-01T00:00:00Z"}, {"start_at"}),
    ({"start_at": "9999-12-31T23:59:59-23:59"}, {"start_at"}),
    ({"start_at": "0001-01-01T00:00:00+23:59"}, {"start_at"}),
    ({"request_id": "mine"}, {"request_id"}),
    ({"Type": "sum"}, {"Type"}),
    (
        {"type": 1, "params": 2, "extras": 3, "priority": 4.5, "start_at": 5, "x": 6, "y": 7},
        {"type", "params", "extras", "priority", "start_at", "x", "y"},
    ),
]


@pytest.mark.parametrize(("change", "paths"), FAULTS, ids=short)
def test_a_faulty_submission_is_refused_with_every_fault_named(
    api: Api, change: dict[str, Any], paths: set[str]
) -> None:
    body = {k: v for k, v in (GOOD | change).items() if v is not None}
    answer = api("POST", "/v1/requests", body)
    assert (answer.status, set(answer.faults)) == (422, paths)
    assert all(answer.faults.values()) and answer.body["next"]
    assert not api.has_written


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"version": 1},
        {"version": None, "correlation_id": None, "start_at": None},
        {"extras": {"a": {"b": [None]}}},
        {"correlation_id": "x" * 255, "priority": 0},
        {"start_at": "1999-12-31T23:59:59+05:30"},
    ],
    ids=str,
)
def test_a_good_submission_makes_a_request(api: Api, change: dict[str, Any]) -> None:
    answer = api("POST", "/v1/requests", GOOD | change)
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/requests/{answer.body['request_id']}"
    assert answer.body["params"] == GOOD["params"]
    assert answer.body["extras"] == change.get("extras", {})
    assert answer.body["priority"] == change.get("priority", 0)
    assert answer.body["status"] == "Queuing"


def define(api: Api, **targets: str) -> None:
    """Let the request type have one step for each job type, of these targets."""
    for name, target in targets.items():
        api.world.job_type(name, target=target)
    api.world.request_type("sum", *([{"name": name, "type": name}] for name in targets))


@pytest.mark.parametrize("targets", [{"add": "python"}, {"add": "python", "call": "lambda"}])
def test_a_priority_that_no_job_can_honour_is_refused_with_what_to_do(
    api: Api, targets: dict[str, str]
) -> None:
    define(api, **targets)
    answer = api("POST", "/v1/requests", GOOD | {"priority": 1})
    assert answer.status == 422
    reason = (
        "no job of 'sum' is done by workers, and only jobs that wait for workers go by priority"
    )
    assert answer.faults == {"priority": reason}
    assert answer.body["next"] == (
        "leave it out, or send 0; or let workers do a job: its type's `target: worker`"
    )
    assert not api.world.tables.requests


def test_the_priority_of_a_type_of_both_kinds_counts_for_its_jobs_for_workers(api: Api) -> None:
    define(api, render="worker", add="python")
    answer = api("POST", "/v1/requests", GOOD | {"priority": 99})
    assert (answer.status, answer.body["priority"]) == (201, 99)


def test_a_request_may_wait_for_a_year_but_no_longer(api: Api) -> None:
    for days, status in ((364, 201), (367, 422)):
        start_at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        assert api("POST", "/v1/requests", GOOD | {"start_at": start_at}).status == status


def test_a_request_starts_at_once_unless_it_is_to_wait(api: Api) -> None:
    api("POST", "/v1/requests", GOOD)
    later = (api.world.clock() + timedelta(hours=1)).isoformat()
    api("POST", "/v1/requests", GOOD | {"start_at": later})
    assert list(api.world.machine.executions) == ["r1"]


def test_params_must_fit_the_types_schema(api: Api) -> None:
    schema = {
        "type": "object",
        "required": ["prefix"],
        "additionalProperties": False,
        "properties": {
            "prefix": {"type": "string", "minLength": 1},
            "tags": {"type": "array", "items": {"type": "string"}},
            "size": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        },
    }
    steps = [{"name": "s1", "jobs": [{"name": "add", "type": "add"}]}]
    api.world.definitions.put(Kind.REQUEST_TYPE, "sum", {"params": schema, "steps": steps})
    params = {"prefix": "", "tags": ["a", 1, 2], "size": 0, "other": 1}
    answer = api("POST", "/v1/requests", {"type": "sum", "params": params})
    assert answer.status == 422
    assert answer.faults == {
        "params": "Additional properties are not allowed ('other' was unexpected)",
        "params.prefix": "'' should be non-empty",
        "params.size": "0 is less than the minimum of 1",
        "params.tags[1]": "1 is not of type 'string'",
        "params.tags[2]": "2 is not of type 'string'",
    }
    assert answer.body["next"] == "see its schema: GET /v1/request-types/sum"
    assert not api.world.tables.requests
    missing = api("POST", "/v1/requests", {"type": "sum", "params": {}})
    assert missing.faults == {"params": "'prefix' is a required property"}
    assert api("POST", "/v1/requests", {"type": "sum", "params": {"prefix": "a"}}).status == 201


STEPS = [{"name": "s", "jobs": [{"name": "a", "type": "add"}]}]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "#"}, "its root: it refers to itself for the same value, without end"),
        (doubling(21), "$defs.d13: more than 1,000 subschemas apply to one value"),
        ({"pattern": r"(a)\1"}, r"pattern: '(a)\\1' is not accepted"),
    ],
)
def test_a_schema_from_before_the_bounds_refuses_in_words(
    api: Api, schema: dict[str, Any], reason: str
) -> None:
    """What was put by an earlier version is stored as it was."""
    api.world.definitions.put(Kind.REQUEST_TYPE, "sum", {"params": schema, "steps": STEPS})
    answer = api("POST", "/v1/requests", GOOD)
    assert answer.status == 422
    assert reason in answer.faults["params"]
    assert "put the type again" in answer.faults["params"]
    assert not api.world.tables.requests


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*a){20}$"])
@pytest.mark.parametrize("length", [28, 31, 60])
def test_a_pattern_that_backtracks_holds_no_submission(api: Api, pattern: str, length: int) -> None:
    schema = {"properties": {"name": {"pattern": pattern}}}
    answer = api("PUT", "/v1/request-types/sum", {"params": schema, "steps": STEPS})
    assert answer.status == 200
    submission = {"type": "sum", "params": {"name": "a" * length + "!"}}
    with no_hang():
        answer = api("POST", "/v1/requests", submission)
    assert (answer.status, set(answer.faults)) == (422, {"params.name"})
    assert "does not match" in answer.faults["params.name"]


def test_params_that_would_take_too_long_to_check_are_refused(api: Api) -> None:
    below = {"properties": {"a": {"$ref": "#"}}}
    body = {"params": {"allOf": [below, below]}, "steps": STEPS}
    assert api("PUT", "/v1/request-types/sum", body).status == 200
    params: dict[str, Any] = {}
    for _ in range(28):
        params = {"a": params}
    with no_hang():
        answer = api("POST", "/v1/requests", {"type": "sum", "params": params})
    assert answer.status == 422
    assert "more than 200,000 steps" in answer.faults["params"]


@pytest.mark.parametrize("field", ["type", "correlation_id", "start_at", "priority", "unknown"])
def test_no_long_input_is_quoted_in_full(api: Api, field: str) -> None:
    answer = api("POST", "/v1/requests", GOOD | {field: "x" * 100_000})
    assert (answer.status, len(answer.text) < 2_000) == (422, True)


def test_long_values_are_not_quoted_in_full(api: Api) -> None:
    steps = [{"name": "s", "jobs": [{"name": "a", "type": "add"}]}]
    schema = {"properties": {"a": {"type": "integer"}}}
    api.world.definitions.put(Kind.REQUEST_TYPE, "sum", {"params": schema, "steps": steps})
    answer = api("POST", "/v1/requests", {"type": "sum", "params": {"a": "x" * 100_000}})
    assert len(answer.text) < 2_000
    assert answer.faults["params.a"].endswith("is not of type 'integer'")


# -- idempotency ---------------------------------------------------------------------------------


def test_a_replay_answers_with_the_first_request(api: Api) -> None:
    key = {"Idempotency-Key": "order-17"}
    first = api("POST", "/v1/requests", GOOD, headers=key)
    again = api("POST", "/v1/requests", GOOD, headers=key)
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    assert len(api.world.tables.requests) == 1


def test_a_key_used_for_another_body_is_refused(api: Api) -> None:
    key = {"idempotency-key": "order-17"}
    first = api("POST", "/v1/requests", GOOD, headers=key)
    other = api("POST", "/v1/requests", GOOD | {"correlation_id": "c"}, headers=key)
    assert other.status == 422
    assert first.body["request_id"] in other.faults["Idempotency-Key"]
    assert len(api.world.tables.requests) == 1


def test_fifty_posts_at_once_make_one_request(api: Api) -> None:
    submission = api.app.request_routes.Submission("sum", {}, {})
    service = api.app.request_routes.service()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: service.submit(submission, "order-17"), range(50)))
    assert len({request.request_id for request, _ in found}) == 1
    assert [is_new for _, is_new in found].count(True) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a\tb", "\x7f"])
def test_a_key_must_be_printable_and_short(api: Api, key: str) -> None:
    answer = api("POST", "/v1/requests", GOOD, headers={"Idempotency-Key": key})
    assert (answer.status, set(answer.faults)) == (422, {"Idempotency-Key"})
    assert not api.has_written


@pytest.mark.parametrize("key", ["a", "a,b", "a, b,c", " ", "x" * 255, '"quoted"'])
def test_a_key_is_kept_letter_by_letter(api: Api, key: str) -> None:
    assert api("POST", "/v1/requests", GOOD, headers={"Idempotency-Key": key}).status == 201
    assert list(api.world.tables.keys) == [key]


def test_a_request_that_could_not_be_started_is_kept_for_the_sweep(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(request_id: str, execution: int) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(api.world.machine, "start", start)
    assert api("POST", "/v1/requests", GOOD).status == 201
