"""Workers poll, report, put back and exchange; limits, leases and logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from shiftwork_core.domain.requests.records import Attempt, LogLine, Request, Step
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.errors import Conflict, NotFound, Unavailable
from shiftwork_core.ports.workers import NoWatch, Standing
from shiftwork_core.services.polling.lookup import HeldTask
from shiftwork_core.services.polling.reports import Report, Reported, ReportStatus
from shiftwork_core.services.polling.tasks import Poller, Tasks, Want
from shiftwork_core.services.requests.requests import Submission
from tests.world.world import LEASE, World

ONE, TWO = Poller("w1"), Poller("w2")
DONE = ReportStatus.COMPLETED


@dataclass
class Watch(NoWatch):
    """A record of workers that remembers its calls."""

    drained: set[str] = field(default_factory=set)
    held: dict[str, list[str]] = field(default_factory=dict)
    told: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    polls: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    is_down: bool = False

    def polling(self, worker_id: str, wants: Any, now: datetime, **_: Any) -> Standing:
        self.polls.append((worker_id, dict(wants)))
        return Standing.DRAINED if worker_id in self.drained else Standing.MAY_WORK

    def changed(
        self,
        worker_id: str,
        started: Sequence[str],
        finished: Sequence[str],
        now: datetime,
        *,
        error: str | None = None,
    ) -> None:
        if self.is_down:
            raise Unavailable("no answer")
        self.told.append((worker_id, list(started), list(finished)))
        held = self.held.setdefault(worker_id, [])
        held += [attempt_id for attempt_id in started if attempt_id not in held]
        self.held[worker_id] = [i for i in held if i not in finished]

    def lapsed(self, worker_id: str, attempt_id: str, now: datetime) -> None:
        self.changed(worker_id, (), (attempt_id,), now)

    def running(self, worker_id: str) -> Sequence[str]:
        return self.held.get(worker_id, [])


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def world(watch: Watch) -> World:
    return World(watch=watch)


def submit(world: World, jobs: int = 1, *, priority: int = 0, **body: Any) -> str:
    """Submit a request of one step of polled jobs of a type that is so."""
    given = {"retry": {"delay_s": 10, "jitter": "none", "max_attempts": 3}}
    world.job_type("poll", target="worker", **(given | body))
    world.request_type("some", [{"name": "poll", "type": "poll", "for_each": "params.items"}])
    submission = Submission("some", {"items": list(range(jobs))}, {"given": 1}, priority=priority)
    request, _ = world.requests.submit(submission, None)
    world.run()
    return request.request_id


def poll(world: World, poller: Poller = ONE, count: int = 1) -> list[HeldTask]:
    return world.tasks.poll("poll", poller, count)


def taken(world: World, poller: Poller = ONE) -> Attempt:
    [task] = poll(world, poller)
    return task.attempt


def say(
    attempt: Attempt, status: ReportStatus = DONE, worker: str | None = "w1", **values: Any
) -> Report:
    given: dict[str, Any] = {"output": {}, "worker_id": worker}
    return Report(attempt.attempt_id, status, **(given | values))


def row(world: World, attempt: Attempt) -> Attempt:
    found = world.jobs.get(attempt.request_id, attempt.key)
    assert found is not None
    return found


def status(world: World, request_id: str) -> RequestStatus:
    world.run()
    return world.request(request_id).status


# -- polling -------------------------------------------------------------------------------------


def test_a_job_is_polled_done_and_completes_its_request(world: World, watch: Watch) -> None:
    request_id = submit(world)
    [task] = poll(world)
    assert (task.params, task.extras, task.item) == ({"items": [0]}, {"given": 1}, 0)
    attempt = task.attempt
    assert attempt.status is AttemptStatus.INPROGRESS
    assert (attempt.worker_id, attempt.poll_count, attempt.fence) == ("w1", 1, 1)
    assert attempt.lease_until == world.clock() + LEASE
    assert task.job_type.name == "poll"
    assert task.request.request_id == request_id
    assert poll(world, TWO) == []
    assert world.tasks.report(say(attempt, output={"pages": 3})) is Reported.RECORDED
    assert status(world, request_id) is RequestStatus.COMPLETED
    assert world.view(request_id)["extras"] == {"given": 1, "pages": 3}
    assert watch.told == [
        ("w1", [attempt.attempt_id], []),
        ("w1", [], [attempt.attempt_id]),
    ]


def test_a_poll_claims_as_many_as_it_asks_for_in_order(world: World) -> None:
    later = submit(world, 2, priority=1)
    world.clock.advance(1)
    submit(world, 2)
    tasks = poll(world, count=3)
    assert [(t.request.request_id == later, t.item) for t in tasks] == [
        (True, 0),
        (True, 1),
        (False, 0),
    ]
    assert len(poll(world, count=10)) == 1
    assert poll(world, count=0) == []


def test_a_drained_worker_gets_nothing_and_may_finish(world: World, watch: Watch) -> None:
    submit(world, 2)
    attempt = taken(world)
    watch.drained.add("w1")
    assert poll(world) == []
    assert world.tasks.report(say(attempt)) is Reported.RECORDED
    answer = world.tasks.exchange("w1", [], [Want("poll", 1)], None, exchange_id="e")
    assert (answer.tasks, answer.is_drained) == ([], True)
    watch.drained.clear()
    assert len(poll(world)) == 1


def test_a_worker_gets_the_jobs_of_its_domain(world: World) -> None:
    world.job_type("poll", target="worker")
    world.request_type("some", [{"name": "poll", "type": "poll"}])
    world.requests.submit(Submission("some", {}, {}, domains={"*": "gpu"}), None)
    world.run()
    assert poll(world) == []
    assert poll(world, Poller("w1", "cpu")) == []
    assert len(poll(world, Poller("w1", "gpu"))) == 1


def test_nothing_of_a_cancelled_request_is_claimed(world: World) -> None:
    request_id = submit(world, 3)
    world.requests.cancel(request_id)
    assert poll(world, count=9) == []


def test_jobs_of_an_ended_request_that_an_index_still_shows_hide_no_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = submit(world, 40)
    # The cancel has not reached the attempts yet.
    world.store.finish(ended, RequestStatus.CANCELLED, world.clock())
    world.clock.advance(1)
    alive = submit(world)
    [task] = poll(world)
    assert task.request.request_id == alive


def test_a_record_that_cannot_be_written_keeps_no_job_from_its_worker(
    world: World, watch: Watch
) -> None:
    request_id = submit(world)
    watch.is_down = True
    world.tasks.report(say(taken(world)))
    assert status(world, request_id) is RequestStatus.COMPLETED


def test_a_claimed_job_is_given_although_its_request_cannot_be_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world)
    get, calls = world.store.get, []

    def first_only(request_id: str) -> Request | None:
        calls.append(request_id)
        if len(calls) > 1:
            raise Unavailable("no answer")
        return get(request_id)

    monkeypatch.setattr(world.store, "get", first_only)
    assert len(poll(world)) == 1
    assert len(calls) == 2


def test_a_claim_whose_answer_is_lost_is_watched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world, jobs=3)
    claim, calls = world.jobs.claim_queued, []

    def lost(*args: Any, **values: Any) -> list[Attempt | None]:
        claims = claim(*args, **values)
        calls.append(claims)
        if len(calls) == 2:
            # Meanwhile a sweep has looked at the request and seen none of these claims.
            late = world.clock() + 60 * LEASE
            world.tables.put_request(replace(world.request(request_id), due_at=late))
            raise Unavailable("no answer")
        return claims

    monkeypatch.setattr(world.jobs, "claim_queued", lost)
    with pytest.raises(Unavailable):
        poll(world, count=3)
    assert [len(claims) for claims in calls] == [1, 2]
    assert world.request(request_id).due_at == world.clock() + LEASE


def test_a_claim_while_an_execution_begins_to_wait_is_watched_though_its_worker_died(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world)
    set_due = world.store.set_due

    def claimed_meanwhile(seen: Request, due_at: datetime | None) -> None:
        [attempt] = world.attempts(request_id)
        lease = world.clock() + LEASE
        world.jobs.claim(
            request_id, attempt.key, claim_id="c", worker_id="w", now=lease, lease_until=lease
        )
        set_due(seen, due_at)

    world.clock.advance(3601)
    monkeypatch.setattr(world.store, "set_due", claimed_meanwhile)
    world.sweep()
    assert world.request(request_id).due_at == world.clock() + LEASE


# -- outcomes ------------------------------------------------------------------------------------


def test_a_failed_job_is_retried_after_its_back_off(world: World) -> None:
    request_id = submit(world)
    attempt = taken(world)
    report = say(attempt, ReportStatus.FAILED, reason="no disk")
    assert world.tasks.report(report) is Reported.RECORDED
    world.clock.advance(9)
    assert poll(world) == []
    world.clock.advance(1)
    again = taken(world)
    assert again.key.attempt == 2
    assert again.tries == 2
    first = row(world, attempt)
    assert first.status is AttemptStatus.RETRY
    assert first.error is not None
    assert first.error.message == "no disk"
    world.tasks.report(say(again))
    assert status(world, request_id) is RequestStatus.COMPLETED


def test_a_job_whose_attempts_run_out_is_a_failure(world: World) -> None:
    request_id = submit(world)
    for _ in range(3):
        world.tasks.report(say(taken(world), ReportStatus.FAILED))
        world.clock.advance(60)
    assert status(world, request_id) is RequestStatus.FAILED


@pytest.mark.parametrize("says", [ReportStatus.TERMINAL, ReportStatus.CANCELED])
def test_a_terminal_error_fails_the_request(world: World, says: ReportStatus) -> None:
    request_id = submit(world, 2)
    assert world.tasks.report(say(taken(world), says, reason="never")) is Reported.RECORDED
    assert status(world, request_id) is RequestStatus.FAILED
    assert poll(world, count=9) == []


@pytest.mark.parametrize("says", [DONE, ReportStatus.FAILED, ReportStatus.TERMINAL])
@pytest.mark.parametrize("has_fence", [False, True])
def test_the_same_report_again_has_the_same_answer(
    world: World, says: ReportStatus, has_fence: bool
) -> None:
    submit(world, retry={"max_attempts": 1})
    attempt = taken(world)
    fence = attempt.fence if has_fence else None
    report = say(attempt, says, output={"a": 1}, reason="no", fence=fence)
    answers = {world.tasks.report(report) for _ in range(3)}
    assert answers == {Reported.RECORDED}
    assert row(world, attempt).late_updates == ()


def test_a_repeated_report_counts_a_completion_left_uncounted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world)
    attempt = taken(world)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "count_arrivals", lambda *_: _raise(Unavailable("no answer")))
        with pytest.raises(Unavailable):
            world.tasks.report(say(attempt))
    assert status(world, request_id) is RequestStatus.INPROGRESS
    assert world.tasks.report(say(attempt)) is Reported.RECORDED
    assert status(world, request_id) is RequestStatus.COMPLETED


def _raise(error: Exception) -> None:
    raise error


def test_a_completion_that_nobody_counted_is_found_when_the_request_is_due(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = submit(world)
    attempt = taken(world)
    monkeypatch.setattr(world.store, "count_arrivals", lambda *_: None)
    world.tasks.report(say(attempt))
    world.clock.advance(61)
    world.sweep()
    assert status(world, request_id) is RequestStatus.COMPLETED


def test_the_last_completion_is_noticed_although_no_execution_waits(world: World) -> None:
    request_id = submit(world)
    attempt = taken(world)
    world.machine.executions.clear()
    world.tasks.report(say(attempt))
    world.clock.advance(1)
    world.sweep()
    assert status(world, request_id) is RequestStatus.COMPLETED


# -- late reports --------------------------------------------------------------------------------


def test_a_report_after_the_outcome_is_kept_and_changes_nothing(world: World) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt, output={"a": 1}))
    before = row(world, attempt)
    for _ in range(2):
        late = say(attempt, ReportStatus.FAILED, reason="x" * 300)
        assert world.tasks.report(late) is Reported.LATE
    assert world.tasks.report(say(attempt, output={"a": 2})) is Reported.LATE
    after = row(world, attempt)
    assert [(u.status, u.worker_id, u.reason) for u in after.late_updates] == [
        ("FAILED", "w1", "x" * 200),
        ("COMPLETED", "w1", ""),
    ]
    assert (after.status, after.output) == (before.status, before.output)
    [shown] = world.requests.attempts(attempt.request_id, None, None, 10, None).items
    assert [late.status for late in shown.attempt.late_updates] == ["FAILED", "COMPLETED"]


def test_a_report_of_a_worker_that_lost_the_job_is_late(world: World) -> None:
    submit(world)
    attempt = taken(world)
    world.clock.advance(61)
    world.sweep()
    assert row(world, attempt).status is AttemptStatus.RETRY
    assert world.tasks.report(say(attempt)) is Reported.LATE
    world.clock.advance(10)
    again = taken(world, TWO)
    assert world.tasks.report(say(again, worker="w1")) is Reported.LATE
    assert world.tasks.report(say(again, worker="w2", fence=again.fence - 1)) is Reported.LATE
    assert row(world, again).status is AttemptStatus.INPROGRESS
    assert world.tasks.report(say(again, worker="w2", fence=again.fence)) is Reported.RECORDED


def test_a_heartbeat_of_a_worker_that_lost_the_job_is_answered_stop_and_leaves_no_trace(
    world: World,
) -> None:
    submit(world)
    attempt = taken(world)
    world.tasks.report(say(attempt))
    beat = say(attempt, ReportStatus.IN_PROGRESS, extend_lease=True)
    assert world.tasks.report(beat) is Reported.STOP
    assert row(world, attempt).late_updates == ()


def test_a_report_of_an_unknown_task_is_refused(world: World) -> None:
    for attempt_id in ("r1.1.0.1", "nonsense", "a.b.c.d"):
        with pytest.raises(NotFound):
            world.tasks.report(Report(attempt_id, DONE, {}))
        with pytest.raises(NotFound):
            world.tasks.get(attempt_id)


def test_only_polled_jobs_are_reported_on(world: World) -> None:
    world.job_type("work", lambda job: {})
    world.request_type("one", [{"name": "work", "type": "work"}])
    request_id = world.submit("one")
    world.run()
    with pytest.raises(Conflict):
        world.tasks.report_by_name(request_id, "work", Report("", DONE, {}))


# -- putting back --------------------------------------------------------------------------------


def test_a_job_put_back_is_the_same_one_later(world: World, watch: Watch) -> None:
    request_id = submit(world, retry={"max_attempts": 1})
    attempt = taken(world)
    started_at = attempt.started_at
    for number in range(3):
        report = say(
            attempt,
            ReportStatus.IN_PROGRESS,
            worker=attempt.worker_id,
            output={"n": number, f"n{number}": 1},
            callback_after_s=30,
            fence=attempt.fence,
        )
        assert {world.tasks.report(report) for _ in range(2)} == {Reported.PUT_BACK}
        world.clock.advance(29)
        assert poll(world, count=9) == []
        world.clock.advance(1)
        [task] = poll(world, TWO)
        assert task.output == {"n": number, **{f"n{k}": 1 for k in range(number + 1)}}
        attempt = task.attempt
        assert (attempt.key.attempt, attempt.tries, attempt.started_at) == (1, 1, started_at)
    assert attempt.poll_count == 4
    assert watch.held["w1"] == []
    world.tasks.report(say(attempt, worker="w2", output={"end": 1}))
    assert status(world, request_id) is RequestStatus.COMPLETED
    extras = world.view(request_id)["extras"]
    assert extras == {"given": 1, "n": 2, "n0": 1, "n1": 1, "n2": 1, "end": 1}


def test_nothing_of_an_ended_request_is_put_back(world: World) -> None:
    request_id = submit(world)
    attempt = taken(world)
    world.requests.cancel(request_id)
    report = say(attempt, ReportStatus.IN_PROGRESS, callback_after_s=5)
    assert world.tasks.report(report) is Reported.STOP
    assert row(world, attempt).status is AttemptStatus.FAILURE


# -- leases --------------------------------------------------------------------------------------


def beat(attempt: Attempt) -> Report:
    return say(attempt, ReportStatus.IN_PROGRESS, extend_lease=True)


def test_a_lease_is_renewed_and_the_job_kept(world: World) -> None:
    request_id = submit(world, worker={"response_timeout_s": 100})
    attempt = taken(world)
    for _ in range(5):
        world.clock.advance(80)
        assert world.tasks.report(beat(attempt)) is Reported.RENEWED
        assert row(world, attempt).lease_until == world.clock() + LEASE * 100 / 60
        world.sweep()
    assert world.tasks.report(say(attempt)) is Reported.RECORDED
    assert status(world, request_id) is RequestStatus.COMPLETED
    # Nothing but the one execution: looking after leases takes none.
    assert list(world.machine.executions) == [request_id]


def test_a_silent_worker_loses_the_job(world: World, watch: Watch) -> None:
    request_id = submit(world, worker={"response_timeout_s": 100})
    attempt = taken(world)
    world.clock.advance(99)
    world.sweep()
    assert row(world, attempt).status is AttemptStatus.INPROGRESS
    world.clock.advance(2)
    world.sweep()
    lost = row(world, attempt)
    assert lost.status is AttemptStatus.RETRY
    assert lost.error is not None
    assert lost.error.type == "LeaseExpired"
    assert watch.held["w1"] == []
    world.clock.advance(10)
    world.tasks.report(say(taken(world, TWO), worker="w2"))
    assert status(world, request_id) is RequestStatus.COMPLETED
    assert list(world.machine.executions) == [request_id]


@pytest.mark.parametrize(
    ("policy", "ends"),
    [("RETRY", AttemptStatus.RETRY), ("TIME_OUT_WF", AttemptStatus.FAILURE)],
)
def test_a_job_times_out_by_its_policy_however_often_it_renews(
    world: World, policy: str, ends: AttemptStatus
) -> None:
    submit(world, timeout_s=100, worker={"timeout_policy": policy})
    attempt = taken(world)
    for _ in range(3):
        world.clock.advance(30)
        assert world.tasks.report(beat(attempt)) is Reported.RENEWED
        world.sweep()
    assert row(world, attempt).status is AttemptStatus.INPROGRESS
    world.clock.advance(10.5)
    world.sweep()
    over = row(world, attempt)
    assert over.status is ends
    assert over.error is not None
    assert over.error.type == "Timeout"


def test_time_passes_for_a_job_that_was_put_back_too(world: World) -> None:
    submit(world, timeout_s=100)
    attempt = taken(world)
    world.clock.advance(50)
    world.tasks.report(say(attempt, ReportStatus.IN_PROGRESS, callback_after_s=20))
    world.clock.advance(50)
    assert poll(world) == []
    world.sweep()
    over = row(world, attempt)
    assert over.error is not None
    assert (over.status, over.error.type) == (AttemptStatus.RETRY, "Timeout")


def test_with_alert_only_a_warning_is_logged_once_and_the_job_continues(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    submit(world, timeout_s=100, worker={"timeout_policy": "ALERT_ONLY"})
    attempt = taken(world)
    for _ in range(6):
        world.clock.advance(30)
        assert world.tasks.report(beat(attempt)) is Reported.RENEWED
        attempt = row(world, attempt)
        world.sweep()
    assert [r.message for r in caplog.records if "longer" in r.message] == [
        "job runs longer than its type's timeout"
    ]


@pytest.mark.parametrize(
    ("policy", "ends"),
    [("RETRY", AttemptStatus.RETRY), ("TIME_OUT_WF", AttemptStatus.FAILURE)],
)
def test_a_job_that_no_worker_claims_times_out(
    world: World, policy: str, ends: AttemptStatus
) -> None:
    request_id = submit(world, worker={"poll_timeout_s": 90, "timeout_policy": policy})
    world.clock.advance(89)
    world.sweep()
    [attempt] = world.attempts(request_id)
    assert attempt.status is AttemptStatus.NEW
    world.clock.advance(1.5)
    world.sweep()
    over = row(world, attempt)
    assert over.status is ends
    assert over.error is not None
    assert over.error.type == "PollTimeout"


def test_a_worker_is_told_to_stop_when_the_request_has_ended(world: World) -> None:
    request_id = submit(world)
    attempt = taken(world)
    world.requests.cancel(request_id)
    assert world.tasks.report(beat(attempt)) is Reported.STOP
    # What runs may finish.
    assert world.tasks.report(say(attempt)) is Reported.RECORDED
    assert row(world, attempt).status is AttemptStatus.COMPLETED


# -- limits --------------------------------------------------------------------------------------


def limited(world: World, jobs: int, limit: int) -> str:
    return submit(world, jobs, worker={"concurrency_limit": limit})


def test_at_most_the_limit_of_a_types_jobs_is_held_at_once(world: World) -> None:
    request_id = limited(world, 5, 2)
    first, second = poll(world, count=9)
    assert poll(world, TWO, 9) == []
    world.tasks.report(say(first.attempt))
    assert len(poll(world, TWO, 9)) == 1
    world.tasks.report(say(second.attempt, ReportStatus.IN_PROGRESS, callback_after_s=1))
    assert len(poll(world, TWO, 9)) == 1
    held = [a for a in world.attempts(request_id) if a.status is AttemptStatus.INPROGRESS]
    assert len(held) == 2


def test_the_slots_of_a_dead_worker_free_themselves(world: World) -> None:
    limited(world, 4, 2)
    poll(world, count=2)
    world.clock.advance(61)  # No sweep has looked.
    assert len(poll(world, TWO, 9)) == 2


def test_a_slot_that_was_never_given_back_is_found_free(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(world, 3, 1)
    attempt = taken(world)
    with monkeypatch.context() as patch:
        patch.setattr(world.limits, "free", lambda _: _raise(Unavailable("no answer")))
        world.tasks.report(say(attempt))
    assert len(world.limits.slots("poll")) == 1
    assert len(poll(world, TWO)) == 1


def test_a_limit_that_was_lowered_counts_what_is_held(world: World) -> None:
    limited(world, 6, 4)
    tasks = poll(world, count=4)
    world.job_type("poll", target="worker", worker={"concurrency_limit": 2})
    world.clock.advance(11)
    for task, free in zip(tasks, (0, 0, 1, 1), strict=True):
        world.tasks.report(say(task.attempt))
        assert len(world.tasks.poll("poll", TWO, 1)) == free


def test_a_slots_holder_is_checked_only_now_and_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(world, 3, 1)
    poll(world)
    reads: list[int] = []
    read = world.jobs.get_many

    def get_many(ids: Sequence[Any]) -> list[Attempt]:
        reads.append(len(ids))
        return read(ids)

    monkeypatch.setattr(world.jobs, "get_many", get_many)
    for _ in range(20):
        poll(world, TWO)
        world.clock.advance(1)
    assert 2 <= sum(reads) <= 3


def test_at_most_the_rate_of_a_types_jobs_is_claimed_in_a_window(world: World) -> None:
    submit(world, 9, worker={"rate_limit": {"count": 3, "per_s": 10}})
    assert len(poll(world, count=2)) == 2
    assert len(poll(world, TWO, 2)) == 1
    assert poll(world, TWO) == []
    world.clock.advance(10)
    assert len(poll(world, TWO, 9)) == 3


def test_claims_reserved_of_a_window_and_not_used_are_left_for_the_next(world: World) -> None:
    ended = submit(world, 3, worker={"rate_limit": {"count": 3, "per_s": 10}})
    world.store.finish(ended, RequestStatus.CANCELLED, world.clock())
    assert poll(world, count=3) == []
    submit(world, 3, worker={"rate_limit": {"count": 3, "per_s": 10}})
    assert len(poll(world, count=3)) == 3


# -- exchange ------------------------------------------------------------------------------------


def exchange(world: World, exchange_id: str, count: int = 0, **values: Any) -> Any:
    given: dict[str, Any] = {"reports": [], "running": None}
    given |= values
    wants = [Want("poll", count)] if count else []
    return world.tasks.exchange(
        "w1", given["reports"], wants, given["running"], exchange_id=exchange_id
    )


def test_an_exchange_records_results_and_claims_jobs(world: World, watch: Watch) -> None:
    request_id = submit(world, 5)
    given = exchange(world, "e1", 3)
    assert len(given.tasks) == 3
    watch.told.clear()
    reports = [say(task.attempt, worker=None) for task in given.tasks]
    unknown = Report("r9.1.0.1", DONE, {})
    answer = exchange(world, "e2", 9, reports=[*reports, unknown])
    assert answer.outcomes == [Reported.RECORDED] * 3 + [Reported.UNKNOWN]
    assert len(answer.tasks) == 2
    assert len(watch.told) == 1
    exchange(world, "e3", reports=[say(task.attempt) for task in answer.tasks])
    assert status(world, request_id) is RequestStatus.COMPLETED


def test_completions_of_one_step_are_counted_in_one_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, 5)
    given = exchange(world, "e1", 5)
    counts: list[int] = []
    count_arrivals = world.store.count_arrivals

    def count(request_id: str, index: int, number: int) -> Step | None:
        counts.append(number)
        return count_arrivals(request_id, index, number)

    monkeypatch.setattr(world.store, "count_arrivals", count)
    exchange(world, "e2", reports=[say(task.attempt) for task in given.tasks])
    assert counts == [5]


def test_the_same_exchange_again_has_the_same_answer(world: World) -> None:
    submit(world, 9)
    given = exchange(world, "e1", 2)
    reports = [say(task.attempt) for task in given.tasks]
    first = exchange(world, "e2", 3, reports=reports)
    again = exchange(world, "e2", 3, reports=reports)
    assert again.outcomes == first.outcomes
    ids = [task.attempt.attempt_id for task in first.tasks]
    assert sorted(task.attempt.attempt_id for task in again.tasks) == sorted(ids)


def test_a_worker_may_be_given_at_once_what_it_has_just_put_back(
    world: World, watch: Watch
) -> None:
    submit(world)
    [task] = exchange(world, "e1", 1).tasks
    report = say(task.attempt, ReportStatus.IN_PROGRESS)
    [again] = exchange(world, "e2", 1, reports=[report]).tasks
    assert again.attempt.attempt_id == task.attempt.attempt_id
    assert watch.held["w1"] == [task.attempt.attempt_id]


def test_a_workers_leases_are_renewed_when_a_third_is_over_and_lost_jobs_are_named(
    world: World, watch: Watch
) -> None:
    request_id = submit(world, 3)
    mine = [task.attempt for task in exchange(world, "e1", 2).tasks]
    other = taken(world, TWO)
    ids = [attempt.attempt_id for attempt in (*mine, other)]
    lease = mine[0].lease_until
    world.clock.advance(19)
    answer = exchange(world, "e2", running=[*ids, "nonsense"])
    assert answer.stop == [other.attempt_id, "nonsense"]
    assert row(world, mine[0]).lease_until == lease
    world.clock.advance(2)
    assert exchange(world, "e3", running=ids[:2]).stop == []
    assert row(world, mine[0]).lease_until == world.clock() + LEASE
    world.requests.cancel(request_id)
    assert exchange(world, "e4", running=ids[:2]).stop == ids[:2]
    assert watch.held["w1"] == ids[:2]


# -- by hand, and looking ------------------------------------------------------------------------


def test_a_person_reports_by_the_jobs_name_whichever_worker_holds_it(world: World) -> None:
    request_id = submit(world, 2)
    attempt_id = world.tasks.report_by_name(request_id, "poll[1]", Report("", DONE, {"b": 1}))
    assert attempt_id == f"{request_id}.1.1.1"
    taken(world)
    world.tasks.report_by_name(request_id, "poll[0]", Report("", DONE, {"a": 1}))
    assert status(world, request_id) is RequestStatus.COMPLETED
    assert world.view(request_id)["extras"] == {"given": 1, "a": 1, "b": 1}
    with pytest.raises(NotFound):
        world.tasks.report_by_name(request_id, "none", Report("", DONE, {}))
    with pytest.raises(NotFound):
        world.tasks.report_by_name("r9", "poll[0]", Report("", DONE, {}))


def test_a_person_too_comes_too_late_for_an_ended_request(world: World) -> None:
    request_id = submit(world)
    world.requests.cancel(request_id)
    world.run()
    [attempt] = world.attempts(request_id)
    assert world.tasks.report(say(attempt, worker=None)) is Reported.LATE


def test_logs_come_with_reports_and_long_lines_in_pieces(world: World) -> None:
    submit(world)
    attempt = taken(world)
    at = world.clock()
    world.tasks.report(say(attempt, logs=[LogLine(at, "a" * 1500), LogLine(at, "b")]))
    logs = [line.message for line in world.tasks.logs(attempt.attempt_id)]
    assert sorted(logs) == ["a" * 500, "a" * 1000, "b"]


def test_queues_are_counted(world: World) -> None:
    submit(world, 3)
    poll(world)
    assert world.tasks.queue_sizes() == {"poll": 2}
    assert world.tasks.queue_sizes(["poll#gpu"]) == {"poll#gpu": 0}


def test_an_attempt_can_be_looked_at(world: World) -> None:
    request_id = submit(world, 2)
    [first, second] = world.tasks.of_request(request_id, 2) or []
    assert world.tasks.get(second.attempt.attempt_id) == second
    assert (first.item, second.item) == (0, 1)
    with pytest.raises(NotFound):
        world.tasks.of_request("r9", 2)


def test_attempts_of_a_request_are_not_read_beyond_a_bound_retries_counted(world: World) -> None:
    request_id = submit(world, 1)
    [task] = poll(world)
    assert len(world.tasks.of_request(request_id, 1) or []) == 1
    world.tasks.report(Report(task.attempt.attempt_id, ReportStatus.FAILED, {}, "no", None))
    assert len(world.attempts(request_id)) == 2
    assert world.tasks.of_request(request_id, 1) is None


def test_tasks_of_several_processes_share_what_the_tables_hold(world: World) -> None:
    submit(world, 4)
    others: list[Tasks] = [world.another().tasks for _ in range(2)]
    held = [tasks.poll("poll", Poller(f"w{n}"), 2) for n, tasks in enumerate(others)]
    ids = {task.attempt.attempt_id for tasks in held for task in tasks}
    assert len(ids) == 4
