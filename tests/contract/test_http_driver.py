"""Driver `http` reads states and switches through a real HTTP server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shiftwork_core.adapters.drivers import http
from shiftwork_core.adapters.drivers.groups import SETTLED
from shiftwork_core.adapters.drivers.http import HttpDriver
from shiftwork_core.adapters.expressions import search
from shiftwork_core.adapters.named_services import NamedServices
from shiftwork_core.domain.workspaces.records import Operation, WorkspaceState
from shiftwork_core.ports.workspaces import DriverError
from tests.contract.http_service import Service

START, STOP = Operation.START, Operation.STOP
SPEC = {
    "type": "http",
    "service": "crm",
    "state": {"path": "/lab", "starting": "booting", "stopping": "halting"},
    "start": {"path": "/lab/start", "body": {"size": 2}, "headers": {"X-Who": "shiftwork"}},
    "stop": {"path": "/lab", "method": "DELETE"},
}


@pytest.fixture
def driver(service: Service) -> HttpDriver:
    return HttpDriver(NamedServices({"crm": {"url": service.url, "private": True}}), search)


def says(service: Service, state: Any) -> None:
    service.answer = (200, {}, json.dumps({"state": state}).encode())


@pytest.mark.parametrize(
    ("word", "state", "detail"),
    [
        ("running", WorkspaceState.RUNNING, "crm says 'running'"),
        ("stopped", WorkspaceState.STOPPED, "crm says 'stopped'"),
        ("booting", WorkspaceState.STARTING, "crm says 'booting'"),
        ("halting", WorkspaceState.STOPPING, "crm says 'halting'"),
        ("on fire", WorkspaceState.UNKNOWN, "crm says 'on fire'"),
        (None, WorkspaceState.UNKNOWN, "the answer to GET /lab of service crm has no state"),
    ],
)
def test_the_services_word_is_the_state(
    service: Service, driver: HttpDriver, word: str, state: WorkspaceState, detail: str
) -> None:
    says(service, word)
    seen = driver.look(SPEC, {})
    assert (seen.state, seen.detail) == (state, detail)
    [(method, path, headers, body)] = service.asked
    assert (method, path, body) == ("GET", "/base/lab", b"")
    assert "Idempotency-Key" not in headers


def test_the_state_is_found_where_the_definition_says(service: Service, driver: HttpDriver) -> None:
    service.answer = (200, {}, b'{"labs": [{"up": true, "count": 3}]}')
    state = {"path": "/", "value": "labs[0].up", "running": True}
    assert driver.look(SPEC | {"state": state}, {}).state is WorkspaceState.RUNNING
    state = {"path": "/", "value": "labs[0].count", "stopped": 3}
    assert driver.look(SPEC | {"state": state}, {}).state is WorkspaceState.STOPPED


def test_a_switch_is_the_definitions_call_with_the_jobs_key(
    service: Service, driver: HttpDriver
) -> None:
    says(service, "stopped")
    assert driver.plan(SPEC, {}, START) == ["POST /lab/start of service crm"]
    assert driver.switch(SPEC, {"x": 1}, START, "job-1") == {"x": 1}
    method, path, headers, body = service.asked[-1]
    assert (method, path, json.loads(body)) == ("POST", "/base/lab/start", {"size": 2})
    assert headers["Idempotency-Key"] == "job-1"
    assert headers["X-Who"] == "shiftwork"
    assert headers["Content-Type"] == "application/json"

    says(service, "running")
    assert driver.plan(SPEC, {}, STOP) == ["DELETE /lab of service crm"]
    driver.switch(SPEC, {}, STOP, "job-2")
    method, path, headers, body = service.asked[-1]
    assert (method, path, body) == ("DELETE", "/base/lab", b"")
    assert headers["Idempotency-Key"] == "job-2"


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("word", ["running", "stopped", "booting", "halting", "on fire"])
def test_a_plan_names_the_calls_that_are_made(
    service: Service, driver: HttpDriver, operation: Operation, word: str
) -> None:
    says(service, word)
    state = driver.look(SPEC, {}).state
    try:
        plan = driver.plan(SPEC, {}, operation)
    except DriverError as error:
        assert state in SETTLED[START] ^ SETTLED[STOP] and not error.is_final
        assert str(error) == f"cannot {operation.value} while crm says {word!r}; tried again later"
        with pytest.raises(DriverError, match="tried again later"):
            driver.switch(SPEC, {}, operation, "key")
        plan = []
    else:
        assert (plan == []) is (state in SETTLED[operation])
        driver.switch(SPEC, {}, operation, "key")
    writes = [call for call in service.asked if call[0] != "GET"]
    assert len(writes) == len(plan)


@pytest.mark.parametrize("status", [408, 409, 423, 425, 429, 500, 503])
def test_a_service_that_refuses_for_now_is_called_again(
    service: Service, driver: HttpDriver, status: int
) -> None:
    service.answer = (status, {}, b"busy")
    told = f"cannot call GET /lab of service crm: crm answered {status}: busy; tried again later"
    with pytest.raises(DriverError) as raised:
        driver.look(SPEC, {})
    assert (str(raised.value), raised.value.is_final) == (told, False)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404])
def test_every_other_refusal_is_final_and_no_redirect_is_followed(
    service: Service, driver: HttpDriver, status: int
) -> None:
    service.answer = (status, {"Location": service.url}, b"no")
    with pytest.raises(DriverError, match=f"crm answered {status}: no; correct the") as raised:
        driver.look(SPEC, {})
    assert raised.value.is_final
    assert len(service.asked) == 1


def test_a_service_that_does_not_answer_in_time_is_called_again(
    service: Service, driver: HttpDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 0.2)
    service.release.clear()
    with pytest.raises(DriverError, match="now: crm did not answer") as raised:
        driver.look(SPEC, {})
    assert not raised.value.is_final


def test_an_answer_that_is_not_json_is_asked_for_again(
    service: Service, driver: HttpDriver
) -> None:
    service.answer = (200, {}, b"<html>we are updating</html>")
    with pytest.raises(DriverError, match="we are updating</html>; it is not JSON") as raised:
        driver.look(SPEC, {})
    assert not raised.value.is_final


def test_an_answer_that_is_too_long_is_no_state(
    service: Service, driver: HttpDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_MAX_ANSWER_BYTES", 20)
    says(service, "running " * 4)
    with pytest.raises(DriverError, match="crm answered with more than 20 bytes"):
        driver.look(SPEC, {})


def test_an_answer_that_is_nested_too_deep_is_no_state(
    service: Service, driver: HttpDriver
) -> None:
    service.answer = (200, {}, b"[" * 100_000)
    with pytest.raises(DriverError, match="nested more than 32 levels deep"):
        driver.look(SPEC, {})


def change(part: str, **values: Any) -> dict[str, Any]:
    found = SPEC[part]
    assert isinstance(found, dict)
    return SPEC | {part: found | values}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (SPEC | {"service": "other"}, "no service is named 'other' .there are: crm."),
        (change("state", path="/../admin"), "path '/../admin' must not lead elsewhere by"),
        (change("state", path="/%2E%2e/admin"), "must not lead elsewhere by"),
        (change("state", path="@127.0.0.1:1/"), "must start with /"),
        (change("state", headers={"X": "a\r\nb: c"}), "header 'X' must be one line"),
        (change("state", value="labs[*"), "state.value 'labs.*' fails"),
        (change("state", value="|".join(["[@,@]"] * 20)), "more than 1,000,000 values"),
    ],
)
def test_an_impossible_call_is_a_final_error(
    service: Service, driver: HttpDriver, spec: dict[str, Any], told: str
) -> None:
    with pytest.raises(DriverError, match=f"{told}.*; correct the workspace's driver") as raised:
        driver.look(spec, {})
    assert raised.value.is_final


@pytest.mark.parametrize("use", ["plan", "switch"])
def test_a_missing_call_is_reported_before_any_call_is_made(
    service: Service, driver: HttpDriver, use: str
) -> None:
    spec = {key: value for key, value in SPEC.items() if key != "start"}
    calls: dict[str, Callable[[], object]] = {
        "plan": lambda: driver.plan(spec, {}, START),
        "switch": lambda: driver.switch(spec, {}, START, "key"),
    }
    with pytest.raises(DriverError, match="has no 'path'"):
        calls[use]()
    assert service.asked == []
