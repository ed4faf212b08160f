"""An outcome in hand is recorded, however long a store does not answer, while its lease lasts.

And what a store refuses is an outcome too, which says why: no job waits for its lease to run out.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.callbacks import Failure, Job, Retry
from shiftwork_core.errors import NotFound, Throttled, Unavailable
from shiftwork_core.services.requests.advance import NO_TIME
from tests.world.world import LEASE, World

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _scheduled(world: World) -> None:
    """A Map runs the batches: here callbacks move the clock, and nobody else waits for them."""
    world.remaining = NO_TIME


def refuse(patch: Patch, store: object, method: str, times: int, error: Exception) -> None:
    """Let a method of a store fail so many times before it answers."""
    answer = getattr(store, method)
    left = times

    def call(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return answer(*args, **options)

    patch.setattr(store, method, call)


def run_one(world: World, callback: Any, **job_type: Any) -> str:
    """Run a request of one job to its end; return its id."""
    world.job_type("work", callback, **job_type)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.run_through()
    return request_id


def fail(job: Job) -> None:
    raise Failure("for good")


def retry_once(job: Job) -> None:
    if job.attempt == 1:
        raise Retry("once more")


@pytest.mark.parametrize(
    ("callback", "method", "statuses"),
    [
        (lambda job: {"a": 1}, "complete", ["completed"]),
        (fail, "fail", ["failure"]),
        (retry_once, "retry", ["retry", "completed"]),
    ],
    ids=["complete", "fail", "retry"],
)
@pytest.mark.parametrize("error", [Throttled("too much"), Unavailable("no answer")], ids=repr)
def test_an_outcome_is_written_again_until_the_store_takes_it(
    world: World, monkeypatch: Patch, callback: Any, method: str, statuses: list[str], error: Any
) -> None:
    """Twenty times: longer than the lease would last, were it not renewed meanwhile."""
    refuse(monkeypatch, world.jobs, method, 20, error)
    request_id = run_one(world, callback, timeout_s=300)
    attempts = world.attempts(request_id)
    assert [attempt.status for attempt in attempts] == statuses
    assert not any(a.error and a.error.type in ("LeaseExpired", "Timeout") for a in attempts)


def test_a_job_that_is_done_in_time_is_no_timeout_however_late_that_is_written(
    world: World, monkeypatch: Patch
) -> None:
    refuse(monkeypatch, world.jobs, "complete", 10, Throttled("too much"))
    [attempt] = world.attempts(run_one(world, lambda job: {}, timeout_s=1))
    assert attempt.status == "completed"


def test_a_lease_that_cannot_be_renewed_at_once_is_renewed_soon(
    world: World, monkeypatch: Patch
) -> None:
    refuse(monkeypatch, world.jobs, "renew", 2, Throttled("too much"))
    refuse(monkeypatch, world.jobs, "complete", 20, Throttled("too much"))
    [attempt] = world.attempts(run_one(world, lambda job: {}, timeout_s=300))
    assert attempt.status == "completed"


def test_a_timeout_is_recorded_later_when_the_store_does_not_answer(
    world: World, monkeypatch: Patch
) -> None:
    def work(job: Job) -> None:
        if job.attempt == 1:
            world.clock.advance(31)
            while not job.stop.is_set():
                world.loop.sleep(0.1)

    retry, refused = world.jobs.retry, 0

    def retry_later(*args: Any, **options: Any) -> Any:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise Throttled("too much")
        return retry(*args, **options)

    monkeypatch.setattr(world.jobs, "retry", retry_later)
    first, second = world.attempts(run_one(world, work, timeout_s=30))
    assert first.error is not None
    assert (first.error.type, second.status) == ("Timeout", "completed")


def test_an_outcome_whose_lease_is_lost_is_given_up(world: World, monkeypatch: Patch) -> None:
    """Somebody else has the job by then."""
    calls = 0

    def complete(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        raise Throttled("too much")

    monkeypatch.setattr(world.jobs, "complete", complete)
    monkeypatch.setattr(world.jobs, "renew", lambda *args: False)
    world.job_type("work", lambda job: {}, timeout_s=300, retry={"max_attempts": 1})
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    [key] = [str(attempt.key) for attempt in world.attempts(request_id)]
    begun_at = world.clock()
    with pytest.raises(Throttled):
        world.runner.run(request_id, [key], timedelta(minutes=15))
    assert calls > 1
    assert world.clock() < begun_at + LEASE


def test_an_input_that_cannot_be_read_at_once_burns_no_attempt(
    world: World, monkeypatch: Patch
) -> None:
    item = {"text": "x" * 10_000}
    world.job_type("work", lambda job: {"size": len(job.item["text"])})
    entry = {"name": "j", "type": "work", "for_each": "params.items"}
    world.request_type("many", [entry])
    request_id = world.submit("many", items=[item])
    world.advancer.advance(request_id, 1)
    [key] = [str(attempt.key) for attempt in world.attempts(request_id)]
    # The request's own input, which the batch fetches before it holds anything, is read as it is.
    monkeypatch.setattr(world.runner, "_with_input", lambda request: request)
    refuse(monkeypatch, world.blobs, "get", 5, Unavailable("no answer"))
    world.runner.run(request_id, [key], timedelta(minutes=15))
    assert world.statuses(request_id) == ["j[0] 1 completed"]


def claimed_long_ago(world: World, patch: Patch, seconds: float) -> tuple[str, list[str]]:
    """Have a claim whose answer is lost be answered so much later; return what its batch counts."""
    claim, calls = world.jobs.claim, 0

    def lost_at_first(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            claim(*args, **options)
            world.clock.advance(seconds)
            raise Unavailable("the answer is lost")
        return claim(*args, **options)

    patch.setattr(world.jobs, "claim", lost_at_first)
    world.job_type("work", lambda job: {}, timeout_s=300)
    world.request_type("one", [{"name": "j", "type": "work"}])
    request_id = world.submit("one")
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    report = world.runner.run(request_id, [str(attempt.key)], timedelta(minutes=15))
    return request_id, sorted(report.counts)


def test_a_claim_that_is_answered_late_has_its_lease_renewed_before_the_job_is_done(
    world: World, monkeypatch: Patch
) -> None:
    renewed: list[Any] = []
    renew = world.jobs.renew

    def note(attempt: Any, until: Any) -> bool:
        renewed.append(until)
        return renew(attempt, until)

    monkeypatch.setattr(world.jobs, "renew", note)
    request_id, counts = claimed_long_ago(world, monkeypatch, LEASE.total_seconds() * 0.8)
    assert counts == ["completed"]
    assert renewed[0] >= world.clock() + LEASE - timedelta(seconds=1)
    assert [a.status for a in world.attempts(request_id)] == ["completed"]


def test_a_claim_that_is_answered_when_somebody_else_may_have_the_job_is_left(
    world: World, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(world.jobs, "renew", lambda *args: False)
    _, counts = claimed_long_ago(world, monkeypatch, LEASE.total_seconds() * 0.8)
    assert counts == ["held"]


def test_a_claim_is_not_made_again_once_its_lease_may_be_over(
    world: World, monkeypatch: Patch
) -> None:
    with pytest.raises(Unavailable):
        claimed_long_ago(world, monkeypatch, LEASE.total_seconds())


class AccessDenied(Exception):
    """As boto3 calls what no later call changes."""


def errors_of(world: World, request_id: str) -> list[str]:
    return [f"{a.error.type}: {a.error.message}" for a in world.attempts(request_id) if a.error]


def test_a_result_that_the_blob_store_refuses_fails_its_attempt_and_says_why(
    world: World, monkeypatch: Patch
) -> None:
    refuse(monkeypatch, world.blobs, "put", 1, AccessDenied("no s3:PutObject"))
    began_at = world.clock()
    request_id = run_one(world, lambda job: {"long": "x" * 10_000})
    assert world.statuses(request_id) == ["j 1 retry", "j 2 completed"]
    assert errors_of(world, request_id) == [
        "AccessDenied: its result cannot be stored: no s3:PutObject"
    ]
    assert world.clock() < began_at + LEASE


def test_an_input_that_is_gone_fails_its_attempt_and_says_so(
    world: World, monkeypatch: Patch
) -> None:
    calls: list[Job] = []
    began_at = world.clock()
    world.job_type("work", calls.append, retry={"max_attempts": 1})
    world.request_type("each", [{"name": "j", "type": "work", "for_each": "params.items"}])
    request_id = world.submit("each", items=["x" * 10_000])
    world.advancer.advance(request_id, 1)
    [attempt] = world.attempts(request_id)
    assert attempt.item is not None
    get = world.blobs.get

    def get_others(ref: str) -> str:
        if attempt.item is not None and ref == attempt.item.ref:
            raise NotFound(f"{ref} is not stored any more")
        return get(ref)

    monkeypatch.setattr(world.blobs, "get", get_others)
    world.run_through()
    assert not calls
    assert world.statuses(request_id) == ["j[0] 1 failure"]
    [error] = errors_of(world, request_id)
    assert error.startswith("NotFound: ")
    assert "is not stored any more" in error
    assert world.clock() < began_at + LEASE
