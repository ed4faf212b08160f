"""The model: the engine runs on it to its end, counts as the emulator does, and shows a hot key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.quotas.limits import Bucket, quotas
from benchmarks.quotas.measure import COUNTED, agreement
from benchmarks.quotas.model import SWEEP_PERIOD_S, Model
from benchmarks.quotas.scenarios import Load, Outage, Run, at_the_second_try, evenly, in_a_second
from benchmarks.quotas.tables import Partition
from benchmarks.quotas.workers import Crew
from shiftwork_core.domain.requests.outcomes import Outcome
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.ports.world import JobInput


def test_the_model_makes_the_calls_that_the_emulator_counted() -> None:
    assert [figure for figure in agreement() if not figure.is_held] == []


def test_jobs_that_share_a_partition_are_throttled_and_still_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(quotas()["partition"], "write_units_a_second", 100)
    run = Run(replace(COUNTED, width=300, steps=1, batch_size=100)).play()
    [request] = run.requests()
    assert request.status is RequestStatus.COMPLETED
    [hot] = run.model.partitions.hottest(1)
    assert hot.partition == Partition("JobsTable", "", f"default#{request.request_id}#0001#0000")
    assert hot.peak > 1
    assert hot.throttled > 0


def test_a_new_table_takes_less_than_its_partitions_and_the_jobs_still_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(quotas(), "new_table_write_units_a_second", 200)
    load = Load("new", [0.0], 6_000, batch_size=10, block=10, is_new_table=True)
    run = Run(load).play()
    [request] = run.requests()
    assert request.status is RequestStatus.COMPLETED
    assert run.model.partitions.throttled == 0
    assert run.model.partitions.throttled_by_tables > 0
    assert run.durations_s()[-1] > 3 * 600 / 200 - 1


def test_items_of_a_manifest_are_read_and_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Run(Load("quick", [0.0], 1_000, batch_size=10, block=100)).play()
    assert quick.model.s3_gets == 2 + 10  # The planner's HEAD and GET, and one of each block.
    monkeypatch.setitem(quotas()["assumptions"], "cpu_ms_per_record", 1.0)
    slow = Run(Load("slow", [0.0], 1_000, batch_size=10, block=100)).play()
    assert slow.durations_s()[-1] > quick.durations_s()[-1] + 1


def test_the_jobs_of_a_wide_step_lie_in_partitions_enough() -> None:
    run = Run(replace(COUNTED, width=1_200, steps=1, batch_size=100)).play()
    [request] = run.requests()
    assert request.status is RequestStatus.COMPLETED
    assert run.model.partitions.hottest(1)[0].peak <= 1
    assert run.model.partitions.throttled == 0


@pytest.mark.parametrize(("shards", "is_hot"), [(1, True), (8, False)])
def test_a_queue_of_workers_jobs_takes_more_with_more_shards(
    monkeypatch: pytest.MonkeyPatch, shards: int, *, is_hot: bool
) -> None:
    """With a tenth of the quota, and so many jobs a second that one partition has too few units."""
    monkeypatch.setitem(quotas()["partition"], "write_units_a_second", 100)
    crew = Crew(30, room=5, job_s=0.5, shards=shards)
    run = Run(Load("polled", evenly(20, 4), 20, crew=crew)).play()
    assert {request.status for request in run.requests()} == {RequestStatus.COMPLETED}
    [hot] = run.model.partitions.hottest(1)
    assert (hot.throttled > 0) is is_hot
    if is_hot:
        assert hot.partition.key in ("default#ready#work", "default#later#work")


def test_retries_wait_for_their_message() -> None:
    retry = {"max_attempts": 2, "delay_s": 30, "jitter": "none"}
    run = Run(Load("retried", [0.0], 3, do=at_the_second_try, retry=retry)).play()
    assert run.model.functions.invocations["retry_jobs"] == 3
    [duration] = run.durations_s()
    assert 30 < duration < 40


def test_requests_of_a_later_start_start_then() -> None:
    run = Run(Load("later", evenly(5, 10), 1, start_at_s=100)).play()
    assert all(0 <= delay < 5 for delay in run.delays_s())
    assert len(run.durations_s()) == 5


@pytest.mark.parametrize("start_at_s", [100.0, 1_500.0])
def test_requests_of_one_start_time_start_as_fast_as_executions_may(
    monkeypatch: pytest.MonkeyPatch, start_at_s: float
) -> None:
    monkeypatch.setitem(quotas()["buckets"], "StartExecution", {"size": 100, "a_second": 40})
    run = Run(Load("same start", evenly(600, 10), 1, start_at_s=start_at_s)).play()
    floor_s = (600 - 100) / 40
    assert len(run.delays_s()) == 600
    assert run.delays_s()[0] < 1
    assert floor_s <= run.delays_s()[-1] <= floor_s + 1.5


def test_after_an_outage_one_sweep_gives_every_request_a_fresh_execution() -> None:
    run = Outage(Load("outage", evenly(600, 60), 1)).play()
    assert len(run.fresh_s()) == 600
    assert run.fresh_s()[-1] < SWEEP_PERIOD_S
    assert len(run.durations_s()) == 600


def test_a_million_jobs_cost_about_what_the_emulators_counts_give() -> None:
    usd = Run(COUNTED).play().usd_a_million_jobs()
    assert usd["state_transitions"] == pytest.approx(1.25, abs=0.01)
    assert usd["dynamodb_write_units"] == pytest.approx(2.13, abs=0.02)


def test_a_bucket_gives_what_it_holds_and_then_what_comes() -> None:
    now = [0.0]
    bucket = Bucket(size=3, rate=2, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]
    assert bucket.wait_s() == 0.5
    now[0] = 100.0
    assert [bucket.take(100), bucket.take()] == [True, False]


@pytest.mark.parametrize("width", [12, 60], ids=["inline", "distributed"])
@pytest.mark.parametrize(("bound", "at_once"), [(3, 3), (None, 10)])
def test_a_step_runs_no_more_batches_at_once_than_its_job_type_allows(
    width: int, bound: int | None, at_once: int
) -> None:
    running: list[int] = []

    def note(model: Model, job: JobInput) -> Outcome:
        running.append(model.functions.running["run_jobs"])
        return in_a_second(model, job)

    load = Load("bounded", [0.0], width, do=note, batch_size=1, max_concurrency=bound)
    run = Run(load).play()
    [request] = run.requests()
    assert request.status is RequestStatus.COMPLETED
    assert len(running) == width
    assert max(running) == bound if bound else max(running) >= at_once
