"""Rows and blobs live as long as their request, however late that begins, ends or is retried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from shiftwork_core.adapters.memory import MemoryBlobStore
from shiftwork_core.callbacks import Failure, Job
from shiftwork_core.domain.requests.blob_lifetimes import GRACE
from shiftwork_core.domain.requests.records import Attempt, AttemptKey, RequestError
from shiftwork_core.domain.requests.stalls import LastRound
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import NotFound
from shiftwork_core.services.polling.reports import Report, ReportStatus
from shiftwork_core.services.polling.tasks import Poller
from shiftwork_core.services.requests.requests import Submission
from shiftwork_platform.wiring import LEASE, RETENTION
from tests.world.world import World

DAY = timedelta(days=1)
LARGE = "x" * 20_000


@dataclass
class Bucket:
    """Blobs that expire as the rules of the bucket say, and not a second later.

    `looks` counts the calls of `renew`, `copies` what they wrote; one call writes at most `bound`.
    """

    store: MemoryBlobStore
    clock: Callable[[], datetime]
    expires_at: dict[str, datetime] = field(default_factory=dict)
    looks: int = 0
    copies: int = 0
    bound: int = 1000

    def put(self, request_id: str, text: str, days: int) -> str:
        ref = self.store.put(request_id, text, days)
        self.expires_at[ref] = self.clock() + timedelta(days=days)
        return ref

    def get(self, ref: str) -> str:
        if self.clock() >= self.expires_at[ref]:
            raise NotFound(f"{ref} has expired")
        return self.store.get(ref)

    def get_many(self, refs: Iterable[str]) -> Iterator[str]:
        return map(self.get, refs)

    def put_bytes(self, request_id: str, data: bytes, days: int) -> str:
        ref = self.store.put_bytes(request_id, data, days)
        self.expires_at[ref] = self.clock() + timedelta(days=days)
        return ref

    def get_bytes(self, request_id: str, ref: str, start: int, end: int) -> bytes:
        if self.clock() >= self.expires_at[ref]:
            raise NotFound(f"{ref} has expired")
        return self.store.get_bytes(request_id, ref, start, end)

    def renew(self, request_id: str, until: datetime, days: int) -> bool:
        self.looks += 1
        expiring = self.expiring(request_id, until)
        for ref in expiring[: self.bound]:
            self.expires_at[ref] = self.clock() + timedelta(days=days)
            self.copies += 1
        return len(expiring) <= self.bound

    def expiring(self, request_id: str, until: datetime) -> list[str]:
        """Return what is there of the request, but would expire before."""
        mine = {r: at for r, at in self.expires_at.items() if f"/{request_id}/" in r}
        return [ref for ref, at in mine.items() if self.clock() < at < until]

    def publish(self, request_id: str, text: str, days: int) -> dict[str, str]:
        return {"bucket": "memory", "key": self.put(request_id, text, days)}


@dataclass
class Rows:
    """Attempts that expire as DynamoDB's do: two retentions after their claim, unless prolonged."""

    world: World
    expires_at: dict[tuple[str, AttemptKey], datetime] = field(default_factory=dict)

    def prolong(self, request_id: str, step: int, now: datetime) -> None:
        for row in self.claimed(request_id):
            if row.key.step == step and self.expiry_of(row) < now + 1.5 * RETENTION:
                self.expires_at[request_id, row.key] = now + 2 * RETENTION

    def claimed(self, request_id: str) -> list[Attempt]:
        return [row for row in self.world.attempts(request_id) if row.started_at]

    def expiry_of(self, row: Attempt) -> datetime:
        assert row.started_at is not None
        return self.expires_at.get((row.request_id, row.key), row.started_at + 2 * RETENTION)

    def expire(self) -> None:
        """Delete what has expired."""
        for request_id, rows in self.world.tables.attempts.items():
            for row in self.claimed(request_id):
                if self.expiry_of(row) <= self.world.clock():
                    del rows[row.key]


@pytest.fixture
def rows(world: World, monkeypatch: pytest.MonkeyPatch) -> Rows:
    rows = Rows(world)
    monkeypatch.setattr(world.jobs, "prolong", rows.prolong)
    return rows


@pytest.fixture
def bucket(world: World) -> Bucket:
    bucket = Bucket(world.blobs, world.clock)
    world.ports = replace(world.ports, blobs=bucket)
    assert world.records.payloads._blobs is bucket
    return bucket


def pass_days(world: World, days: int) -> None:
    """Let days pass, each with a sweep and with AwaitStep's timeout, after which it comes round."""
    for _ in range(days):
        world.clock.advance(DAY.total_seconds())
        world.sweep()
        for request in list(world.tables.requests.values()):
            if request.status is RequestStatus.INPROGRESS:
                world.advancer.advance(request.request_id, request.execution, LastRound(events=1))


def test_a_request_that_begins_in_a_year_finds_its_params(world: World, bucket: Bucket) -> None:
    world.job_type("work", lambda job: {"read": len(job.params["text"])})
    world.request_type("some", [{"name": "j", "type": "work"}])
    start_at = world.clock() + 366 * DAY
    submission = Submission("some", {"text": LARGE}, {"more": LARGE}, start_at=start_at)
    request, _ = world.requests.submit(submission, None)
    world.clock.now = start_at + 2 * LEASE
    world.sweep()
    assert world.view(request.request_id)["extras"]["read"] == len(LARGE)
    # And can be read for as long as its row is there.
    world.clock.advance((RETENTION - DAY).total_seconds())
    assert world.view(request.request_id)["params"] == {"text": LARGE}
    assert bucket.copies == 0


def test_a_request_that_is_retried_at_the_end_of_each_retention_keeps_its_results(
    world: World, bucket: Bucket
) -> None:
    is_mended: list[bool] = []

    def work(job: Job) -> dict[str, str]:
        if job.name == "bad" and not is_mended:
            raise Failure("not yet")
        return {job.name: LARGE}

    world.job_type("work", work, batch_size=1)
    jobs = [{"name": name, "type": "work"} for name in ("good", "bad")]
    world.request_type("some", jobs, on_failure="finish")
    request_id = world.submit("some", text=LARGE)
    world.run()
    for _ in range(6):
        assert world.request(request_id).status is RequestStatus.FAILED
        world.clock.advance((RETENTION - DAY).total_seconds())
        assert len(world.view(request_id)["extras"]) == 1
        world.requests.retry(request_id)
        world.run()
    is_mended.append(True)
    world.requests.retry(request_id)
    world.run()
    assert set(world.view(request_id)["extras"]) == {"good", "bad"}


def test_a_completed_request_that_is_retried_at_the_end_of_each_retention_keeps_its_results(
    world: World, bucket: Bucket, rows: Rows
) -> None:
    ran: list[str] = []

    def work(job: Job) -> dict[str, str]:
        ran.append(job.name)
        if job.item == 0:
            raise Failure("not yet")
        return {job.name: LARGE}

    world.job_type("work", work)
    each = {"type": "work", "for_each": "params.items", "tolerate": 1, "block": 2}
    world.request_type("some", [each | {"name": "first"}], [each | {"name": "second"}])
    request_id = world.submit("some", items=[0, 1])
    world.run()
    for _ in range(6):
        assert world.request(request_id).status is RequestStatus.COMPLETED
        world.clock.advance((RETENTION - DAY).total_seconds())
        rows.expire()
        assert set(world.view(request_id)["extras"]) == {"first[1]", "second[1]"}
        world.requests.retry(request_id)
        world.run()
    assert Counter(ran) == {"first[0]": 7, "second[0]": 7, "first[1]": 1, "second[1]": 1}


@pytest.mark.parametrize("has_lost_its_execution", [False, True])
def test_a_job_that_waits_for_a_worker_for_years_gets_its_item(
    world: World, bucket: Bucket, has_lost_its_execution: bool
) -> None:
    world.job_type("poll", target="worker", retry={"max_attempts": 1})
    each = {"name": "j", "type": "poll", "for_each": "params.items"}
    world.request_type("some", [each], [each])
    request_id = world.submit("some", items=[LARGE])
    world.run()
    for step in (1, 2):
        if has_lost_its_execution:
            for _ in range(700):
                world.clock.advance(DAY.total_seconds())
                assert world.advancer.needs_no_execution(world.request(request_id))
        else:
            pass_days(world, 700)
        [task] = world.tasks.poll("poll", Poller("w"), 1)
        assert world.records.payloads.unpack(task.attempt.item) == LARGE
        output = {f"s{step}": LARGE}
        report = Report(task.attempt.attempt_id, ReportStatus.COMPLETED, output, "", "w")
        world.tasks.report(report)
        world.run()
    world.clock.advance((RETENTION - DAY).total_seconds())
    assert world.view(request_id)["extras"] == {"s1": LARGE, "s2": LARGE}


def test_a_retry_that_is_cancelled_before_it_is_advanced_leaves_what_can_be_read(
    world: World, bucket: Bucket
) -> None:
    """Whoever ends a request renews nothing; whoever cleans up after it does."""

    def work(_: Job) -> None:
        raise Failure("always")

    world.job_type("work", work)
    world.request_type("some", [{"name": "j", "type": "work"}])
    request_id = world.submit("some", text=LARGE)
    world.run()
    for _ in range(4):
        world.clock.advance((RETENTION - DAY).total_seconds())
        world.requests.retry(request_id)
        error = RequestError("Halted", "before it was advanced")
        due_at = world.clock() + LEASE
        world.store.finish(
            request_id, RequestStatus.FAILED, world.clock(), error=error, due_at=due_at
        )
        world.clock.advance(2 * LEASE.total_seconds())
        world.sweep()
        assert world.request(request_id).due_at is None
    world.clock.advance((RETENTION - DAY).total_seconds())
    world.requests.retry(request_id)
    world.requests.cancel(request_id)
    world.clock.advance(2 * LEASE.total_seconds())
    world.sweep()
    world.clock.advance((RETENTION - DAY).total_seconds())
    assert world.view(request_id)["params"] == {"text": LARGE}


@pytest.mark.parametrize("fails", [True, False])
def test_nothing_starts_or_ends_before_all_is_renewed_however_much_that_is(
    world: World, bucket: Bucket, fails: bool
) -> None:
    left: list[int] = []

    def work(job: Job) -> None:
        left.append(len(bucket.expiring(request_id, world.clock() + RETENTION + GRACE)))
        if fails or len(left) < 20:
            raise Failure("not yet")

    world.job_type("work", work)
    each = {"name": "j", "type": "work", "for_each": "params.items"}
    world.request_type("some", [each], on_failure="finish")
    request_id = world.submit("some", items=[f"{n}{LARGE}" for n in range(9)])
    world.run()
    bucket.bound = 2
    for _ in range(4):
        world.clock.advance((RETENTION - DAY).total_seconds())
        world.requests.retry(request_id)
        world.run()
        if world.request(request_id).status is RequestStatus.COMPLETED:
            break
    assert bucket.copies >= 10
    assert set(left) == {0}


def test_an_older_execution_ends_though_a_newer_one_has_much_to_renew(
    world: World, bucket: Bucket
) -> None:
    world.job_type("poll", target="worker")
    each = {"name": "j", "type": "poll", "for_each": "params.items"}
    world.request_type("some", [each])
    request_id = world.submit("some", items=[f"{n}{LARGE}" for n in range(9)])
    world.run()
    bucket.bound = 2
    world.clock.advance((2 * RETENTION).total_seconds())
    world.executions.hand_over(world.request(request_id))
    world.run()
    assert bucket.copies == 10
    older, newer = world.machine.executions.values()
    assert (older.status, newer.status) == ("SUCCEEDED", "RUNNING")


def test_clean_up_goes_on_until_all_is_renewed(world: World, bucket: Bucket) -> None:
    world.job_type("poll", target="worker")
    each = {"name": "j", "type": "poll", "for_each": "params.items"}
    world.request_type("some", [each])
    request_id = world.submit("some", items=[f"{n}{LARGE}" for n in range(9)])
    world.run()
    bucket.bound = 2
    world.clock.advance((2 * RETENTION).total_seconds())
    world.requests.cancel(request_id)
    world.run()
    while bucket.copies < 10:
        assert world.request(request_id).due_at is not None
        world.clock.advance(2 * LEASE.total_seconds())
        before = bucket.copies
        world.sweep()
        assert bucket.copies == before + 2
    assert world.request(request_id).due_at is None


def test_a_retention_that_is_raised_holds_for_what_was_stored_before(
    world: World, bucket: Bucket
) -> None:
    world.job_type("poll", target="worker", retry={"max_attempts": 1})
    world.request_type("some", [{"name": "j", "type": "poll"}])
    request_id = world.submit("some", text=LARGE)
    world.run()
    pass_days(world, 8)
    world.records.payloads._retention = 4 * RETENTION
    pass_days(world, 1)
    world.requests.cancel(request_id)
    world.clock.advance((4 * RETENTION).total_seconds())
    assert world.view(request_id)["params"] == {"text": LARGE}


def test_a_young_request_makes_no_call_for_its_blobs(world: World, bucket: Bucket) -> None:
    world.job_type("poll", target="worker")
    world.request_type("some", [{"name": "j", "type": "poll"}])
    world.submit("some", text=LARGE)
    world.run()
    pass_days(world, 6)
    assert bucket.looks == 0
    pass_days(world, RETENTION.days - 6)
    assert bucket.looks > 0
    assert bucket.copies == 0


def test_an_old_request_that_only_waits_is_looked_at_once_a_day(
    world: World, bucket: Bucket
) -> None:
    world.job_type("poll", target="worker")
    world.request_type("some", [{"name": "j", "type": "poll"}])
    request_id = world.submit("some", text=LARGE)
    world.run()
    world.clock.advance(RETENTION.total_seconds())
    for _ in range(24):
        world.clock.advance(3600)
        assert world.advancer.needs_no_execution(world.request(request_id))
    assert bucket.looks == 1


def test_what_a_step_has_done_is_kept_while_a_worker_of_it_lets_it_wait_for_years(
    world: World, rows: Rows
) -> None:
    world.job_type("work", lambda job: {job.name: "done"})
    world.job_type("poll", target="worker")
    jobs = [{"name": "quick", "type": "work"}, {"name": "slow", "type": "poll"}]
    world.request_type("some", jobs)
    request_id = world.submit("some")
    world.run()
    for _ in range(700):
        pass_days(world, 1)
        rows.expire()
    [task] = world.tasks.poll("poll", Poller("w"), 1)
    output = {"slow": "done"}
    world.tasks.report(Report(task.attempt.attempt_id, ReportStatus.COMPLETED, output, "", "w"))
    world.run()
    assert world.view(request_id)["extras"] == {"quick": "done", "slow": "done"}


def test_what_a_step_has_done_is_kept_through_retries_at_the_end_of_each_retention(
    world: World, rows: Rows
) -> None:
    is_mended: list[bool] = []
    done: list[str] = []

    def work(job: Job) -> dict[str, str]:
        if job.name == "bad" and not is_mended:
            raise Failure("not yet")
        done.append(job.name)
        return {job.name: "done"}

    world.job_type("work", work)
    jobs = [{"name": name, "type": "work"} for name in ("good", "bad")]
    world.request_type("some", jobs, on_failure="finish")
    request_id = world.submit("some")
    world.run()
    for attempt in range(6):
        world.clock.advance((RETENTION - DAY).total_seconds())
        rows.expire()
        is_mended += [True] * (attempt == 5)
        world.requests.retry(request_id)
        world.run()
    assert world.view(request_id)["extras"] == {"good": "done", "bad": "done"}
    assert done == ["good", "bad"]
