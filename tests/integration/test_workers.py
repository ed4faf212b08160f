"""Worker records on the deployed stack: tokens, drains, and workers that died."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import ApiError, NotFound, Unauthorized
from shiftwork.api.shapes import ClaimedTask, WorkerView
from shiftwork_core import bootstrap
from shiftwork_core.domain.workers.tokens import Claims, read, sign, signing_key
from tests.integration.conftest import token_of
from tests.integration.lab import Lab, unique, until


@pytest.fixture
def name() -> str:
    return unique("host")


@pytest.fixture
def queue(lab: Lab) -> str:
    """A job type of its own, whose jobs workers claim under a lease of an hour."""
    name = unique("polled")
    body = {"target": "worker", "timeout_s": 7200, "worker": {"response_timeout_s": 3600}}
    lab.api.put_definition("job-type", name, body)
    return name


@pytest.fixture
def worker(lab: Lab, name: str, queue: str) -> Iterator[ShiftworkClient]:
    """A client with the token of a worker that has registered, and claims one job at a time."""
    with ShiftworkClient(os.environ["SHIFTWORK_URL"], token(lab, name, queue)) as client:
        yield client


def token(lab: Lab, name: str, queue: str = "none") -> str:
    """Register a worker, and return its token."""
    invitation = lab.api.new_registration(name)["token"]
    answer = lab.api.register_worker(
        invitation, name, address="test", routes=[queue], build_limit=1
    )
    return answer["token"]


def signed_again(token: str | None, lifetime: timedelta) -> str:
    """Return a worker's token with another lifetime, as the deployment signs it."""
    key, now = signing_key(os.environ["SHIFTWORK_TOKEN"].encode()), datetime.now(UTC)
    claims = read(token or "", key, now)
    assert isinstance(claims, Claims)
    return sign(replace(claims, expires_at=now + lifetime), key)


def submit(lab: Lab, queue: str) -> str:
    """Submit a request of one polled job; return its id once that waits for a worker."""
    request_type = unique("request")
    jobs = [{"name": "polled", "type": queue}]
    lab.api.put_definition("request-type", request_type, {"steps": [{"name": "s", "jobs": jobs}]})
    request_id = lab.api.submit(request_type)["request_id"]
    until(lambda: list(lab.api.jobs(request_id, status="new")), "its job waits")
    return request_id


def take(worker: ShiftworkClient, name: str, queue: str) -> ClaimedTask:
    """Claim the one job that waits."""
    want: Any = {"type": queue, "count": 1, "domain": None}
    [task] = until(lambda: worker.exchange(name, wants=[want])["tasks"], "there is a task")
    return task


def test_a_worker_registers_works_and_reports(
    lab: Lab, worker: ShiftworkClient, name: str, queue: str
) -> None:
    record = lab.api.worker(name)
    assert (record["status"], record["routes"], record["kind"]) == ("idle", [queue], "registered")
    request_id = submit(lab, queue)
    task = take(worker, name, queue)
    record = lab.api.worker(name)
    assert (record["status"], record["running_build_ids"]) == ("busy", [task["task_id"]])
    result: Any = {
        "task_id": task["task_id"],
        "fence": task["fence"],
        "status": "COMPLETED",
        "output": {"done": True},
    }
    assert worker.exchange(name, results=[result])["outcomes"] == ["recorded"]
    assert lab.completed(request_id)["extras"] == {"done": True}
    record = lab.api.worker(name)
    assert (record["status"], record["running_build_ids"]) == ("idle", [])
    assert record["last_build_finished_at"] is not None


def test_a_worker_renews_its_token_and_sends_it_in_either_header(
    lab: Lab, worker: ShiftworkClient, http: httpx2.Client, name: str
) -> None:
    before = lab.api.worker(name)
    fresh = worker.refresh_worker(name)
    assert fresh["worker"]["last_checked_in"] is not None
    assert before["last_checked_in"] is not None
    assert fresh["worker"]["last_checked_in"] >= before["last_checked_in"]
    for headers in (
        {"Authorization": f"Bearer {fresh['token']}"},
        {"X-Authorization": fresh["token"]},
    ):
        answer = http.post(f"/v1/workers/{name}/refresh", headers=headers)
        assert answer.status_code == 200, answer.text


def test_a_worker_changes_no_other_record_and_does_nothing_else(
    lab: Lab, worker: ShiftworkClient
) -> None:
    other = unique("other")
    token(lab, other)
    before = lab.api.worker(other)
    for call in (
        lambda: worker.refresh_worker(other),
        lambda: worker.put_worker(other, {"build_limit": 9}),
        lambda: worker.exchange(other, wants=[]),
        lambda: worker.drain(other),
        lambda: worker.delete_worker(other),
        lambda: worker.submit("any"),
    ):
        with pytest.raises(Unauthorized):
            call()
    assert lab.api.worker(other) == before


def test_another_workers_task_is_absent_and_a_name_that_is_left_out_is_ones_own(
    lab: Lab, worker: ShiftworkClient, http: httpx2.Client, name: str, queue: str
) -> None:
    request_id = submit(lab, queue)
    task_id = take(worker, name, queue)["task_id"]
    other = {"X-Authorization": token(lab, unique("other"))}
    own = {"X-Authorization": worker.token or ""}
    result = {"taskId": task_id, "workflowInstanceId": request_id, "status": "COMPLETED"}
    by_name = f"/api/tasks/{request_id}/polled/COMPLETED"
    refused = [
        http.post("/api/tasks", headers=other, json=result),
        http.post(by_name, headers=other, json={}),
        http.get(f"/api/tasks/{task_id}", headers=other),
        http.get(f"/api/tasks/{task_id}/log", headers=other),
        http.post(f"/api/tasks/{task_id}/log", headers=other, content="a line"),
        http.get("/api/tasks/1.1.0.1", headers=other),
    ]
    assert [answer.status_code for answer in refused] == [404] * 6
    assert http.get(f"/api/tasks/{task_id}", headers=own).json()["workerId"] == name
    assert http.get(f"/api/tasks/{task_id}/log", headers=own).json() == []
    assert http.post("/api/tasks", headers=own, json=result).status_code == 200
    lab.completed(request_id)


def test_the_deployments_worker_token_acts_as_no_worker(http: httpx2.Client, name: str) -> None:
    headers = {"Authorization": f"Bearer {token_of('worker')}"}
    answer = http.post("/v1/tasks/exchange", headers=headers, json={"worker_id": name})
    assert (answer.status_code, "invites workers" in answer.text) == (403, True)
    invited = http.post("/v1/worker-registrations", headers=headers, json={"hostname": name})
    assert invited.status_code == 201


def test_a_revoked_worker_gets_no_other_token_and_may_register_again(
    lab: Lab, worker: ShiftworkClient, name: str
) -> None:
    worker.exchange(name)
    lab.api.revoke_worker(name)
    # The authorizer may not know yet; what issues tokens does.
    with pytest.raises(Unauthorized):
        worker.refresh_worker(name)
    with ShiftworkClient(os.environ["SHIFTWORK_URL"], token(lab, name)) as again:
        again.refresh_worker(name)


def test_a_worker_that_was_deleted_has_no_token(
    lab: Lab, worker: ShiftworkClient, name: str
) -> None:
    lab.api.delete_worker(name)
    for call in (lambda: worker.exchange(name), lambda: worker.refresh_worker(name)):
        with pytest.raises((Unauthorized, NotFound)):
            call()


def test_a_worker_is_given_jobs_only_of_the_types_that_it_was_invited_for(
    lab: Lab, http: httpx2.Client, name: str, queue: str
) -> None:
    submit(lab, queue)
    invitation = lab.api.new_registration(name, ["another"])["token"]
    answer = lab.api.register_worker(invitation, name, address="", routes=[queue], build_limit=1)
    headers = {"X-Authorization": answer["token"]}
    polled = http.get(f"/api/tasks/poll/{queue}", headers=headers)
    assert (polled.status_code, "jobs of another" in polled.text) == (403, True)
    assert http.get("/api/tasks/poll/another", headers=headers).status_code == 204


def test_a_registration_token_can_be_used_once(lab: Lab, name: str) -> None:
    invitation = lab.api.new_registration(name)["token"]
    values: Any = {"address": "", "routes": [], "build_limit": 1}
    lab.api.register_worker(invitation, name, **values)
    with pytest.raises(Unauthorized, match="has been used"):
        lab.api.register_worker(invitation, name, **values)


def test_an_expired_token_is_refused_as_expired(
    worker: ShiftworkClient, http: httpx2.Client, name: str
) -> None:
    headers = {"X-Authorization": signed_again(worker.token, timedelta(minutes=1))}
    assert http.post(f"/v1/workers/{name}/refresh", headers=headers).status_code == 200
    headers = {"X-Authorization": signed_again(worker.token, timedelta(seconds=-1))}
    answer = http.post(f"/v1/workers/{name}/refresh", headers=headers)
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]
    answer = http.get("/api/tasks/poll/any", headers=headers, params={"workerid": name})
    assert answer.status_code == 401
    assert answer.json()["error"] == "EXPIRED_TOKEN"


def test_a_drained_worker_is_given_nothing_and_finishes_what_it_runs(
    lab: Lab, worker: ShiftworkClient, http: httpx2.Client, name: str, queue: str
) -> None:
    first = submit(lab, queue)
    task = take(worker, name, queue)
    second = submit(lab, queue)
    assert lab.api.drain(name)["drained"]
    want: Any = {"type": queue, "count": 1, "domain": None}
    answer = worker.exchange(name, wants=[want])
    assert (answer["tasks"], answer["drained"]) == ([], True)
    headers = {"X-Authorization": worker.token or ""}
    params = {"workerid": name, "count": "5", "timeout": "100"}
    polled = http.get(f"/api/tasks/poll/batch/{queue}", headers=headers, params=params)
    assert (polled.status_code, polled.json()) == (200, [])
    explanation = lab.api.explain_worker(name)
    assert explanation["summary"].startswith("It is drained")
    result: Any = {"task_id": task["task_id"], "fence": task["fence"], "status": "COMPLETED"}
    worker.exchange(name, results=[result | {"output": {}}])
    lab.completed(first)
    assert [a["status"] for a in lab.attempts(second)] == ["new"]
    lab.api.resume(name)
    assert take(worker, name, queue)["request_id"] == second


def test_a_conductor_worker_has_a_record_too(
    lab: Lab, http: httpx2.Client, admin: dict[str, Any], name: str, queue: str
) -> None:
    params = {"workerid": name, "count": "3", "timeout": "100"}
    path = f"/api/tasks/poll/batch/{queue}"
    assert http.get(path, headers=admin, params=params).json() == []
    record = lab.api.worker(name)
    assert (record["kind"], record["status"], record["build_limit"]) == ("derived", "idle", 3)
    assert list(record["polls"]) == [queue]
    assert "nothing there" in lab.api.explain_worker(name)["queues"][0]["reason"]
    lab.api.drain(name)
    submit(lab, queue)
    assert http.get(path, headers=admin, params=params).json() == []


def test_a_dead_workers_build_is_requeued_at_once(
    lab: Lab, worker: ShiftworkClient, name: str, queue: str
) -> None:
    request_id = submit(lab, queue)
    take(worker, name, queue)
    # Its lease lasts an hour. Its last heartbeat is long ago:
    os.environ.update(lab.environment("Api"))
    store = bootstrap.stores.workers()
    row = store.get(name)
    assert row is not None
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    assert store.save(replace(row, last_seen_at=long_ago, watch_at=long_ago)).won
    assert lab.api.worker(name)["status"] == "offline"

    def retried() -> list[str]:
        lab.sweep("workers")
        history = lab.history(request_id)
        return history if len(history) == 2 else []

    assert until(retried, "its job is requeued") == ["polled 1 retry", "polled 2 new"]
    lost = lab.attempts(request_id)[0]
    assert lost["error"] is not None and lost["error"]["type"] == "WorkerLost"
    assert lab.api.worker(name)["running_build_ids"] == []


def test_another_workers_poll_gives_back_a_dead_ones_build_when_its_own_lease_is_over(
    lab: Lab, worker: ShiftworkClient, name: str, queue: str
) -> None:
    lease_s, bound_s = 2, 5
    retry = {"delay_s": 0, "jitter": "none"}
    body = {"target": "worker", "retry": retry, "worker": {"response_timeout_s": lease_s}}
    lab.api.put_definition("job-type", queue, body)
    request_id = submit(lab, queue)
    lease_until = take(worker, name, queue)["lease_until"]
    want: Any = {"type": queue, "count": 1, "domain": None}
    other = unique("other")
    tasks = until(lambda: lab.api.exchange(other, wants=[want])["tasks"], "the other one has it")
    assert [task["attempt"] for task in tasks] == [2]
    lost, again = lab.attempts(request_id)
    assert lost["error"] is not None and lost["error"]["type"] == "LeaseExpired"
    # The lease is counted from the call, and so may end a moment less than that after the claim.
    assert _seconds(lease_until, lost["completed_at"]) >= 0
    assert _seconds(lost["started_at"], lost["completed_at"]) <= lease_s + bound_s
    assert again["worker_id"] == other
    assert lab.api.worker(name)["status"] == "offline"
    worker.put_worker(name, {"active": False})
    assert lab.api.worker(name)["status"] == "stopped"


def _seconds(start: str | None, end: str | None) -> float:
    assert start is not None and end is not None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


@pytest.mark.parametrize("holds", [None, []], ids=["says nothing", "holds nothing"])
def test_a_restarted_worker_gives_back_its_jobs(
    lab: Lab, worker: ShiftworkClient, name: str, queue: str, holds: list[str] | None
) -> None:
    request_id = submit(lab, queue)
    take(worker, name, queue)
    invitation = lab.api.new_registration(name)["token"]
    values: Any = {"address": "", "routes": [queue], "build_limit": 1}
    lab.api.register_worker(invitation, name, **values, running_build_ids=holds)
    expected = ["polled 1 retry", "polled 2 new"] if holds == [] else ["polled 1 inprogress"]
    assert lab.history(request_id) == expected


@pytest.mark.usefixtures("worker")
def test_workers_are_found_by_filter(lab: Lab, name: str) -> None:
    def found(**wanted: Any) -> list[WorkerView]:
        return [w for w in lab.api.workers(**wanted) if w["worker_id"] == name]

    [record] = found()
    at = record["last_checked_in"]
    assert at is not None
    assert found(status="idle", active=True, checked_in_before=at + 1, checked_in_after=at - 1)
    assert not found(checked_in_before=at) and not found(checked_in_after=at)
    assert not found(active=False) and not found(status="busy")
    lab.api.delete_worker(name)
    assert not found()


def test_an_invalid_worker_is_refused(lab: Lab) -> None:
    with pytest.raises(ApiError) as refused:
        lab.api.new_registration("a/b")
    assert refused.value.status == 422
