"""What one scrape of a large platform reads from DynamoDB, call by call."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shiftwork_core.adapters.dynamodb import namespaces
from shiftwork_core.adapters.dynamodb.counters import DynamoCounterStore
from shiftwork_core.domain.metrics.catalogue import COUNTERS, HISTOGRAMS, HistogramMetric
from shiftwork_core.domain.metrics.counters import Additions, CounterKey, Subject, Tally
from shiftwork_core.domain.requests.definitions import Definition, Kind
from shiftwork_core.domain.workers import workers as domain
from shiftwork_core.domain.workers.workers import Liveness, WorkerStatus
from shiftwork_core.ports.metrics import CounterState
from shiftwork_core.ports.shards import SHARDS
from shiftwork_core.services.metrics.gauges import GaugeReader, Sources
from shiftwork_platform.wiring import one_after_the_other
from tests.contract.store.conftest import Aws
from tests.contract.store.interfering import Interfering
from tests.contract.store.rows import NOW, Stores
from tests.world.counters import Letters

TYPES = [f"department.kind-of-work-{number:03}" for number in range(100)]
WORKERS = 1000
EPOCH = 1
#: As full as every shard of a large platform; the others cost a query each, too.
FULL_SHARDS = SHARDS[:2]


def every_counter() -> Tally:
    """Return a counter for each type with every field that a metric shows."""
    tally: Tally = {}
    for metric in (*COUNTERS, *HISTOGRAMS):
        if isinstance(metric, HistogramMetric):
            fields = (*metric.histogram.bucket_fields(), metric.histogram.sum_field)
        else:
            fields = metric.fields
        for name in TYPES if metric.labels[0] == "type" else ():
            labels = (name, "")[: len(metric.labels)]
            counter = tally.setdefault(CounterKey(metric.subject, labels), Counter())
            counter |= Counter(dict.fromkeys(fields, 1_234_567))
    return tally


def count_in_shards(aws: Aws, tally: Tally) -> None:
    """Write the counters to some shards as the store would, but many at once."""
    one = {key: Counter([next(iter(fields))]) for key, fields in tally.items()}
    aws.stores().counters.add(Additions({EPOCH: one}), NOW)
    puts = []
    for row in aws.items(aws.counters_table):
        key = CounterKey(Subject(row["subject"]["S"]), tuple(json.loads(row["labels"]["S"])))
        numbers = {field: {"N": str(number)} for field, number in tally[key].items()}
        for shard in FULL_SHARDS:
            item = {**row, **numbers, "part": {"S": f"{EPOCH}#totals#{shard}"}}
            puts.append({"PutRequest": {"Item": namespaces.to_stored(namespaces.COUNTERS, item)}})
    for start in range(0, len(puts), 25):
        some = {aws.counters_table: puts[start : start + 25]}
        assert not aws.dynamodb.batch_write_item(RequestItems=some)["UnprocessedItems"]


def reader_of(stores: Stores) -> GaugeReader:
    """Return a reader that makes its calls one after the other, so that they can be counted."""
    sources = Sources(
        definitions=stores.definitions,
        requests=stores.requests,
        jobs=stores.jobs,
        workers=stores.workers,
        lifecycle_jobs=stores.lifecycle_jobs,
        counters=stores.counters,
        dead_letters=Letters(),
    )
    return GaugeReader(sources, Liveness(), lambda: NOW, one_after_the_other)


def test_a_scrape_reads_one_page_of_each_shard_and_few_rows_else(aws: Aws) -> None:
    stores = aws.stores()
    tally = every_counter()
    count_in_shards(aws, tally)
    assert stores.counters.save_state(CounterState(EPOCH, NOW - timedelta(days=30)))
    for name in TYPES:
        body: dict[str, Any] = {"target": "worker"}
        assert stores.definitions.put(Definition(Kind.JOB_TYPE, name, 1, body, "2026-01-31"))
    for number in range(WORKERS):
        row = domain.registered(
            None, f"host-{number:04}", "", TYPES[:3], 2, NOW, Liveness(), generation="g1"
        )
        assert stores.workers.save(replace(row, polls={})).won
    client = Interfering(aws.dynamodb)
    reader = reader_of(aws.stores(client))
    scrape = reader.scrape()
    assert scrape.totals == {
        key: Counter({field: len(FULL_SHARDS) * number for field, number in fields.items()})
        for key, fields in tally.items()
    }
    assert len(scrape.gauges.queues) == len(TYPES)
    assert scrape.gauges.workers[WorkerStatus.IDLE] == WORKERS
    indexes = Counter(sent.get("IndexName") for sent in client.sent)
    assert indexes["by_queue"] == 2 * len(TYPES)
    assert indexes["by_due"] == 5 * len(SHARDS)  # Lifecycle jobs; two lanes of requests, twice.
    assert indexes["by_name"] == 1
    progress = 1
    assert client.calls == {
        "get_item": 1,  # The counters' state.
        "query": len(SHARDS)
        + progress
        + sum(indexes[name] for name in ("by_queue", "by_due", "by_name")),
        "batch_get_item": 1,  # Definitions.
        "scan": 1,  # Workers, one page.
    }


def test_without_the_counters_table_everything_else_is_measured(aws: Aws) -> None:
    stores = replace(aws.stores(), counters=DynamoCounterStore(aws.dynamodb, "gone"))
    stores.attempt(is_polled=True, type=TYPES[0])
    definition = Definition(Kind.JOB_TYPE, TYPES[0], 1, {"target": "worker"}, "2026-01-31")
    assert stores.definitions.put(definition)
    scrape = reader_of(stores).scrape()
    assert (scrape.gauges.counters_up, scrape.totals) == (False, {})
    assert [queue.jobs for queue in scrape.gauges.queues] == [1]
    assert scrape.gauges.lost_workers == 0
