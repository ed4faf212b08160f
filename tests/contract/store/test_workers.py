"""Workers' records are written under their revision, and tokens are used once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shiftwork_core.domain.workers.workers import Poll, Worker, WorkerKind, WorkerStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.shards import SHARDS
from shiftwork_core.ports.stores import MOST_LOOKED_AT, Page
from tests.contract.store.conftest import Aws, ModelledAws
from tests.contract.store.interfering import Interfering, timeout
from tests.contract.store.rows import NOW, SECOND, WORKERS_KEPT, Stores, sent_twice
from tests.contract.store.test_dynamodb import size_bytes

FULL = Worker(
    worker_id="host-1",
    hostname="host 1",
    kind=WorkerKind.DERIVED,
    last_seen_at=NOW,
    last_status_update_at=NOW + SECOND,
    address="http://host-1:2112",
    routes=("gpu.render", "mail.send"),
    active=False,
    is_drained=True,
    drained_for=("stop-1", "stop-2"),
    status=WorkerStatus.AVAILABLE,
    running_build_ids=("r1.1.0.1", "r1.1.1.1"),
    build_limit=3,
    error="the GPU is gone: Ärger",
    last_build_started_at=NOW + 2 * SECOND,
    last_build_finished_at=NOW + 3 * SECOND,
    last_checked_in=NOW + 4 * SECOND,
    lapsed_at=NOW + 5 * SECOND,
    polls={"gpu.render#eu": Poll(NOW + timedelta(milliseconds=7), 2)},
    watch_at=NOW + 90 * SECOND,
    generation="g1",
)
BARE = Worker("host-2", "host-2", WorkerKind.REGISTERED, NOW, NOW)


def saved(stores: Stores, worker: Worker) -> Worker:
    """Write a record; return it as it is read."""
    write = stores.workers.save(worker)
    assert write.won and write.row is not None
    return write.row


@pytest.mark.parametrize("worker", [FULL, BARE], ids=["full", "bare"])
def test_a_record_is_read_back_as_it_was_written(stores: Stores, worker: Worker) -> None:
    write = sent_twice(lambda: stores.workers.save(worker))
    assert write.won
    assert write.row == stores.workers.get(worker.worker_id) == replace(worker, revision=1)
    bare = replace(BARE, worker_id=worker.worker_id, revision=1)
    assert sent_twice(lambda: stores.workers.save(bare)).won
    assert stores.workers.get(worker.worker_id) == replace(bare, revision=2)


def test_an_unknown_worker_has_no_record(stores: Stores) -> None:
    assert stores.workers.get("host-1") is None
    assert list(stores.workers.all()) == []


def test_a_writer_with_an_older_revision_loses_and_sees_the_winner(stores: Stores) -> None:
    first = saved(stores, BARE)
    winner = saved(stores, replace(first, error="broken"))
    for loser in (replace(first, active=False), replace(BARE, active=False)):
        write = sent_twice(lambda loser=loser: stores.workers.save(loser))  # type: ignore[misc]
        assert (write.won, write.row) == (False, winner)
    assert stores.workers.get("host-2") == winner


def test_a_deleted_record_is_not_written_again_by_a_writer_that_saw_it(stores: Stores) -> None:
    row = saved(stores, BARE)
    assert sent_twice(lambda: stores.workers.delete(row))
    write = stores.workers.save(row)
    assert (write.won, write.row) == (False, None)
    assert stores.workers.get("host-2") is None


def test_a_record_that_was_written_since_is_not_deleted(stores: Stores) -> None:
    row = saved(stores, BARE)
    newer = saved(stores, replace(row, active=False))
    assert not stores.workers.delete(row)
    assert stores.workers.get("host-2") == newer


def test_of_sixteen_writers_of_one_revision_one_wins(stores: Stores) -> None:
    row = saved(stores, BARE)
    with ThreadPoolExecutor(16) as pool:
        writes = list(
            pool.map(lambda n: stores.workers.save(replace(row, build_limit=n)), range(2, 18))
        )
    [winner] = [write.row for write in writes if write.won]
    assert stores.workers.get("host-2") == winner
    assert all(write.row == winner for write in writes)


def test_all_records_are_read(stores: Stores) -> None:
    for number in (3, 1, 2):
        saved(stores, replace(BARE, worker_id=f"host-{number}"))
    ids = [worker.worker_id for worker in stores.workers.all()]
    assert sorted(ids) == ["host-1", "host-2", "host-3"]


def ids_on(page: Page[Worker]) -> list[str]:
    return [worker.worker_id for worker in page.items]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_workers_are_listed_by_id_page_by_page(stores: Stores, limit: int) -> None:
    ids = [f"host-{number}" for number in (3, 1, 6, 2, 7, 5, 4)]
    for worker_id in ids:
        saved(stores, replace(BARE, worker_id=worker_id, active=worker_id != "host-4"))
    found: list[str] = []
    token: str | None = ""
    while token is not None:
        page = stores.workers.find(lambda worker: worker.active, limit, token)
        assert len(page.items) <= limit
        found += ids_on(page)
        token = page.next_token
    assert found == sorted({*ids} - {"host-4"})


def test_a_worker_that_was_deleted_is_on_no_page(stores: Stores) -> None:
    rows = [saved(stores, replace(BARE, worker_id=f"host-{number}")) for number in range(3)]
    stores.workers.delete(rows[1])
    page = stores.workers.find(lambda _: True, 9, None)
    assert ids_on(page) == ["host-0", "host-2"]


def test_one_worker_of_many_is_found_in_pages_that_read_a_bounded_number_of_rows(
    modelled: ModelledAws,
) -> None:
    many, wanted = 2_000, "host-1777"
    client = Interfering(modelled.dynamodb)
    stores = modelled.stores(client, sleep=lambda seconds: None)
    for number in range(many):
        stores.workers.save(replace(BARE, worker_id=f"host-{number:04}"))
    found: list[str] = []
    pages, token = 0, None
    while pages == 0 or token is not None:
        client.sent.clear()
        page = stores.workers.find(lambda worker: worker.worker_id == wanted, 50, token)
        asked = [len(k["Keys"]) for c in client.sent for k in c.get("RequestItems", {}).values()]
        assert MOST_LOOKED_AT <= sum(asked) <= MOST_LOOKED_AT + 100 or page.next_token is None
        found, pages, token = found + ids_on(page), pages + 1, page.next_token
    assert (found, pages) == ([wanted], many // MOST_LOOKED_AT)


def test_a_short_page_of_workers_reads_one_chunk_of_rows(modelled: ModelledAws) -> None:
    client = Interfering(modelled.dynamodb)
    stores = modelled.stores(client, sleep=lambda seconds: None)
    for number in range(300):
        stores.workers.save(replace(BARE, worker_id=f"host-{number:04}"))
    client.calls.clear()
    assert len(stores.workers.find(lambda _: True, 50, None).items) == 50
    assert client.calls == {"query": 1, "batch_get_item": 1}


def test_a_sweep_finds_the_workers_to_check_the_longest_due_first(stores: Stores) -> None:
    rows = [
        saved(stores, replace(BARE, worker_id=f"host-{n}", watch_at=NOW + n * SECOND))
        for n in (3, 1, 2)
    ]
    saved(stores, replace(BARE, worker_id="declared_lost"))
    assert list(stores.workers.watched(NOW + 3 * SECOND)) == ["host-1", "host-2"]
    saved(stores, replace(rows[1], watch_at=NOW + 9 * SECOND))
    saved(stores, replace(rows[2], watch_at=None))
    assert list(stores.workers.watched(NOW + 10 * SECOND)) == ["host-3", "host-1"]


# -- tokens --------------------------------------------------------------------------------------


def test_a_token_is_used_once(stores: Stores) -> None:
    expires_at = NOW + 60 * SECOND
    assert sent_twice(lambda: stores.tokens.use("t1", "call-1", expires_at))
    assert not stores.tokens.use("t1", "call-2", expires_at)
    assert stores.tokens.use("t2", "call-2", expires_at)


def test_a_repeated_use_of_a_token_may_name_another_expiry(stores: Stores) -> None:
    for later in (0, 1):
        assert stores.tokens.use("t1", "call-1", NOW + later * SECOND)


def test_of_sixteen_users_of_one_token_one_wins(stores: Stores) -> None:
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda n: stores.tokens.use("t1", f"call-{n}", NOW), range(16)))
    assert sum(won) == 1


# -- DynamoDB ------------------------------------------------------------------------------------


def test_a_heartbeat_costs_one_write_of_one_unit_and_touches_no_index(aws: Aws) -> None:
    client = Interfering(aws.dynamodb)
    stores = aws.stores(client)
    ids = [f"0b6f6f0e-3c4e-4d0b-8f5e-5a1f0d9a7c{n:02}.1.0.1" for n in range(8)]
    before = saved(stores, replace(FULL, running_build_ids=tuple(ids), build_limit=8))
    index = {"watch_lane", "watch_at"}
    keys = {name: aws.worker_item("host-1")[name] for name in index}
    client.calls.clear()
    after = replace(before, last_seen_at=NOW + 60 * SECOND, running_build_ids=tuple(ids[1:]))
    saved(stores, after)
    assert client.calls == {"put_item": 1}
    item = aws.worker_item("host-1")
    assert {name: item[name] for name in index} == keys
    assert size_bytes(item) <= 1024


def test_silent_workers_lie_in_many_partitions_of_the_index(aws: Aws) -> None:
    stores = aws.stores()
    for number in range(40):
        saved(stores, replace(FULL, worker_id=f"host-{number}"))
    rows = aws.rows.scan(TableName=aws.workers_table, IndexName="by_liveness")["Items"]
    assert len({row["watch_lane"]["S"] for row in rows}) == len(SHARDS)


def test_a_record_stores_no_defaults(aws: Aws) -> None:
    saved(aws.stores(), BARE)
    assert set(aws.worker_item("host-2")) == {
        "worker_id",
        "hostname",
        "kind",
        "list_lane",
        "routes",
        "active",
        "status",
        "running_build_ids",
        "build_limit",
        "last_seen_at",
        "last_status_update_at",
        "polls",
        "revision",
        "expires_at",
    }


def test_a_record_expires_a_fixed_time_after_the_worker_was_last_seen(aws: Aws) -> None:
    saved(aws.stores(), BARE)
    expires_at = int(aws.worker_item("host-2")["expires_at"]["N"])
    assert expires_at == (NOW + WORKERS_KEPT).timestamp()


def test_a_used_token_is_forgotten_when_it_has_expired(aws: Aws) -> None:
    aws.stores().tokens.use("t1", "call-1", NOW)
    row = aws.rows.get_item(TableName=aws.tokens_table, Key={"token_id": {"S": "t1"}})["Item"]
    assert int(row["expires_at"]["N"]) == NOW.timestamp()


@pytest.mark.parametrize(
    "write",
    [
        lambda stores: stores.workers.save(BARE).won,
        lambda stores: stores.workers.save(replace(BARE, revision=1, worker_id="there")).won,
        lambda stores: stores.workers.delete(replace(BARE, revision=1, worker_id="there")),
        lambda stores: stores.tokens.use("t1", "call-1", NOW),
    ],
    ids=["create", "save", "delete", "use"],
)
def test_a_write_whose_reply_was_lost_is_recognised_when_it_is_sent_again(
    aws: Aws, write: Any
) -> None:
    saved(aws.stores(), replace(BARE, worker_id="there"))
    client = Interfering(aws.dynamodb, after=[timeout()])
    stores = aws.stores(client)
    with pytest.raises(Unavailable):
        write(stores)
    assert write(stores)
