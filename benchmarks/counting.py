"""Count what CountOutcomes costs for a million jobs, at several rates.

The records are those of real requests of 3 steps of 20 jobs: the engine runs over stores in memory,
and each change of a row becomes a record of the stream, with its images. Records are delivered as
the template says: what a part of the stream has gathered in a window, at most so many. The counter,
its store and what is written for CloudWatch are the real ones; calls to moto are counted in units.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from unittest import mock

import boto3
from moto import mock_aws

from benchmarks.costs import MILLION, Invocations, gb_s, read_prices
from benchmarks.report import Figure, Section, at_most
from benchmarks.units import item_bytes, read_units, write_units
from shiftwork_core.adapters.dynamodb import items
from shiftwork_core.adapters.dynamodb.counted_tables import changes_in
from shiftwork_core.adapters.dynamodb.counters import DynamoCounterStore
from shiftwork_core.adapters.memory import MemoryCounterStore, MemoryTables
from shiftwork_core.callbacks import CALLBACKS
from shiftwork_core.cloudwatch import report_counts
from shiftwork_core.domain.metrics.counters import Tally
from shiftwork_core.domain.metrics.happened import Row
from shiftwork_core.domain.requests.records import Attempt, Step
from shiftwork_core.domain.requests.states import ATTEMPT_OPEN
from shiftwork_core.ports.metrics import CounterState, CounterStore, Table
from shiftwork_core.services.metrics.count import OutcomeCounter
from tests.contract.store.tables import create_table
from tests.template import load_template, resources
from tests.world.world import World

BUDGET_USD = 0.05
STEPS, JOBS_A_STEP = 3, 20
JOBS = STEPS * JOBS_A_STEP
#: An on-demand table begins with what takes 4,000 writes a second, at 1,000 for a partition. Each
#: partition is a part of the stream (limits of DynamoDB's developer guide).
PARTS = 4
#: In how many hours a million jobs are done.
HOURS = (1, 8, 24)
#: How many windows of a part are counted at each rate.
_WINDOWS = 10
#: The platform's own lines of an invocation.
_LOG_BYTES = 300

Change = tuple[Row | None, Row]
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rate:
    """What it takes to count a million jobs that are done evenly in some hours."""

    hours: float
    requests_a_window: float
    invocations: float
    write_units: float
    read_units: float
    log_bytes: float
    cpu_s: float
    usd: float


@dataclass
class Metered:
    """A client that counts calls and units, and asks moto for the size of what was written."""

    client: Any
    calls: int = 0
    write_units: float = 0.0
    read_units: float = 0.0

    def get_item(self, **parameters: Any) -> Any:
        """Read a row."""
        answer = self.client.get_item(**parameters)
        self.calls += 1
        self.read_units += read_units(item_bytes(answer.get("Item", {})), is_consistent=True)
        return answer

    def put_item(self, **parameters: Any) -> Any:
        """Write a row."""
        self.calls += 1
        self.write_units += write_units(item_bytes(parameters["Item"]))
        return self.client.put_item(**parameters)

    def transact_write_items(self, **parameters: Any) -> Any:
        """Write rows: each costs twice what it would alone."""
        answer = self.client.transact_write_items(**parameters)
        self.calls += 1
        for action in parameters["TransactItems"]:
            ((kind, write),) = action.items()
            row = write.get("Item") if kind == "Put" else self._row(write)
            self.write_units += write_units(item_bytes(row), is_transaction=True)
        return answer

    def _row(self, write: Any) -> Any:
        return self.client.get_item(TableName=write["TableName"], Key=write["Key"])["Item"]


def measure() -> tuple[list[Section], dict[str, Any]]:
    """Count at every rate; return the figures and all counts."""
    life = _life_of_a_request()
    rates = [_measure(hours, life) for hours in HOURS]
    return [Section("Counting a million jobs, 20 a step", [*map(_figure, rates)])], {
        "rates": [asdict(rate) for rate in rates]
    }


def _figure(rate: Rate) -> Figure:
    note = (
        f"{rate.write_units:,.0f} write units, {rate.invocations:,.0f} invocations, "
        f"{rate.cpu_s:,.0f} s of a processor; {rate.requests_a_window:.1f} requests a window"
    )
    name = f"done in {rate.hours:g} h"
    return replace(at_most(name, rate.usd, BUDGET_USD, "${:.3f}"), note=note)


def _measure(hours: float, life: list[Change]) -> Rate:
    """Count some windows of one part of each stream, and compute what a million jobs take."""
    function = resources("AWS::Serverless::Function")["CountOutcomesFunction"]["Properties"]
    mapping = function["Events"]["Jobs"]["Properties"]
    in_a_window = (
        MILLION / JOBS / (hours * 3600) * mapping["MaximumBatchingWindowInSeconds"] / PARTS
    )
    size = max(round(in_a_window), 1)  # Rarer than once a window, each has a window to itself.
    begins = [
        timedelta(seconds=n * mapping["MaximumBatchingWindowInSeconds"]) for n in range(_WINDOWS)
    ]
    batches = [
        batch
        for n, begin in enumerate(begins)
        for batch in _batches(life, size, n, begin, mapping["BatchSize"])
    ]
    with _counters() as (client, table):
        metered = Metered(client)
        store: Any = DynamoCounterStore(metered, table)  # type: ignore[arg-type] # All it calls.
        store.save_state(CounterState(1, World().clock()))  # Once, not once a million jobs.
        metered.calls, metered.write_units, metered.read_units = 0, 0.0, 0.0
        log_bytes = _count(store, batches) + len(batches) * _LOG_BYTES
    started = time.process_time()
    memory = MemoryCounterStore()
    memory.save_state(CounterState(1, World().clock()))
    _count(memory, batches)
    cpu_s = time.process_time() - started
    scale = MILLION / (_WINDOWS * size * JOBS)
    memory_mb = load_template()["Globals"]["Function"]["MemorySize"]
    prices = read_prices()
    per = prices["usd_per_million"]
    calls = gb_s(Invocations(len(batches), metered.calls, memory_mb))
    work = cpu_s * prices["lambda_time"]["mb_per_vcpu"] / 1024
    usd = (
        len(batches) * per["lambda_requests"]
        + metered.write_units * per["dynamodb_write_units"]
        + metered.read_units * per["dynamodb_read_units"]
    ) / MILLION
    usd += (calls + work) * prices["usd_per_lambda_gb_s"]
    usd += log_bytes / 10**9 * prices["usd_per_log_gb"]
    return Rate(
        hours,
        in_a_window,
        len(batches) * scale,
        metered.write_units * scale,
        metered.read_units * scale,
        log_bytes * scale,
        cpu_s * scale,
        usd * scale,
    )


def _count(store: CounterStore, batches: list[tuple[Table, list[Record]]]) -> int:
    """Count the batches as the function does; return how many bytes it writes for CloudWatch."""
    clock = World().clock
    counter = OutcomeCounter(store, clock, timedelta(seconds=75))
    log = io.StringIO()
    with redirect_stdout(log):
        for table, records in batches:
            counted: Tally = {}
            counter.count(table, changes_in(table, records), counted)
            report_counts(counted, clock(), str)
    return len(log.getvalue())


def _batches(
    life: list[Change], requests: int, number: int, begin: timedelta, most: int
) -> Iterator[tuple[Table, list[Record]]]:
    """Yield what the streams' parts deliver of a window in which so many requests ran."""
    records: dict[Table, list[Record]] = {Table.REQUESTS: [], Table.JOBS: []}
    for n in range(requests):
        shift = begin + timedelta(seconds=30 * n / requests)
        for old, new in life:
            table = Table.JOBS if isinstance(new, Attempt) else Table.REQUESTS
            if not isinstance(new, Attempt) or new.status not in ATTEMPT_OPEN:
                images = [_item(row, f"{number}-{n}", shift) for row in (old, new) if row]
                records[table].append(_record(images, len(records[table]), number))
    for table, found in records.items():
        for start in range(0, len(found), most):
            yield table, found[start : start + most]


def _record(images: list[Record], place: int, number: int) -> Record:
    """Return a stream's record, whose number is as long as DynamoDB's."""
    *old, new = images
    return {
        "eventName": "MODIFY" if old else "INSERT",
        "dynamodb": {
            "ApproximateCreationDateTime": World().clock().timestamp(),
            "SequenceNumber": f"{111 + number}{place * 9_876_543_211:021}",
            "Keys": {},
            "NewImage": new,
            **({"OldImage": old[0]} if old else {}),
        },
    }


def _item(row: Row, request_id: str, shift: timedelta) -> Record:
    """Return the item of a row of another request, some time later."""
    times = {
        name: value + shift
        for name in ("created_at", "started_at", "completed_at")
        if (value := getattr(row, name, None)) is not None
    }
    of_any_kind: Any = row
    moved = replace(of_any_kind, request_id=request_id, **times)
    match moved:
        case Attempt():
            return items.attempt_item(moved)
        case Step():
            return items.step_item(moved)
        case _:
            return items.request_item(moved)


def _life_of_a_request() -> list[Change]:
    """Run a request; return every change of its rows."""
    world = World()
    changes: list[Change] = []
    with mock.patch.dict(CALLBACKS), ExitStack() as patches:
        for name in ("put_request", "put_step", "put_attempt"):
            patches.enter_context(_noted(name, changes))
        for step in range(1, STEPS + 1):
            world.job_type(f"bench.step-{step}", lambda job: {})
        world.request_type(
            "bench.request",
            *(
                [{"name": f"job-{n}", "type": f"bench.step-{step}"} for n in range(JOBS_A_STEP)]
                for step in range(1, STEPS + 1)
            ),
        )
        world.submit("bench.request")
        world.run()
    ended = [new for _, new in changes if isinstance(new, Attempt)]
    if sum(row.status not in ATTEMPT_OPEN for row in ended) != JOBS:
        raise RuntimeError("the request did not do all its jobs")
    return changes


@contextmanager
def _noted(name: str, changes: list[Change]) -> Iterator[None]:
    """Note the changes that a method of the tables makes."""
    put = getattr(MemoryTables, name)

    def note(self: MemoryTables, row: Any) -> Any:
        match row:
            case Attempt():
                old: Any = self.attempt(row.request_id, row.key)
            case Step():
                old = self.step(row.request_id, row.index)
            case _:
                old = self.requests.get(row.request_id)
        changes.append((old, row))
        return put(self, row)

    with mock.patch.object(MemoryTables, name, note):
        yield


@contextmanager
def _counters() -> Iterator[tuple[Any, str]]:
    """Make an empty table of counters."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with mock.patch.dict("os.environ", keys), mock_aws():
        client = boto3.client("dynamodb", "us-east-1")
        yield client, create_table(client, "CountersTable", "counters")
