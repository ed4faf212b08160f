"""What a report changes, and what one that is repeated, late or by hand is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from shiftwork_core.domain.requests.outcomes import JobError, Retryable
from shiftwork_core.domain.requests.records import Attempt
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.ports.workers import NoWatch
from shiftwork_core.services.polling.claim import QueueClaimer
from shiftwork_core.services.polling.reports import BY_HAND, Report, Reported, ReportStatus
from shiftwork_core.services.polling.tasks import Poller, Want
from tests.world.world import LEASE, World

ONE, TWO = Poller("w1"), Poller("w2")
DONE, FAILED = ReportStatus.COMPLETED, ReportStatus.FAILED
IN_PROGRESS = ReportStatus.IN_PROGRESS


@dataclass
class Watch(NoWatch):
    """A record of workers that remembers what it is told, and answers what `held` says."""

    told: list[tuple[str, list[str], list[str], str | None]] = field(default_factory=list)
    polls: list[dict[str, int]] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    lapses: list[str] = field(default_factory=list)

    def lapsed(self, worker_id: str, attempt_id: str, now: datetime) -> None:
        self.lapses.append(attempt_id)

    def polling(self, worker_id: str, wants: Any, now: datetime, **values: Any) -> Any:
        self.polls.append(dict(wants))
        return super().polling(worker_id, wants, now, **values)

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        self.told.append((worker_id, list(started), list(finished), error))

    def running(self, worker_id: str) -> Sequence[str]:
        return self.held


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def world(watch: Watch) -> World:
    return World(watch=watch)


def submit(world: World, jobs: int = 1, type: str = "poll", **body: Any) -> str:
    """Submit a request of one step of polled jobs; each has two attempts."""
    world.job_type(type, target="worker", **({"retry": {"delay_s": 0, "max_attempts": 2}} | body))
    each = {"name": "poll", "type": type, "for_each": "params.items"}
    world.request_type("some", [each])
    request_id = world.submit("some", items=list(range(jobs)))
    world.run()
    return request_id


def taken(world: World, poller: Poller = ONE) -> Attempt:
    [task] = world.tasks.poll("poll", poller, 1)
    return task.attempt


def say(
    attempt: Attempt, status: ReportStatus = DONE, worker: str | None = "w1", **values: Any
) -> Report:
    return Report(attempt.attempt_id, status, **({"output": {}, "worker_id": worker} | values))


def beat(attempt: Attempt, worker: str | None = "w1") -> Report:
    return say(attempt, IN_PROGRESS, worker, extend_lease=True)


def row(world: World, attempt: Attempt) -> Attempt:
    found = world.jobs.get(attempt.request_id, attempt.key)
    assert found is not None
    return found


def forbid(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """Let no call be made."""
    monkeypatch.setattr(owner, name, lambda *_, **__: pytest.fail(f"{name} is called"))


# -- what a report says --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "reason", "error"),
    [
        (FAILED, "no", ("TaskFailed", "no")),
        (ReportStatus.TERMINAL, "", ("TaskFailed", "the worker reported " + ReportStatus.TERMINAL)),
        (ReportStatus.CANCELED, "no", ("Cancelled", "no")),
    ],
)
def test_an_error_has_the_kind_and_the_reason_that_were_reported(
    world: World, says: ReportStatus, reason: str, error: tuple[str, str]
) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt, says, reason=reason))
    found = row(world, attempt).error
    assert found is not None
    assert (found.type, found.message) == error


def test_a_worker_that_polled_without_a_name_may_report_under_one(world: World) -> None:
    submit(world)
    attempt = taken(world, Poller(""))
    assert world.tasks.report(say(attempt, worker="w1")) is Reported.RECORDED


def test_a_job_that_is_put_back_without_output_has_none(world: World) -> None:
    submit(world)
    attempt = taken(world)
    assert world.tasks.report(say(attempt, IN_PROGRESS)) is Reported.PUT_BACK
    assert row(world, attempt).output is None


def test_a_report_without_log_lines_writes_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    attempt = taken(world)
    forbid(monkeypatch, world.jobs, "add_logs")
    assert world.tasks.report(say(attempt)) is Reported.RECORDED


@pytest.mark.parametrize("by_exchange", [False, True])
def test_only_what_has_arrived_is_counted_at_its_step(
    world: World, watch: Watch, monkeypatch: pytest.MonkeyPatch, by_exchange: bool
) -> None:
    submit(world)
    attempt = taken(world)
    watch.told.clear()
    forbid(monkeypatch, world.store, "count_arrivals")
    if by_exchange:
        world.tasks.exchange("w1", [say(attempt, FAILED)], [], None, exchange_id="e")
    else:
        world.tasks.report(say(attempt, FAILED))
    assert watch.told == [("w1", [], [attempt.attempt_id], None)]


@pytest.mark.parametrize("by_exchange", [False, True])
def test_a_heartbeat_lets_go_of_nothing(world: World, watch: Watch, by_exchange: bool) -> None:
    submit(world)
    attempt = taken(world)
    watch.told.clear()
    if by_exchange:
        world.tasks.exchange("w1", [beat(attempt)], [], None, exchange_id="e")
    else:
        world.tasks.report(beat(attempt))
    assert watch.told == []


# -- reports that come again, or too late --------------------------------------------------------


def test_a_report_again_writes_no_outcome_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt))
    forbid(monkeypatch, world.recorder, "record")
    assert world.tasks.report(say(attempt)) is Reported.RECORDED


@pytest.mark.parametrize(
    "stale",
    [{"worker": "w2", "fence": 1}, {"worker": "w1"}],
    ids=["an older claim", "another worker"],
)
def test_a_report_of_who_held_the_job_before_is_late_though_it_says_the_same(
    world: World, stale: dict[str, Any]
) -> None:
    submit(world)
    first = taken(world, TWO if stale["worker"] == "w2" else ONE)
    world.tasks.report(say(first, IN_PROGRESS, stale["worker"]))
    second = taken(world, TWO)
    assert (first.attempt_id, second.fence) == (second.attempt_id, 2)
    world.tasks.report(say(second, worker="w2"))
    assert world.tasks.report(say(second, **stale)) is Reported.LATE


@pytest.mark.parametrize("first", [FAILED, ReportStatus.TERMINAL])
@pytest.mark.parametrize(
    "later", [{"reason": "other"}, {"status": ReportStatus.CANCELED, "reason": "no"}]
)
def test_a_report_of_another_failure_is_late(
    world: World, first: ReportStatus, later: dict[str, Any]
) -> None:
    submit(world, retry={"max_attempts": 1})
    attempt = taken(world)
    world.tasks.report(say(attempt, first, reason="no"))
    assert world.tasks.report(say(attempt, first, reason="no")) is Reported.RECORDED
    assert world.tasks.report(say(attempt, **({"status": first} | later))) is Reported.LATE


def test_an_outcome_that_another_has_recorded_meanwhile_makes_a_report_late(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    attempt = taken(world)
    record = world.recorder.record

    def lost_meanwhile(attempt: Attempt, outcome: Any) -> Any:
        record(attempt, Retryable(JobError("WorkerLost", "it was silent")))
        return record(attempt, outcome)

    monkeypatch.setattr(world.recorder, "record", lost_meanwhile)
    assert world.tasks.report(say(attempt)) is Reported.LATE


def test_a_report_that_another_process_records_at_the_same_time_has_the_same_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    attempt = taken(world)
    record = world.recorder.record

    def recorded_meanwhile(attempt: Attempt, outcome: Any) -> Any:
        record(attempt, outcome)
        return record(attempt, outcome)

    monkeypatch.setattr(world.recorder, "record", recorded_meanwhile)
    assert world.tasks.report(say(attempt)) is Reported.RECORDED
    assert row(world, attempt).late_updates == ()


def test_a_job_that_another_process_puts_back_at_the_same_time_is_put_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    attempt = taken(world)
    put_back = world.recorder.put_back

    def put_back_meanwhile(attempt: Attempt, output: Any, wake_at: datetime) -> Any:
        put_back(attempt, output, wake_at + LEASE)
        return put_back(attempt, output, wake_at)

    monkeypatch.setattr(world.recorder, "put_back", put_back_meanwhile)
    assert world.tasks.report(say(attempt, IN_PROGRESS)) is Reported.PUT_BACK
    assert row(world, attempt).late_updates == ()


def test_an_outcome_is_recorded_though_its_report_asks_for_more_time(world: World) -> None:
    submit(world)
    attempt = taken(world)
    assert world.tasks.report(say(attempt, extend_lease=True)) is Reported.RECORDED


def test_a_heartbeat_for_a_job_that_was_put_back_is_told_to_stop(world: World) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt, IN_PROGRESS))
    assert world.tasks.report(say(attempt, IN_PROGRESS)) is Reported.PUT_BACK
    assert world.tasks.report(beat(attempt)) is Reported.STOP


@pytest.mark.parametrize(
    ("status", "extends", "kept"),
    [(DONE, True, 1), (IN_PROGRESS, False, 1), (IN_PROGRESS, True, 0)],
)
def test_a_late_report_is_kept_unless_it_only_asks_to_go_on(
    world: World, status: ReportStatus, extends: bool, kept: int
) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt, FAILED))
    answer = world.tasks.report(say(attempt, status, extend_lease=extends))
    assert answer is (Reported.LATE if kept else Reported.STOP)
    assert len(row(world, attempt).late_updates) == kept


def test_a_late_report_tells_that_its_worker_has_let_go_and_not_the_holder(
    world: World, watch: Watch
) -> None:
    submit(world)
    attempt = taken(world, TWO)
    watch.told.clear()
    assert world.tasks.report(say(attempt, worker="w1")) is Reported.LATE
    assert watch.told == [("w1", [], [attempt.attempt_id], None)]


def test_a_failure_after_the_end_of_its_request_is_no_arrival(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world)
    attempt = taken(world)
    world.store.finish(request_id, RequestStatus.CANCELLED, world.clock())
    forbid(monkeypatch, world.store, "count_arrivals")
    assert world.tasks.report(say(attempt, ReportStatus.TERMINAL)) is Reported.RECORDED


def test_a_worker_whose_job_was_put_back_and_taken_by_nobody_has_let_no_lease_run_out(
    world: World, watch: Watch
) -> None:
    submit(world, worker={"poll_timeout_s": 30})
    attempt = taken(world)
    world.tasks.report(say(attempt, IN_PROGRESS))
    world.clock.advance(31)
    world.recorder.expire(row(world, attempt))
    assert not row(world, attempt).is_waiting
    assert watch.lapses == []


# -- reports by hand -----------------------------------------------------------------------------


def test_a_report_by_hand_claims_what_waits(world: World) -> None:
    request_id = submit(world)
    world.tasks.report_by_name(
        request_id, "poll[0]", say(world.attempts(request_id)[0], worker=None)
    )
    assert world.attempts(request_id)[0].worker_id == BY_HAND
    world.run()
    assert world.request(request_id).status is RequestStatus.COMPLETED


def test_a_report_by_hand_claims_nothing_that_is_held(
    world: World, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    attempt = taken(world)
    watch.told.clear()
    forbid(monkeypatch, QueueClaimer, "claim_one")
    assert world.tasks.report(say(attempt, worker=None)) is Reported.RECORDED
    assert watch.told == [("w1", [], [attempt.attempt_id], None)]


@pytest.mark.parametrize("status", [DONE, IN_PROGRESS])
def test_a_report_by_hand_at_a_limit_is_late(
    world: World, watch: Watch, status: ReportStatus
) -> None:
    request_id = submit(world, 2, worker={"concurrency_limit": 1})
    taken(world)
    watch.told.clear()
    waiting = world.attempts(request_id)[1]
    assert world.tasks.report(say(waiting, status, worker=None)) is Reported.LATE
    assert watch.told == []


def test_a_report_by_hand_claims_nothing_of_an_ended_request(world: World) -> None:
    request_id = submit(world)
    [attempt] = world.attempts(request_id)
    # The cancel has not reached the attempt yet.
    world.store.finish(request_id, RequestStatus.CANCELLED, world.clock())
    assert world.tasks.report(say(attempt, worker=None)) is Reported.LATE
    assert row(world, attempt).is_waiting


# -- leases --------------------------------------------------------------------------------------


def exchange(world: World, exchange_id: str = "e", count: int = 0, **values: Any) -> Any:
    given: dict[str, Any] = {"reports": [], "running": None}
    wants = [Want("poll", count)] if count else []
    return world.tasks.exchange("w1", wants=wants, exchange_id=exchange_id, **(given | values))


def test_a_job_that_has_ended_is_lost_to_the_worker_that_says_it_runs_it(
    world: World, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt))
    watch.told.clear()
    forbid(monkeypatch, world.jobs, "renew")
    assert exchange(world, running=[attempt.attempt_id]).stop == [attempt.attempt_id]
    assert watch.told == [("w1", [], [attempt.attempt_id], None)]


def test_a_job_of_an_ended_request_is_stopped_and_held_until_its_worker_lets_go(
    world: World, watch: Watch
) -> None:
    request_id = submit(world)
    attempt = taken(world)
    watch.told.clear()
    world.store.finish(request_id, RequestStatus.CANCELLED, world.clock())
    assert exchange(world, running=[attempt.attempt_id]).stop == [attempt.attempt_id]
    assert watch.told == []


def test_the_request_of_jobs_that_go_on_is_read_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, 3)
    ids = [task.attempt.attempt_id for task in world.tasks.poll("poll", ONE, 3)]
    reads: list[str] = []
    get = world.store.get

    def read(request_id: str) -> Any:
        reads.append(request_id)
        return get(request_id)

    monkeypatch.setattr(world.store, "get", read)
    assert exchange(world, running=ids).stop == []
    assert len(reads) == 1


def test_a_lease_that_ends_with_its_attempt_is_not_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, timeout_s=LEASE.total_seconds())
    attempt = taken(world)
    world.clock.advance(30)
    forbid(monkeypatch, world.jobs, "renew")
    assert exchange(world, running=[attempt.attempt_id]).stop == []
    assert world.tasks.report(beat(attempt)) is Reported.RENEWED


# -- exchanges -----------------------------------------------------------------------------------


def test_an_exchange_tells_what_it_has_started_what_has_ended_and_what_is_wrong(
    world: World, watch: Watch
) -> None:
    submit(world, 2)
    attempt = taken(world)
    watch.told.clear()
    [task] = exchange(world, count=1, reports=[say(attempt)], running=[attempt.attempt_id]).tasks
    assert watch.told == [("w1", [task.attempt.attempt_id], [attempt.attempt_id], None)]
    watch.told.clear()
    exchange(world, error="the disk is full")
    exchange(world)
    assert watch.told == [("w1", [], [], "the disk is full")]


def test_a_job_that_is_reported_need_not_be_stopped(world: World) -> None:
    submit(world)
    attempt = taken(world)
    answer = exchange(world, reports=[say(attempt)], running=[attempt.attempt_id])
    assert (answer.outcomes, answer.stop) == ([Reported.RECORDED], [])


def test_a_worker_without_room_reads_no_queue_and_polls_none(
    world: World, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    forbid(monkeypatch, world.jobs, "queued")
    assert world.tasks.poll("poll", ONE, 0) == []
    assert world.tasks.exchange("w1", [], [Want("poll", 0)], None, exchange_id="e").tasks == []
    assert watch.polls == [{}, {}]


def test_the_record_of_a_worker_has_what_it_polls_for(world: World, watch: Watch) -> None:
    submit(world)
    world.tasks.poll("poll", Poller("w1", "gpu"), 2)
    assert watch.polls == [{"poll#gpu": 2}]


def test_an_exchange_that_is_sent_again_gives_the_same_jobs_and_no_more(
    world: World, watch: Watch
) -> None:
    submit(world, 4)
    first = [task.attempt.attempt_id for task in exchange(world, "e1", 2).tasks]
    watch.held = first
    assert [task.attempt.attempt_id for task in exchange(world, "e1", 2).tasks] == first
    assert exchange(world, "e1").tasks == []  # It has no room any more.
    other = [task.attempt.attempt_id for task in exchange(world, "e2", 1).tasks]
    assert len(other) == 1
    assert other[0] not in first


def test_an_exchange_gives_again_nothing_that_has_ended(world: World, watch: Watch) -> None:
    submit(world)
    [task] = exchange(world, count=1).tasks
    watch.held = [task.attempt.attempt_id]
    world.tasks.report(say(task.attempt, worker=None))
    assert exchange(world, count=1).tasks == []


@pytest.mark.parametrize("is_reported", [True, False])
def test_a_worker_is_not_given_again_what_it_says_it_holds(
    world: World, watch: Watch, is_reported: bool
) -> None:
    """Even if it sends the same id with every exchange."""
    submit(world, 2)
    [task] = exchange(world, count=1).tasks
    watch.held = [task.attempt.attempt_id]
    says: dict[str, Any] = (
        {"reports": [beat(task.attempt)]} if is_reported else {"running": watch.held}
    )
    [other] = exchange(world, count=1, **says).tasks
    assert other.attempt.attempt_id != task.attempt.attempt_id


def test_what_was_given_before_counts_for_its_own_type_and_domain(
    world: World, watch: Watch
) -> None:
    submit(world)
    wants = [Want("poll", 1), Want("other", 1), Want("poll", 1, "gpu")]
    [task] = world.tasks.exchange("w1", [], wants, None, exchange_id="e").tasks
    watch.held = [task.attempt.attempt_id]
    submit(world, type="other")
    request_id = submit(world)
    for attempt in world.attempts(request_id):
        world.tables.put_attempt(replace(attempt, domain="gpu"))
    again = world.tasks.exchange("w1", [], wants, None, exchange_id="e").tasks
    assert [(t.attempt.type, t.attempt.domain) for t in again] == [
        ("poll", None),
        ("other", None),
        ("poll", "gpu"),
    ]


def test_the_sizes_of_queues_are_those_of_workers_types(world: World) -> None:
    submit(world, 3)
    world.job_type("work", lambda job: None)
    assert world.tasks.queue_sizes() == {"poll": 3}
