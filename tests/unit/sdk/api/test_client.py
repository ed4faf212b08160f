"""The client: what it sends, what it repeats, and the errors that it raises."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx2
import pytest

from shiftwork.api import client as client_module
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import (
    ApiError,
    Conflict,
    Invalid,
    NotFound,
    ShiftworkError,
    TooLarge,
    Unauthorized,
    Unreachable,
)
from tests.unit.sdk.fake_api import TOKEN, URL, FakeApi, attempt, problem, request
from tests.unit.sdk.transports import FakeTransport


@pytest.fixture
def client(api: FakeApi) -> ShiftworkClient:
    api.lives["r-1"] = [request()]
    return api.client()


def test_every_call_carries_the_token_and_keeps_the_path_of_the_url(
    api: FakeApi, client: ShiftworkClient
) -> None:
    client.get("r-1")
    assert api.calls[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert str(api.calls[0].url) == f"{URL}/v1/requests/r-1"


def test_an_id_cannot_reach_another_route(api: FakeApi, client: ShiftworkClient) -> None:
    with pytest.raises(NotFound):
        client.get("../job-types")
    assert api.calls[0].url.raw_path == b"/stage/v1/requests/..%2Fjob-types"


def test_submit_sends_only_what_is_given(api: FakeApi, client: ShiftworkClient) -> None:
    client.submit("greet", {"who": "you"}, start_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert api.bodies("POST") == [
        {"type": "greet", "params": {"who": "you"}, "start_at": "2026-01-01T00:00:00+00:00"}
    ]


def test_a_lost_submission_is_repeated_under_the_same_key(
    api: FakeApi, client: ShiftworkClient
) -> None:
    api.interruptions = [httpx2.ReadTimeout("lost"), problem(503, "busy")]
    client.submit("greet")
    keys = {call.headers["Idempotency-Key"] for call in api.calls}
    assert (len(api.calls), len(keys)) == (3, 1)


def test_two_submissions_have_two_keys(api: FakeApi, client: ShiftworkClient) -> None:
    client.submit("greet")
    client.submit("greet")
    assert len({call.headers["Idempotency-Key"] for call in api.calls}) == 2


def test_the_callers_own_key_is_sent(api: FakeApi, client: ShiftworkClient) -> None:
    client.submit("greet", idempotency_key="mine")
    assert api.calls[0].headers["Idempotency-Key"] == "mine"


def test_a_retry_that_may_have_arrived_is_not_repeated(
    api: FakeApi, client: ShiftworkClient
) -> None:
    api.interruptions = [httpx2.ReadTimeout("lost")]
    with pytest.raises(Unreachable):
        client.retry("r-1")
    assert len(api.calls) == 1


@pytest.mark.parametrize(
    "interruption", [httpx2.ConnectError("refused"), problem(429, "slow down")], ids=str
)
def test_a_retry_that_did_not_arrive_is_repeated(
    interruption: httpx2.Response | Exception, api: FakeApi, client: ShiftworkClient
) -> None:
    api.interruptions = [interruption]
    assert client.retry("r-1")["status"] == "Inprogress"


def test_the_client_gives_up_on_a_service_that_stays_down(
    api: FakeApi, client: ShiftworkClient
) -> None:
    api.interruptions = [httpx2.ConnectError("refused")] * 10
    with pytest.raises(Unreachable, match="refused") as caught:
        client.get("r-1")
    assert len(api.calls) == 4
    assert "shiftwork status" in caught.value.next_step


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the client's clock, which a test moves."""
    clock = SimpleNamespace(now=1000.0, sleep=time.sleep)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(client_module, "time", clock)
    return clock


def test_a_server_that_never_answers_is_waited_for_once(clock: SimpleNamespace) -> None:
    limits: list[float] = []

    def handle(call: httpx2.Request) -> httpx2.Response:
        limits.append(call.extensions["timeout"]["read"])
        clock.now += limits[-1]
        raise httpx2.ReadTimeout("timed out")

    with pytest.raises(Unreachable, match="timed out"):
        ShiftworkClient(URL, TOKEN, transport=FakeTransport(handle)).get("r-1")
    assert limits == [30]


def test_the_repeats_of_a_call_share_its_time(clock: SimpleNamespace, api: FakeApi) -> None:
    limits: list[float] = []

    def handle(call: httpx2.Request) -> httpx2.Response:
        limits.append(call.extensions["timeout"]["read"])
        clock.now += 12
        return httpx2.Response(503, headers={"Retry-After": "5"})

    def sleep(seconds: float) -> None:
        clock.now += seconds

    with pytest.raises(ApiError):
        ShiftworkClient(URL, TOKEN, transport=FakeTransport(handle), sleep=sleep).get("r-1")
    assert limits == pytest.approx([30, 12], abs=1)


def test_a_refusal_is_not_repeated(api: FakeApi, client: ShiftworkClient) -> None:
    with pytest.raises(NotFound):
        client.get("r-2")
    assert len(api.calls) == 1


def test_the_wait_respects_retry_after(api: FakeApi) -> None:
    waits: list[float] = []
    api.lives["r-1"] = [request()]
    api.interruptions = [httpx2.Response(503, headers={"Retry-After": "2"})]
    transport = FakeTransport(api.handle)
    ShiftworkClient(URL, TOKEN, transport=transport, sleep=waits.append).get("r-1")
    assert len(waits) == 1
    assert 2 <= waits[0] <= 2.2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (409, Conflict),
        (413, TooLarge),
        (422, Invalid),
        (405, ApiError),
        (500, ApiError),
    ],
)
def test_each_status_has_its_error(
    status: int, kind: type[ApiError], api: FakeApi, client: ShiftworkClient
) -> None:
    api.interruptions = [problem(status, "what is wrong", "do that")] * 4
    with pytest.raises(ApiError, match="what is wrong") as caught:
        client.get("r-1")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.next_step) == (status, "do that")


def test_every_fault_is_named(api: FakeApi, client: ShiftworkClient) -> None:
    api.interruptions = [problem(422, "bad", **{"params.a": "missing", "params.b": "too long"})]
    with pytest.raises(Invalid) as caught:
        client.submit("greet")
    assert [str(f) for f in caught.value.faults] == ["params.a: missing", "params.b: too long"]


@pytest.mark.parametrize("body", ["<html>", "[]", '"text"', ""])
def test_an_error_without_a_problem_document_is_still_an_api_error(
    body: str, api: FakeApi, client: ShiftworkClient
) -> None:
    api.interruptions = [httpx2.Response(403, text=body)]
    with pytest.raises(Unauthorized, match="not good for this") as caught:
        client.get("r-1")
    assert "SHIFTWORK_TOKEN" in caught.value.next_step


def test_an_answer_that_is_not_json_raises_a_shiftwork_error(
    api: FakeApi, client: ShiftworkClient
) -> None:
    api.interruptions = [httpx2.Response(200, text="<html>")]
    with pytest.raises(ShiftworkError, match="not as Shiftwork does"):
        client.get("r-1")


def test_a_list_yields_the_items_of_every_page(api: FakeApi, client: ShiftworkClient) -> None:
    api.attempts = [attempt(number, "completed") for number in range(5)]
    assert [a["job"] for a in client.jobs("r-1", step=1)] == [f"greet[{n}]" for n in range(5)]
    assert all(call.url.params["step"] == "1" for call in api.calls)
    assert len(api.calls) == 3


def test_cancel_and_explain_and_logs_reach_their_routes(
    api: FakeApi, client: ShiftworkClient
) -> None:
    api.explanation = {"summary": "It waits."}
    api.logs = [{"timestamp": "2026-01-01T00:00:00Z", "message": "hello"}]
    assert client.cancel("r-1")["status"] == "Cancelled"
    assert client.explain("r-1")["summary"] == "It waits."
    assert [line["message"] for line in client.job_logs("r-1.1.0.1")] == ["hello"]
    assert client.heartbeat() == {"status": "ok"}


# -- tasks and workers ---------------------------------------------------------------------------


def answering(answer: httpx2.Response, calls: list[httpx2.Request]) -> ShiftworkClient:
    """Return a client that always gets this answer, and the list of its calls."""

    def handle(call: httpx2.Request) -> httpx2.Response:
        calls.append(call)
        return answer

    return ShiftworkClient(URL, TOKEN, transport=FakeTransport(handle))


def test_a_task_is_updated_by_its_id() -> None:
    calls: list[httpx2.Request] = []
    client = answering(httpx2.Response(200, text="r-1.1.0.1"), calls)
    updated = client.update_task("r-1.1.0.1", "IN_PROGRESS", {"a": 1}, callback_after_s=60)
    assert updated == "r-1.1.0.1"
    assert str(calls[0].url) == f"{URL}/api/tasks"
    assert json.loads(calls[0].content) == {
        "taskId": "r-1.1.0.1",
        "workflowInstanceId": "r-1",
        "status": "IN_PROGRESS",
        "outputData": {"a": 1},
        "reasonForIncompletion": "",
        "callbackAfterSeconds": 60,
        "extendLease": False,
    }


def test_a_task_is_updated_by_the_name_of_its_job() -> None:
    calls: list[httpx2.Request] = []
    client = answering(httpx2.Response(200, text="r-1.1.0.1"), calls)
    client.update_task_by_ref_name("r-1", "pack[0]", "COMPLETED", {"a": 1}, worker_id="me")
    assert str(calls[0].url) == f"{URL}/api/tasks/r-1/pack%5B0%5D/COMPLETED?workerid=me"
    assert json.loads(calls[0].content) == {"a": 1}


def test_a_task_and_its_log_are_read_and_written() -> None:
    calls: list[httpx2.Request] = []
    client = answering(httpx2.Response(200, json=[{"log": "x"}]), calls)
    client.get_task("r-1.1.0.1")
    assert [line["log"] for line in client.task_logs("r-1.1.0.1")] == ["x"]
    client.add_task_log("r-1.1.0.1", "größer")
    assert [call.url.path.removeprefix("/stage") for call in calls] == [
        "/api/tasks/r-1.1.0.1",
        "/api/tasks/r-1.1.0.1/log",
        "/api/tasks/r-1.1.0.1/log",
    ]
    assert calls[2].content.decode() == "größer"


def test_an_exchange_may_be_repeated_and_its_answer_may_take_as_long_as_it_waits() -> None:
    calls: list[httpx2.Request] = []
    client = answering(httpx2.Response(200, json={"outcomes": []}), calls)
    client.exchange("me", wants=[{"type": "x", "count": 1, "domain": None}], wait_s=20)
    body = json.loads(calls[0].content)
    assert (body["worker_id"], body["wait_s"], body["running"]) == ("me", 20, None)
    assert len(body["exchange_id"]) == 36
    assert calls[0].extensions["timeout"]["read"] == pytest.approx(50, abs=1)


def test_a_registration_is_sent_with_its_own_token() -> None:
    calls: list[httpx2.Request] = []
    client = answering(httpx2.Response(201, json={"token": "t"}), calls)
    client.register_worker("sw1.once", "me", address="", routes=["x"], build_limit=1)
    assert calls[0].headers["Authorization"] == "Bearer sw1.once"


def test_an_assigned_token_is_sent_with_the_next_call() -> None:
    calls: list[httpx2.Request] = []
    client = answering(httpx2.Response(200, json={}), calls)
    client.token = "another"
    client.heartbeat()
    assert calls[0].headers["Authorization"] == "Bearer another"


def test_an_error_in_conductors_shape_says_what_is_wrong() -> None:
    error = {"status": 401, "error": "EXPIRED_TOKEN", "message": "The token has expired."}
    with pytest.raises(Unauthorized, match="has expired"):
        answering(httpx2.Response(401, json=error), []).get_task("r-1.1.0.1")
