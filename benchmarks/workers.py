"""Compare this SDK's runner with conductor-python's on one stack; count what a polled job costs."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from benchmarks import idle
from benchmarks.costs import read_prices
from benchmarks.crew import OURS, THEIRS, Worker, worker
from benchmarks.deployment import Deployment, aws
from benchmarks.meter import Call, Meter, check_accounting
from benchmarks.report import Figure, Section, at_most
from shiftwork.api.client import ShiftworkClient
from shiftwork.api.task_shapes import Want

# What workers must reach: against conductor-python's, then in absolute figures.
MIN_SPEEDUP, MAX_REQUESTS = 3.0, 0.5
MAX_IDLE_REQUESTS_S, MAX_DELAY_S = 0.2, 1.0
MAX_UNITS, MAX_WASTE = 6.0, 0.1

_THREADS = 20
_JOBS, _ROUNDS = 200, 3
_IDLE_S = {OURS: 60.0, THEIRS: 20.0}
_SETTLE_S = 3.0
_BURSTS, _BURST_JOBS = 20, 5
_PRICED_JOBS = 100
_POLLERS, _CONTENDED_JOBS, _CONTENDED_COUNT = 32, 1000, 5
_POLL_S = 0.1
_PATIENCE_S = 300.0
_POLLS = "ServeTasksFunction"
_ENGINE = ("RunJobsFunction", "AdvanceRequestFunction", _POLLS)


def measure(deployment: Deployment) -> tuple[list[Section], dict[str, Any]]:
    """Measure the speed and the idling of both programs in one run."""
    bench = _Bench(deployment)
    load = os.getloadavg()[0]
    speed, rounds = _measure_speed(bench)
    note = f"load average before: {load:.1f} on {os.cpu_count()} processors"
    title = f"Empty tasks in {_THREADS} threads, medians of {_ROUNDS} rounds, {note}"
    sections = [Section(title, speed)]
    idle, bursts = _measure_idling(bench)
    sections.append(Section("A process with nothing to do", idle))
    return sections, {"rounds": rounds, "bursts": bursts}


def measure_writes(deployment: Deployment) -> tuple[list[Section], dict[str, Any]]:
    """Count what polled jobs write, and price waiting for them."""
    bench = _Bench(deployment)
    with _metered(deployment) as meter:
        units, split = _measure_units(bench, meter)
        waiting = _measure_waiting(bench, meter)
    sections = [
        Section("Write units per polled job", units),
        Section("What an idle process costs on AWS", waiting),
    ]
    return sections, {"write_units": split}


def measure_contention(deployment: Deployment) -> tuple[list[Section], dict[str, Any]]:
    """Count the claims that pollers lose to each other."""
    with _metered(deployment) as meter:
        contention = _measure_contention(_Bench(deployment), meter)
    return [Section(f"{_POLLERS} pollers at a queue of {_CONTENDED_JOBS:,}", contention)], {}


@contextmanager
def _metered(deployment: Deployment) -> Iterator[Meter]:
    check_accounting(aws("dynamodb"))
    with Meter(deployment.endpoint).running() as meter:
        for function in _ENGINE:
            deployment.set_environment(function, meter.environment(function))
        yield meter


class _Bench:
    """Requests of polled jobs."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.api = deployment.api

    def new_type(self) -> str:
        """Put a job type with a queue of its own, and a request type of its jobs under its name."""
        name = f"bench.polled-{time.monotonic_ns()}"
        # No lease lapses, however slow the machine is: so no job is claimed twice.
        job_type = {"target": "worker", "worker": {"response_timeout_s": 3600}}
        self.api.put_definition("job-type", name, job_type)
        jobs = [{"name": "job", "type": name, "for_each": "params.items"}]
        body = {"params": {"type": "object"}, "steps": [{"name": "only", "jobs": jobs}]}
        self.api.put_definition("request-type", name, body)
        return name

    def submit(self, type: str, jobs: int) -> str:
        """Submit a request with that number of jobs."""
        return self.api.submit(type, {"items": list(range(jobs))})["request_id"]

    def queue(self, type: str, jobs: int) -> str:
        """Submit a request, and return its id once all of its jobs wait in the queue."""
        request_id = self.submit(type, jobs)
        self._wait(lambda: sum(1 for _ in self.api.jobs(request_id, status="new")) == jobs)
        return request_id

    def wait_until_ended(self, request_id: str) -> None:
        """Wait until the request has completed."""
        self._wait(lambda: self.api.get(request_id)["status"] == "Completed")

    def times(self, request_id: str, what: str) -> list[float]:
        """Return a time of each of a request's attempts."""
        found: list[dict[str, Any]] = [dict(row) for row in self.api.jobs(request_id)]
        return [datetime.fromisoformat(row[what]).timestamp() for row in found]

    def _wait(self, is_so: Any) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not is_so():
            if time.monotonic() > deadline:
                raise RuntimeError(f"it took more than {_PATIENCE_S:g} s")
            time.sleep(_POLL_S)


# -- tasks per second ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Round:
    """How fast a process emptied a queue of empty tasks."""

    program: str
    tasks_per_s: float
    requests_per_task: float


def _measure_speed(bench: _Bench) -> tuple[list[Figure], list[dict[str, Any]]]:
    """Let the programs do as many tasks in turn; the first round of each warms up."""
    rounds = [
        _time_round(bench, program) for _ in range(1 + _ROUNDS) for program in (OURS, THEIRS)
    ][2:]

    def median(program: str, what: str) -> float:
        return float(statistics.median(getattr(r, what) for r in rounds if r.program == program))

    speed, their_speed = median(OURS, "tasks_per_s"), median(THEIRS, "tasks_per_s")
    requests, their_requests = (median(p, "requests_per_task") for p in (OURS, THEIRS))
    speedup = speed / their_speed
    figures = [
        Figure(
            "tasks per second and process, against conductor-python's",
            f"{speedup:.1f} x",
            f"{MIN_SPEEDUP:.1f} x",
            speedup >= MIN_SPEEDUP,
            f"{speed:.0f} and {their_speed:.0f} a second; from a process's first poll to the last "
            f"outcome of {_JOBS} jobs that were queued before",
        ),
        at_most(
            "HTTP requests per task, against conductor-python's",
            requests / their_requests,
            MAX_REQUESTS,
            "{:.2f} x",
            f"{requests:.2f} and {their_requests:.2f} per task, as httpx and httpx2 sent them",
        ),
    ]
    return figures, [asdict(r) for r in rounds]


def _time_round(bench: _Bench, program: str) -> _Round:
    type_ = bench.new_type()
    request_id = bench.queue(type_, _JOBS)
    with worker(program, type_, _THREADS) as process:
        process.wait_for_tasks(_JOBS)
        bench.wait_until_ended(request_id)
        start = process.first_poll.at
        end = max(bench.times(request_id, "completed_at"))
        requests = len(process.sent(start, end))
    return _Round(program, _JOBS / (end - start), requests / _JOBS)


# -- idling --------------------------------------------------------------------------------------


def _measure_idling(bench: _Bench) -> tuple[list[Figure], dict[str, list[float]]]:
    """Let each program idle, then give it bursts of jobs at random moments."""
    idle: dict[str, float] = {}
    bursts: dict[str, list[float]] = {}
    for program in (OURS, THEIRS):
        type_ = bench.new_type()
        with worker(program, type_, _THREADS) as process:
            # Now its functions are warm. Wait until it polls as an idle process does.
            bench.wait_until_ended(bench.submit(type_, _BURST_JOBS))
            time.sleep(_SETTLE_S)
            since = time.time()
            time.sleep(_IDLE_S[program])
            idle[program] = len(process.sent(since, time.time())) / _IDLE_S[program]
            bursts[program] = [_time_burst(bench, type_, process) for _ in range(_BURSTS)]
    medians = {program: statistics.median(found) for program, found in bursts.items()}
    p95 = {program: percentile(found, 0.95) for program, found in bursts.items()}
    empty_s = statistics.median(_time_call(bench.api) for _ in range(20))
    figures = [
        at_most(
            "HTTP requests per second of an idle process",
            idle[OURS],
            MAX_IDLE_REQUESTS_S,
            "{:.2f}",
            f"in {_IDLE_S[OURS]:.0f} s, with heartbeats; conductor-python {idle[THEIRS]:.1f}",
        ),
        at_most(
            "from the insertion of a job to the start of its function, p95",
            p95[OURS],
            MAX_DELAY_S,
            "{:.2f} s",
            f"the first task of each of {_BURSTS} bursts; p50 {medians[OURS]:.2f} s; "
            f"conductor-python p50 {medians[THEIRS]:.2f} s, p95 {p95[THEIRS]:.2f} s",
        ),
        Figure(
            "an exchange that asks for no tasks",
            f"{empty_s * 1000:.0f} ms",
            note="the emulator's gateway, authorizer and function; a burst passes them one way",
        ),
    ]
    return figures, {program: [round(s, 4) for s in found] for program, found in bursts.items()}


def _time_burst(bench: _Bench, type_: str, process: Worker) -> float:
    """Return the time from the first insertion of a burst to the start of its first task."""
    time.sleep(random.uniform(0.5, 2.0))
    before = process.begun().keys()
    request_id = bench.submit(type_, _BURST_JOBS)
    begun = process.wait_for_tasks(len(before) + _BURST_JOBS)
    bench.wait_until_ended(request_id)
    first = min(at for task_id, at in begun.items() if task_id not in before)
    return first - min(bench.times(request_id, "created_at"))


def _time_call(api: ShiftworkClient) -> float:
    start = time.perf_counter()
    api.exchange("bench-caller")
    return time.perf_counter() - start


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed."""
    return sorted(values)[-(-len(values) * round(share * 100) // 100) - 1]


def _measure_waiting(bench: _Bench, meter: Meter) -> list[Figure]:
    """Count what a waiting call reads, and price a month of an idle process."""
    type_ = bench.new_type()
    with worker(OURS, type_, _THREADS):
        bench.wait_until_ended(bench.submit(type_, _BURST_JOBS))
        time.sleep(_SETTLE_S)
        meter.take()
        since = time.time()
        time.sleep(_IDLE_S[THEIRS])
        seconds = time.time() - since
        reads = sum(c.read_units for c in meter.take() if c.function == _POLLS) / seconds
    prices = read_prices()
    memory_mb = bench.deployment.configuration(_POLLS)["MemorySize"]
    a_poll = reads * idle.SERVER_INTERVAL_S
    return [
        Figure("read units of a poll of an empty queue", f"{a_poll:.1f}", note="counted"),
        *(
            Figure(
                f"a month of one idle process {how}, on AWS",
                f"${30 * way.usd_a_day(prices, memory_mb):.2f}",
                note=f"not measured there: by list prices, {idle.READ_UNITS_A_POLL} units a poll",
            )
            for how, way in (
                ("with --long-poll", idle.LONG_POLL),
                ("that polls after pauses", idle.SHORT_POLLS),
            )
        ),
    ]


# -- write units ---------------------------------------------------------------------------------


def _measure_units(bench: _Bench, meter: Meter) -> tuple[list[Figure], dict[str, Any]]:
    """Count what a job writes, claimed ten at a time and one at a time."""
    figures = []
    splits = {}
    for title, program, threads in (
        ("by exchange, 10 at a time", OURS, 10),
        ("by conductor-python, one at a time", THEIRS, 1),
    ):
        type_ = bench.new_type()
        meter.take()
        request_id = bench.queue(type_, _PRICED_JOBS)
        with worker(program, type_, threads):
            bench.wait_until_ended(request_id)
        split: Counter[str] = Counter()
        for call in meter.take():
            split[_part(call)] += call.write_units  # type: ignore[assignment]
            index = "index of queues" if "JobsTable" in call.table else "other indexes"
            split[index] += call.index_units  # type: ignore[assignment]
        split = Counter({part: units / _PRICED_JOBS for part, units in split.items() if units})
        note = ", ".join(f"{part} {units:.2f}" for part, units in split.most_common())
        figures.append(at_most(title, split.total(), MAX_UNITS, "{:.2f}", note))
        splits[title] = dict(split)
    return figures, splits


def _part(call: Call) -> str:
    """Return which part of a job's life a write belongs to."""
    if "WorkersTable" in call.table:
        return "worker record"
    if "LimitsTable" in call.table:
        return "limits"
    if "JobsTable" not in call.table:
        return "step's count" if call.function == _POLLS else "request and step"
    part = {"new": "insertion", "inprogress": "claim", "completed": "completion"}
    name = part.get(call.new_status, "other writes of the attempt")
    return f"{name} and count in one transaction" if "RequestsTable" in call.table else name


# -- contention ----------------------------------------------------------------------------------


def _measure_contention(bench: _Bench, meter: Meter) -> list[Figure]:
    """Let pollers empty a queue through the gateway; count the claims that they lose."""
    type_ = bench.new_type()
    bench.queue(type_, _CONTENDED_JOBS)
    meter.take()
    claimed: set[str] = set()

    def poll(number: int) -> None:
        wants: list[Want] = [{"type": type_, "count": _CONTENDED_COUNT, "domain": None}]
        with ShiftworkClient(timeout_s=120) as api:
            while len(claimed) < _CONTENDED_JOBS:
                answer = api.exchange(f"bench-poller-{number}", wants=wants)
                claimed.update(task["task_id"] for task in answer["tasks"])

    start = time.perf_counter()
    with ThreadPoolExecutor(_POLLERS) as pool:
        list(pool.map(poll, range(_POLLERS)))
    took_s = time.perf_counter() - start
    claims = Counter(
        call.status == 200
        for call in meter.take()
        if "JobsTable" in call.table and call.new_status == "inprogress"
    )
    if claims[True] != _CONTENDED_JOBS:
        raise RuntimeError(f"{claims[True]} claims for {len(claimed)} tasks")
    return [
        at_most(
            "claims wasted, of all",
            100 * claims[False] / claims.total(),
            100 * MAX_WASTE,
            "{:.1f}%",
            f"{claims[False]} of {claims.total():,}, {_CONTENDED_COUNT} a poll, in {took_s:.0f} s",
        )
    ]
