"""An overdue attempt is back within its own lease: at the next poll, or else at the next sweep."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryJobStore, MemoryRequestStore
from shiftwork_core.domain.requests.queue_order import MAX_LAPSED
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.workers.workers import WorkerStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.services.polling.lapsed import LapsedAttempts
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Poller, Want
from shiftwork_core.services.requests.outcomes import OutcomeRecorder
from shiftwork_core.services.requests.requests import Submission
from tests.world.world import LEASE, World

ONE, TWO = Poller("w1"), Poller("w2")
#: Shorter than the platform's own lease of 60 s.
RESPONSE_S = 15


@pytest.fixture
def world() -> World:
    return World()


def submit(world: World, jobs: int = 1, **worker: Any) -> str:
    """Submit a request of one step of polled jobs with a short lease; an execution waits then."""
    worker = {"response_timeout_s": RESPONSE_S, **worker}
    retry = {"delay_s": 0, "jitter": "none", "max_attempts": 2}
    world.job_type("poll", target="worker", retry=retry, worker=worker)
    world.request_type("some", [{"name": "poll", "type": "poll", "for_each": "params.items"}])
    request, _ = world.requests.submit(Submission("some", {"items": list(range(jobs))}, {}), None)
    world.run()
    return request.request_id


def poll(world: World, poller: Poller = ONE, count: int = 1) -> list[Attempt]:
    return [task.attempt for task in world.tasks.poll("poll", poller, count)]


def attempt_of(world: World, attempt: Attempt) -> Attempt:
    found = world.jobs.get(attempt.request_id, attempt.key)
    assert found is not None
    return found


# -- while somebody polls ------------------------------------------------------------------------


def test_a_poll_gives_back_what_is_overdue_and_no_sooner(world: World) -> None:
    submit(world)
    [attempt] = poll(world)
    world.clock.advance(RESPONSE_S - 1)
    assert poll(world, TWO) == []
    assert attempt_of(world, attempt).status is AttemptStatus.INPROGRESS
    world.clock.advance(1)
    assert poll(world, TWO) == []
    lost = attempt_of(world, attempt)
    assert lost.status is AttemptStatus.RETRY
    assert lost.error is not None
    assert lost.error.type == "LeaseExpired"
    [again] = poll(world, TWO)
    assert (again.key.job, again.key.attempt, again.worker_id) == (0, 2, "w2")


def test_a_poll_reads_nothing_more_while_nothing_is_overdue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is held: the queue shows none of it before its lease is over."""
    calls: Counter[str] = Counter()

    def counted(store: type, name: str) -> None:
        method = getattr(store, name)

        def count(self: Any, *args: Any, **values: Any) -> Any:
            calls[name] += 1
            return method(self, *args, **values)

        monkeypatch.setattr(store, name, count)

    submit(world, 3)
    poll(world, count=3)
    for name in ("get", "get_many", "of_step", "queued"):
        counted(MemoryJobStore, name)
    for name in ("get", "get_step", "due", "bring_due_forward"):
        counted(MemoryRequestStore, name)
    assert poll(world, TWO) == []
    assert calls == {"queued": 1}


def test_a_renewed_lease_is_kept_however_often_others_poll(world: World) -> None:
    submit(world)
    [attempt] = poll(world)
    beat = Report(
        attempt.attempt_id, ReportStatus.IN_PROGRESS, {}, worker_id="w1", extend_lease=True
    )
    for _ in range(5):
        world.clock.advance(RESPONSE_S - 1)
        world.tasks.report(beat)
        assert poll(world, TWO) == []
    assert attempt_of(world, attempt).status is AttemptStatus.INPROGRESS


def test_an_index_that_lags_behind_a_renewal_or_an_outcome_takes_no_job_away(world: World) -> None:
    """What counts is the row, and not what its queue still shows."""
    submit(world)
    [attempt] = poll(world)
    world.clock.advance(RESPONSE_S)
    [shown] = world.jobs.queued("poll", world.clock(), 1).lapsed
    lapsed = LapsedAttempts(world.jobs, world.recorder, world.barrier, world.runtime)
    world.jobs.renew(attempt, world.clock() + LEASE)
    assert lapsed.declare_lost([shown]) == []
    assert attempt_of(world, attempt).status is AttemptStatus.INPROGRESS
    world.clock.advance(LEASE.total_seconds())
    assert lapsed.declare_lost([shown]) == [shown]
    assert lapsed.declare_lost([shown]) == []
    assert world.statuses(attempt.request_id) == ["poll[0] 1 retry", "poll[0] 2 new"]


def test_what_was_declared_lost_is_not_read_again_though_an_index_shows_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    poll(world)
    world.clock.advance(RESPONSE_S)
    view, get, reads = world.jobs.queued("poll", world.clock(), 1), world.jobs.get, Counter[Any]()

    def read(request_id: str, key: Any) -> Attempt | None:
        reads[key] += 1
        return get(request_id, key)

    monkeypatch.setattr(world.jobs, "queued", lambda *_: view)
    monkeypatch.setattr(world.jobs, "get", read)
    for _ in range(3):
        poll(world, TWO)
    assert list(reads.values()) == [1]


@pytest.mark.parametrize("is_gone", [True, False])
def test_an_attempt_that_is_gone_or_was_kept_by_its_worker_meanwhile_is_not_dealt_with(
    world: World, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    """So the next poll looks at it again at once."""
    submit(world)
    [attempt] = poll(world)
    world.clock.advance(RESPONSE_S)
    [shown] = world.jobs.queued("poll", world.clock(), 1).lapsed
    world.jobs.renew(attempt, world.clock() + LEASE)
    monkeypatch.setattr(world.jobs, "get", lambda *_: None if is_gone else attempt)
    lapsed = LapsedAttempts(world.jobs, world.recorder, world.barrier, world.runtime)
    assert lapsed.declare_lost([shown]) == []


def test_a_poll_that_finds_the_last_attempt_overdue_fails_the_request(world: World) -> None:
    request_id = submit(world)
    for _ in range(2):
        [attempt] = poll(world)
        world.clock.advance(RESPONSE_S)
        assert poll(world, TWO) == []
    world.run()
    assert world.request(request_id).status is RequestStatus.FAILED
    assert attempt_of(world, attempt).status is AttemptStatus.FAILURE


def test_a_poll_that_ends_the_last_job_of_a_step_that_finishes_wakes_its_execution(
    world: World,
) -> None:
    """Nothing else would: a job that has failed for good arrives at its step's barrier."""
    retry = {"max_attempts": 1}
    worker = {"response_timeout_s": RESPONSE_S}
    world.job_type("poll", target="worker", retry=retry, worker=worker)
    world.request_type("some", [{"name": "poll", "type": "poll"}], on_failure="finish")
    request, _ = world.requests.submit(Submission("some", {}, {}), None)
    world.run()
    [_] = poll(world)
    world.clock.advance(RESPONSE_S)
    assert poll(world, TWO) == []
    world.run()
    assert world.request(request.request_id).status is RequestStatus.FAILED


def test_an_overdue_attempt_frees_its_slot_for_the_worker_that_polls(world: World) -> None:
    submit(world, 2, concurrency_limit=1)
    [lost] = poll(world)
    assert poll(world, TWO) == []
    world.clock.advance(RESPONSE_S)
    [other] = poll(world, TWO)
    assert attempt_of(world, lost).status is AttemptStatus.RETRY
    assert other.key.job == 1


def test_a_dead_workers_last_call_is_not_given_what_it_has_lost(world: World) -> None:
    """The function that serves it cannot know that nobody reads the answer."""
    submit(world)
    [_] = poll(world)
    called_at = world.clock()
    last = Poller("w1", called_at=called_at)
    world.clock.advance(RESPONSE_S)
    assert poll(world, last) == []  # It gives back its own attempt, as every poll does.
    world.clock.advance(1)
    assert poll(world, last) == []
    exchange = {"exchange_id": "e", "called_at": called_at}
    exchanged = world.tasks.exchange("w1", [], [Want("poll", 1)], None, **exchange)  # type: ignore[arg-type]
    assert (exchanged.tasks, exchanged.is_drained) == ([], False)
    assert world.workers.status_of(world.workers.get("w1")) is WorkerStatus.OFFLINE
    [again] = poll(world, TWO)
    assert again.key.attempt == 2
    world.clock.advance(1)
    assert poll(world, ONE) == []
    assert world.workers.status_of(world.workers.get("w1")) is WorkerStatus.IDLE


def test_one_poll_gives_back_a_bounded_number(world: World) -> None:
    submit(world, MAX_LAPSED + 3)
    held = poll(world, count=MAX_LAPSED + 3)
    world.clock.advance(RESPONSE_S)
    lost = []
    for _ in range(2):
        poll(world, TWO)
        rows = [attempt_of(world, attempt) for attempt in held]
        lost.append(sum(row.status is AttemptStatus.RETRY for row in rows))
    assert lost == [MAX_LAPSED, MAX_LAPSED + 3]


@pytest.mark.parametrize("error", [Unavailable("no answer"), ValueError("a fault of ours")])
def test_an_attempt_that_cannot_be_given_back_keeps_no_job_from_the_poller(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    submit(world, 2)
    [held] = poll(world)
    world.clock.advance(RESPONSE_S)
    with monkeypatch.context() as patch:
        patch.setattr(OutcomeRecorder, "expire", lambda *_: _raise(error))
        [other] = poll(world, TWO)
    assert other.key.job == 1
    assert attempt_of(world, held).status is AttemptStatus.INPROGRESS
    world.clock.advance(10)
    poll(world, TWO)
    assert attempt_of(world, held).status is AttemptStatus.RETRY


def _raise(error: Exception) -> None:
    raise error


# -- while nobody polls --------------------------------------------------------------------------


@pytest.mark.parametrize("waited_s", [0, 30, 59, 100, 4000])
def test_a_sweep_finds_an_overdue_attempt_by_its_own_lease(world: World, waited_s: int) -> None:
    """However long ago the request was submitted, and whatever its due time was by then."""
    submit(world)
    world.clock.advance(waited_s)
    world.sweep()
    [attempt] = poll(world)
    world.clock.advance(RESPONSE_S - 1)
    world.sweep()
    assert attempt_of(world, attempt).status is AttemptStatus.INPROGRESS
    world.clock.advance(1.001)
    world.sweep()
    assert attempt_of(world, attempt).status is AttemptStatus.RETRY


def test_claims_of_a_request_that_is_due_in_time_write_nothing_to_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One write a request, until the next sweep has moved the due time: its row is not hot."""
    submit(world, 5)
    poll(world)
    moved: list[Any] = []
    monkeypatch.setattr(MemoryRequestStore, "bring_due_forward", lambda *given: moved.append(given))
    for _ in range(4):
        world.clock.advance(1)
        poll(world)
    assert moved == []


def test_a_claim_calls_no_sweep_while_an_execution_is_at_work(world: World) -> None:
    """A sweep that came within the platform's lease would start another execution."""
    request_id = submit(world)
    world.machine.executions.clear()
    step = world.store.get_step(request_id, 1)
    assert step is not None
    world.tables.put_step(_without_waiter(step))
    [_] = poll(world)
    due_at = world.request(request_id).due_at
    assert due_at is not None
    assert due_at - world.clock() > timedelta(seconds=RESPONSE_S)


def _without_waiter(step: Any) -> Any:
    from dataclasses import replace

    return replace(step, token=None, target=None)
