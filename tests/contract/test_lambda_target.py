"""Target lambda over botocore and a real HTTP server that stands in for Lambda."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event
from typing import Any

import botocore.session
import pytest
from urllib3.util import connection

from shiftwork_core import bootstrap
from shiftwork_core.domain.requests.definitions import JobType, Target
from shiftwork_core.domain.requests.outcomes import Completed, Failed, Outcome, Retryable
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.ports.world import JobInput, JobTarget
from tests.contract.http_service import Service
from tests.template import ROOT

OPENAPI = ROOT / "docs" / "reference" / "openapi.json"
ATTEMPT = Attempt(
    "r", AttemptKey(1, 0, 1), "print", "labels.print", 1, datetime(2026, 1, 1, tzinfo=UTC)
)
INVOKE = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
#: Lambda's errors of an invocation and their statuses, as botocore's model of Lambda has them.
STATUSES = {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in INVOKE.error_shapes}
#: Those that no later attempt can change.
FINAL = {
    "InvalidParameterValueException",
    "InvalidRequestContentException",
    "ModeNotSupportedException",
    "NoPublishedVersionException",
    "RecursiveInvocationException",
    "RequestTooLargeException",
    "ResourceNotFoundException",
    "SerializedRequestEntityTooLargeException",
    "UnsupportedMediaTypeException",
}


@pytest.fixture
def target(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobTarget]:
    """Return the target as RunJobs has it, whose Lambda is the service."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
    bootstrap.requests.job_target.cache_clear()
    target = bootstrap.requests.job_target(Target.LAMBDA)
    assert target is not None
    yield target
    bootstrap.requests.job_target.cache_clear()


def run(target: JobTarget, function: str = "print-label") -> Outcome:
    job_type = JobType("labels.print", 1, Target.LAMBDA, function=function)
    return target.run(job_type, JobInput(ATTEMPT, {}, {}, None, Event()))


def refuse(service: Service, code: str, status: int) -> None:
    body = json.dumps({"Message": "no"}).encode()
    service.answer = (status, {"x-amzn-errortype": code}, body)


def test_a_functions_answer_is_the_jobs_result(service: Service, target: JobTarget) -> None:
    service.answer = (200, {}, b'{"labels": 1}')
    assert run(target) == Completed({"labels": 1})


@pytest.mark.parametrize(("code", "status"), STATUSES.items())
def test_a_refusal_is_final_only_where_no_later_attempt_can_change_it(
    service: Service, target: JobTarget, code: str, status: int
) -> None:
    refuse(service, code, status)
    outcome = run(target)
    assert isinstance(outcome, Failed if code in FINAL else Retryable)
    assert (outcome.error.type, outcome.error.message) == (code, "function print-label: no")
    assert len(service.asked) == 1, "the engine retries, and no other"


def test_every_error_of_lambdas_own_is_retried() -> None:
    assert {code for code in FINAL if STATUSES[code] >= 500 or STATUSES[code] == 429} == set()
    assert len(STATUSES) > 30


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 403, Failed),
        ("ValidationException", 400, Failed),
        ("ExpiredTokenException", 403, Retryable),
        ("", 413, Failed),
        ("", 415, Failed),
        ("", 429, Retryable),
        ("", 503, Retryable),
    ],
)
def test_what_stands_before_lambda_may_refuse_too(
    service: Service, target: JobTarget, code: str, status: int, kind: type[Outcome]
) -> None:
    refuse(service, code, status)
    assert isinstance(run(target), kind)


def test_a_call_that_botocore_refuses_to_send_is_final(service: Service, target: JobTarget) -> None:
    outcome = run(target, function="")
    assert isinstance(outcome, Failed)
    assert "FunctionName" in outcome.error.message
    assert service.asked == []


def test_each_job_of_the_largest_batch_keeps_a_connection(
    service: Service, target: JobTarget
) -> None:
    client: Any = target._client  # type: ignore[attr-defined]
    schemas = json.loads(OPENAPI.read_text())["components"]["schemas"].values()
    sizes = [
        s["properties"]["batch_size"] for s in schemas if "batch_size" in s.get("properties", {})
    ]
    largest = [size["maximum"] for size in sizes if "maximum" in size]
    assert largest and client.meta.config.max_pool_connections >= max(largest)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name the options otherwise")
def test_a_connection_is_probed_before_a_gateway_forgets_it(
    service: Service, target: JobTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function may work in silence for a quarter of an hour; a NAT gateway waits for 350 s."""
    options = {
        "is_probed": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        "idle_s": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        "between_s": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        "count": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    }
    seen: list[dict[str, int]] = []
    create = connection.create_connection

    def look(*arguments: Any, **settings: Any) -> socket.socket:
        opened = create(*arguments, **settings)
        seen.append({name: opened.getsockopt(*option) for name, option in options.items()})
        return opened

    monkeypatch.setattr(connection, "create_connection", look)
    service.answer = (200, {}, b"{}")
    run(target)
    [found] = seen
    assert found["is_probed"]
    assert found["idle_s"] + found["between_s"] * found["count"] < 350
