"""What a sweep acts on, and what it leaves because its index is behind the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Job, Retry
from shiftwork_core.domain.requests.outages import MAX_TIME, MIN_EXECUTIONS
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.ports.stores import DueRequest
from shiftwork_core.services.requests.requests import Submission
from shiftwork_core.services.sweep import Sweep, logger
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

START_IN = timedelta(seconds=100)


@pytest.fixture(autouse=True)
def _nothing_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A sweep survives whatever happens to one find, but says so."""
    logged = counted(monkeypatch, logger, "exception")
    yield
    assert logged == []


@pytest.fixture
def world(world: World) -> World:
    """Return an engine with types of one job: `some` runs at once, `polled` waits for a worker."""
    world.job_type("work", lambda job: None)
    world.request_type("some", [{"name": "j", "type": "work"}])
    world.job_type("poll", target="worker")
    world.request_type("polled", [{"name": "j", "type": "poll"}])
    return world


@pytest.fixture
def starts(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the executions that are started from now on."""
    return counted(monkeypatch, world.machine, "start")


def submit_for_later(world: World) -> str:
    """Return a request that starts `START_IN` from now, and whose message was lost."""
    submission = Submission("some", {}, {}, start_at=world.clock() + START_IN)
    request, _ = world.requests.submit(submission, None)
    world.queue.messages.clear()
    return request.request_id


def due(world: World, request_id: str) -> DueRequest:
    """Return a request's entry in the due index."""
    request = world.request(request_id)
    assert request.due_at is not None
    return DueRequest(request_id, request.execution, request.due_at)


def sweep_finding(world: World, patch: pytest.MonkeyPatch, sweep: Sweep, *finds: DueRequest) -> int:
    """Sweep with an index that shows these, whatever the table says."""
    patch.setattr(world.store, "due", lambda *_: list(finds))
    return world.sweeper.sweep(sweep)


# -- new requests ----------------------------------------------------------------------------------


def test_a_request_is_started_again_once_it_is_due(world: World, starts: list[Any]) -> None:
    request_id = world.submit("some")
    world.clock.advance(LEASE.total_seconds() - 0.001)
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0
    world.clock.advance(0.001)
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 1
    assert starts == [(request_id, 1), (request_id, 2)]
    assert world.queue.messages == []
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0


def test_a_request_for_later_is_sent_a_message_until_its_time(
    world: World, starts: list[Any]
) -> None:
    request_id = submit_for_later(world)
    start_at = world.clock() + START_IN
    world.clock.advance(99)
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 1
    assert world.queue.messages == [(start_at, {"request_id": request_id})]
    world.clock.advance(1)  # From now on the message is given a lease to arrive.
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0
    assert (len(world.queue.messages), starts) == (1, [])


@pytest.mark.parametrize("sweep", [Sweep.NEW_REQUESTS, Sweep.INPROGRESS_REQUESTS])
def test_a_request_that_is_gone_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any], sweep: Sweep
) -> None:
    gone = DueRequest("gone", 1, world.clock())
    assert sweep_finding(world, monkeypatch, sweep, gone) == 0
    assert (starts, world.queue.messages) == ([], [])


def test_a_request_for_later_that_was_cancelled_is_sent_no_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit_for_later(world)
    seen = due(world, request_id)
    world.requests.cancel(request_id)
    assert sweep_finding(world, monkeypatch, Sweep.NEW_REQUESTS, seen) == 0
    assert world.queue.messages == []


def test_a_message_starts_a_request_that_has_not_started(world: World, starts: list[Any]) -> None:
    request_id = submit_for_later(world)
    world.executions.start_now("gone")
    world.executions.start_now(request_id)
    assert starts == [(request_id, 1)]
    world.advancer.advance(request_id, 1)
    world.executions.start_now(request_id)
    assert starts == [(request_id, 1)]


# -- requests in progress --------------------------------------------------------------------------


def test_a_request_that_no_execution_drives_gets_a_fresh_one(
    world: World, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    world.clock.advance(LEASE.total_seconds() + 1)
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 1
    assert starts == [(request_id, 1), (request_id, 2)]
    assert world.request(request_id).due_at == world.clock() + LEASE


def test_a_request_of_which_a_batch_lives_is_left_until_it_does_not(
    world: World, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    world.clock.advance(LEASE.total_seconds() + 1)
    alive_until = world.clock() + LEASE / 2
    world.store.note_alive(request_id, alive_until)
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 1
    assert due(world, request_id).due_at == alive_until
    assert starts == [(request_id, 1)]
    world.clock.advance(LEASE.total_seconds() / 2 + 1)
    world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS)
    assert starts == [(request_id, 1), (request_id, 2)]


def test_a_request_that_waits_for_workers_is_left_waiting(world: World, starts: list[Any]) -> None:
    request_id = world.submit("polled")
    world.run()
    request = world.request(request_id)
    world.tables.put_request(replace(request, due_at=world.clock() - LEASE))
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 1
    assert starts == [(request_id, 1)]
    assert due(world, request_id).due_at > world.clock()


def test_a_request_that_has_ended_is_cleaned_up_and_not_started(
    world: World, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    world.requests.cancel(request_id)
    world.clock.advance(LEASE.total_seconds() + 1)
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 1
    assert world.request(request_id).due_at is None
    assert starts == [(request_id, 1)]


def test_a_request_that_is_no_longer_due_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    seen = due(world, request_id)
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED
    assert sweep_finding(world, monkeypatch, Sweep.INPROGRESS_REQUESTS, seen) == 0
    assert starts == [(request_id, 1)]


def test_a_request_that_is_due_later_by_now_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = world.submit("some")
    seen = due(world, request_id)
    world.clock.advance(LEASE.total_seconds())
    world.requests.cancel(request_id)
    assert sweep_finding(world, monkeypatch, Sweep.INPROGRESS_REQUESTS, seen) == 0
    assert world.request(request_id).due_at == world.clock() + LEASE


def test_of_two_sweeps_that_find_a_request_one_starts_it(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    world.clock.advance(LEASE.total_seconds() + 1)
    take_over = world.store.take_over

    def second(seen: DueRequest, *args: Any) -> Any:
        take_over(seen, world.clock() + 2 * LEASE)
        return take_over(seen, *args)

    monkeypatch.setattr(world.store, "take_over", second)
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 0
    assert starts == [(request_id, 1)]


# -- outages ---------------------------------------------------------------------------------------


def restart(world: World, times: int) -> None:
    """Let sweeps start so many executions, none of which comes to anything."""
    for _ in range(times):
        world.clock.advance(LEASE.total_seconds() + 1)
        assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 1


def test_a_request_that_no_execution_can_advance_fails_after_a_day_with_what_is_known(
    world: World, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    began = world.clock()
    restart(world, MIN_EXECUTIONS)
    number = world.request(request_id).execution
    world.advancer.record_failure(request_id, number, "Lambda.ServiceException", "KMS: disabled")
    world.clock.now = began + MAX_TIME
    restart(world, 1)
    request = world.request(request_id)
    assert request.status is RequestStatus.FAILED
    assert request.error is not None
    assert request.error.type == "Lambda.ServiceException"
    assert request.error.message.endswith(
        "100 executions could not advance it: Lambda.ServiceException: KMS: disabled"
    )
    assert len(starts) == 1 + MIN_EXECUTIONS


def test_one_that_is_started_in_vain_before_its_first_step_fails_too(
    world: World, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    for _ in range(MIN_EXECUTIONS):
        world.clock.advance(LEASE.total_seconds() + 1)
        world.sweeper.sweep(Sweep.NEW_REQUESTS)
    world.clock.now += MAX_TIME
    world.sweeper.sweep(Sweep.NEW_REQUESTS)
    error = world.request(request_id).error
    assert error is not None
    assert error.type == "NotAdvanced"
    assert len(starts) == 1 + MIN_EXECUTIONS


def test_an_outage_is_explained_from_the_second_execution_on(world: World) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    restart(world, 1)
    assert "could not advance" not in world.requests.explain(request_id).summary
    restart(world, 1)
    assert world.requests.explain(request_id).summary.endswith(
        "2 executions could not advance it: see the log of AdvanceRequest."
    )


def test_an_execution_that_advances_its_request_ends_the_outage(world: World) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    restart(world, 3)
    assert world.request(request_id).outage is not None
    world.advancer.advance(request_id, world.request(request_id).execution)
    assert world.request(request_id).outage is None


def test_a_request_that_waits_for_workers_for_days_has_no_outage(world: World) -> None:
    request_id = world.submit("polled")
    world.run()
    for _ in range(3):
        world.clock.advance(86_400)
        world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS)
    assert world.request(request_id).outage is None
    assert world.request(request_id).status is RequestStatus.INPROGRESS


# -- jobs ------------------------------------------------------------------------------------------


@pytest.fixture
def delayed(world: World) -> tuple[str, AttemptKey]:
    """Return the second attempt of a job, whose back-off of an hour is over in a minute."""

    def work(job: Job) -> None:
        raise Retry("in an hour", delay_s=3600)

    world.job_type("work", work)
    world.request_type("some", [{"name": "j", "type": "work"}])
    request_id = world.submit("some")
    world.run()
    world.clock.advance(3540)
    return request_id, world.attempts(request_id)[1].key


def test_a_long_back_off_ends_with_one_message(
    world: World, delayed: tuple[str, AttemptKey]
) -> None:
    request_id, key = delayed
    assert world.sweeper.sweep(Sweep.JOBS) == 1
    message = {"request_id": request_id, "jobs": [str(key)]}
    assert world.queue.messages == [(world.clock() + timedelta(minutes=1), message)]
    assert world.sweeper.sweep(Sweep.JOBS) == 0


def test_a_job_that_was_cancelled_in_its_back_off_is_not_woken(
    world: World, monkeypatch: pytest.MonkeyPatch, delayed: tuple[str, AttemptKey]
) -> None:
    world.requests.cancel(delayed[0])
    assert world.sweeper.sweep(Sweep.JOBS) == 0
    monkeypatch.setattr(world.jobs, "attempts_to_wake", lambda *_: [delayed])
    assert world.sweeper.sweep(Sweep.JOBS) == 1
    assert world.queue.messages == []


def test_a_job_that_is_gone_is_not_woken(
    world: World, monkeypatch: pytest.MonkeyPatch, delayed: tuple[str, AttemptKey]
) -> None:
    del world.tables.attempts[delayed[0]]
    monkeypatch.setattr(world.jobs, "attempts_to_wake", lambda *_: [delayed])
    forgotten = counted(monkeypatch, world.jobs, "forget_wake_up")
    assert world.sweeper.sweep(Sweep.JOBS) == 1
    assert (world.queue.messages, forgotten) == ([], [delayed])


# -- workers ---------------------------------------------------------------------------------------


def test_the_sweep_of_workers_checks_each_silent_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = counted(monkeypatch, world.reaper, "check")
    world.workers.polling("w", {"poll": 1}, world.clock())
    world.clock.advance(3600)
    assert world.sweeper.sweep(Sweep.WORKERS) == len(looks) == 1
