"""The indexes of lifecycle jobs: the cost of reading them, and claims from a stale one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shiftwork_core.adapters.memory import (
    MemoryLifecycleJobStore,
    MemoryTables,
)
from shiftwork_core.domain.workspaces.records import JobState, LifecycleJob, claimed
from shiftwork_core.ports.shards import SHARDS, shard_of
from shiftwork_core.ports.workspaces import MOST_LOOKED_AT
from tests.contract.store.conftest import Aws, memory_stores
from tests.contract.store.interfering import Interfering, Reading
from tests.contract.store.lifecycle_rows import (
    MILLISECOND,
    a_job,
    a_line,
    a_workspace,
    acquire,
    inserted,
    naming,
    updated,
)
from tests.contract.store.rows import LEASE, NOW, RETENTION, SECOND, Stores

# -- what a look costs ---------------------------------------------------------------------------


@pytest.fixture
def client(aws: Aws) -> Reading:
    return Reading(aws.dynamodb)


@pytest.fixture
def asked(aws: Aws, client: Reading) -> Stores:
    return aws.stores(client)


def many(aws: Aws, count: int, **values: Any) -> None:
    for number in range(count):
        inserted(aws.stores(), job_id=f"j{number:02}", workspace_id=f"w{number % 3}", **values)


def test_a_claimant_with_nothing_to_claim_reads_the_shards_and_no_row(
    aws: Aws, asked: Stores, client: Reading
) -> None:
    many(aws, 20, due_at=NOW + SECOND)
    assert acquire(asked) is None
    assert (client.calls, client.scanned) == ({"query": len(SHARDS)}, 0)


def test_a_claim_costs_one_read_and_one_write(aws: Aws, asked: Stores, client: Reading) -> None:
    """The index has whole rows, so nothing is read twice."""
    many(aws, 1)
    assert acquire(asked) is not None
    assert client.calls.keys() == {"query", "put_item"}
    assert client.calls["put_item"] == client.scanned == 1


def test_a_claim_of_a_seen_job_costs_one_write(aws: Aws, asked: Stores, client: Reading) -> None:
    seen = inserted(aws.stores())
    assert acquire(asked, seen=seen) is not None
    assert client.calls == {"put_item": 1}


def test_a_claim_reads_few_of_the_due_jobs(aws: Aws, client: Reading) -> None:
    in_first = [f"j{n}" for n in range(200) if shard_of(f"j{n}") == SHARDS[0]]
    for job_id in in_first[:12]:
        inserted(aws.stores(), job_id=job_id)
    assert acquire(aws.stores(client, sleep=lambda seconds: None, drawn=0.0)) is not None
    assert (client.calls, client.scanned) == ({"query": 1, "put_item": 1}, 10)


@pytest.mark.parametrize(
    ("drawn", "order"),
    [(0.0, "01234567"), (0.5, "45670123"), (0.124, "01234567"), (0.999, "70123456")],
)
def test_claimants_begin_at_a_random_shard_and_go_through_all(
    aws: Aws, client: Reading, drawn: float, order: str
) -> None:
    stores = aws.stores(client, sleep=lambda seconds: None, drawn=drawn)
    assert acquire(stores) is None
    shards = [sent["ExpressionAttributeValues"][":shard"]["S"] for sent in client.sent]
    shards = [shard.removeprefix("default#") for shard in shards]
    assert "".join(shards) == order


def test_only_upcoming_jobs_are_read(aws: Aws, asked: Stores, client: Reading) -> None:
    many(aws, 20, due_at=NOW + SECOND)
    for number in range(20):
        inserted(aws.stores(), job_id=f"later{number}", due_at=NOW + LEASE)
    assert len(asked.lifecycle_jobs.upcoming(NOW, NOW + SECOND, 100)) == 20
    assert (client.calls, client.scanned) == ({"query": len(SHARDS)}, 20)


def test_the_longest_due_job_is_found_by_one_row_of_each_shard(
    aws: Aws, asked: Stores, client: Reading
) -> None:
    for number in range(40):
        inserted(aws.stores(), job_id=f"j{number}", due_at=NOW - number * SECOND)
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    [longest_due] = asked.lifecycle_jobs.upcoming(beginning, NOW, 1)
    assert longest_due.id == "j39"
    assert (client.calls, client.scanned) == ({"query": len(SHARDS)}, len(SHARDS))


def test_an_empty_range_makes_no_call(asked: Stores, client: Reading) -> None:
    """DynamoDB refuses a range that ends before it begins; moto does not."""
    assert asked.lifecycle_jobs.upcoming(NOW, NOW, 9) == []
    assert client.sent == []


@pytest.mark.parametrize(
    ("workspace_id", "state", "limits"),
    [
        (None, None, {4}),
        ("w1", None, {4}),
        (None, JobState.RUNNING, {MOST_LOOKED_AT + 1}),
        ("w1", JobState.RUNNING, {MOST_LOOKED_AT + 1}),
    ],
)
def test_a_page_of_jobs_reads_no_more_keys_than_it_needs(
    asked: Stores,
    client: Reading,
    workspace_id: str | None,
    state: JobState | None,
    limits: set[int],
) -> None:
    asked.lifecycle_jobs.find(workspace_id, state, 3, None)
    assert {call["Limit"] for call in client.sent} == limits
    assert client.calls == {"query": len(SHARDS) if workspace_id is None else 1}


def test_a_page_of_one_workspaces_jobs_reads_no_earlier_page(
    aws: Aws, asked: Stores, client: Reading
) -> None:
    many(aws, 18)
    first = asked.lifecycle_jobs.find("w1", None, 2, None)
    client.calls.clear()
    client.scanned = 0
    second = asked.lifecycle_jobs.find("w1", None, 2, first.next_token)
    assert [job.id for job in second.items] == ["j10", "j07"]
    assert (client.calls, client.scanned) == ({"query": 1, "batch_get_item": 1}, 3)


def test_a_job_and_its_workspace_are_written_in_one_call(asked: Stores, client: Reading) -> None:
    job = a_job()
    asked.lifecycle_jobs.insert_workspace_lifecycle_job(job, naming(a_workspace(), job))
    assert client.calls == {"transact_write_items": 1}


# -- what rows bring -----------------------------------------------------------------------------


def test_a_change_of_a_job_does_not_write_the_indexes_of_lists(aws: Aws) -> None:
    job = inserted(aws.stores())
    before = aws.lifecycle_job_item("j1")
    job = updated(aws.stores(), job, started_at=NOW, updated_at=NOW + SECOND, due_at=None)
    updated(aws.stores(), job, completed_at=NOW + SECOND)
    after = aws.lifecycle_job_item("j1")
    keys = ("id", "workspace_id", "list_lane", "listed_at")
    assert [after[name] for name in keys] == [before[name] for name in keys]


def test_a_row_leaves_out_what_it_does_not_have(aws: Aws) -> None:
    aws.stores().lifecycle_jobs.insert_workspace_lifecycle_job(a_job(due_at=None), a_workspace())
    plan = {"id", "workspace_id", "operation", "deadline", "created_at", "updated_at", "cause"}
    assert set(aws.lifecycle_job_item("j1")) == plan | {"list_lane", "listed_at", "revision"}
    known = {"workspace_id", "body", "created_at", "updated_at", "state"}
    assert set(aws.workspace_item("w1")) == known | {"list_lane", "revision"}


def test_a_job_leaves_the_index_of_due_times_when_it_ends(aws: Aws) -> None:
    job = inserted(aws.stores())
    assert {"due_lane", "due_at"} <= set(aws.lifecycle_job_item("j1"))
    updated(aws.stores(), job, completed_at=NOW)
    assert "due_lane" not in aws.lifecycle_job_item("j1")


@pytest.mark.parametrize("end", ["completed_at", "cancelled_at"])
def test_a_job_expires_its_retention_after_its_end(aws: Aws, end: str) -> None:
    job = inserted(aws.stores())
    claim = acquire(aws.stores(), job_id="j1")
    assert claim is not None
    assert "expires_at" not in aws.lifecycle_job_item("j1")
    updated(aws.stores(), replace(job, revision=claim.revision), **{end: NOW + SECOND})
    expires_at = int(aws.lifecycle_job_item("j1")["expires_at"]["N"])
    assert expires_at == (NOW + SECOND + RETENTION).timestamp()


def test_a_line_expires_its_retention_after_it_was_written(aws: Aws) -> None:
    aws.stores().lifecycle_jobs.insert_workspace_lifecycle_job_logs([a_line()])
    [row] = aws.items(aws.lifecycle_logs_table)
    assert int(row["expires_at"]["N"]) == (NOW + RETENTION).timestamp()


def test_a_job_that_has_expired_is_left_out_of_lists(aws: Aws) -> None:
    """The index still lists it."""
    many(aws, 3)
    gone = {"id": {"S": "j01"}}

    class Expiring(Interfering):
        def __getattr__(self, name: str) -> Any:
            if name == "batch_get_item":
                aws.rows.delete_item(TableName=aws.lifecycle_jobs_table, Key=gone)
            return super().__getattr__(name)

    page = aws.stores(Expiring(aws.dynamodb)).lifecycle_jobs.find(None, None, 2, None)
    assert [job.id for job in page.items] == ["j02"]
    assert page.next_token is not None
    rest = aws.stores().lifecycle_jobs.find(None, None, 2, page.next_token)
    assert [job.id for job in rest.items] == ["j00"]


# -- what lags -----------------------------------------------------------------------------------


class Lagging:
    """A client whose index of due times shows jobs as they once were."""

    def __init__(self, client: Any, items: list[Any]) -> None:
        self._client = client
        self._items = items

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **parameters: Any) -> Any:
        assert parameters["IndexName"] == "by_due"
        shard = parameters["ExpressionAttributeValues"][":shard"]
        return {"Items": [item for item in self._items if item["due_lane"] == shard]}


@pytest.fixture(params=["memory", "dynamodb"])
def lagging(request: pytest.FixtureRequest) -> Iterator[tuple[Stores, Any]]:
    """Return stores, and a function that freezes their index as it is now."""
    if request.param == "dynamodb":
        aws: Aws = request.getfixturevalue("aws")

        def freeze() -> Stores:
            return aws.stores(Lagging(aws.dynamodb, aws.stored(aws.lifecycle_jobs_table)))

        yield aws.stores(), freeze
        return
    tables = MemoryTables()
    stores = memory_stores(tables)

    def snapshot() -> Stores:
        older = tables.copy()
        return replace(stores, lifecycle_jobs=MemoryLifecycleJobStore(tables, index=lambda: older))

    yield stores, snapshot


def test_a_stale_index_lets_nobody_claim_a_job_that_another_holds(
    lagging: tuple[Stores, Any],
) -> None:
    stores, freeze = lagging
    inserted(stores)
    stale = freeze()
    held = acquire(stores, "c1")
    assert acquire(stale, "c2") is None
    assert stores.lifecycle_jobs.get("j1") == held


def test_a_stale_index_lets_nobody_claim_a_job_that_has_ended(lagging: tuple[Stores, Any]) -> None:
    stores, freeze = lagging
    job = inserted(stores)
    stale = freeze()
    ended = updated(stores, job, cancelled_at=NOW)
    assert acquire(stale) is None
    assert stores.lifecycle_jobs.get("j1") == ended


def test_a_claimant_that_a_stale_index_shows_a_held_job_claims_the_next_one(
    lagging: tuple[Stores, Any],
) -> None:
    stores, freeze = lagging
    for number in range(3):
        inserted(stores, job_id=f"j{number}")
    stale = freeze()
    for job_id in ("j0", "j2"):
        acquire(stores, "c1", job_id)
    claim = acquire(stale, "c2")
    assert claim is not None and claim.id == "j1"


def test_a_job_that_was_moved_and_is_still_due_is_claimed_as_it_is(
    lagging: tuple[Stores, Any],
) -> None:
    stores, freeze = lagging
    job = inserted(stores)
    stale = freeze()
    moved = updated(stores, job, deadline=NOW - SECOND, due_at=NOW - SECOND, reason="earlier")
    claim = acquire(stale)
    assert claim == replace(claimed(moved, "c1", NOW, NOW + LEASE), revision=3)


def test_a_job_that_was_moved_to_a_later_time_is_not_claimed(lagging: tuple[Stores, Any]) -> None:
    stores, freeze = lagging
    job = inserted(stores)
    stale = freeze()
    moved = updated(stores, job, due_at=NOW + MILLISECOND)
    assert acquire(stale) is None
    assert stores.lifecycle_jobs.get("j1") == moved


def test_a_job_that_the_index_shows_as_not_due_yet_is_left_to_the_next_look() -> None:
    tables, older = MemoryTables(), MemoryTables()
    older.lifecycle_jobs["j1"] = a_job(due_at=NOW + MILLISECOND)
    tables.lifecycle_jobs["j1"] = a_job(due_at=NOW, revision=1)
    stores = replace(
        memory_stores(tables), lifecycle_jobs=MemoryLifecycleJobStore(tables, index=lambda: older)
    )
    assert acquire(stores) is None
    assert acquire(stores, job_id="j1") is not None


def test_a_claim_whose_lease_ends_at_once_is_one_write(aws: Aws) -> None:
    """It is due again at once, but for the next claimant."""
    inserted(aws.stores())

    class Once(Interfering):
        def __getattr__(self, name: str) -> Any:
            assert name != "put_item" or not self.calls[name]
            return super().__getattr__(name)

    claim = acquire(aws.stores(Once(aws.dynamodb)), lease_until=NOW)
    assert claim is not None and claim.revision == 2


def test_a_claim_that_a_stale_index_shows_again_finds_itself(lagging: tuple[Stores, Any]) -> None:
    """Its reply was lost, and the same call is sent again."""
    stores, freeze = lagging
    inserted(stores)
    stale = freeze()
    assert acquire(stores, "c1") == acquire(stale, "c1") is not None


def test_lists_of_jobs_come_from_an_older_snapshot_and_rows_as_they_stand() -> None:
    tables, older = MemoryTables(), MemoryTables()
    jobs = MemoryLifecycleJobStore(tables, index=lambda: older)
    rows: list[LifecycleJob] = [a_job(f"j{n}", due_at=NOW + n * SECOND) for n in range(4)]
    older.lifecycle_jobs |= {row.id: row for row in rows[:3]}
    tables.lifecycle_jobs |= {row.id: replace(row, attempt=1) for row in rows[1:]}
    page = jobs.find("w1", None, 2, None)
    assert page.items == [replace(rows[n], attempt=1) for n in (2, 1)]
    assert jobs.find(None, None, 2, page.next_token).items == []
    assert jobs.upcoming(NOW, NOW + LEASE, 9) == rows[1:3]
    assert jobs.get("j0") is None


def test_a_job_that_changes_while_it_is_claimed_by_name_is_claimed_as_it_is(aws: Aws) -> None:
    """The scheduler moves it between the look and the write."""
    job = inserted(aws.stores())

    class Meanwhile(Interfering):
        def __getattr__(self, name: str) -> Any:
            if name == "put_item" and not self.calls[name]:
                updated(aws.stores(), job, reason="moved")
            return super().__getattr__(name)

    client = Meanwhile(aws.dynamodb)
    claim = acquire(aws.stores(client), job_id="j1")
    assert claim is not None
    assert (claim.reason, claim.revision) == ("moved", 3)
    assert client.calls == {"get_item": 1, "put_item": 2}


def test_a_writer_that_loses_one_of_two_rows_reads_the_other(aws: Aws) -> None:
    """DynamoDB returns only the row whose condition failed."""
    stores = aws.stores()
    job = inserted(stores)
    seen = stores.workspaces.get("w1")
    assert seen is not None
    winner = stores.workspaces.save(replace(seen, failures=1)).row
    client = Interfering(aws.dynamodb)
    both = aws.stores(client).lifecycle_jobs.update_workspace_lifecycle_job_by_id(
        replace(job, attempt=1), naming(a_workspace(revision=seen.revision), job)
    )
    assert (both.won, both.job, both.workspace) == (False, job, winner)
    assert client.calls["get_item"] == 1
