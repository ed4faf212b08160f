"""Stores of lifecycle jobs: finding and claiming those that are due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.domain.workspaces.records import JobState
from shiftwork_core.ports.shards import shard_of
from tests.contract.store.lifecycle_rows import (
    ENDS,
    MILLISECOND,
    a_job,
    acquire,
    inserted,
    updated,
)
from tests.contract.store.rows import LEASE, NOW, SECOND, Stores, sent_twice

# -- what falls due ------------------------------------------------------------------------------


def test_upcoming_jobs_fall_due_after_one_time_and_up_to_another(stores: Stores) -> None:
    jobs = {n: inserted(stores, job_id=f"j{n}", due_at=NOW + n * SECOND) for n in (3, 1, 5, 2, 4)}
    find = stores.lifecycle_jobs.upcoming
    assert find(NOW + SECOND, NOW + 4 * SECOND, 9) == [jobs[2], jobs[3], jobs[4]]
    assert find(NOW + SECOND - MILLISECOND, NOW + 4 * SECOND - MILLISECOND, 9) == [
        jobs[1],
        jobs[2],
        jobs[3],
    ]
    assert find(NOW, NOW + LEASE, 2) == [jobs[1], jobs[2]]


def test_of_many_upcoming_jobs_the_soonest_are_listed(stores: Stores) -> None:
    for n in range(30):
        inserted(stores, job_id=f"j{n:02}", due_at=NOW + (n + 1) * MILLISECOND)
    ids = [job.id for job in stores.lifecycle_jobs.upcoming(NOW, NOW + SECOND, 20)]
    assert ids == [f"j{n:02}" for n in range(20)]


@pytest.mark.parametrize(("length", "ids"), [(1, ["j1"]), (0, []), (-5, [])])
def test_nothing_falls_due_in_an_empty_range(stores: Stores, length: int, ids: list[str]) -> None:
    inserted(stores, due_at=NOW + MILLISECOND)
    found = stores.lifecycle_jobs.upcoming(NOW, NOW + length * MILLISECOND, 9)
    assert [job.id for job in found] == ids


@pytest.mark.parametrize("values", [{"due_at": None}, ENDS[JobState.COMPLETED]])
def test_a_job_that_has_ended_or_has_no_due_time_is_not_upcoming(
    stores: Stores, values: dict[str, Any]
) -> None:
    inserted(stores, **{"due_at": NOW + SECOND, **values})
    assert stores.lifecycle_jobs.upcoming(NOW, NOW + LEASE, 9) == []


# -- claims --------------------------------------------------------------------------------------


@pytest.mark.parametrize("job_id", [None, "j1"])
def test_a_claim_records_when_it_began_its_id_and_its_lease(
    stores: Stores, job_id: str | None
) -> None:
    job = inserted(stores, due_at=NOW)
    claimed = acquire(stores, "c1", job_id)
    assert claimed == stores.lifecycle_jobs.get("j1")
    assert claimed == replace(
        job,
        started_at=NOW,
        updated_at=NOW,
        claim_id="c1",
        due_at=NOW + LEASE,
        attempt=1,
        revision=2,
    )


@pytest.mark.parametrize("job_id", [None, "j1"])
def test_a_job_is_claimed_when_it_is_due_and_not_before(stores: Stores, job_id: str | None) -> None:
    inserted(stores, due_at=NOW + MILLISECOND)
    assert acquire(stores, job_id=job_id) is None
    assert acquire(stores, job_id=job_id, now=NOW + MILLISECOND) is not None


@pytest.mark.parametrize("job_id", [None, "j1"])
@pytest.mark.parametrize(
    "values",
    [
        ENDS[JobState.COMPLETED],
        ENDS[JobState.FAILED],
        ENDS[JobState.CANCELLED],
        {"due_at": None},
        {"due_at": None, "claim_id": "c1", **ENDS[JobState.CANCELLED]},
        {"due_at": NOW + SECOND, "claim_id": "c1", **ENDS[JobState.COMPLETED]},
    ],
    ids=lambda values: ", ".join(values),
)
def test_a_job_that_has_ended_is_never_claimed(
    stores: Stores, values: dict[str, Any], job_id: str | None
) -> None:
    job = inserted(stores, **values)
    assert acquire(stores, "c1", job_id) is None
    assert acquire(stores, "c2", job_id, now=NOW + LEASE) is None
    assert stores.lifecycle_jobs.get("j1") == job


@pytest.mark.parametrize("job_id", [None, "j1"])
def test_a_job_is_held_until_its_lease_is_over_and_keeps_its_first_start(
    stores: Stores, job_id: str | None
) -> None:
    inserted(stores)
    assert acquire(stores, "c1", job_id) is not None
    assert acquire(stores, "c2", job_id, now=NOW + LEASE - MILLISECOND) is None
    taken = acquire(stores, "c2", job_id, now=NOW + LEASE, lease_until=NOW + 2 * LEASE)
    assert taken is not None
    assert (taken.claim_id, taken.started_at, taken.updated_at) == ("c2", NOW, NOW + LEASE)
    assert (taken.due_at, taken.attempt, taken.revision) == (NOW + 2 * LEASE, 2, 3)


def test_a_named_claim_that_is_sent_twice_finds_itself(stores: Stores) -> None:
    inserted(stores)
    claimed = sent_twice(lambda: acquire(stores, "c1", "j1"))
    assert claimed is not None
    held = updated(stores, claimed, asked_at=NOW)
    assert acquire(stores, "c1", "j1") == held


def test_a_claimant_may_claim_again_after_its_lease(stores: Stores) -> None:
    inserted(stores)
    assert acquire(stores, "c1", "j1") is not None
    again = acquire(stores, "c1", "j1", now=NOW + LEASE, lease_until=NOW + 2 * LEASE)
    assert again is not None
    assert (again.due_at, again.revision) == (NOW + 2 * LEASE, 3)


def test_a_claim_that_is_sent_twice_claims_another_job_and_no_more_than_there_are(
    stores: Stores,
) -> None:
    for n in (1, 2):
        inserted(stores, job_id=f"j{n}")
    claims = [acquire(stores, "c1") for _ in range(3)]
    assert {None if job is None else job.id for job in claims} == {"j1", "j2", None}


def test_a_named_claim_leaves_the_others_alone(stores: Stores) -> None:
    other, job = inserted(stores), inserted(stores, job_id="j2", workspace_id="w2")
    claimed = acquire(stores, job_id="j2")
    assert claimed is not None and claimed.id == job.id
    assert stores.lifecycle_jobs.get("j1") == other


def test_every_due_job_is_claimed_whatever_its_shard(stores: Stores) -> None:
    for n in range(30):
        inserted(stores, job_id=f"j{n:02}", workspace_id=f"w{n}")
    claimed = {job.id for n in range(30) if (job := acquire(stores, f"c{n}")) is not None}
    assert claimed == {f"j{n:02}" for n in range(30)}
    assert acquire(stores, "c30") is None


def test_the_longest_due_of_a_shard_is_claimed_first(stores: Stores) -> None:
    ids = {3: "j1", 1: "j13", 2: "j18"}
    assert len({shard_of(job_id) for job_id in ids.values()}) == 1
    for number, job_id in ids.items():
        inserted(stores, job_id=job_id, due_at=NOW - LEASE + number * SECOND)
    claims = [acquire(stores, f"c{number}") for number in ids]
    assert [job.id for job in claims if job is not None] == [ids[1], ids[2], ids[3]]


def test_a_released_job_is_claimed_again_at_its_time(stores: Stores) -> None:
    inserted(stores)
    claimed = acquire(stores)
    assert claimed is not None
    updated(stores, claimed, claim_id=None, due_at=NOW + SECOND)
    assert acquire(stores, "c2") is None
    again = acquire(stores, "c2", now=NOW + SECOND)
    assert again is not None
    assert (again.attempt, again.started_at) == (2, NOW)


# -- as it was seen ------------------------------------------------------------------------------


def test_a_seen_job_is_claimed_although_another_has_been_due_for_longer(
    stores: Stores,
) -> None:
    inserted(stores, job_id="j0", workspace_id="w0", due_at=NOW - SECOND)
    inserted(stores)
    [seen] = stores.lifecycle_jobs.upcoming(NOW - SECOND, NOW, 9)
    claim = acquire(stores, seen=seen)
    assert claim == stores.lifecycle_jobs.get("j1")
    assert claim is not None and claim.claim_id == "c1"


def test_a_seen_job_that_was_moved_is_claimed_if_it_is_still_due(
    stores: Stores,
) -> None:
    seen = inserted(stores)
    updated(stores, seen, due_at=NOW - SECOND, reason="another")
    claim = acquire(stores, seen=seen)
    assert claim is not None and claim.reason == "another"
    assert claim == stores.lifecycle_jobs.get("j1")


@pytest.mark.parametrize("since", [{"due_at": NOW + SECOND}, ENDS[JobState.CANCELLED]])
def test_a_seen_job_that_was_postponed_or_ended_is_not_claimed(
    stores: Stores, since: dict[str, Any]
) -> None:
    seen = inserted(stores)
    later = updated(stores, seen, **since)
    assert acquire(stores, seen=seen) is None
    assert stores.lifecycle_jobs.get("j1") == later


def test_of_two_claimants_that_have_seen_a_job_one_claims_it(stores: Stores) -> None:
    seen = inserted(stores)
    first = acquire(stores, "c1", seen=seen)
    assert acquire(stores, "c2", seen=seen) is None
    assert stores.lifecycle_jobs.get("j1") == first
    assert acquire(stores, seen=a_job("gone")) is None
