"""Put loads on the model, and measure what is throttled, how long it takes, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Self

from benchmarks.quotas.limits import quotas
from benchmarks.quotas.model import JOBS, REQUESTS, SWEEP_PERIOD_S, Model
from benchmarks.quotas.workers import Crew
from shiftwork_core.adapters.dynamodb import items
from shiftwork_core.adapters.dynamodb.namespaces import REQUESTS as REQUEST_KEYS
from shiftwork_core.adapters.dynamodb.namespaces import to_row, to_stored
from shiftwork_core.domain.payloads import JsonObject
from shiftwork_core.domain.prices import MILLION, usd_of
from shiftwork_core.domain.requests.definitions import Kind
from shiftwork_core.domain.requests.outcomes import Completed, JobError, Outcome, Retryable
from shiftwork_core.domain.requests.records import Request
from shiftwork_core.domain.times import from_iso
from shiftwork_core.ports.world import JobInput
from shiftwork_core.services.requests.requests import Submission
from shiftwork_platform.cloud.functions import FunctionError
from shiftwork_platform.cloud.process import moment
from shiftwork_platform.wiring import Services

#: A load that has not ended by then is given up.
_LONGEST_S = 3 * 3600.0
_TYPE, _JOB_TYPE = "load", "work"

Do = Callable[[Model, JobInput], Outcome]


def at_once(model: Model, job: JobInput) -> Outcome:
    """Do nothing."""
    return Completed({})


def in_a_second(model: Model, job: JobInput) -> Outcome:
    """Take a second."""
    model.hub.sleep(1.0)
    return Completed({})


def at_the_second_try(model: Model, job: JobInput) -> Outcome:
    """Fail, and complete when tried again."""
    if job.attempt.tries == 1:
        return Retryable(JobError("Busy", "try again"))
    return Completed({})


def with_a_result(model: Model, job: JobInput) -> Outcome:
    """Return 7.5 KB under a key of its own."""
    return Completed({f"j{job.attempt.key.job}": "x" * 7_500})


@dataclass(frozen=True)
class Load:
    """Requests of one type, each submitted at its time.

    Attributes
    ----------
    at_s:
        When each request is submitted.
    width, steps:
        How many jobs each step has, and how many steps a request.
    batch_size, retry, max_concurrency:
        Of the job type.
    start_at_s:
        When all are to start; None for at once.
    crew:
        The workers that do the jobs; None: RunJobs does them.
    block:
        How many jobs share a row. Their items are then those of a manifest in S3.
    is_new_table:
        Whether no table has taken more yet than a new one does.
    """

    name: str
    at_s: list[float]
    width: int
    steps: int = 1
    do: Do = at_once
    batch_size: int = 100
    retry: JsonObject | None = None
    max_concurrency: int | None = None
    start_at_s: float | None = None
    crew: Crew | None = None
    block: int | None = None
    is_new_table: bool = False

    @property
    def jobs(self) -> int:
        """Return how many jobs the requests have in all."""
        return len(self.at_s) * self.width * self.steps


class Run:
    """A load on a model: `run` plays it to its end."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.model = Model(load.do)
        self.model.has_blocks = load.block is not None
        if load.is_new_table:
            self.model.partitions.table_write_units = quotas()["new_table_write_units_a_second"]
        self.refused = 0
        self._submitted: list[str] = []
        #: How many of the first that were submitted have ended.
        self._ended = 0

    def play(self) -> Self:
        """Submit the requests, and let time pass until all have ended."""
        hub = self.model.hub
        hub.spawn("the load", self._submit_all)
        hub.run()
        hub.end_actors()
        return self

    def requests(self) -> Iterator[Request]:
        """Yield the rows of all requests that were submitted."""
        yield from map(self._request, self._submitted)

    def _request(self, request_id: str) -> Request:
        rows = self.model.tables.table(REQUESTS).rows
        return items.request_from(to_row(REQUEST_KEYS, rows[_row_key(request_id)]))

    def delays_s(self) -> list[float]:
        """Return how long each request waited to start, sorted."""
        return sorted(
            (r.started_at - (r.start_at or r.created_at)).total_seconds()
            for r in self.requests()
            if r.started_at is not None
        )

    def durations_s(self) -> list[float]:
        """Return how long each request took from its submission, sorted."""
        return sorted(
            (r.completed_at - r.created_at).total_seconds()
            for r in self.requests()
            if r.completed_at is not None
        )

    def jobs_a_second(self) -> float:
        """Return how many jobs completed a second while the middle half of them did."""
        rows = self.model.tables.table(JOBS).rows.values()
        ended = sorted(from_iso(r["completed_at"]["S"]) for r in rows if "completed_at" in r)
        quarter = len(ended) // 4
        return 2 * quarter / (ended[-quarter - 1] - ended[quarter]).total_seconds()

    def usd_a_million_jobs(self) -> dict[str, float]:
        """Return what a million such jobs cost, by kind of use; without the API's gateway."""
        model, functions = self.model, self.model.functions
        invocations = functions.invocations.total()
        express = model.machine.express_children
        usd = usd_of(
            {
                "state_transitions": model.machine.billed_transitions,
                "express_requests": express,
                "dynamodb_write_units": model.partitions.write_units,
                "dynamodb_read_units": model.partitions.read_units,
                "sqs_requests": model.queue.sent,
                "lambda_requests": invocations,
                "s3_puts": model.s3_puts,
                "s3_gets": model.s3_gets,
            },
            lambda_gb_s=functions.gb_s(),
            express_s=functions.seconds["run_jobs"] if express else 0.0,
            log_bytes=invocations * quotas()["assumptions"]["log_bytes_per_invocation"],
        )
        return {name: MILLION * cost / self.load.jobs for name, cost in usd.items() if cost}

    # -- actors --------------------------------------------------------------------------------

    def _submit_all(self) -> None:
        model, load = self.model, self.load
        model.ask(self._define)
        model.sweep_each_minute()
        if load.crew is not None:
            load.crew.start(model, _JOB_TYPE)
        began = model.hub.now
        for number, at_s in enumerate(load.at_s):
            model.hub.sleep(max(0.0, began + at_s - model.hub.now))
            model.hub.spawn(f"client {number}", partial(self._use, began))
        self._wait()

    def _wait(self) -> None:
        hub = self.model.hub
        began = hub.now
        while hub.now < began + _LONGEST_S and not self._have_ended():
            hub.sleep(1.0)
        hub.stop()

    def _define(self, services: Services) -> None:
        load = self.load
        work: JsonObject = {"target": "python", "batch_size": load.batch_size}
        if load.crew is not None:
            work = {"target": "worker", "worker": {"shards": load.crew.shards}}
        if load.retry is not None:
            work["retry"] = load.retry
        if load.max_concurrency is not None:
            work["max_concurrency"] = load.max_concurrency
        services.definitions.put(Kind.JOB_TYPE, _JOB_TYPE, work)
        job: JsonObject = {"name": "j", "type": _JOB_TYPE, "for_each": "params.items"}
        if load.block is not None:
            job = {"name": "j", "type": _JOB_TYPE, "for_each_in": "params.items"}
            job["block"] = load.block
        steps = [{"name": f"s{number}", "jobs": [job]} for number in range(load.steps)]
        services.definitions.put(Kind.REQUEST_TYPE, _TYPE, {"steps": steps})

    def _use(self, began: float) -> None:
        """Do what a client does."""
        self._submit(began)

    def _submit(self, began: float) -> str:
        """Submit a request; return its id."""
        load = self.load
        start_at: datetime | None = None
        if load.start_at_s is not None:
            start_at = moment(began) + timedelta(seconds=load.start_at_s)
        params: JsonObject = {"items": list(range(load.width))}
        if load.block is not None:
            params = {"items": self.model.manifests.store(load.width)}
        submission = Submission(_TYPE, params, {}, start_at=start_at)
        while True:
            try:
                request, _ = self.model.ask(lambda s: s.requests.submit(submission, None))
            except FunctionError:  # As a client does that is told to come again.
                self.refused += 1
                self.model.hub.sleep(1.0)
            else:
                self._submitted.append(request.request_id)
                return request.request_id

    def _have_ended(self) -> bool:
        submitted = self._submitted
        while self._ended < len(submitted) and self._request(submitted[self._ended]).has_ended:
            self._ended += 1
        return self._ended == len(self.load.at_s)


class Outage(Run):
    """A load whose executions have all died, in an hour in which no sweep ran either."""

    #: When sweeps began again.
    over_s = 0.0

    def fresh_s(self) -> list[float]:
        """Return how long each request waited for a fresh execution, from the first sweep on."""
        first_s = self.over_s + SWEEP_PERIOD_S
        return sorted(
            at_s - first_s
            for (_, number), at_s in self.model.machine.started_s.items()
            if number == 2
        )

    def _submit_all(self) -> None:
        model = self.model
        model.ask(self._define)
        model.machine.is_lost = True
        for number, at_s in enumerate(self.load.at_s):
            model.hub.sleep(max(0.0, at_s - model.hub.now))
            model.hub.spawn(f"client {number}", partial(self._use, at_s))
        model.hub.sleep(3600.0)
        model.machine.is_lost = False
        self.over_s = model.hub.now
        model.sweep_each_minute()
        self._wait()

    def _use(self, began: float) -> None:
        request_id = self._submit(began)
        self.model.ask(lambda services: services.advancer.advance(request_id, 1))


def _row_key(request_id: str) -> tuple[tuple[str, str], ...]:
    key = to_stored(REQUEST_KEYS, items.request_key(request_id))
    return tuple(("S", value["S"]) for value in key.values())


def evenly(count: int, over_s: float) -> list[float]:
    """Return so many moments, evenly spread from now."""
    return [number * over_s / count for number in range(count)]
