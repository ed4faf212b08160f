"""What a sweep acts on, and what it leaves because its index is behind the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from shiftwork_core.callbacks import Job, Retry
from shiftwork_core.domain.requests.outages import MAX_TIME, MIN_EXECUTIONS
from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Throttled, Unavailable
from shiftwork_core.ports.shards import SHARDS, shard_of
from shiftwork_core.ports.stores import DueRequest, Lane
from shiftwork_core.ports.world import MAX_DELAY
from shiftwork_core.services.requests.executions import EARLY
from shiftwork_core.services.requests.overdue import DueRequests
from shiftwork_core.services.requests.requests import Submission
from shiftwork_core.services.sweep import Sweep, Sweeper, SweepHost, logger
from shiftwork_platform.wiring import one_after_the_other
from tests.unit.services.conftest import counted
from tests.world.world import LEASE, World

#: Beyond a message's reach.
START_IN = MAX_DELAY + timedelta(seconds=100)


@pytest.fixture(autouse=True)
def complaints(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A sweep survives whatever happens to one find, but says so."""
    logged: list[Any] = []
    for level in ("error", "exception"):
        monkeypatch.setattr(logger, level, lambda *args, **more: logged.append((*args, more)))
    yield logged
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
    """Return a request that starts `START_IN` from now."""
    submission = Submission("some", {}, {}, start_at=world.clock() + START_IN)
    request, _ = world.requests.submit(submission, None)
    return request.request_id


def raise_(error: Exception) -> Any:
    """Raise, where a lambda cannot."""
    raise error


def due(world: World, request_id: str) -> DueRequest:
    """Return a request's entry in the due index."""
    request = world.request(request_id)
    assert request.due_at is not None
    return DueRequest(request_id, request.execution, request.due_at)


def sweep_finding(world: World, patch: pytest.MonkeyPatch, sweep: Sweep, *finds: DueRequest) -> int:
    """Sweep with an index that shows these, whatever the table says."""
    patch.setattr(world.store, "due", lambda *args: finds if args[-1] == SHARDS[0] else ())
    return world.sweeper.sweep(sweep)


def find_wake_ups(world: World, patch: pytest.MonkeyPatch, *finds: Any) -> None:
    """Let the index show these wake-ups, whatever the table says."""
    patch.setattr(
        world.jobs, "attempts_to_wake", lambda *args: finds if args[-1] == SHARDS[0] else ()
    )


# -- new requests ----------------------------------------------------------------------------------


def test_a_request_is_started_again_once_it_is_due(world: World, starts: list[Any]) -> None:
    request_id = world.submit("some")
    world.clock.advance(LEASE.total_seconds())
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0
    world.clock.advance(0.001)
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 1
    assert starts == [(request_id, 1), (request_id, 2)]
    assert world.queue.messages == []
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0


def test_a_request_for_later_is_sent_its_message_once_when_that_can_reach_so_far(
    world: World, starts: list[Any]
) -> None:
    request_id = submit_for_later(world)
    start_at = world.clock() + START_IN
    world.clock.advance(100)
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0
    assert world.queue.messages == []
    world.clock.advance(0.001)
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 1
    assert world.queue.messages == [(start_at - EARLY, {"request_id": request_id})]
    assert due(world, request_id).due_at == start_at + LEASE
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0
    world.run_through()
    assert starts == [(request_id, 1)]
    assert world.request(request_id).started_at == start_at


def test_a_request_for_later_whose_message_is_lost_is_started_a_lease_later(
    world: World, starts: list[Any]
) -> None:
    request_id = submit_for_later(world)
    start_at = world.clock() + START_IN
    world.clock.advance(101)
    world.sweeper.sweep(Sweep.NEW_REQUESTS)
    world.queue.messages.clear()
    world.clock.now = start_at + LEASE
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 0
    world.clock.advance(0.001)
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 1
    assert starts == [(request_id, 2)]


def test_a_request_whose_start_time_has_come_when_it_is_found_is_started_without_a_message(
    world: World, starts: list[Any]
) -> None:
    request_id = submit_for_later(world)
    world.clock.advance(START_IN.total_seconds())
    assert world.sweeper.sweep(Sweep.NEW_REQUESTS) == 1
    assert (starts, world.queue.messages) == ([(request_id, 2)], [])


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
    world.clock.advance(START_IN.total_seconds())
    world.executions.start_in_time("gone")
    world.executions.start_in_time(request_id)
    assert starts == [(request_id, 1)]
    world.advancer.advance(request_id, 1)
    world.executions.start_in_time(request_id)
    assert starts == [(request_id, 1)]


@pytest.mark.parametrize("early_s", [0.0, 2.0, 5.0])
def test_a_message_that_comes_a_little_early_starts_its_request_at_its_time(
    world: World, starts: list[Any], early_s: float
) -> None:
    request_id = submit_for_later(world)
    start_at = world.clock() + START_IN
    world.clock.now = start_at - timedelta(seconds=early_s)
    world.executions.start_in_time(request_id)
    assert starts == [(request_id, 1)]
    assert world.clock() == start_at


def test_a_message_that_comes_much_too_early_is_sent_again(world: World, starts: list[Any]) -> None:
    request_id = submit_for_later(world)
    start_at = world.clock() + START_IN
    world.clock.now = start_at - timedelta(seconds=5.001)
    world.executions.start_in_time(request_id)
    assert starts == []
    assert world.queue.messages == [(start_at - EARLY, {"request_id": request_id})]


def test_a_message_goes_back_to_the_queue_while_too_many_executions_start_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit_for_later(world)
    world.clock.advance(START_IN.total_seconds())
    monkeypatch.setattr(world.machine, "start", lambda *_: raise_(Throttled("too many")))
    world.executions.start_in_time(request_id)
    assert world.queue.messages == [(world.clock(), {"request_id": request_id})]
    world.clock.advance(LEASE.total_seconds())
    with pytest.raises(Throttled):
        world.executions.start_in_time(request_id)
    assert len(world.queue.messages) == 1


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


def test_a_request_whose_last_batch_lives_until_now_gets_a_fresh_execution(
    world: World, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    world.clock.advance(LEASE.total_seconds() + 1)
    world.store.note_alive(request_id, world.clock())
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


def test_a_request_that_has_become_due_in_this_moment_is_started(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any]
) -> None:
    request_id = world.submit("some")
    world.advancer.advance(request_id, 1)
    seen = due(world, request_id)
    world.clock.now = seen.due_at
    assert sweep_finding(world, monkeypatch, Sweep.INPROGRESS_REQUESTS, seen) == 1
    assert starts == [(request_id, 1), (request_id, 2)]


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
    message = {"request_id": request_id, "jobs": [str(key)], "type": "work", "batch_size": 10}
    assert world.queue.messages == [(world.clock() + timedelta(minutes=1), message)]
    assert world.sweeper.sweep(Sweep.JOBS) == 0


def test_a_job_that_was_cancelled_in_its_back_off_is_not_woken(
    world: World, monkeypatch: pytest.MonkeyPatch, delayed: tuple[str, AttemptKey]
) -> None:
    world.requests.cancel(delayed[0])
    assert world.sweeper.sweep(Sweep.JOBS) == 0
    find_wake_ups(world, monkeypatch, delayed)
    assert world.sweeper.sweep(Sweep.JOBS) == 1
    assert world.queue.messages == []


def test_a_job_that_is_gone_is_not_woken(
    world: World, monkeypatch: pytest.MonkeyPatch, delayed: tuple[str, AttemptKey]
) -> None:
    del world.tables.attempts[delayed[0]]
    find_wake_ups(world, monkeypatch, delayed)
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


# -- whatever is due -------------------------------------------------------------------------------


#: More than a page of each shard has, and more than any sweep used to act on.
MANY = 900
BUG = ValueError("a bug")


def many_due(world: World, count: int = MANY) -> list[str]:
    """Return so many requests in progress whose executions have died."""
    first = world.request(world.submit("some"))
    world.advancer.advance(first.request_id, 1)
    row = replace(world.request(first.request_id), due_at=world.clock())
    del world.tables.requests[first.request_id]
    world.machine.executions.clear()
    ids = [f"d{number}" for number in range(count)]
    for request_id in ids:
        world.tables.put_request(replace(row, request_id=request_id))
    world.clock.advance(1)
    return ids


def test_one_sweep_acts_on_all_that_is_due_however_much_it_is(
    world: World, starts: list[Any]
) -> None:
    ids = many_due(world)
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == MANY
    assert sorted(starts[1:]) == sorted((request_id, 2) for request_id in ids)
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 0


def test_sweeps_that_overlap_start_nothing_twice(world: World, starts: list[Any]) -> None:
    ids = many_due(world, 200)
    moments = count()

    def clock() -> datetime:
        """Return another time to each: a write that is sent twice names the same."""
        return world.clock.now + timedelta(milliseconds=next(moments))

    sweepers = [world.another(clock=clock).sweeper for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        sweeps = [pool.submit(sweeper.sweep, Sweep.INPROGRESS_REQUESTS) for sweeper in sweepers]
    assert sum(sweep.result() for sweep in sweeps) == 200
    assert sorted(starts[1:]) == sorted((request_id, 2) for request_id in ids)


def test_a_sweep_begins_nothing_once_half_of_its_time_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_due(world, 100)
    checked = counted(monkeypatch, world.store, "get")

    def start_next(_: DueRequest) -> bool:
        world.clock.advance(1)
        return True

    monkeypatch.setattr(world.executions, "start_next", start_next)
    slow = SweepHost(one_after_the_other, world.clock, lambda: 0.0, world.tally.update)
    finds = DueRequests(
        Lane.INPROGRESS, world.records, world.advancer, world.executions, world.runtime
    )
    sweeper = Sweeper({Sweep.INPROGRESS_REQUESTS: finds}, slow)
    assert sweeper.sweep(Sweep.INPROGRESS_REQUESTS, timedelta(seconds=20)) == 10
    assert len(checked) == 10


def test_a_shard_that_cannot_be_read_keeps_no_sweep_from_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any]
) -> None:
    ids = many_due(world, 100)
    due = world.store.due

    def due_in(lane: Lane, before: datetime, shard: str | None = None) -> Iterable[DueRequest]:
        if shard == SHARDS[3]:
            raise Unavailable("no answer")
        return due(lane, before, shard)

    monkeypatch.setattr(world.store, "due", due_in)
    with pytest.raises(Unavailable):
        world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS)
    assert {i for i, _ in starts[1:]} == {i for i in ids if shard_of(i) != SHARDS[3]}


def test_what_always_raises_is_put_off_ever_longer_and_blocks_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any], complaints: list[Any]
) -> None:
    ids = many_due(world, 520)
    broken = set(ids[:-1])
    get = world.store.get
    monkeypatch.setattr(world.store, "get", lambda i: raise_(BUG) if i in broken else get(i))
    waits_s = []
    for _ in range(9):
        began = world.clock()
        world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS)
        until = {world.tables.requests[request_id].due_at for request_id in broken}
        [at] = until
        assert at is not None
        waits_s.append((at - began).total_seconds())
        assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 0
        world.clock.now = at + timedelta(milliseconds=1)
    assert waits_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert starts[1] == (ids[-1], 2)
    assert len(complaints) == 9 * len(broken)
    message, more = complaints[-1]
    assert (message, more["exc_info"]) == ("cannot be swept", BUG)
    assert more["extra"]["times"] == 9
    assert world.tally["put off"] == 9 * len(broken)
    complaints.clear()


def test_what_was_put_off_is_found_again_and_handled_once_its_cause_is_mended(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any], complaints: list[Any]
) -> None:
    [request_id] = many_due(world, 1)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get", lambda _: raise_(BUG))
        world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS)
    complaints.clear()
    world.clock.advance(61)
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 1
    assert starts[1:] == [(request_id, 2)]


@pytest.mark.parametrize("sweep", Sweep)
def test_each_sweep_puts_off_what_it_raises_on(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    complaints: list[Any],
    delayed: tuple[str, AttemptKey],
    sweep: Sweep,
) -> None:
    world.submit("some")
    many_due(world, 1)
    world.workers.polling("w", {"poll": 1}, world.clock())
    world.clock.advance(3600)
    for store in (world.store, world.jobs, world.worker_store):
        monkeypatch.setattr(store, "get", lambda *_: raise_(BUG))
    for acted in (1, 0):
        complaints.clear()
        world.tally.clear()
        assert world.sweeper.sweep(sweep) == 0
        assert bool(complaints) == bool(world.tally["put off"]) == bool(acted)


def test_what_cannot_be_put_off_either_is_reported_and_keeps_nobody_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any], complaints: list[Any]
) -> None:
    ids = many_due(world, 30)
    get = world.store.get
    monkeypatch.setattr(world.store, "get", lambda i: raise_(BUG) if i == ids[0] else get(i))
    monkeypatch.setattr(world.store, "put_off", lambda *_: raise_(KeyError("due_at")))
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 29
    assert [message for message, _ in complaints] == ["cannot be put off", "cannot be swept"]
    complaints.clear()


def test_what_fails_for_a_while_is_left_for_the_next_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: list[Any]
) -> None:
    [request_id] = many_due(world, 1)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "get", lambda _: raise_(Unavailable("no answer")))
        assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 0
    assert world.sweeper.sweep(Sweep.INPROGRESS_REQUESTS) == 1
    assert starts[1:] == [(request_id, 2)]
