"""Counters: what is added to them, and how far the streams are counted."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random

import pytest

from benchmarks.units import item_bytes
from shiftwork_core.adapters.dynamodb.counters import DynamoCounterStore
from shiftwork_core.adapters.memory import MemoryCounterStore
from shiftwork_core.domain.metrics.counters import (
    STEP_TOOK,
    TOOK,
    WAITED,
    Additions,
    CounterKey,
    Happened,
    Histogram,
    Subject,
)
from shiftwork_core.domain.requests.records import AttemptKey, LogLine, Step
from shiftwork_core.domain.requests.states import RequestStatus
from shiftwork_core.errors import Unavailable
from shiftwork_core.ports.metrics import (
    MAX_ROWS,
    CounterState,
    Progress,
    Rebuild,
    Table,
)
from shiftwork_core.ports.shards import SHARDS
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering, Overtaken
from tests.contract.store.lifecycle_rows import a_job, a_workspace, saved
from tests.contract.store.rows import NOW, Stores

MAIL = CounterKey(Subject.JOBS, ("mail.send",))
EPOCH = 1


def additions(
    count: int = 1, key: CounterKey = MAIL, field: str = "completed", epochs: tuple[int, ...] = (1,)
) -> Additions:
    """Return so many of something that happened in this minute."""
    added = Additions()
    added.add(Happened(key, field, count), epochs, NOW)
    return added


def add(stores: Stores, *records: str, count: int = 1) -> bool:
    """Count records of which the first decides."""
    return stores.counters.count(Table.JOBS, records, additions(count), NOW)


def test_records_are_added_to_totals_and_to_their_minute_and_kept_under_the_first(
    stores: Stores,
) -> None:
    records = ["111000000000005406789012", "111000000000005406799999", "222000000000000000000001"]
    assert stores.counters.counted_with(Table.JOBS, records[0]) is None
    assert add(stores, *records, count=3)
    kept = stores.counters.counted_with(Table.JOBS, records[0])
    assert kept is not None
    assert [*kept] == records
    assert stores.counters.counted_with(Table.JOBS, records[1]) is None
    assert stores.counters.counted_with(Table.REQUESTS, records[0]) is None
    assert stores.counters.totals(EPOCH) == {MAIL: Counter(completed=3)}
    minutes = stores.counters.minutes(NOW, NOW + timedelta(minutes=1))
    assert minutes == {NOW: {MAIL: Counter(completed=3)}}


def test_records_are_added_once_whatever_follows_the_first(stores: Stores) -> None:
    assert add(stores, "17", "18")
    assert not add(stores, "17", "18", "19")
    assert not add(stores, "17")
    assert stores.counters.totals(EPOCH) == {MAIL: Counter(completed=1)}
    assert add(stores, "19")
    assert stores.counters.totals(EPOCH) == {MAIL: Counter(completed=2)}


def test_of_many_who_count_the_same_records_one_adds(stores: Stores) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: add(stores, "17", f"2{n}"), range(8)))
    assert won.count(True) == 1
    assert stores.counters.totals(EPOCH) == {MAIL: Counter(completed=1)}


def test_records_can_be_kept_as_counted_with_others_before_them(stores: Stores) -> None:
    assert add(stores, "17", "18", "19")
    for _ in range(2):
        stores.counters.keep_counted(Table.JOBS, ["18", "19"], NOW)
    assert not add(stores, "18", "19")
    assert [*(stores.counters.counted_with(Table.JOBS, "18") or [])] == ["18", "19"]
    assert stores.counters.totals(EPOCH) == {MAIL: Counter(completed=1)}


def test_ten_thousand_records_fit_into_a_row(aws: Aws) -> None:
    stores = aws.stores()
    draw = Random(13)
    place, records = 111 * 10**21, []
    for _ in range(10_000):
        place += draw.randrange(10**9)
        records.append(str(place))
    assert add(stores, *records)
    assert [*(stores.counters.counted_with(Table.JOBS, records[0]) or [])] == records
    [row] = [row for row in aws.items(aws.counters_table) if "records" in row]
    assert len(row["records"]["B"]) < 60_000


def test_progress_never_goes_back(stores: Stores) -> None:
    early, late = NOW - timedelta(minutes=5), NOW
    for counted_to in (early, late, early):
        stores.counters.save_progress(Progress(Table.JOBS, counted_to))
    stores.counters.save_progress(Progress(Table.REQUESTS, early))
    found = {progress.table: progress.counted_to for progress in stores.counters.progress()}
    assert found == {Table.JOBS: late, Table.REQUESTS: early}


def test_numbers_of_many_batches_in_many_shards_are_summed(stores: Stores) -> None:
    for number in range(20):
        added = additions(number, field="retry")
        assert stores.counters.count(Table.JOBS, [str(number)], added, NOW)
    assert stores.counters.totals(EPOCH) == {MAIL: Counter(retry=190)}


def test_the_total_of_a_queue_expires_sooner_than_others(aws: Aws) -> None:
    """Queues of domains come and go, and each that is known is measured."""
    stores, kept = aws.stores(), {}
    for subject in Subject:
        stores.counters.add(additions(key=CounterKey(subject, ("a",))), NOW)
    for row in aws.items(aws.counters_table):
        if "#totals#" in row["part"]["S"]:
            kept[Subject(row["subject"]["S"])] = int(row["expires_at"]["N"]) - NOW.timestamp()
    days = {subject: seconds / 86_400 for subject, seconds in kept.items()}
    assert days == {**dict.fromkeys(Subject, 400), Subject.QUEUES: 7}


def test_numbers_are_read_at_half_the_price_since_they_are_never_quite_up_to_date(
    aws: Aws,
) -> None:
    """DynamoDB takes half a unit for a read that is eventually consistent."""
    client = Interfering(aws.dynamodb)
    counters = aws.stores(client).counters
    counters.totals(EPOCH)
    counters.minutes(NOW, NOW + timedelta(minutes=1))
    assert client.calls == {"query": 2 * len(SHARDS)}
    assert not any(call.get("ConsistentRead") for call in client.sent)


@pytest.mark.parametrize("label", ["", "#", 'a"b\n', "é" * 200, "x" * 2000])
def test_labels_may_be_any_text(stores: Stores, label: str) -> None:
    key = CounterKey(Subject.QUEUES, (label, "blue"))
    added = additions(key=key, field="queued")
    assert stores.counters.count(Table.JOBS, ["1"], added, NOW)
    assert stores.counters.totals(EPOCH) == {key: Counter(queued=1)}


def of_types(count: int) -> Additions:
    """Return a completion of each of so many types."""
    added = Additions()
    for number in range(count):
        added.add(Happened(CounterKey(Subject.JOBS, (str(number),)), "completed"), (EPOCH,), None)
    assert added.size == count
    return added


def test_one_transaction_takes_as_many_counters_as_the_port_says(stores: Stores) -> None:
    added = of_types(MAX_ROWS)
    assert stores.counters.count(Table.JOBS, ["1"], added, NOW)
    assert len(stores.counters.totals(EPOCH)) == MAX_ROWS
    assert stores.counters.count_rows(CounterState(1, NOW, Rebuild(2, NOW, NOW)), added, NOW)
    assert {numbers["completed"] for numbers in stores.counters.totals(EPOCH).values()} == {2}


def test_in_memory_more_counters_than_that_are_a_mistake() -> None:
    store = MemoryCounterStore()
    added = of_types(MAX_ROWS + 1)
    with pytest.raises(AssertionError):
        store.count(Table.JOBS, ["1"], added, NOW)
    with pytest.raises(AssertionError):
        store.count_rows(CounterState(1, NOW, Rebuild(2, NOW, NOW)), added, NOW)
    assert store.totals(EPOCH) == store.totals(2) == {}


def test_epochs_do_not_mix_and_one_that_is_over_can_be_dropped(stores: Stores) -> None:
    other = CounterKey(Subject.REQUESTS, ("invoice",))
    both = additions(5, epochs=(1, 2))
    both.add(Happened(other, "Queuing"), (1,), None)
    assert stores.counters.count(Table.JOBS, ["1"], both, NOW)
    assert stores.counters.totals(1) == {
        MAIL: Counter(completed=5),
        other: Counter(Queuing=1),
    }
    assert not stores.counters.drop(1, most=1)
    assert len(stores.counters.totals(1)) == 1
    assert stores.counters.drop(1, most=1)
    assert stores.counters.totals(1) == {}
    assert stores.counters.drop(1, most=1)
    assert stores.counters.totals(2) == {MAIL: Counter(completed=5)}
    assert stores.counters.minutes(NOW, NOW + timedelta(minutes=1)) == {
        NOW: {MAIL: Counter(completed=5)}
    }


def test_records_may_be_counted_that_add_nothing(stores: Stores) -> None:
    assert stores.counters.count(Table.JOBS, ["17", "18"], Additions(), NOW)
    assert not stores.counters.count(Table.JOBS, ["17"], additions(), NOW)
    assert stores.counters.totals(1) == {}


def test_series_are_read_by_the_minute_over_hours_and_midnight(stores: Stores) -> None:
    begin = NOW.replace(hour=23, minute=58)
    minutes = [begin + timedelta(minutes=n) for n in range(0, 130, 13)]
    for minute in minutes:
        added = Additions()
        added.add(Happened(MAIL, "completed"), (EPOCH,), minute)
        stores.counters.add(added, NOW)
    found = stores.counters.minutes(minutes[1], minutes[-1])
    assert sorted(found) == minutes[1:-1]
    assert stores.counters.totals(EPOCH) == {MAIL: Counter(completed=len(minutes))}


def test_the_series_of_an_hour_costs_a_query_for_each_shard(aws: Aws) -> None:
    client = Interfering(aws.dynamodb)
    aws.stores(client).counters.minutes(NOW, NOW + timedelta(hours=1))
    assert client.calls == {"query": len(SHARDS)}


def test_a_state_is_saved_only_over_the_one_that_was_read(stores: Stores) -> None:
    assert stores.counters.state() is None
    first = CounterState(epoch=1, since=NOW)
    assert stores.counters.save_state(first)
    assert stores.counters.save_state(first)  # The second sending of the same.
    assert not stores.counters.save_state(replace(first, epoch=9))
    read = stores.counters.state()
    assert read == replace(first, revision=1)
    assert read is not None
    rebuild = Rebuild(2, NOW, NOW + timedelta(seconds=75), Table.JOBS, {"id": "a"}, 7)
    gaps = {Table.JOBS: NOW - timedelta(days=2)}
    changed = replace(read, rebuild=rebuild, gaps=gaps, counts_from=NOW, replaced=(3, 4))
    assert stores.counters.save_state(changed)
    assert stores.counters.state() == replace(changed, revision=2)


def test_a_rebuild_that_has_counted_every_table_is_read_as_it_was_saved(stores: Stores) -> None:
    state = CounterState(1, NOW, Rebuild(2, NOW, NOW, table=None, after=None, rows=7))
    assert stores.counters.save_state(state)
    assert stores.counters.state() == replace(state, revision=1)


def test_rows_that_a_rebuild_counted_are_added_once_with_its_place(stores: Stores) -> None:
    begun = CounterState(1, NOW, Rebuild(2, NOW, NOW))
    assert stores.counters.save_state(begun)
    at = replace(begun, rebuild=Rebuild(2, NOW, NOW, Table.JOBS, {"id": "a"}, 7), revision=1)
    assert stores.counters.count_rows(at, additions(7, epochs=(2,)), NOW)
    stores.counters.count_rows(
        at, additions(7, epochs=(2,)), NOW
    )  # The second sending of the same.
    assert stores.counters.totals(2) == {MAIL: Counter(completed=7)}
    assert not stores.counters.count_rows(replace(at, epoch=8), additions(7, epochs=(2,)), NOW)
    assert stores.counters.totals(2) == {MAIL: Counter(completed=7)}
    assert stores.counters.state() == replace(at, revision=2)


def test_a_rebuild_adds_to_the_counters_of_several_shards(aws: Aws) -> None:
    """One shard would take all writes of a rebuild, beside its share of the streams'."""
    stores = aws.stores()
    for number, after in enumerate([None, *({"id": str(n)} for n in range(20))]):
        rebuild = Rebuild(2, NOW, NOW, Table.LIFECYCLE_JOBS, after)
        at = CounterState(1, NOW, rebuild, revision=number)
        assert stores.counters.count_rows(at, additions(epochs=(2,)), NOW)
    totals = [row for row in aws.items(aws.counters_table) if "#totals#" in row["part"]["S"]]
    assert len(totals) > 1
    assert stores.counters.totals(2) == {MAIL: Counter(completed=21)}


def test_a_scan_goes_on_behind_a_row_that_cannot_be_read(aws: Aws) -> None:
    stores = aws.stores()
    for job in range(3):
        stores.attempt(AttemptKey(1, job, 1))
    strange = {"created_at": {"S": "yesterday"}}
    aws.rows.put_item(
        TableName=aws.jobs_table, Item={**aws.attempt_item(AttemptKey(1, 1, 1)), **strange}
    )
    found = list(stores.counted_tables.scan(Table.JOBS, None))
    assert [(s.row is not None, s.is_readable) for s in found] == [
        (True, True),
        (False, False),
        (True, True),
    ]


def test_without_their_table_counters_are_unavailable(aws: Aws) -> None:
    lost = DynamoCounterStore(aws.dynamodb, "no-such-table")
    with pytest.raises(Unavailable, match="is not there: deploy it again"):
        lost.state()


def test_the_first_types_get_names_of_their_own_up_to_a_number(stores: Stores) -> None:
    named = stores.counters.named_types
    assert named("a", 2) == {"a"}
    assert named("a", 2) == {"a"}
    assert named("b", 2) == {"a", "b"}
    assert named("c", 2) == {"a", "b"}


@pytest.mark.parametrize("named_before", [[], ["a"]])
def test_a_type_that_another_process_names_at_the_same_moment_keeps_its_name(
    aws: Aws, named_before: list[str]
) -> None:
    """The other names its type between the read and the write."""
    stores = aws.stores()
    for name in named_before:
        stores.counters.named_types(name, 9)

    name_theirs = partial(stores.counters.named_types, "theirs", 9)
    overtaken = aws.stores(Overtaken(aws.dynamodb, others=[name_theirs]))
    everything = {*named_before, "theirs", "ours"}
    assert overtaken.counters.named_types("ours", 9) == everything
    assert stores.counters.named_types("ours", 9) == everything


def test_of_many_types_that_are_named_at_once_no_more_than_the_number_are(stores: Stores) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: stores.counters.named_types(f"type-{n}", 5), range(8)))
    assert len(stores.counters.named_types("another", 5)) == 5


def write_rows(stores: Stores) -> None:
    """Write rows of each kind, and some of which nothing is counted."""
    for request_id in ("r1", "r2"):
        request = stores.request(request_id)
        stores.requests.add_step(Step(request_id, 1, "list", 1, NOW, type=request.type))
        for job in range(3):
            key = AttemptKey(1, job, 1)
            stores.attempt(key, request_id=request_id)
            stores.jobs.add_logs(request_id, key, [LogLine(NOW, "well")], NOW)
    for workspace_id in ("w1", "w2"):
        workspace = saved(stores, a_workspace(workspace_id))
        planned = a_job(f"job of {workspace_id}", workspace_id)
        assert stores.lifecycle_jobs.insert_workspace_lifecycle_job(planned, workspace).won


@pytest.mark.parametrize("table", Table)
def test_a_scan_finds_every_row_once_and_goes_on_behind_any_of_them(
    stores: Stores, table: Table
) -> None:
    write_rows(stores)
    stores.counted_tables.send_beats(NOW)
    whole = list(stores.counted_tables.scan(table, None))
    assert all(scanned.is_readable for scanned in whole)
    rows = [scanned.row for scanned in whole if scanned.row is not None]
    assert len(rows) == {Table.REQUESTS: 4, Table.JOBS: 6, Table.LIFECYCLE_JOBS: 2}[table]
    for at, scanned in enumerate(whole):
        rest = list(stores.counted_tables.scan(table, scanned.key))
        assert rest == whole[at + 1 :]


@pytest.mark.parametrize(
    ("subject", "histograms", "fields"),
    [
        (Subject.JOBS, (TOOK, WAITED), ["completed", "retry", "failure", "cancelled"]),
        (
            Subject.REQUESTS,
            (TOOK, STEP_TOOK),
            [*RequestStatus, "retries", "running", "completed"],
        ),
    ],
)
def test_a_total_and_a_minute_expire_and_their_row_takes_one_write_unit(
    aws: Aws, subject: Subject, histograms: tuple[Histogram, ...], fields: list[str]
) -> None:
    """The largest counters that the catalogue knows, with numbers of a year."""
    stores = aws.stores()
    key = CounterKey(subject, ("documents.analyse-and-translate",))
    buckets = [field for one in histograms for field in (*one.bucket_fields(), one.sum_field)]
    added = Additions()
    for field in [*fields, *buckets]:
        added.add(Happened(key, field, 1_234_567), (EPOCH,), NOW)
    assert stores.counters.count(Table.JOBS, ["1"], added, NOW)
    rows = [row for row in aws.items(aws.counters_table) if "subject" in row]
    assert len(rows) == 2
    for row in rows:
        assert item_bytes(row) < 1024
        assert int(row["expires_at"]["N"]) > NOW.timestamp() + 13 * 86_400
