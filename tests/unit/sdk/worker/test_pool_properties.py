"""Properties of every pool, whatever its workers do and whenever it is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from shiftwork.worker import ExecutionStatus, WorkerContext, WorkerExecution, WorkerPool
from tests.unit.sdk.worker.function_worker import FunctionWorker, messages
from tests.unit.sdk.worker.virtual_time import EPOCH, VirtualClock, run_virtually

#: How an attempt ends after its seconds; `heed...` waits for the cancellation instead.
ENDINGS = ("return", "error", "panic", "heed", "heed, then error")


class Panic(BaseException):
    """Not an Exception."""


@dataclass(frozen=True)
class Plan:
    """What a worker does: for each attempt its seconds and its ending; the last one repeats."""

    threshold: int
    limit: int
    attempts: tuple[tuple[int, str], ...]

    def of(self, attempt: int) -> tuple[int, str]:
        return self.attempts[min(attempt, len(self.attempts)) - 1]


def end(ending: str) -> None:
    if ending.endswith("error"):
        raise ValueError("boom")
    if ending == "panic":
        raise Panic("boom")


def plans(endings: tuple[str, ...], longest_s: int) -> st.SearchStrategy[Plan]:
    attempts = st.tuples(st.integers(0, longest_s), st.sampled_from(endings))
    return st.builds(
        Plan,
        threshold=st.integers(0, longest_s),
        limit=st.integers(1, 4),
        attempts=st.lists(attempts, min_size=1, max_size=4).map(tuple),
    )


@dataclass
class Expected:
    """The expected course of a worker, worked out from its plan alone."""

    events: list[tuple[float, str]]
    status: ExecutionStatus
    attempts: int
    counts: Counter[str]
    ended_at: float


def foretell(plan: Plan, stop_at: float) -> Expected:
    events: list[tuple[float, str]] = []
    counts: Counter[str] = Counter()
    if plan.threshold:
        events.append((0, f"deferring the start for {plan.threshold} s"))
    if plan.threshold > stop_at:
        events.append((stop_at, "cancelled before the start"))
        return Expected(events, ExecutionStatus.DEFERRED, 0, counts, stop_at)
    now: float = plan.threshold
    for attempt in range(1, plan.limit + 1):
        place = f"attempt {attempt} of {plan.limit}"
        seconds, ending = plan.of(attempt)
        events.append((now, f"starting {place}"))
        counts["started"] += 1
        now = max(now, stop_at) if ending.startswith("heed") else now + seconds
        if ending in ("return", "heed"):
            events.append((now, f"stopping {place} with success"))
            counts["success"] += 1
            return Expected(events, ExecutionStatus.SUCCESS, attempt, counts, now)
        counts["error"] += 1
        if ending == "panic":
            events.append((now, f"recovered panic in {place}: Panic: boom"))
        else:
            events.append((now, f"stopping {place} with error: ValueError: boom"))
        if now >= stop_at:
            events.append((now, "not restarting: cancelled"))
            break
        if attempt == plan.limit:
            events.append((now, "max attempts reached"))
            break
        events.append((now, f"restarting after {'panic' if ending == 'panic' else 'error'}"))
        counts["restarted"] += 1
    return Expected(events, ExecutionStatus.ERROR, attempt, counts, now)


def counted(registry: CollectorRegistry, name: str) -> Counter[str]:
    [metric] = registry.collect()
    return Counter(
        {
            sample.labels["status"]: int(sample.value)
            for sample in metric.samples
            if sample.name == "worker_executions_total" and sample.labels["worker"] == name
        }
    )


async def run_plans(
    plans: list[Plan], stop_at: float
) -> tuple[Mapping[str, WorkerExecution], CollectorRegistry, float]:
    """Run a worker for each plan, stop the pool at a time, and return when it had stopped."""
    loop = asyncio.get_running_loop()
    registry = CollectorRegistry()
    pool = WorkerPool(clock=VirtualClock())
    pool.metrics.register(registry)
    for number, plan in enumerate(plans):

        async def run(ctx: WorkerContext, plan: Plan = plan) -> None:
            seconds, ending = plan.of(ctx.attempt)
            if ending.startswith("heed"):
                await ctx.wait_async()
            else:
                await asyncio.sleep(seconds)
            end(ending)

        pool.register(
            FunctionWorker(run, f"worker_{number}"),
            deferred_start_threshold=plan.threshold,
            max_executions_attempts=plan.limit,
        )
    async with pool:
        await asyncio.sleep(stop_at)
    return pool.executions(), registry, loop.time()


# Stopped at half past a second, so that nothing else happens at that moment.
@settings(deadline=None, max_examples=200)
@given(st.lists(plans(ENDINGS, longest_s=5), max_size=4), st.integers(0, 12).map(lambda n: n + 0.5))
def test_every_transition_follows_the_model_and_stop_waits_for_the_last(
    plans: list[Plan], stop_at: float
) -> None:
    executions, registry, stopped_at = run_virtually(run_plans(plans, stop_at))
    expected = [foretell(plan, stop_at) for plan in plans]
    assert stopped_at == max([stop_at, *(one.ended_at for one in expected)])
    for number, one in enumerate(expected):
        found = executions[f"worker_{number}"]
        history = [((e.timestamp - EPOCH).total_seconds(), e.message) for e in found.events]
        assert history == one.events
        assert found.status == one.status
        assert found.current_execution_attempt == one.attempts
        assert counted(registry, found.name) == one.counts
        # Every attempt has its own id, and the report has the last one's.
        ids = [e.execution_id for e in found.events if e.message.startswith("starting")]
        assert len(set(ids)) == one.attempts
        assert found.events[-1].execution_id == found.id


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(plans(ENDINGS[:3], longest_s=0), st.booleans()), max_size=5))
def test_threads_and_coroutines_are_treated_alike(plans: list[tuple[Plan, bool]]) -> None:
    pool = WorkerPool()
    for number, (plan, is_async) in enumerate(plans):

        def run(ctx: WorkerContext, plan: Plan = plan) -> None:
            end(plan.of(ctx.attempt)[1])

        async def run_async(ctx: WorkerContext, plan: Plan = plan) -> None:
            end(plan.of(ctx.attempt)[1])

        pool.register(
            FunctionWorker(run_async if is_async else run, str(number)),
            max_executions_attempts=plan.limit,
        )
    with pool:
        assert pool.wait(60)
    for number, (plan, _) in enumerate(plans):
        events = [message for _, message in foretell(plan, float("inf")).events]
        assert messages(pool.execution(str(number))) == events


@settings(deadline=None, max_examples=30)
@given(
    kinds=st.lists(st.booleans(), min_size=1, max_size=4),
    limit=st.integers(1, 200),
    patience=st.integers(1, 100),
)
def test_nothing_runs_or_starts_once_stop_has_returned(
    kinds: list[bool], limit: int, patience: int
) -> None:
    """Workers that fail all the time, stopped at any moment, also between two attempts."""
    pool = WorkerPool(max_executions_attempts=limit)
    running: Counter[str] = Counter()
    enough = threading.Event()

    def fail(ctx: WorkerContext) -> None:
        running[ctx.name] += 1
        if ctx.attempt >= min(patience, limit):
            enough.set()
        running[ctx.name] -= 1
        raise ValueError("boom")

    async def fail_async(ctx: WorkerContext) -> None:
        fail(ctx)

    for number, is_async in enumerate(kinds):
        pool.register(FunctionWorker(fail_async if is_async else fail, str(number)))
    pool.start()
    assert enough.wait(60)
    pool.stop()
    assert not any(running.values())
    for execution in pool.executions().values():
        found = Counter(message.split()[0] for message in messages(execution))
        assert found["starting"] == found["stopping"] == execution.current_execution_attempt
        assert found["restarting"] == found["starting"] - 1
        assert found["not"] + found["max"] == 1
        assert execution.current_execution_attempt <= limit
