"""Measure the loads of docs/explanation/load.md in the quota model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.quotas.isolation import Crowd, Isolation
from benchmarks.quotas.scenarios import (
    Load,
    Outage,
    Run,
    at_the_second_try,
    evenly,
    in_a_second,
)
from benchmarks.quotas.workers import Crew
from benchmarks.report import Figure, Section, at_most
from shiftwork_platform.cloud.process import moment

#: No partition may be asked for more than its quota.
QUOTA = 1.0
MAX_WIDE_S = 60.0
#: Within so many seconds each request starts in the peak minute of a day of a million requests,
#: and so many that share a `start_at`.
MAX_START_S, MAX_SAME_START_S = 10.0, 30.0
#: Two sweeps' periods.
MAX_FRESH_S = 120.0
#: A million requests a day, twenty times the mean for a minute.
PEAK_REQUESTS = 1_000_000 * 20 // (24 * 60)

COUNTED = Load("3 steps of 20 jobs, 10 a batch", [0.0], 20, steps=3, batch_size=10)
WIDE = Load("10,000 jobs in one step", [0.0], 10_000)
RETRIED = Load(
    "10,000 jobs that are each retried once",
    [0.0],
    10_000,
    do=at_the_second_try,
    retry={"max_attempts": 3, "delay_s": 1},
)
PEAK = Load("a peak minute", evenly(PEAK_REQUESTS, 60), 3, do=in_a_second)
#: 3,200 jobs a second for workers come in for five seconds.
POLLED = Load(
    "jobs for workers, a queue of 8 shards",
    evenly(32, 5),
    500,
    crew=Crew(320, room=20, shards=8),
)
MIN_POLLED_A_SECOND = 3_000
#: A wide step of small jobs, as a step of rows of a file is.
SHARED = Load(
    "1,000,000 jobs of a manifest in blocks of 100", [0.0], 1_000_000, batch_size=10, block=100
)
#: Of SHARED.
MAX_SHARED_S, MAX_SHARED_USD = 100.0, 0.50
ON_NEW_TABLES = replace(SHARED, name="the same on new tables", is_new_table=True)
SAME_START = Load("10,000 requests of one start_at", evenly(10_000, 60), 1, start_at_s=180)
#: As many workers as an account may run functions at once.
IDLE = {
    "1,000 idle workers that wait at the server, and 10,000 jobs": Crowd(1_000, 10_000, True),
    "1,000 idle workers as they are by default, and 10,000 jobs": Crowd(1_000, 10_000, False),
}
OUTAGE = Load("10,000 requests whose executions died in an outage", evenly(10_000, 60), 1)

_EMULATOR = Path(__file__).parents[1] / "results" / "latest.json"
_OPERATIONS = {
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "GetItem": "get_item",
    "Query": "query",
}
_FUNCTIONS = {"AdvanceRequestFunction": "advance_request", "RunJobsFunction": "run_jobs"}


def measure() -> tuple[list[Section], dict[str, Any]]:
    """Run every load; return the figures, and the busiest partitions of each."""
    details: dict[str, Any] = {}
    sections = [Section("The quota model counts what the emulator counts", agreement())]
    for load, bounds in (
        (WIDE, {"ended": MAX_WIDE_S}),
        (SHARED, {"dispatched": MAX_SHARED_S, "ended": MAX_SHARED_S, "usd": MAX_SHARED_USD}),
        (RETRIED, {}),
        (PEAK, {"started": MAX_START_S}),
        (SAME_START, {"started": MAX_SAME_START_S}),
        (POLLED, {}),
    ):
        run = Run(load).play()
        sections.append(Section(f"The quota model: {load.name}", list(_figures(run, bounds))))
        details[load.name] = _details(run)
    new = Run(ON_NEW_TABLES).play()
    sections.append(Section(f"The quota model: {new.load.name}", list(_of_new_tables(new))))
    for name, crowd in IDLE.items():
        figures = list(Isolation(crowd).play().figures())
        sections.append(Section(f"The quota model: {name}", figures))
    outage = Outage(OUTAGE).play()
    fresh = _seconds(
        "the last fresh execution after the first sweep, s", outage.fresh_s(), MAX_FRESH_S
    )
    sections.append(Section(f"The quota model: {OUTAGE.name}", [fresh, *_figures(outage, {})]))
    details[OUTAGE.name] = _details(outage)
    return sections, details


def agreement() -> list[Figure]:
    """Compare the calls of the engine's functions with those that the emulator counted."""
    counted = json.loads(_EMULATOR.read_text())["counts"]["details"][COUNTED.name]["calls"]
    emulator = {
        (_FUNCTIONS[c["function"]], _OPERATIONS[operation], c["table"]): c["times"]
        for c in counted
        if c["function"] in _FUNCTIONS
        and (operation := c["operation"].removeprefix("dynamodb.")) in _OPERATIONS
        # Whether a definition is read again depends on how many environments there are.
        and c["table"] != "DefinitionsTable"
    }
    model = Run(COUNTED).play().model.calls
    return [
        Figure(
            f"{function}: {operation} of {table}",
            str(model[function, operation, table]),
            str(times),
            model[function, operation, table] == times,
        )
        for (function, operation, table), times in sorted(emulator.items())
    ]


def _figures(run: Run, bounds: dict[str, float]) -> list[Figure]:
    model, load = run.model, run.load
    ended, delays = run.durations_s(), run.delays_s()
    [hot] = run.model.partitions.hottest(1)
    kind = "writes" if hot.is_write else "reads"
    where = f"{kind} of {hot.partition.table} {hot.partition.index}".rstrip()
    return [
        at_most("busiest partition, of its quota", hot.peak, QUOTA, "{:.2f} x", where),
        Figure(
            "calls that partitions throttled; that gave up",
            f"{model.partitions.throttled:,}; {model.given_up:,}",
            "0; 0",
            model.partitions.throttled == 0 and model.given_up == 0,
        ),
        Figure(
            "requests that ended",
            f"{len(ended):,}",
            f"{len(load.at_s):,}",
            len(ended) == len(load.at_s),
        ),
        _seconds("the last request started after, s", delays, bounds.get("started")),
        *([_dispatched(run, bounds["dispatched"])] if "dispatched" in bounds else []),
        _seconds("the longest request took, s", ended, bounds.get("ended")),
        Figure(
            "Lambda: most at once; calls refused",
            f"{model.functions.peak:,}; {model.functions.throttled.total():,}",
            note=", ".join(f"{name} {n:,}" for name, n in model.functions.throttled.items()),
        ),
        Figure(
            "starts, wake-ups that Step Functions throttled",
            f"{model.machine.throttled_starts:,}; {model.machine.throttled_wakes:,}",
        ),
        *([_rate(run)] if load.crew is not None else []),
        Figure("write units a job", f"{model.partitions.write_units / load.jobs:.2f}"),
        _cost(run, bounds.get("usd")),
    ]


def _of_new_tables(run: Run) -> Iterator[Figure]:
    """Yield the figures of SHARED where calls are throttled: none of them is lost."""
    partitions, budget = run.model.partitions, MAX_SHARED_S
    yield Figure(
        "calls that tables throttled; that gave up, and were made again",
        f"{partitions.throttled_by_tables:,}; {run.model.given_up:,}",
    )
    runs, batches = run.model.functions.invocations["run_jobs"], SHARED.width // 1_000
    yield Figure("batches that ran again", f"{runs - batches:,}", "0", runs == batches)
    yield _dispatched(run, budget)
    yield _seconds("the longest request took, s", run.durations_s(), budget)
    yield _cost(run, MAX_SHARED_USD)


def _cost(run: Run, budget: float | None) -> Figure:
    usd = run.usd_a_million_jobs()
    parts = sorted(usd.items(), key=lambda item: -item[1])
    note = ", ".join(f"{name.replace('_', ' ')} {cost:.2f}" for name, cost in parts if cost > 0.005)
    name, total = "cost of a million such jobs", sum(usd.values())
    if budget is None:
        return Figure(name, f"${total:.2f}", note=note)
    return at_most(name, total, budget, "${:.2f}", note)


def _dispatched(run: Run, budget: float) -> Figure:
    """Return how long after the request's submission the last batch of a lone request began."""
    [request] = run.requests()
    submitted_s = (request.created_at - moment(0)).total_seconds()
    began_s = run.model.functions.last_began_s["run_jobs"]
    return at_most("the last batch began after, s", began_s - submitted_s, budget, "{:.1f}")


def _rate(run: Run) -> Figure:
    rate = run.jobs_a_second()
    return Figure(
        "jobs that completed a second",
        f"{rate:,.0f}",
        f">= {MIN_POLLED_A_SECOND:,}",
        rate >= MIN_POLLED_A_SECOND,
        "the middle half of them",
    )


def _seconds(name: str, found: list[float], budget: float | None) -> Figure:
    if not found:
        return Figure(name, "never", is_held=None if budget is None else False)
    if budget is None:
        return Figure(name, f"{found[-1]:.1f}")
    return at_most(name, found[-1], budget, "{:.1f}")


def _details(run: Run) -> dict[str, Any]:
    return {
        "partitions": [
            {
                "table": hot.partition.table,
                "index": hot.partition.index,
                "key": hot.partition.key,
                "kind": "write" if hot.is_write else "read",
                "of_its_quota": round(hot.peak, 2),
                "throttled": hot.throttled,
            }
            for hot in run.model.partitions.hottest(6)
        ],
        "invocations": dict(run.model.functions.invocations),
    }
