"""Request types and job types: which are refused, and that good ones are returned unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.adapters.schemas.test_bounds import doubling
from tests.unit.functions.api.conftest import Answer, Api, short

STEPS: list[dict[str, Any]] = [{"name": "s", "jobs": [{"name": "a", "type": "add"}]}]
HTTP = {"service": "crm", "method": "POST", "path": "/users/{params.user_id}/removal"}


def put_type(api: Api, body: dict[str, Any], name: str = "new") -> Answer:
    return api("PUT", f"/v1/request-types/{name}", body)


def put_job_type(api: Api, body: dict[str, Any], name: str = "new") -> Answer:
    return api("PUT", f"/v1/job-types/{name}", body)


def with_job(**fields: Any) -> dict[str, Any]:
    """Return a request type with a job of these fields, None for one left out."""
    job = {k: v for k, v in ({"name": "a", "type": "add"} | fields).items() if v is not None}
    return {"steps": [{"name": "s", "jobs": [job]}]}


def with_schema(schema: Any) -> dict[str, Any]:
    return {"params": schema, "steps": STEPS}


def with_http(**fields: Any) -> dict[str, Any]:
    return {"target": "http", "http": {k: v for k, v in (HTTP | fields).items() if v is not None}}


JOB = "steps[0].jobs[0]"
REQUEST_TYPE_FAULTS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"steps"}),
    ({"steps": []}, {"steps"}),
    ({"steps": {}}, {"steps"}),
    ({"steps": ["s"]}, {"steps[0]"}),
    ({"steps": [{"name": "s"}]}, {"steps[0].jobs"}),
    ({"steps": [{"name": "s", "jobs": []}]}, {"steps[0].jobs"}),
    ({"steps": [{"jobs": STEPS[0]["jobs"]}]}, {"steps[0].name"}),
    ({"steps": [STEPS[0] | {"name": f"s{n}"} for n in range(101)]}, {"steps"}),
    ({"steps": STEPS * 2}, {"steps[0].name", "steps[1].name"}),
    ({"steps": [STEPS[0] | {"on_failure": "continue"}]}, {"steps[0].on_failure"}),
    ({"steps": [STEPS[0] | {"on_failure": None}]}, {"steps[0].on_failure"}),
    (with_job(type=None), {f"{JOB}.type"}),
    (with_job(type="unknown"), {f"{JOB}.type"}),
    (with_job(type="no name"), {f"{JOB}.type"}),
    (with_job(name="0"), {f"{JOB}.name"}),
    (with_job(name="a#b"), {f"{JOB}.name"}),
    (with_job(for_each=""), {f"{JOB}.for_each"}),
    (with_job(for_each="extras.["), {f"{JOB}.for_each"}),
    (with_job(for_each="nope(extras)"), {f"{JOB}.for_each"}),
    (with_job(for_each="(" * 900), {f"{JOB}.for_each"}),
    (with_job(for_each="a" * 1001), {f"{JOB}.for_each"}),
    (with_job(for_each=["a"]), {f"{JOB}.for_each"}),
    (with_job(params={"a": {"b": ["{params.}"]}}), {f"{JOB}.params"}),
    (with_job(params="{params.a}"), {f"{JOB}.params"}),
    (with_job(timeout_s=5), {f"{JOB}.timeout_s"}),
    ({"steps": STEPS, "version": 2}, {"version"}),
    ({"steps": STEPS, "kind": "job-type"}, {"kind"}),
    ({"steps": STEPS, "name": "another"}, {"name"}),
    ({"steps": STEPS, "description": 5}, {"description"}),
    (with_schema([]), {"params"}),
    (with_schema({"type": "objekt"}), {"params.type"}),
    (with_schema({"properties": {"a": {"minimum": "1"}}}), {"params.properties.a.minimum"}),
    (with_schema({"required": "a"}), {"params.required"}),
    (with_schema({"pattern": "("}), {"params.pattern"}),
    (with_schema({"pattern": "(" * 100_000}), {"params.pattern"}),
    (with_schema({"properties": {"a": {"pattern": "(?=a)"}}}), {"params.properties.a.pattern"}),
    (with_schema({"patternProperties": {"(a)\\1": {}}}), {"params.patternProperties.(a)\\1"}),
    (with_schema(doubling(21)), {"params.$defs.d13"}),
    (with_schema({"$ref": "#"}), {"params"}),
    (with_schema({"allOf": [{}] * 200_000}), {"params"}),
    (with_schema({"allOf": [True] * 150_000}), {"params"}),
    (
        with_schema({"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}),
        {"params.items.$schema"},
    ),
    (with_job(for_each="|".join(["a"] * 100)), {f"{JOB}.for_each"}),
    (
        {
            "steps": [
                {
                    "name": "s",
                    "jobs": [
                        {"name": f"j{n}", "type": "add", "for_each": f"a{n}".ljust(900, "b")}
                        for n in range(400)
                    ],
                }
            ]
        },
        {"steps"},
    ),
    (with_job(params={"a": "".join(f"{{a{n}}}" for n in range(100_000))}), {"steps"}),
    (with_schema({"$ref": "https://example.com/schema"}), {"params.$ref"}),
    (with_schema({"properties": {"a": {"$ref": "other.json"}}}), {"params.properties.a.$ref"}),
    (with_schema({"$ref": "#/$defs/none"}), {"params.$ref"}),
    (with_schema({"$ref": "#/title", "title": "t"}), {"params.$ref"}),
    (with_schema({"$ref": "#/minimum/x", "minimum": 5}), {"params.$ref"}),
    (with_schema({"$ref": "#/allOf/x", "allOf": [{}]}), {"params.$ref"}),
    (with_schema({"$ref": "#/properties", "properties": {"type": {}}}), {"params.$ref"}),
    (with_schema({"$dynamicRef": "http://a.test#x"}), {"params.$dynamicRef"}),
    (with_schema({"$schema": "http://json-schema.org/draft-07/schema#"}), {"params.$schema"}),
    (
        {
            "kind": "x",
            "params": {"type": "objekt"},
            "steps": [
                {
                    "name": "s",
                    "jobs": [
                        {"name": "a", "type": "add", "for_each": "a["},
                        {"name": "a", "type": 5, "wait": True},
                    ],
                },
                {"name": "s", "jobs": "none"},
            ],
            "extra": 1,
        },
        {
            "kind",
            "params.type",
            "steps[0].name",
            "steps[0].jobs[0].name",
            "steps[0].jobs[0].for_each",
            "steps[0].jobs[1].name",
            "steps[0].jobs[1].type",
            "steps[0].jobs[1].wait",
            "steps[1].name",
            "steps[1].jobs",
            "extra",
        },
    ),
]


@pytest.mark.parametrize(("body", "paths"), REQUEST_TYPE_FAULTS, ids=short)
def test_a_faulty_request_type_is_refused_with_every_fault_named(
    api: Api, body: dict[str, Any], paths: set[str]
) -> None:
    answer = put_type(api, body)
    assert (answer.status, set(answer.faults)) == (422, paths)
    assert all(answer.faults.values()) and answer.body["next"]
    assert not api.has_written


def with_worker(**fields: Any) -> dict[str, Any]:
    return {"target": "worker", "worker": fields}


JOB_TYPE_FAULTS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"target"}),
    ({"target": "perl"}, {"target"}),
    ({"target": "http"}, {"http"}),
    ({"target": "lambda"}, {"lambda"}),
    ({"target": "python", "http": HTTP}, {"http"}),
    ({"target": "worker", "lambda": {"function": "f"}}, {"lambda"}),
    ({"target": "http", "lambda": {"function": "f"}}, {"http", "lambda"}),
    ({"target": "lambda", "lambda": {"function": "no name"}}, {"lambda.function"}),
    ({"target": "lambda", "lambda": {}}, {"lambda.function"}),
    ({"target": "lambda", "function": "f"}, {"lambda", "function"}),
    ({"target": "python", "timeout_s": 0}, {"timeout_s"}),
    ({"target": "python", "timeout_s": 841}, {"timeout_s"}),
    ({"target": "python", "timeout_s": None}, {"timeout_s"}),
    ({"target": "worker", "timeout_s": 7 * 86400 + 1}, {"timeout_s"}),
    ({"target": "python", "timeout_s": "60"}, {"timeout_s"}),
    ({"target": "python", "timeout_s": True}, {"timeout_s"}),
    ({"target": "python", "batch_size": 0}, {"batch_size"}),
    ({"target": "python", "batch_size": 101}, {"batch_size"}),
    ({"target": "python", "max_concurrency": 0}, {"max_concurrency"}),
    ({"target": "python", "max_concurrency": 1001}, {"max_concurrency"}),
    ({"target": "worker", "max_concurrency": 5}, {"max_concurrency"}),
    ({"target": "python", "batch_size": 1.5}, {"batch_size"}),
    ({"target": "python", "retry": {"max_attempts": 0}}, {"retry.max_attempts"}),
    ({"target": "python", "retry": {"max_attempts": 1001}}, {"retry.max_attempts"}),
    ({"target": "python", "retry": {"backoff": "random"}}, {"retry.backoff"}),
    ({"target": "python", "retry": {"jitter": True}}, {"retry.jitter"}),
    ({"target": "python", "retry": {"delay_s": -1, "max_delay_s": 10**6}},
     {"retry.delay_s", "retry.max_delay_s"}),
    ({"target": "python", "retry": {"delay": 1}}, {"retry.delay"}),
    ({"target": "python", "retry": 3}, {"retry"}),
    ({"target": "python", "retry": {"scale": 0.5}}, {"retry.scale"}),
    ({"target": "python", "worker": {}}, {"worker"}),
    ({"target": "worker", "timeout_s": -1}, {"timeout_s"}),
    (with_worker(response_timeout_s=0, poll_timeout_s=-1),
     {"worker.response_timeout_s", "worker.poll_timeout_s"}),
    (with_worker(timeout_policy="FAIL"), {"worker.timeout_policy"}),
    (with_worker(concurrency_limit=1001), {"worker.concurrency_limit"}),
    (with_worker(shards=0), {"worker.shards"}),
    (with_worker(shards=17), {"worker.shards"}),
    (with_worker(shards=1.5), {"worker.shards"}),
    ({"target": "worker", "shards": 8}, {"shards"}),
    ({"target": "python", "worker": {"shards": 8}}, {"worker"}),
    (with_worker(rate_limit={"count": -1, "per_s": 0}),
     {"worker.rate_limit.count", "worker.rate_limit.per_s"}),
    (with_worker(task_def=[]), {"worker.task_def"}),
    (with_worker(slots=1), {"worker.slots"}),
    (with_http(body="".join(f"{{a{n}}}" for n in range(100_000))), {"http"}),
    (with_http(service="unknown"), {"http.service"}),
    (with_http(service=None), {"http.service"}),
    (with_http(method="post"), {"http.method"}),
    (with_http(method="CONNECT"), {"http.method"}),
    (with_http(path=None), {"http.path"}),
    (with_http(path="users"), {"http.path"}),
    (with_http(path="@evil.test/"), {"http.path"}),
    (with_http(path="/a b"), {"http.path"}),
    (with_http(path="/a\r\nHost: evil"), {"http.path"}),
    (with_http(path="/ä"), {"http.path"}),
    (with_http(path="/{params.id"), {"http.path"}),
    (with_http(path="/{params..id}"), {"http.path"}),
    (with_http(headers={"X-A": "{params.}"}), {"http.headers.X-A"}),
    (with_http(headers={"X A": "b", "X-B": "a\r\nb", "Host": "evil", "X-C": "c"}),
     {"http.headers.X A", "http.headers.X-B", "http.headers.Host"}),
    (with_http(headers={"X-A": 5}), {"http.headers.X-A"}),
    (with_http(headers={"X-A": "ключ", "X-B": "a\0", "TE": "trailers", "X-C": "größe"}),
     {"http.headers.X-A", "http.headers.X-B", "http.headers.TE"}),
    (with_http(path="/a\\b"), {"http.path"}),
    (with_http(path="/a#b"), {"http.path"}),
    (with_http(body={"a": ["{params.}"]}), {"http.body"}),
    (with_http(url="http://evil.test"), {"http.url"}),
    ({"target": "http", "timeout_s": 900, "batch_size": "x", "http": {"path": 5}, "x": 1},
     {"timeout_s", "batch_size", "http.service", "http.path", "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "paths"), JOB_TYPE_FAULTS, ids=short)
def test_a_faulty_job_type_is_refused_with_every_fault_named(
    api: Api, body: dict[str, Any], paths: set[str]
) -> None:
    answer = put_job_type(api, body)
    assert (answer.status, set(answer.faults)) == (422, paths)
    assert all(answer.faults.values())
    assert not api.has_written


def test_an_unknown_service_is_answered_with_the_known_ones(api: Api) -> None:
    answer = put_job_type(api, with_http(service="mail"))
    assert answer.faults["http.service"] == "no service is named 'mail' (there are: crm)"


@pytest.mark.parametrize(
    "name", ["0", "-a", "a b", "a%2Fb", "a:b", "x" * 129, "job-type#a", "ä", "..", "a\n"]
)
@pytest.mark.parametrize("kind", ["request-types", "job-types"])
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_bad_name_is_refused(api: Api, kind: str, method: str, name: str) -> None:
    body = {"steps": STEPS} if kind == "request-types" else {"target": "python"}
    answer = api(method, f"/v1/{kind}/{name}", body if method == "PUT" else None)
    assert answer.status in (404, 422)
    assert not api.has_written


GOOD_REQUEST_TYPES: list[dict[str, Any]] = [
    {"steps": STEPS},
    {"kind": "request-type", "name": "new", "description": "", "params": None, "steps": STEPS},
    {"params": {}, "steps": STEPS},
    with_schema({"$defs": {"a": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/a"}}}),
    with_schema({"$defs": {"a": {"$anchor": "x", "const": 1}}, "$ref": "#x"}),
    with_schema({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:a"}),
    with_schema({"properties": {"$ref": {"type": "string"}}}),
    with_job(for_each="extras.documents[?size > `10`].{key: key} | sort_by(@, &key)"),
    with_job(
        for_each="params.files[1:3]", params={"a": "{item}", "b": ["{{x}}", "{params.n} x", 1]}
    ),
]


@pytest.mark.parametrize("body", GOOD_REQUEST_TYPES, ids=short)
def test_a_good_request_type_is_returned_as_it_was_written(api: Api, body: dict[str, Any]) -> None:
    written = {k: v for k, v in body.items() if k not in ("kind", "name")}
    answer = put_type(api, body)
    assert answer.status == 201
    about = {"kind": "request-type", "name": "new", "version": 1}
    about["created_at"] = "2026-01-01T00:00:00.000Z"
    assert answer.body == about | written
    assert api("GET", "/v1/request-types/new").body == answer.body


GOOD_JOB_TYPES: list[dict[str, Any]] = [
    {"target": "python"},
    {"target": "worker", "timeout_s": 7 * 86400},
    {"target": "worker", "timeout_s": 0, "worker": None, "retry": {"scale": 2.5}},
    with_worker(shards=16),
    with_worker(response_timeout_s=1, poll_timeout_s=60, timeout_policy="ALERT_ONLY"),
    with_worker(concurrency_limit=5, rate_limit={"count": 10, "per_s": 2}, task_def={"a": [1]}),
    {"target": "python", "timeout_s": 0.5 + 1, "batch_size": 100},
    {"target": "python", "max_concurrency": 1000},
    {"target": "lambda", "lambda": {"function": "arn:aws:lambda:eu-west-1:1:function:f:live"}},
    {"target": "python", "http": None, "lambda": None, "retry": None, "description": None},
    {"target": "python", "retry": {"max_attempts": 5, "backoff": "linear", "delay_s": 0.1}},
    with_http(),
    with_http(
        path="/a?b={params.c}&d={{}}", method="GET", headers={"X-A": "{item} b", "X-B": '{"ключ"}'}
    ),
    with_http(body={"a": "{params.a}", "b": [None, 1.5, True]}),
    with_http(body="{params}"),
]


@pytest.mark.parametrize("body", GOOD_JOB_TYPES, ids=short)
def test_a_good_job_type_is_returned_as_it_was_written(api: Api, body: dict[str, Any]) -> None:
    answer = put_job_type(api, body)
    assert answer.status == 201
    assert json.loads(answer.text) == answer.body
    assert {k: answer.body[k] for k in body} == body
    stored = api("GET", "/v1/job-types/new")
    assert json.dumps({k: stored.body[k] for k in body}) == json.dumps(body)
    assert api.world.definitions.job_type("new", 1).target == body["target"]


def test_a_definition_may_have_100_steps_of_10_000_jobs(api: Api) -> None:
    jobs = [{"name": f"j{n}", "type": "add"} for n in range(10_000)]
    assert put_type(api, {"steps": [{"name": "s", "jobs": jobs}]}).status == 201
    many = [{"name": "j10000", "type": "add"}]
    too_many = put_type(api, {"steps": [{"name": "s", "jobs": jobs + many}]}, "other")
    assert (too_many.status, list(too_many.faults)) == (422, ["steps[0].jobs"])
    steps = [{"name": f"s{n}", "jobs": many} for n in range(100)]
    assert put_type(api, {"steps": steps}, "hundred").status == 201


def test_an_unchanged_body_keeps_its_version_and_a_changed_one_gets_the_next(api: Api) -> None:
    assert put_type(api, {"steps": STEPS}).status == 201
    again = put_type(api, {"steps": STEPS, "kind": "request-type", "name": "new"})
    assert (again.status, again.body["version"]) == (200, 1)
    changed = put_type(api, {"steps": STEPS, "description": "better"})
    assert (changed.status, changed.body["version"]) == (200, 2)
    first = api("GET", "/v1/request-types/new", query="version=1")
    assert "description" not in first.body
    assert api("GET", "/v1/request-types/new", query="version=3").status == 404


def test_a_deleted_definition_is_gone_until_it_is_put_again(api: Api) -> None:
    put_job_type(api, {"target": "python"})
    assert api("DELETE", "/v1/job-types/new").status == 204
    assert api("GET", "/v1/job-types/new").status == 404
    assert api("DELETE", "/v1/job-types/new").status == 404
    assert "new" not in api("GET", "/v1/job-types").text
    assert put_job_type(api, {"target": "python"}).status == 201


def test_a_request_type_may_not_name_a_deleted_job_type(api: Api) -> None:
    api("DELETE", "/v1/job-types/add")
    assert put_type(api, {"steps": STEPS}).faults == {f"{JOB}.type": "there is no job type 'add'"}


def test_definitions_are_listed_by_name_in_pages(api: Api) -> None:
    names = sorted(f"type-{n}" for n in range(120))
    for name in names:
        put_job_type(api, {"target": "worker"}, name)
    seen: list[str] = []
    token: str | None = ""
    sizes = []
    while token is not None:
        query = "limit=50" + (f"&next_token={token}" if token else "")
        page = api("GET", "/v1/job-types", query=query).body
        seen += [item["name"] for item in page["items"]]
        sizes.append(len(page["items"]))
        token = page["next_token"]
    assert seen == ["add", *names]
    assert sizes == [50, 50, 21]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=1.5"])
@pytest.mark.parametrize("path", ["/v1/job-types", "/v1/request-types", "/v1/requests"])
def test_a_limit_out_of_bounds_is_named(api: Api, path: str, query: str) -> None:
    answer = api("GET", path, query=query)
    assert (answer.status, list(answer.faults)) == (422, ["limit"])


def test_the_definitions_of_the_demo_are_good(api: Api) -> None:
    yaml = pytest.importorskip("yaml")
    folder = Path(__file__).resolve().parents[4] / "definitions"
    documents = [
        d for p in sorted(folder.glob("*.y*ml")) for d in yaml.safe_load_all(p.read_text())
    ]
    for document in sorted(documents, key=lambda d: str(d["kind"])):
        answer = api("PUT", f"/v1/{document['kind']}s/{document['name']}", document)
        assert answer.status == 201, answer.text


# -- plans of requests ----------------------------------------------------------------------------


def test_a_plan_predicts_a_request_of_the_deployed_version(api: Api) -> None:
    put_type(api, with_job(for_each="params.rows"))
    put_type(api, with_job(for_each="params.rows", block=10))
    found = api("GET", "/v1/request-types/new/plan", query="items=2000&duration_s=0.5&item_bytes=9")
    assert found.status == 200
    assert (found.body["version"], found.body["items"]) == (2, 2_000)
    assert (found.body["jobs"], found.body["rows"]) == (2_000, 200)
    [step] = found.body["steps"]
    assert (step["batches"], step["way"]) == (200, "wide")
    assert found.body["total_usd"] == pytest.approx(sum(found.body["usd"].values()), abs=1e-6)
    assert (found.body["notices"], found.body["limits"]) == ([], [])


def test_a_plan_can_be_of_an_older_version(api: Api) -> None:
    put_type(api, with_job(for_each="params.rows"))
    put_type(api, with_job(for_each="params.rows", block=10))
    found = api("GET", "/v1/request-types/new/plan", query="items=20000&item_bytes=5&version=1")
    assert found.body["rows"] == 20_000
    [notice] = found.body["notices"]
    assert (notice["level"], notice["quota"], notice["job"]) == ("refusal", "rows_per_step", "a")
    assert [limit["quota"] for limit in found.body["limits"]] == ["rows_per_step"]


@pytest.mark.parametrize("items", [0, 1, 10_000_000])
def test_any_number_of_items_has_a_plan(api: Api, items: int) -> None:
    for fields in ({"for_each": "params.rows"}, {"for_each_in": "params.rows", "block": 1000}):
        put_type(api, with_job(**fields))
        path = "/v1/request-types/new/plan"
        assert api("GET", path, query=f"items={items}").body["jobs"] == items


@pytest.mark.parametrize("query", ["items=-1", "items=many", "duration_s=-1", "result_bytes=0"])
def test_a_plan_of_nonsense_is_refused(api: Api, query: str) -> None:
    put_type(api, with_job())
    assert api("GET", "/v1/request-types/new/plan", query=query).status == 422


def test_an_unknown_type_has_no_plan(api: Api) -> None:
    assert api("GET", "/v1/request-types/nothing/plan").status == 404


def test_a_path_that_no_params_can_have_is_refused_where_it_stands(api: Api) -> None:
    body = {
        "params": {"properties": {"customers": {}}, "additionalProperties": False},
        "steps": [
            {
                "name": "send",
                "jobs": [{"name": "send", "type": "t", "params": {"to": ["{params.custmers}"]}}],
            }
        ],
    }
    answer = api("PUT", "/v1/request-types/letters", body)
    assert answer.status == 422
    [fault] = answer.body["errors"]
    assert "did you mean 'customers'?" in str(fault)
    assert "steps[0].jobs[0].params.to[0]" in str(fault)
