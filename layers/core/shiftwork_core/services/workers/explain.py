"""Explain, queue by queue, why a worker gets jobs or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from shiftwork_core.domain.requests.definitions import JobType, Kind
from shiftwork_core.domain.requests.queue_names import type_and_domain
from shiftwork_core.domain.times import to_iso
from shiftwork_core.domain.workers.workers import Liveness, Worker, WorkerStatus
from shiftwork_core.errors import NotFound
from shiftwork_core.ports.jobs import JobStore, LimitStore
from shiftwork_core.ports.world import Clock
from shiftwork_core.services.polling.limits import window_of
from shiftwork_core.services.polling.queues import has_waiting, queue_size
from shiftwork_core.services.requests.definitions import Definitions

#: A name that was probably meant is looked for among so many.
_SUGGESTED_OF = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """Why no job of a queue can be claimed now, None if one can, and what to do next."""

    queue: str
    waiting: int
    reason: str | None
    next: str = ""


@dataclass(frozen=True, slots=True)
class WorkerExplanation:
    """Why a worker gets jobs or none, by queue, and what to do next."""

    worker: Worker
    status: WorkerStatus
    summary: str
    findings: list[Finding]
    next: str


class WorkerExplainer:
    """Explains a worker by its record and the queues that it polls."""

    def __init__(
        self,
        definitions: Definitions,
        jobs: JobStore,
        limits: LimitStore,
        clock: Clock,
        rules: Liveness,
    ) -> None:
        self._definitions = definitions
        self._jobs = jobs
        self._limits = limits
        self._clock = clock
        self._rules = rules

    def explain(self, row: Worker) -> WorkerExplanation:
        """Return why the worker gets jobs or none."""
        now = self._clock()
        polled = [self._look(queue, now) for queue in sorted(row.polls)]
        types = {type_and_domain(queue)[0] for queue in row.polls}
        named = [_unpolled(name) for name in row.routes if name not in types]
        findings = polled + named
        status = row.shown_status(now, self._rules)
        summary, advice = _summarise(row, findings, now, self._rules)
        return WorkerExplanation(row, status, summary, findings, advice)

    def _look(self, queue: str, now: datetime) -> Finding:
        name, domain = type_and_domain(queue)
        try:
            found = self._definitions.get(Kind.JOB_TYPE, name)
        except NotFound:
            return self._unknown(queue, name)
        job_type = JobType.from_body(name, found.version, found.body)
        if not job_type.is_polled:
            return Finding(
                queue,
                0,
                f"wrong queue: jobs of {name!r} are done by {job_type.target}, not by workers",
                f"give it `target: worker`, or poll another: shiftwork types {name}",
            )
        shards = found.queue_shards
        waiting = queue_size(self._jobs, queue, shards)
        if not waiting:
            return self._empty(queue, name, domain, shards)
        if not has_waiting(self._jobs, queue, shards, now):
            reason = f"nothing there yet: {_counted(waiting)} for a back-off or a callback"
            return Finding(queue, waiting, reason, "wait; their delay ends by itself")
        return self._limited(queue, waiting, job_type, now) or Finding(queue, waiting, None)

    def _unknown(self, queue: str, name: str) -> Finding:
        known = [d.name for d in self._definitions.find(Kind.JOB_TYPE, _SUGGESTED_OF, None).items]
        close = get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return Finding(
            queue, 0, f"wrong queue: there is no job type {name!r}{hint}", "shiftwork types"
        )

    def _empty(self, queue: str, name: str, domain: str | None, shards: int) -> Finding:
        reason = "nothing there: no job of it waits"
        advice = f"submit a request with a job of type {name!r}"
        if domain is not None and (others := queue_size(self._jobs, name, shards)):
            reason = f"wrong queue: nothing waits in the domain {domain!r}, {others} without one"
            advice = "poll without a domain, or submit with `domains`"
        return Finding(queue, 0, reason, advice)

    def _limited(
        self, queue: str, waiting: int, job_type: JobType, now: datetime
    ) -> Finding | None:
        """Return which limit of the type is reached, None if none is."""
        policy = job_type.worker
        change = f"raise it: shiftwork types {job_type.name}"
        if policy.concurrency_limit:
            taken = len(self._limits.slots(job_type.name))
            if taken >= policy.concurrency_limit:
                reason = (
                    f"its concurrency limit is reached: {taken} of {policy.concurrency_limit} run"
                )
                return Finding(queue, waiting, reason, f"wait for one to end, or {change}")
        rate = policy.rate_limit
        if rate.count and self._limits.used(job_type.name, window_of(rate, now)) >= rate.count:
            reason = f"its rate limit is reached: {rate.count} in {rate.per_s:g} s"
            return Finding(queue, waiting, reason, f"wait for {rate.per_s:g} s, or {change}")
        return None


def _unpolled(name: str) -> Finding:
    return Finding(
        name,
        0,
        "it is one of the worker's routes, and the worker does not poll it",
        "start its poller, or take it out of the routes",
    )


def _counted(waiting: int) -> str:
    return f"{waiting} {'job waits' if waiting == 1 else 'jobs wait'}"


def _summarise(
    row: Worker, findings: Sequence[Finding], now: datetime, rules: Liveness
) -> tuple[str, str]:
    """Return the reasons why the worker gets no jobs, and what to do about them."""
    running = len(row.running_build_ids)
    if row.shown_status(now, rules) is WorkerStatus.STOPPED:
        return "It has stopped: it said itself that it leaves.", "start it again"
    if row.is_offline(now, rules):
        since = to_iso(row.last_seen_at)
        if row.lapsed_at is not None:
            since += f", and has let a lease run out at {to_iso(row.lapsed_at)}"
        return f"It is offline: it was last seen at {since}.", "start it again"
    if row.is_drained:
        return (
            "It is drained: it is given nothing more, and what it runs may finish.",
            f"shiftwork worker resume {row.worker_id}",
        )
    if row.drained_for:
        return (
            "It is drained while its workspace is being stopped: what it runs may finish.",
            f"shiftwork lifecycle-job show {row.drained_for[0]}",
        )
    if not row.active:
        return "It has said itself that it takes no more.", "start it again"
    if running >= row.build_limit:
        return (
            f"It is at its limit: it runs {running} of {row.build_limit}.",
            "wait for one to end, start another worker, or raise its build_limit",
        )
    if not row.polls:
        return "It polls no queue.", "start its pollers"
    free = [finding for finding in findings if finding.reason is None]
    if not free:
        polled = next(finding for finding in findings if finding.queue in row.polls)
        return "Nothing that it polls for can be given to it now.", polled.next
    total = sum(finding.waiting for finding in free)
    return (
        f"It can be given work now: {_counted(total)} for it.",
        f"shiftwork worker explain {row.worker_id}",
    )
