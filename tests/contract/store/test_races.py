"""Many writers at once: one wins."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from shiftwork_core.domain.requests.records import AttemptKey
from shiftwork_core.domain.requests.states import AttemptStatus, RequestStatus
from shiftwork_core.domain.workspaces.records import Operation
from shiftwork_core.ports.stores import DueRequest, IdempotencyKey, Recorded
from tests.contract.store.lifecycle_rows import a_job, a_workspace, acquire, naming, saved
from tests.contract.store.rows import (
    BROKEN,
    FATAL,
    LEASE,
    NOW,
    SECOND,
    Stores,
    a_request,
    an_attempt,
    successor_of,
)


def test_sixteen_claimers_claim_each_of_a_thousand_attempts_once(stores: Stores) -> None:
    keys = [AttemptKey(1, job, 1) for job in range(1000)]
    assert stores.jobs.insert([an_attempt(key) for key in keys]) == 0

    # Each attempt is listed twice in a row, so that nearly every one is raced for.
    offers = [(key, f"claim {number}") for key in keys for number in range(2)]
    with ThreadPoolExecutor(16) as claimers:
        claims = list(claimers.map(lambda offer: stores.claim("r1", *offer), offers))
    won = {claim.key: claim.claim_id for claim in claims if claim is not None}
    assert Counter(claim.key for claim in claims if claim is not None) == Counter(keys)
    rows = list(stores.jobs.of_step("r1", 1))
    assert {row.fence for row in rows} == {1}
    assert {row.key: row.claim_id for row in rows} == won


def test_fifty_creations_under_one_key_make_one_request(stores: Stores) -> None:
    key = IdempotencyKey("order 7", "digest")

    def create(number: int) -> tuple[str, bool]:
        created = stores.requests.create(a_request(f"r{number}"), key)
        return created.request.request_id, created.is_new

    with ThreadPoolExecutor(50) as pool:
        created = list(pool.map(create, range(50)))
    assert len({request_id for request_id, _ in created}) == 1
    assert sum(is_new for _, is_new in created) == 1
    assert len(stores.requests.find(None, None, 100, None).items) == 1


def test_of_twenty_failures_at_once_one_fails_the_request(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    attempts = [stores.claimed(AttemptKey(1, job, 1)) for job in range(20)]
    with ThreadPoolExecutor(16) as pool:
        recorded = Counter(
            pool.map(lambda a: stores.jobs.fail(a, BROKEN, NOW, request=FATAL), attempts)
        )
    assert recorded == {Recorded.WON: 1, Recorded.ENDED: 19}
    failures = list(stores.jobs.of_step("r1", 1, AttemptStatus.FAILURE))
    assert len(failures) == 1


def test_a_retry_that_races_a_cancel_is_recorded_before_it_or_not_at_all(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    attempts = [stores.claimed(AttemptKey(1, job, 1)) for job in range(30)]

    def act(number: int) -> Recorded | None:
        if number == 15:
            assert stores.requests.finish("r1", RequestStatus.CANCELLED, NOW).won
            return None
        attempt = attempts[number]
        return stores.jobs.retry(attempt, BROKEN, successor_of(attempt), NOW)

    with ThreadPoolExecutor(8) as pool:
        recorded = Counter(pool.map(act, range(30)))
    assert set(recorded) <= {Recorded.WON, Recorded.ENDED, None}
    successors = list(stores.jobs.of_step("r1", 1, AttemptStatus.NEW))
    assert len(successors) == recorded[Recorded.WON]


def test_of_sixteen_sweeps_one_takes_over(stores: Stores) -> None:
    stores.request(status=RequestStatus.INPROGRESS)
    seen = DueRequest("r1", 1, NOW + LEASE)
    with ThreadPoolExecutor(16) as pool:
        won = list(
            pool.map(
                lambda n: stores.requests.take_over(seen, NOW + n * SECOND).won, range(100, 116)
            )
        )
    assert sum(won) == 1
    assert stores.request_row().execution == 2


def test_sixteen_switchers_claim_each_of_a_hundred_jobs_once(stores: Stores) -> None:
    """A hundred workspaces that start at nine."""
    for number in range(100):
        job = a_job(f"j{number}", f"w{number}")
        workspace = naming(a_workspace(job.workspace_id), job)
        assert stores.lifecycle_jobs.insert_workspace_lifecycle_job(job, workspace).won

    def claim_all(switcher: int) -> list[str]:
        claimed: list[str] = []
        while (job := acquire(stores, f"{switcher}.{len(claimed)}")) is not None:
            claimed.append(job.id)
        return claimed

    with ThreadPoolExecutor(16) as threads:
        claimed = Counter(job_id for ids in threads.map(claim_all, range(16)) for job_id in ids)
    assert claimed == Counter(f"j{number}" for number in range(100))
    rows = [stores.lifecycle_jobs.get(job_id) for job_id in claimed]
    assert {(row.attempt, row.revision) for row in rows if row is not None} == {(1, 2)}


def test_sixteen_claimers_of_one_named_job_claim_it_once(stores: Stores) -> None:
    job = a_job()
    stores.lifecycle_jobs.insert_workspace_lifecycle_job(job, naming(a_workspace(), job))
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda n: acquire(stores, f"c{n}", "j1"), range(16)))
    assert [job for job in claims if job is not None] == [stores.lifecycle_jobs.get("j1")]


def test_of_eight_schedulers_one_plans_a_workspaces_start(stores: Stores) -> None:
    seen = saved(stores, a_workspace())

    def plan(scheduler: int) -> bool:
        job = a_job(f"j{scheduler}")
        both = stores.lifecycle_jobs.insert_workspace_lifecycle_job(job, naming(seen, job))
        assert both.won == (both.job is not None)
        return both.won

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(plan, range(8)))
    assert sum(won) == 1
    row = stores.workspaces.get("w1")
    assert row is not None
    assert list(row.pending) == [Operation.START]
    [job] = stores.lifecycle_jobs.find("w1", None, 9, None).items
    assert row.pending[Operation.START].job_id == job.id == f"j{won.index(True)}"


def test_a_job_that_is_cancelled_and_claimed_at_once_is_either(stores: Stores) -> None:
    for number in range(20):
        job = a_job(f"j{number}", f"w{number}")
        workspace = naming(a_workspace(job.workspace_id), job)
        both = stores.lifecycle_jobs.insert_workspace_lifecycle_job(job, workspace)
        assert both.job is not None
        cancelled = replace(both.job, cancelled_at=NOW, due_at=None)
        cancel = stores.lifecycle_jobs.update_workspace_lifecycle_job_with_cancel_by_id
        with ThreadPoolExecutor(2) as pool:
            cancelling = pool.submit(cancel, cancelled)
            claiming = pool.submit(acquire, stores, "c1", job.id)
        assert cancelling.result().won != (claiming.result() is not None)
