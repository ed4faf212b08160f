"""The service of requests: submit, read, cancel, retry and explain them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.payloads import Json, JsonObject, Payload, to_json
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.requests.outcomes import JobError
from shiftwork_core.domain.requests.records import Request, StepStatus
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Conflict, FaultAt, Invalid, NotFound
from shiftwork_core.ports.world import MAX_DELAY
from shiftwork_core.services.requests import results
from shiftwork_core.services.requests.executions import EARLY
from shiftwork_core.services.requests.requests import CheckSchema, Requests, Submission
from tests.unit.services.conftest import counted
from tests.world import edge
from tests.world.world import LEASE, World

Starts = list[Any]
SOME = Submission("some", {}, {})


@pytest.fixture
def world(world: World) -> World:
    """Return an engine with types of one step: `some` runs at once, `polled` waits for a worker."""
    world.job_type("work", lambda job: {"answer": 42})
    world.request_type("some", [{"name": "j", "type": "work"}])
    world.job_type("poll", target="worker")
    world.request_type("polled", [{"name": "j", "type": "poll"}])
    return world


@pytest.fixture
def starts(world: World, monkeypatch: pytest.MonkeyPatch) -> Starts:
    """Return the executions that are started from now on."""
    return counted(monkeypatch, world.machine, "start")


@pytest.fixture
def service(world: World) -> Callable[..., Requests]:
    """Return a factory of further services of the same engine."""

    def make(
        check_schema: CheckSchema = lambda schema, value: [], *, is_enabled: bool = True
    ) -> Requests:
        return world.another(
            check_schema=check_schema, new_id=lambda letter: "other", is_enabled=is_enabled
        ).requests

    return make


def submit(world: World, key: str | None = None, **fields: Any) -> Request:
    request, _ = world.requests.submit(replace(SOME, **fields), key)
    return request


# -- what is accepted ------------------------------------------------------------------------------


def test_params_are_checked_if_the_type_has_a_schema(
    world: World, service: Callable[..., Requests]
) -> None:
    checked: list[Json] = []

    def check(schema: JsonObject, value: Json) -> list[FaultAt]:
        checked.append((schema, value))
        return [FaultAt(".a", "is wrong")] if value else []

    requests = service(check)
    requests.submit(SOME, None)
    assert checked == []
    schema = {"type": "object"}
    steps = [{"name": "s", "jobs": [{"name": "j", "type": "work"}]}]
    world.definitions.put(Kind.REQUEST_TYPE, "some", {"params": schema, "steps": steps})
    requests.submit(SOME, None)
    with pytest.raises(Invalid) as raised:
        requests.submit(replace(SOME, params={"a": 1}), None)
    assert raised.value.faults == [FaultAt("params.a", "is wrong")]
    assert checked == [(schema, {}), (schema, {"a": 1})]


@pytest.mark.parametrize(
    ("type", "version", "path"), [("none", None, "type"), ("some", 7, "version")]
)
def test_an_unknown_type_is_named_at_its_place(
    world: World, type: str, version: int | None, path: str
) -> None:
    with pytest.raises(Invalid) as raised:
        submit(world, type=type, version=version)
    assert [fault.path for fault in raised.value.faults] == [path]


# -- idempotency -----------------------------------------------------------------------------------


def test_without_a_key_each_submission_is_new(world: World) -> None:
    made = [world.requests.submit(SOME, None) for _ in range(2)]
    assert [(request.request_id, is_new) for request, is_new in made] == [
        ("r1", True),
        ("r2", True),
    ]


def test_a_key_means_its_first_request(world: World) -> None:
    made = [world.requests.submit(SOME, "key") for _ in range(2)]
    assert [(request.request_id, is_new) for request, is_new in made] == [
        ("r1", True),
        ("r1", False),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"params": {"a": 1}},
        {"start_at": timedelta(seconds=7)},
        {"start_at": timedelta(seconds=9)},
        {"start_at": None},
        {"domains": {"*": "eu"}},
    ],
)
def test_a_used_key_is_refused_for_another_submission(world: World, other: dict[str, Any]) -> None:
    now = world.clock()
    submit(world, "key", start_at=now + timedelta(seconds=8))
    if other.get("start_at"):
        other = {"start_at": now + other["start_at"]}
    with pytest.raises(Invalid) as raised:
        submit(world, "key", **{"start_at": now + timedelta(seconds=8)} | other)
    assert [fault.path for fault in raised.value.faults] == ["Idempotency-Key"]


def test_a_submission_without_domains_keeps_its_old_digest() -> None:
    """Keys are kept long after their first use."""
    text = to_json(["some", None, {}, {}, None, 0, None])
    assert SOME.digest() == hashlib.sha256(text.encode()).hexdigest()


# -- when it starts --------------------------------------------------------------------------------


@pytest.mark.parametrize("start_in", [None, timedelta(seconds=-5), timedelta(0)])
def test_a_request_whose_start_time_has_come_is_started(
    world: World, starts: Starts, start_in: timedelta | None
) -> None:
    start_at = None if start_in is None else world.clock() + start_in
    request = submit(world, start_at=start_at)
    assert starts == [(request.request_id, 1)]
    assert world.queue.messages == []
    assert request.due_at == world.clock() + LEASE


@pytest.mark.parametrize(
    ("start_in", "delay"),
    [
        (timedelta(seconds=1), timedelta(0)),
        (timedelta(seconds=10), timedelta(seconds=10) - EARLY),
        (MAX_DELAY, MAX_DELAY - EARLY),
    ],
)
def test_a_request_for_later_is_sent_its_message_a_little_early(
    world: World, starts: Starts, start_in: timedelta, delay: timedelta
) -> None:
    start_at = world.clock() + start_in
    request = submit(world, start_at=start_at)
    message = (world.clock() + delay, {"request_id": request.request_id})
    assert (starts, world.queue.messages) == ([], [message])
    assert request.due_at == start_at + LEASE


def test_a_request_beyond_a_messages_reach_is_due_for_the_sweep_that_sends_it(
    world: World, starts: Starts
) -> None:
    start_at = world.clock() + MAX_DELAY + timedelta(seconds=1)
    request = submit(world, start_at=start_at)
    assert (starts, world.queue.messages) == ([], [])
    assert request.due_at == start_at - MAX_DELAY


def test_nothing_is_started_while_workers_are_switched_off(
    world: World, service: Callable[..., Requests], starts: Starts
) -> None:
    service(is_enabled=False).submit(SOME, None)
    assert (starts, world.queue.messages) == ([], [])


def test_a_replay_starts_only_what_has_not_started(world: World, starts: Starts) -> None:
    for _ in range(2):
        submit(world, "key")
    assert len(starts) == 2  # An execution is started once, however often that is asked for.
    world.run()
    submit(world, "key")
    assert len(starts) == 2


# -- cancel and retry ------------------------------------------------------------------------------


def test_an_unknown_id_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        world.requests.get("gone")
    for attempt_id in ("gone", "gone.1.0.1"):
        with pytest.raises(NotFound):
            world.requests.attempt(attempt_id)


def test_an_attempt_is_found_by_its_id(world: World) -> None:
    world.advancer.advance(submit(world).request_id, 1)
    assert world.requests.attempt("r1.1.0.1").name == "j"


def test_a_cancelled_request_names_the_reason_if_there_is_one(world: World) -> None:
    assert world.requests.cancel(submit(world).request_id)[0].error is None
    cancelled, _ = world.requests.cancel(submit(world).request_id, "not wanted")
    assert cancelled.error is not None
    assert (cancelled.error.type, cancelled.error.message) == ("Cancelled", "not wanted")


def test_a_completed_request_is_neither_cancelled_nor_retried(world: World) -> None:
    request_id = submit(world).request_id
    world.run()
    for change in (world.requests.cancel, world.requests.retry):
        with pytest.raises(Conflict):
            change(request_id)
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_cancel_that_died_half_way_is_completed_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world).request_id
    world.advancer.advance(request_id, 1)
    now = world.clock()
    world.store.finish(request_id, RequestStatus.CANCELLED, now, due_at=now + LEASE)
    world.requests.cancel(request_id)
    assert world.statuses(request_id) == ["j 1 cancelled"]
    world.cleaner.clean_up(world.request(request_id))
    again = counted(monkeypatch, world.canceller, "cancel_new")
    world.requests.cancel(request_id)
    assert again == []  # There is nothing left to cancel.


def test_a_cancel_of_a_very_wide_step_leaves_the_rest_to_a_sweep_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.job_type("work", lambda job: None)
    world.request_type("wide", [{"name": "j", "type": "work", "for_each": "params.items"}])
    request_id = world.submit("wide", items=list(range(450)))
    world.advancer.advance(request_id, 1)
    cancel = world.jobs.cancel

    def slow(*args: Any, **values: Any) -> int:
        world.clock.advance(10)
        return cancel(*args, **values)

    monkeypatch.setattr(world.jobs, "cancel", slow)
    assert world.requests.cancel(request_id)[1] is False
    counts = Counter(attempt.status for attempt in world.attempts(request_id))
    assert counts == {AttemptStatus.CANCELLED: 400, AttemptStatus.NEW: 50}
    assert world.runner.run(request_id, ["0001#000449#0001"], LEASE).counts == {}
    assert world.requests.cancel(request_id)[1] is True
    assert {attempt.status for attempt in world.attempts(request_id)} == {AttemptStatus.CANCELLED}


def test_results_beyond_what_is_held_are_read_again_when_the_step_settles(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_HELD_BYTES", 100)
    world.job_type("work", lambda job: {f"job {job.item}": "." * 30, "last": job.item})
    world.request_type("wide", [{"name": "j", "type": "work", "for_each": "params.items"}])
    request_id = world.submit("wide", items=list(range(9)))
    world.run()
    request = world.requests.get(request_id)
    assert request.status is RequestStatus.COMPLETED
    extras = {f"job {item}": "." * 30 for item in range(9)} | {"last": 8}
    assert world.payloads.unpack_object(request.extras) == extras
    held = results.attempts_of(world.records, request_id, 1)
    assert [attempt.output is None for attempt in held] == [False] + [True] * 8


def test_extras_of_twice_their_bound_fail_the_request_before_the_rest_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_RESULT_BYTES", 100)
    read: list[str] = []
    unpack = world.payloads.unpack_object
    world.job_type("work", lambda job: {f"job {job.item}": "." * 30})
    world.request_type("wide", [{"name": "j", "type": "work", "for_each": "params.items"}])
    request_id = world.submit("wide", items=list(range(50)))

    def noted(payload: Payload | None) -> Any:
        read.append("")
        return unpack(payload)

    decision = world.advancer.advance(request_id, 1)
    for batch in decision.batches:
        world.runner.run(request_id, batch["jobs"], LEASE)
    monkeypatch.setattr(world.payloads, "unpack_object", noted)
    world.advancer.advance(request_id, 1)
    error = world.request(request_id).error
    assert error is not None and error.type == "ExtrasTooLarge"
    assert len(read) < 20


def failed(world: World) -> str:
    """Return a request whose job has failed, cleaned up."""

    def work(job: Job) -> None:
        raise Failure("no")

    world.job_type("work", work)
    world.request_type("some", [{"name": "j", "type": "work"}])
    request_id = submit(world).request_id
    world.run()
    world.cleaner.clean_up(world.request(request_id))
    request = world.request(request_id)
    assert (request.status, request.due_at) == (RequestStatus.FAILED, None)
    return request_id


def test_a_request_that_is_retried_while_it_is_cancelled_starts_nothing_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = failed(world)
    finish = world.store.finish

    def finish_behind_a_retry(*args: Any, **named: Any) -> Any:
        world.requests.retry(request_id)
        world.advancer.advance(request_id, 2)
        return finish(*args, **named)

    monkeypatch.setattr(world.store, "finish", finish_behind_a_retry)
    world.requests.cancel(request_id)
    assert world.statuses(request_id) == ["j 1 failure", "j 2 cancelled"]


def test_a_retry_starts_the_next_execution(world: World, starts: Starts) -> None:
    request_id = failed(world)
    assert world.requests.retry(request_id).status is RequestStatus.INPROGRESS
    assert starts == [(request_id, 1), (request_id, 2)]


def test_a_retry_starts_nothing_while_workers_are_switched_off(
    world: World, service: Callable[..., Requests], starts: Starts
) -> None:
    request_id = failed(world)
    assert service(is_enabled=False).retry(request_id).status is RequestStatus.INPROGRESS
    assert starts == [(request_id, 1)]


# -- how a request is shown ------------------------------------------------------------------------


def steps_of(world: World, request_id: str) -> list[tuple[str, int, int]]:
    """Return each step's status, number of jobs, and number of completed jobs."""
    steps = world.view(request_id)["steps"]
    return [(step["status"], step["job_count"], step["jobs"]["completed"]) for step in steps]


def test_each_step_is_shown_with_its_status_and_counts(world: World) -> None:
    world.request_type("some", [{"name": "j", "type": "work"}], [{"name": "j", "type": "work"}])
    request_id = submit(world).request_id
    assert steps_of(world, request_id) == [("pending", 0, 0), ("pending", 0, 0)]
    planned = world.advancer.advance(request_id, 1)
    assert steps_of(world, request_id) == [("running", 1, 0), ("pending", 0, 0)]
    started_at = world.clock()
    world.clock.advance(1)
    world.invoke("RunJobs", planned.batches[0] | {"request_id": request_id})
    assert steps_of(world, request_id) == [("running", 1, 1), ("pending", 0, 0)]
    assert world.view(request_id)["extras"] == {}  # They are merged once it is settled.
    world.advancer.advance(request_id, 1)
    assert steps_of(world, request_id) == [("completed", 1, 1), ("running", 1, 0)]
    [first, second] = world.view(request_id)["steps"]
    times = (started_at.isoformat()[:19], world.clock().isoformat()[:19])
    assert (first["started_at"][:19], first["completed_at"][:19]) == times
    assert second["completed_at"] is None


def test_a_completed_request_is_shown_as_it_was_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world).request_id
    world.run()
    reads = counted(monkeypatch, world.jobs, "of_step")
    shown = world.view(request_id)
    assert (shown["extras"], shown["error"], reads) == ({"answer": 42}, None, [])
    assert shown["steps"][0]["completed_at"] is not None


def test_an_ended_request_shows_what_its_completed_jobs_returned(world: World) -> None:
    names = ("a", "b", "c")
    world.request_type("some", [{"name": name, "type": "work"} for name in names])
    request_id = submit(world).request_id
    world.advancer.advance(request_id, 1)
    completed, failure, _ = world.attempts(request_id)
    for attempt, status in (
        (completed, AttemptStatus.COMPLETED),
        (failure, AttemptStatus.FAILURE),
    ):
        output = world.payloads.pack(request_id, {attempt.name: status.value})
        world.tables.put_attempt(replace(attempt, status=status, output=output))
    assert world.view(request_id)["extras"] == {}
    world.requests.cancel(request_id)
    shown = world.view(request_id)
    assert shown["extras"] == {"a": "completed"}
    assert shown["steps"][0]["status"] == "cancelled"  # The row of the step does not know yet.
    assert world.store.steps(request_id)[0].status is StepStatus.RUNNING


def test_a_failed_request_shows_its_error(world: World) -> None:
    request_id = failed(world)
    shown = world.view(request_id)
    assert shown["error"] == {
        "type": "Failure",
        "message": "no",
        "step": 1,
        "job": "j",
        "attempt_id": f"{request_id}.1.0.1",
    }
    assert shown["steps"][0]["completed_at"] is not None
    world.requests.retry(request_id)
    step = world.view(request_id)["steps"][0]
    assert (step["status"], step["completed_at"]) == ("running", None)


# -- how its attempts are shown --------------------------------------------------------------------


def test_an_attempt_shows_its_own_params_or_its_requests(world: World) -> None:
    own = {"name": "b", "type": "work", "params": {"own": 1}}
    world.request_type("some", [{"name": "a", "type": "work"}, own])
    request_id = submit(world, params={"of": "all"}).request_id
    world.advancer.advance(request_id, 1)
    [first, second] = world.requests.attempts(request_id, None, None, 10, None).items
    assert (first.params, second.params) == ({"of": "all"}, {"own": 1})
    assert edge.attempt_view(first)["error"] is None


def test_an_attempt_shows_its_error(world: World) -> None:
    request_id = failed(world)
    [attempt] = world.attempts(request_id)
    assert attempt.error == JobError("Failure", "no")
    [shown] = world.requests.attempts(request_id, None, None, 10, None).items
    assert edge.attempt_view(shown)["error"] == {"type": "Failure", "message": "no"}


# -- explanations ----------------------------------------------------------------------------------


def test_a_step_is_blocked_by_its_jobs_once_it_is_planned(world: World) -> None:
    request_id = submit(world).request_id
    world.advancer.advance(request_id, 1)
    blockers = world.requests.explain(request_id).blockers
    assert [blocker.attempt.name for blocker in blockers] == ["j"]
    del world.tables.steps[request_id]  # As while its jobs are being inserted.
    assert world.requests.explain(request_id).blockers == []


def test_a_failure_is_explained_with_the_type_of_its_error(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def work(job: Job) -> None:
        raise KeyError("id")

    world.job_type("work", work, retry={"max_attempts": 1})
    request_id = submit(world).request_id
    world.run()
    explanation = world.requests.explain(request_id)
    [why] = [blocker.reason for blocker in explanation.blockers]
    assert explanation.summary == f"It failed in step 1: {why}"
    where = r"\(at requests/test_requests\.py:\d+\)"
    assert re.fullmatch(rf"KeyError: 'id' {where} \(gave up after 1 attempt\)", why)
    assert "the callback raised KeyError" in caplog.messages


@pytest.mark.parametrize(("filling", "is_apart"), [(178, False), (179, True), (9000, True)])
def test_a_requests_row_holds_only_very_small_params_and_extras(
    world: World, filling: int, is_apart: bool
) -> None:
    world.job_type("work", lambda job: {"found": "x" * (filling + 2)})
    world.request_type("some", [{"name": "j", "type": "work"}])
    values = {"filling": "x" * filling}
    request_id = world.submit("some", **values)
    request = world.request(request_id)
    assert (request.params.text is None) is is_apart
    assert world.payloads.unpack_object(request.params) == values
    world.run()
    extras = world.request(request_id).extras
    assert (extras.text is None) is is_apart
    assert world.payloads.unpack_object(extras) == {"found": "x" * (filling + 2)}
