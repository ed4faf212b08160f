"""Target `http` runs jobs through a real HTTP server."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Event
from typing import Any

import pytest

from shiftwork_core.adapters.expressions import search
from shiftwork_core.adapters.named_services import NamedServices
from shiftwork_core.adapters.targets.http import HttpTarget
from shiftwork_core.domain.requests.definitions import JobType, Target
from shiftwork_core.domain.requests.outcomes import (
    MAX_RESULT_BYTES,
    Completed,
    Failed,
    JobError,
    Outcome,
    Retryable,
)
from shiftwork_core.domain.requests.records import Attempt, AttemptKey
from shiftwork_core.ports.world import JobInput
from tests.contract.http_service import Service

NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: Yields two to the twentieth times what it is given.
DOUBLING = "|".join(["params", *["[@,@]"] * 20])


def call(server: Service, timeout_s: float = 5, **spec: Any) -> Outcome:
    http = {"service": "crm", "method": "POST", "path": "/"} | spec
    job_type = JobType("t", 1, Target.HTTP, timeout_s=timeout_s, http=http)
    attempt = Attempt("r-1", AttemptKey(2, 3, 4), "j", "t", 1, NOW)
    params = {"user": "a/b ü", "bad": "x\r\nEvil: 1", "up": ".."}
    job = JobInput(attempt, params, {"n": 7}, {"k": [1]}, Event())
    services = NamedServices({"crm": {"url": server.url, "private": True}})
    return HttpTarget(services, search, lambda: NOW).run(job_type, job)


def test_the_request_is_made_from_the_jobs_input(service: Service) -> None:
    service.answer = (200, {}, b'{"removed": true}')
    outcome = call(
        service,
        method="DELETE",
        path="/users/{params.user}/removal",
        headers={"X-Who": "n={extras.n}"},
        body={"item": "{item}", "who": "{params.user}", "text": "n is {extras.n}"},
    )
    assert outcome == Completed({"removed": True})
    [(method, path, headers, body)] = service.asked
    assert (method, path) == ("DELETE", "/base/users/a%2Fb%20%C3%BC/removal")
    assert headers["X-Who"] == "n=7"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"item": {"k": [1]}, "who": "a/b ü", "text": "n is 7"}


def test_every_attempt_of_a_job_carries_the_same_idempotency_key(service: Service) -> None:
    call(service)
    assert service.asked[0][2]["Idempotency-Key"] == "r-1.2.3"


@pytest.mark.parametrize("content", [b"", b"[1]", b"plain text"])
def test_an_answer_that_is_not_a_json_object_gives_an_empty_result(
    service: Service, content: bytes
) -> None:
    service.answer = (200, {}, content)
    assert call(service) == Completed({})


@pytest.mark.parametrize("status", [429, 500, 503, 599])
def test_an_overloaded_or_broken_service_is_retried(service: Service, status: int) -> None:
    service.answer = (status, {}, b"busy")
    outcome = call(service)
    assert isinstance(outcome, Retryable)
    assert outcome.error.type == f"Http{status}"
    assert outcome.error.message == f"crm answered {status}: busy"
    assert outcome.delay_s is None


@pytest.mark.parametrize(
    ("header", "delay_s"),
    [
        ("7", 7),
        ("0", 0),
        (format_datetime(NOW + timedelta(seconds=90)), 90),
        (format_datetime(NOW - timedelta(seconds=90)), 0),
        ("99999999", 86_400),
        ("nan", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
        ("soon", None),
    ],
)
def test_retry_after_is_honoured_in_both_its_forms(
    service: Service, header: str, delay_s: float | None
) -> None:
    service.answer = (503, {"Retry-After": header}, b"")
    outcome = call(service)
    assert isinstance(outcome, Retryable)
    assert outcome.delay_s == delay_s


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 409, 422])
def test_every_other_refusal_is_a_failure(service: Service, status: int) -> None:
    service.answer = (status, {"Location": "http://127.0.0.1:1/"}, b'{"why": "no"}')
    outcome = call(service)
    assert isinstance(outcome, Failed)
    assert outcome.error.message == f'crm answered {status}: {{"why": "no"}}'
    assert len(service.asked) == 1


def test_a_service_that_does_not_answer_in_time_is_retried(service: Service) -> None:
    service.release.clear()
    outcome = call(service, timeout_s=0.2)
    assert isinstance(outcome, Retryable)
    assert "crm did not answer" in outcome.error.message


def test_a_service_that_is_not_there_is_retried(service: Service) -> None:
    service.server.server_close()
    assert isinstance(call(service), Retryable)


@pytest.mark.parametrize(
    ("spec", "type"),
    [
        ({"service": "other"}, "UnknownService"),
        ({"path": "/users/{params.missing}"}, "TemplateFault"),
        ({"path": "/users/{params.up}/removal"}, "TemplateFault"),
        ({"path": "/users/%2e%2E/removal"}, "TemplateFault"),
        ({"path": "@127.0.0.1:1/"}, "TemplateFault"),
        ({"path": "{params.user}"}, "TemplateFault"),
        ({"headers": {"X": "{params.bad}"}}, "TemplateFault"),
        ({"path": "/{" + DOUBLING + "}"}, "TemplateFault"),
        ({"headers": {"X": "{" + DOUBLING + "}"}}, "TemplateFault"),
        ({"body": {"all": "{" + DOUBLING + "}"}}, "TemplateFault"),
        ({"body": {"all": "{to_number('1e999')}"}}, "TemplateFault"),
    ],
)
def test_an_unsendable_request_fails_and_sends_nothing(
    service: Service, spec: dict[str, Any], type: str
) -> None:
    outcome = call(service, **spec)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == type
    assert service.asked == []


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\nb", "a\0b", "ключ", "\u2028", "😀", "\x7f"])
def test_a_header_that_http_cannot_carry_fails_the_job_at_once_by_its_name(
    service: Service, value: str
) -> None:
    services = NamedServices({"crm": {"url": service.url, "private": True}})
    http = {"service": "crm", "path": "/", "headers": {"X-Who": "{params.who}"}}
    job_type = JobType("t", 1, Target.HTTP, timeout_s=5, http=http)
    attempt = Attempt("r-1", AttemptKey(2, 3, 4), "j", "t", 1, NOW)
    job = JobInput(attempt, {"who": value}, {}, None, Event())
    outcome = HttpTarget(services, search, lambda: NOW).run(job_type, job)
    assert isinstance(outcome, Failed)
    assert outcome.error.message.startswith("header 'X-Who' must be one line")
    assert service.asked == []


def test_a_service_at_an_address_where_it_may_not_be_fails_the_job_at_once(
    service: Service,
) -> None:
    target = HttpTarget(NamedServices({"crm": service.url}), search, lambda: NOW)
    job_type = JobType("t", 1, Target.HTTP, timeout_s=5, http={"service": "crm", "path": "/"})
    attempt = Attempt("r-1", AttemptKey(2, 3, 4), "j", "t", 1, NOW)
    outcome = target.run(job_type, JobInput(attempt, {}, {}, None, Event()))
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "ForbiddenAddress"
    assert service.asked == []


def test_an_answer_that_is_too_long_once_unpacked_fails_the_job_and_names_the_bound(
    service: Service,
) -> None:
    packed = gzip.compress(b'{"a": "' + b"x" * MAX_RESULT_BYTES + b'"}')
    service.answer = (200, {"Content-Encoding": "gzip"}, packed)
    outcome = call(service)
    assert isinstance(outcome, Failed)
    assert outcome.error == JobError(
        "ResultTooLarge", f"crm answered with more than {MAX_RESULT_BYTES:,} bytes"
    )


def test_an_answer_with_too_many_headers_fails_the_job(service: Service) -> None:
    service.answer = (200, {f"X-{number}": "y" for number in range(100)}, b"{}")
    outcome = call(service)
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, "too many headers" in outcome.error.message) == (
        "ResultTooLarge", True,
    )  # fmt: skip
