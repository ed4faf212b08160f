"""Stores of workspaces: read, write, delete, list."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from shiftwork_core.adapters.memory import MemoryTables, MemoryWorkspaceStore
from shiftwork_core.domain.workspaces.records import Workspace, WorkspaceState
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.shards import SHARDS
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering, Reading, timeout
from tests.contract.store.lifecycle_rows import (
    BARE,
    FULL,
    MILLISECOND,
    a_job,
    a_workspace,
    naming,
    saved,
)
from tests.contract.store.rows import NOW, SECOND, Stores, sent_twice


@pytest.mark.parametrize("workspace", [FULL, BARE], ids=["full", "bare"])
def test_a_workspace_is_read_back_as_it_was_written(stores: Stores, workspace: Workspace) -> None:
    write = sent_twice(lambda: stores.workspaces.save(workspace))
    assert write.won
    assert write.row == stores.workspaces.get("w1") == replace(workspace, revision=1)
    bare = replace(BARE, revision=1)
    assert sent_twice(lambda: stores.workspaces.save(bare)).won
    assert stores.workspaces.get("w1") == replace(bare, revision=2)


def test_a_workspace_that_nobody_has_written_does_not_exist(stores: Stores) -> None:
    assert stores.workspaces.get("w1") is None
    assert stores.workspaces.find(9, None).items == []
    assert stores.workspaces.due(NOW, 9) == []


def test_a_writer_with_an_older_revision_loses_and_sees_the_winner(stores: Stores) -> None:
    first = saved(stores, BARE)
    winner = saved(stores, replace(first, error="broken"))
    for loser in (replace(first, failures=1), replace(BARE, failures=1)):
        write = sent_twice(lambda loser=loser: stores.workspaces.save(loser))  # type: ignore[misc]
        assert (write.won, write.row) == (False, winner)
    assert stores.workspaces.get("w1") == winner


def test_a_stale_write_does_not_bring_a_deleted_workspace_back(stores: Stores) -> None:
    row = saved(stores, BARE)
    assert sent_twice(lambda: stores.workspaces.delete(row))
    write = stores.workspaces.save(row)
    assert (write.won, write.row) == (False, None)
    assert stores.workspaces.get("w1") is None
    assert stores.workspaces.find(9, None).items == []


def test_a_stale_delete_does_not_delete_a_changed_workspace(stores: Stores) -> None:
    row = saved(stores, BARE)
    newer = saved(stores, replace(row, failures=1))
    assert not sent_twice(lambda: stores.workspaces.delete(row))
    assert stores.workspaces.get("w1") == newer


def test_a_stale_write_does_not_change_a_workspace_that_was_deleted_and_created_again(
    stores: Stores,
) -> None:
    gone = saved(stores, BARE)
    assert stores.workspaces.delete(gone)
    recreated = saved(stores, replace(BARE, created_at=NOW + MILLISECOND))
    assert recreated.revision == gone.revision
    assert not stores.workspaces.save(replace(gone, failures=1)).won
    assert not stores.workspaces.delete(gone)
    job = a_job()
    both = stores.lifecycle_jobs.insert_workspace_lifecycle_job(job, naming(gone, job))
    assert (both.won, both.job, both.workspace) == (False, None, recreated)
    assert stores.workspaces.get("w1") == recreated


def test_of_sixteen_writers_of_one_revision_one_wins(stores: Stores) -> None:
    row = saved(stores, BARE)
    with ThreadPoolExecutor(16) as pool:
        writes = list(
            pool.map(lambda n: stores.workspaces.save(replace(row, failures=n)), range(1, 17))
        )
    [winner] = [write.row for write in writes if write.won]
    assert stores.workspaces.get("w1") == winner
    assert all(write.row == winner for write in writes)


# -- lists ---------------------------------------------------------------------------------------


def test_workspaces_are_listed_by_id_page_by_page(stores: Stores) -> None:
    rows = {n: saved(stores, a_workspace(f"w{n}")) for n in (3, 1, 5, 2, 4)}
    first = stores.workspaces.find(2, None)
    assert (first.items, first.next_token) == ([rows[1], rows[2]], "w2")
    second = stores.workspaces.find(2, first.next_token)
    assert (second.items, second.next_token) == ([rows[3], rows[4]], "w4")
    last = stores.workspaces.find(2, second.next_token)
    assert (last.items, last.next_token) == ([rows[5]], None)


def test_a_page_that_holds_all_is_the_last(stores: Stores) -> None:
    for number in (1, 2):
        saved(stores, a_workspace(f"w{number}"))
    assert stores.workspaces.find(2, None).next_token is None


def test_no_id_is_before_an_empty_token(stores: Stores) -> None:
    row = saved(stores, BARE)
    assert stores.workspaces.find(9, "").items == [row]


def test_a_list_begins_after_a_workspace_that_no_longer_exists(stores: Stores) -> None:
    rows = [saved(stores, a_workspace(f"w{number}")) for number in (1, 2, 3)]
    assert stores.workspaces.delete(rows[1])
    assert stores.workspaces.find(9, "w2").items == [rows[2]]


# -- due times -----------------------------------------------------------------------------------


def test_workspaces_are_due_at_their_time_the_longest_due_first(stores: Stores) -> None:
    rows = [saved(stores, a_workspace(f"w{n}", due_at=NOW + n * SECOND)) for n in (3, 1, 4, 2)]
    saved(stores, a_workspace("never"))
    assert stores.workspaces.due(NOW + 3 * SECOND, 9) == ["w1", "w2", "w3"]
    assert stores.workspaces.due(NOW + 3 * SECOND - MILLISECOND, 9) == ["w1", "w2"]
    assert stores.workspaces.due(NOW + 9 * SECOND, 2) == ["w1", "w2"]
    saved(stores, replace(rows[1], due_at=NOW + 9 * SECOND))
    saved(stores, replace(rows[3], due_at=None))
    assert stores.workspaces.due(NOW + 9 * SECOND, 9) == ["w3", "w4", "w1"]


def test_a_limit_holds_although_the_due_are_in_many_shards(stores: Stores) -> None:
    for number in range(30):
        saved(stores, a_workspace(f"w{number:02}", due_at=NOW + number * MILLISECOND))
    assert stores.workspaces.due(NOW + SECOND, 20) == [f"w{number:02}" for number in range(20)]


def test_a_deleted_workspace_is_not_due(stores: Stores) -> None:
    row = saved(stores, a_workspace(due_at=NOW))
    assert stores.workspaces.delete(row)
    assert stores.workspaces.due(NOW, 9) == []


def test_of_ten_thousand_workspaces_the_twenty_due_are_listed() -> None:
    tables = MemoryTables()
    for number in range(10_000):
        due_at = NOW if number % 500 == 0 else NOW + SECOND
        tables.workspaces[f"w{number}"] = a_workspace(f"w{number}", due_at=due_at)
    due = MemoryWorkspaceStore(tables).due(NOW, 100)
    assert sorted(due) == sorted(f"w{number}" for number in range(0, 10_000, 500))


# -- what lags -----------------------------------------------------------------------------------


def test_lists_come_from_an_older_snapshot_and_rows_as_they_stand() -> None:
    tables, older = MemoryTables(), MemoryTables()
    stores = MemoryWorkspaceStore(tables, index=lambda: older)
    for n in (1, 2):
        older.workspaces[f"w{n}"] = a_workspace(f"w{n}", due_at=NOW + n * SECOND)
    tables.workspaces["w2"] = a_workspace("w2", failures=1)
    tables.workspaces["w3"] = a_workspace("w3", due_at=NOW)
    assert stores.due(NOW + SECOND, 9) == ["w1"]
    assert stores.get("w1") is None
    page = stores.find(1, None)
    assert (page.items, page.next_token) == ([], "w1")
    assert stores.find(9, page.next_token).items == [a_workspace("w2", failures=1)]


# -- DynamoDB ------------------------------------------------------------------------------------


def test_finding_what_is_due_reads_only_the_shards(aws: Aws) -> None:
    """However many there are: a query a shard, and the rows that are due."""
    for number in range(200):
        due_at = NOW if number % 10 == 0 else NOW + SECOND
        saved(aws.stores(), a_workspace(f"w{number}", due_at=due_at))
    client = Reading(aws.dynamodb)
    assert len(aws.stores(client).workspaces.due(NOW, 100)) == 20
    assert client.calls == {"query": len(SHARDS)}
    assert client.scanned == 20


def test_a_list_reads_a_page_of_keys_and_the_rows_of_that_page(aws: Aws) -> None:
    for number in range(9):
        saved(aws.stores(), a_workspace(f"w{number}"))
    client = Reading(aws.dynamodb)
    assert len(aws.stores(client).workspaces.find(3, "w1").items) == 3
    assert client.calls == {"query": 1, "batch_get_item": 1}
    assert client.scanned == 4


def test_the_index_of_lists_is_not_written_when_a_workspace_changes(aws: Aws) -> None:
    row = saved(aws.stores(), BARE)
    before = aws.workspace_item("w1")
    saved(aws.stores(), replace(FULL, revision=row.revision))
    after = aws.workspace_item("w1")
    names = ("workspace_id", "list_lane")
    assert [after[name] for name in names] == [before[name] for name in names]


def test_a_workspace_is_always_due_in_the_same_shard(aws: Aws) -> None:
    lanes = set()
    for _ in range(2):
        row = aws.stores().workspaces.get("w1") or a_workspace(due_at=NOW)
        saved(aws.stores(), replace(row, due_at=NOW + SECOND))
        lanes.add(aws.workspace_item("w1")["due_lane"]["S"])
    # Written down: rows that an earlier release has written must be found.
    assert lanes == {"4"}
    assert "due_lane" not in saved_item(aws, state=WorkspaceState.RUNNING, due_at=None)


def saved_item(aws: Aws, **values: Any) -> dict[str, Any]:
    """Change a workspace; return its row as it is stored."""
    row = aws.stores().workspaces.get("w1")
    assert row is not None
    saved(aws.stores(), replace(row, **values))
    return aws.workspace_item("w1")


@pytest.mark.parametrize(
    "write",
    [
        lambda stores: stores.workspaces.save(BARE).won,
        lambda stores: stores.workspaces.save(replace(FULL, workspace_id="there", revision=1)).won,
        lambda stores: stores.workspaces.delete(a_workspace("there", revision=1)),
    ],
    ids=["create", "save", "delete"],
)
def test_a_write_sent_again_after_a_lost_reply_is_recognised(aws: Aws, write: Any) -> None:
    saved(aws.stores(), a_workspace("there"))
    client = Interfering(aws.dynamodb, after=[timeout()])
    stores = aws.stores(client)
    with pytest.raises(Unavailable):
        write(stores)
    landed = aws.items(aws.workspaces_table)
    assert write(stores)
    assert aws.items(aws.workspaces_table) == landed
