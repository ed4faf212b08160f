"""Whatever comes in, the answer is a problem or a success, never a failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.conftest import Api

#: The fields that mean something, so that chance gets past the first check.
NAMES = st.sampled_from([
    "type", "params", "extras", "version", "priority", "start_at", "correlation_id",
    "steps", "name", "jobs", "for_each", "target", "retry", "timeout_s", "batch_size",
    "http", "lambda", "service", "path", "method", "headers", "body", "function", "kind",
    "description", "$ref", "properties", "items", "required", "pattern", "anyOf", "not",
    "max_attempts", "delay_s",
])  # fmt: skip
WORDS = st.sampled_from(
    ["sum", "add", "a", "python", "http", "lambda", "worker", "crm", "/a/{params.b}", "extras.a",
     "POST", "object", "string", "#", "#/properties/a", "{params.x}", "{", "[",
     "2026-01-31T09:00:00Z"]
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


@fuzz
@given(path=st.text(max_size=20), query=st.text(max_size=20), key=st.text(max_size=10))
def test_no_address_makes_it_fail(api: Api, path: str, query: str, key: str) -> None:
    for address in (path, f"/v1/requests/{path}", f"/v1/jobs/{path}/logs"):
        answer = api("GET", address, query=f"{query}&next_token={key}&limit={key}")
        assert answer.status < 500
    assert api("POST", "/v1/requests", {}, headers={"Idempotency-Key": key}).status < 500
