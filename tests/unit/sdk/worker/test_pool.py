"""A pool at its edges; test_pool_properties.py has its general behaviour."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest

from shiftwork.worker import (
    Clock,
    DuplicateWorker,
    ExecutionStatus,
    Middleware,
    Run,
    Signal,
    StopTimedOut,
    UnknownWorker,
    WorkerContext,
    WorkerPool,
    WrongState,
)
from tests.unit.sdk.worker.function_worker import FunctionWorker, messages, numbered
from tests.unit.sdk.worker.virtual_time import VirtualClock, run_virtually


def heed(ctx: WorkerContext) -> None:
    """Work until the pool is stopped."""
    ctx.wait()


async def heed_async(ctx: WorkerContext) -> None:
    await ctx.wait_async()


def test_a_second_worker_of_the_same_name_is_refused() -> None:
    pool = WorkerPool()
    pool.register(FunctionWorker(heed, "copier"), max_executions_attempts=7)
    with pytest.raises(DuplicateWorker, match="'copier'") as caught:
        pool.register(FunctionWorker(heed, "copier"))
    assert caught.value.next_step
    assert pool.execution("copier").max_executions_attempts == 7


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UnknownWorker, match="'nobody'"):
        WorkerPool().execution("nobody")


@pytest.mark.parametrize("seconds", [-0.1, math.nan, math.inf])
def test_a_threshold_must_be_a_length_of_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="deferred_start_threshold"):
        WorkerPool(deferred_start_threshold=seconds)
    with pytest.raises(ValueError, match="deferred_start_threshold"):
        WorkerPool().register(FunctionWorker(heed), deferred_start_threshold=seconds)


def test_a_worker_runs_at_least_once() -> None:
    with pytest.raises(ValueError, match="max_executions_attempts"):
        WorkerPool(max_executions_attempts=0)
    with pytest.raises(ValueError, match="max_executions_attempts"):
        WorkerPool().register(FunctionWorker(heed), max_executions_attempts=0)


def test_a_worker_has_the_pools_options_unless_it_has_its_own() -> None:
    pool = WorkerPool(deferred_start_threshold=0.25, max_executions_attempts=3)
    pool.register(FunctionWorker(heed, "plain"))
    pool.register(
        FunctionWorker(heed, "own"), deferred_start_threshold=0, max_executions_attempts=1
    )
    plain, own = pool.executions().values()
    assert (plain.deferred_start_threshold, plain.max_executions_attempts) == (0.25, 3)
    assert (own.deferred_start_threshold, own.max_executions_attempts) == (0, 1)
    assert plain.status == ExecutionStatus.UNKNOWN and plain.events == ()


def test_start_returns_once_every_worker_runs_or_is_deferred() -> None:
    pool = WorkerPool()
    pool.register(FunctionWorker(heed, "sync"))
    pool.register(FunctionWorker(heed_async, "async"))
    pool.register(FunctionWorker(heed, "late"), deferred_start_threshold=3600)
    with pool:
        found = [execution.status for execution in pool.executions().values()]
        assert found == ["running", "running", "deferred"]
        assert not pool.wait(0)
    assert pool.execution("late").status == "deferred"
    assert messages(pool.execution("late"))[-1] == "cancelled before the start"


def test_fractions_of_a_second_count() -> None:
    async def main() -> float:
        pool = WorkerPool(clock=VirtualClock(), deferred_start_threshold=0.125)
        started_at = []

        async def run(ctx: WorkerContext) -> None:
            started_at.append(asyncio.get_running_loop().time())

        pool.register(FunctionWorker(run))
        async with pool:
            await pool.wait_async()
        return started_at[0]

    assert run_virtually(main()) == 0.125


def test_a_thread_waits_on_the_pools_clock() -> None:
    async def main() -> list[float]:
        loop, ticks = asyncio.get_running_loop(), list[float]()

        def run(ctx: WorkerContext) -> None:
            while len(ticks) < 3 and not ctx.wait(30):
                ticks.append(loop.time())

        pool = WorkerPool(clock=VirtualClock())
        pool.register(FunctionWorker(run))
        async with pool:
            await pool.wait_async()
        return ticks

    assert run_virtually(main()) == [30, 60, 90]


def test_a_report_never_changes() -> None:
    pool = WorkerPool()
    pool.register(FunctionWorker(heed))
    with pool:
        before = pool.execution("worker")
    after = pool.execution("worker")
    assert (before.status, after.status) == ("running", "success")
    assert len(before.events) < len(after.events)
    with pytest.raises(FrozenInstanceError):
        before.status = ExecutionStatus.ERROR  # type: ignore[misc]


def test_a_restart_gets_a_new_id() -> None:
    pool = WorkerPool(new_id=numbered(), max_executions_attempts=2)
    seen = []

    def run(ctx: WorkerContext) -> None:
        seen.append((ctx.execution_id, ctx.attempt))
        raise ValueError

    pool.register(FunctionWorker(run))
    assert pool.execution("worker").id == "id-1"
    with pool:
        pool.wait()
    assert seen == [("id-1", 1), ("id-2", 2)]
    assert [event.execution_id for event in pool.execution("worker").events] == (
        ["id-1"] * 3 + ["id-2"] * 3
    )


def test_a_failing_id_generator_is_reported() -> None:
    ids = iter(["first"])
    pool = WorkerPool(new_id=lambda: next(ids, None) or no_more(), max_executions_attempts=2)

    def no_more() -> str:
        raise LookupError("no more ids")

    pool.register(FunctionWorker(lambda ctx: no_more()))
    with pool:
        pool.wait()
    assert messages(pool.execution("worker"))[-1] == "given up: LookupError: no more ids"
    assert pool.execution("worker").status == "error"


class TestStopping:
    def test_a_pool_starts_only_once(self) -> None:
        with WorkerPool() as pool, pytest.raises(WrongState, match="starts only once"):
            pool.start()
        with pytest.raises(WrongState, match="starts only once"):
            pool.start()

    def test_a_pool_without_workers_starts_and_stops(self) -> None:
        with WorkerPool() as pool:
            assert pool.executions() == {}

    def test_stop_before_start_and_twice_does_nothing(self) -> None:
        pool = WorkerPool()
        pool.stop()
        pool.stop()
        pool.cancel()

    def test_a_worker_that_joins_a_running_pool_is_started(self) -> None:
        has_run = threading.Event()
        with WorkerPool() as pool:
            pool.register(FunctionWorker(lambda ctx: has_run.set()))
            assert has_run.wait(60)
            pool.register(FunctionWorker(heed, "second"))
        assert messages(pool.execution("second"))  # Started, or cancelled before that.
        with pytest.raises(WrongState, match="stopped"):
            pool.register(FunctionWorker(heed, "third"))

    def test_a_worker_may_register_another(self) -> None:
        pool = WorkerPool()
        has_run = threading.Event()

        async def run(ctx: WorkerContext) -> None:
            pool.register(FunctionWorker(lambda ctx: has_run.set(), "child"))

        pool.register(FunctionWorker(run))
        with pool:
            assert has_run.wait(60)

    def test_a_signal_ends_the_wait(self) -> None:
        def interrupt(ctx: WorkerContext) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            ctx.wait()

        pool = WorkerPool()
        pool.register(FunctionWorker(interrupt))
        before = signal.signal(signal.SIGTERM, lambda *_: pool.cancel())
        try:
            with pool:
                assert pool.wait(60)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert pool.execution("worker").status == "success"

    def test_a_signal_during_a_registration_stops_the_new_worker_too(self) -> None:
        pool = WorkerPool()

        class Interrupted:
            @property
            def name(self) -> str:
                pool.cancel()  # As a handler would, in the midst of register().
                loop.join(0.2)  # It would end in this time, did it not wait for the worker.
                return "interrupted"

            def run(self, ctx: WorkerContext) -> None:
                ctx.wait()

        others = set(threading.enumerate())
        pool.start()
        (loop,) = (found for found in threading.enumerate() if found not in others)
        pool.register(Interrupted())
        pool.stop()
        assert messages(pool.execution("interrupted")) == ["cancelled before the start"]

    def test_a_coroutine_that_the_stop_cancels_ends_as_a_success(self) -> None:
        """A coroutine may pass the cancellation on as asyncio's own error."""

        async def run(ctx: WorkerContext) -> None:
            await ctx.wait_async()
            raise asyncio.CancelledError

        pool = WorkerPool(max_executions_attempts=5)
        pool.register(FunctionWorker(run))
        with pool:
            pass
        assert pool.execution("worker").status == "success"
        assert pool.execution("worker").current_execution_attempt == 1

    def test_a_cancelled_error_that_the_worker_raises_itself_is_a_panic(self) -> None:
        async def run(ctx: WorkerContext) -> None:
            raise asyncio.CancelledError

        pool = WorkerPool(max_executions_attempts=2)
        pool.register(FunctionWorker(run))
        with pool:
            pool.wait()
        assert messages(pool.execution("worker")) == [
            "starting attempt 1 of 2",
            "recovered panic in attempt 1 of 2: CancelledError",
            "restarting after panic",
            "starting attempt 2 of 2",
            "recovered panic in attempt 2 of 2: CancelledError",
            "max attempts reached",
        ]

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
    @pytest.mark.parametrize("is_async", [False, True])
    def test_a_system_exit_ends_only_the_attempt(
        self, error: BaseException, is_async: bool
    ) -> None:
        def run(ctx: WorkerContext) -> None:
            if ctx.attempt == 1:
                raise error

        async def run_async(ctx: WorkerContext) -> None:
            run(ctx)

        pool = WorkerPool(max_executions_attempts=2)
        pool.register(FunctionWorker(run_async if is_async else run))
        with pool:
            pool.wait()
        execution = pool.execution("worker")
        assert execution.status == "success"
        assert messages(execution)[2] == "restarting after panic"

    def test_stop_interrupts_coroutines_that_do_not_end_in_time(self) -> None:
        async def main() -> tuple[float, WorkerPool]:
            pool = WorkerPool(clock=VirtualClock(), max_executions_attempts=3)

            async def run(ctx: WorkerContext) -> None:
                await asyncio.sleep(3600)

            pool.register(FunctionWorker(run))
            await pool.start_async()
            await pool.stop_async(timeout_s=5)
            return asyncio.get_running_loop().time(), pool

        stopped_at, pool = run_virtually(main())
        assert stopped_at == 5
        assert messages(pool.execution("worker")) == [
            "starting attempt 1 of 3",
            "stopping attempt 1 of 3 with success",
        ]

    def test_stop_names_the_coroutines_that_ignore_interruption(self) -> None:
        async def main() -> None:
            pool = WorkerPool(clock=VirtualClock())

            async def run(ctx: WorkerContext) -> None:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    await asyncio.sleep(3600)

            pool.register(FunctionWorker(run, "mule"))
            await pool.start_async()
            with pytest.raises(StopTimedOut, match="mule"):
                await pool.stop_async(timeout_s=5)
            assert asyncio.get_running_loop().time() == 6

        run_virtually(main())

    def test_stop_names_the_threads_that_still_run(self) -> None:
        class Impatient(Clock):
            def wait(self, signal: Signal, timeout_s: float | None) -> bool:
                return super().wait(signal, None if timeout_s is None else 0)

        pool, may_end = WorkerPool(clock=Impatient()), threading.Event()
        pool.register(FunctionWorker(lambda ctx: may_end.wait(), "mule"))
        pool.register(FunctionWorker(heed, "horse"))
        pool.start()
        try:
            with pytest.raises(StopTimedOut) as caught:
                pool.stop(timeout_s=10)
            assert "mule" in caught.value.names
        finally:
            may_end.set()
        pool.stop()
        assert pool.execution("mule").status == "success"

    def test_a_worker_may_cancel_its_pool_and_cannot_wait_for_it(self) -> None:
        pool, errors = WorkerPool(), list[str]()
        has_tried = threading.Event()

        def run(ctx: WorkerContext) -> None:
            assert has_tried.wait(60)
            for block in (pool.stop, pool.wait):
                try:
                    block()
                except WrongState as error:
                    errors.append(error.message)
            pool.cancel()
            assert ctx.is_cancelled and ctx.wait()

        async def run_async(ctx: WorkerContext) -> None:
            for block in (pool.stop_async, pool.wait_async):
                try:
                    await block()
                except WrongState as error:
                    errors.append(error.message)
            has_tried.set()
            await ctx.wait_async()

        pool.register(FunctionWorker(run, "sync"))
        pool.register(FunctionWorker(run_async, "async"))
        pool.start()
        assert pool.wait(60)
        pool.stop()
        assert len(errors) == 4 and len(set(errors)) == 1
        assert {e.status for e in pool.executions().values()} == {"success"}


class TestOnACallersLoop:
    def test_coroutines_run_on_the_callers_loop_and_threads_next_to_it(self) -> None:
        async def main() -> None:
            pool, loops = WorkerPool(), list[asyncio.AbstractEventLoop]()

            async def run(ctx: WorkerContext) -> None:
                loops.append(asyncio.get_running_loop())

            pool.register(FunctionWorker(run, "async"))
            pool.register(FunctionWorker(heed, "sync"))
            async with pool:
                assert pool.execution("sync").status == "running"
            assert loops == [asyncio.get_running_loop()]
            assert pool.execution("sync").status == "success"

        asyncio.run(main())

    def test_a_call_that_would_block_the_callers_loop_is_refused(self) -> None:
        async def main() -> None:
            async with WorkerPool() as pool:
                with pytest.raises(WrongState, match="stop") as caught:
                    pool.stop()
                assert caught.value.next_step == "Await pool.stop_async()"

        asyncio.run(main())

    def test_closing_the_loop_ends_the_workers(self) -> None:
        pool = WorkerPool(max_executions_attempts=3)
        has_ended = threading.Event()

        def run(ctx: WorkerContext) -> None:
            ctx.wait()
            has_ended.set()

        async def run_async(ctx: WorkerContext) -> None:
            await asyncio.Event().wait()

        pool.register(FunctionWorker(run, "sync"))
        pool.register(FunctionWorker(run_async, "async"))
        asyncio.run(pool.start_async())
        assert has_ended.wait(60)
        assert messages(pool.execution("async")) == [
            "starting attempt 1 of 3",
            "stopping attempt 1 of 3 with success",
        ]
        with pytest.raises(WrongState, match="stopped"):
            pool.register(FunctionWorker(heed, "late"))
        pool.stop()


class TestMiddlewares:
    @staticmethod
    def noting(name: str, notes: list[str]) -> Middleware:
        def middleware(run: Run) -> Run:
            def around(ctx: WorkerContext) -> object:
                notes.append(name)
                return run(ctx)

            return around

        return middleware

    @pytest.mark.parametrize("is_async", [False, True])
    def test_the_first_middleware_is_outermost_and_the_pools_enclose_the_workers(
        self, is_async: bool
    ) -> None:
        notes = list[str]()
        note = functools.partial(self.noting, notes=notes)

        def run(ctx: WorkerContext) -> None:
            notes.append("run")

        async def run_async(ctx: WorkerContext) -> None:
            notes.append("run")

        pool = WorkerPool(middlewares=[note("pool 1"), note("pool 2")])
        pool.register(
            FunctionWorker(run_async if is_async else run),
            middlewares=[note("worker 1"), note("worker 2")],
        )
        with pool:
            pool.wait()
        assert notes == ["pool 1", "pool 2", "worker 1", "worker 2", "run"]

    def test_a_middleware_may_handle_an_error(self) -> None:
        def forgive(run: Run) -> Run:
            async def forgiving(ctx: WorkerContext) -> None:
                try:
                    await run(ctx)  # type: ignore[misc]
                except ValueError:
                    ctx.logger.info("forgiven")

            return forgiving

        async def fail(ctx: WorkerContext) -> None:
            raise ValueError

        pool = WorkerPool()
        pool.register(FunctionWorker(fail), middlewares=[forgive])
        with pool:
            pool.wait()
        assert pool.execution("worker").status == "success"

    def test_a_sync_run_that_returns_a_coroutine_fails_with_advice(self) -> None:
        async def coroutine() -> None: ...

        pool = WorkerPool()
        pool.register(FunctionWorker(lambda ctx: coroutine()))
        with pool:
            pool.wait()
        assert "use async def" in messages(pool.execution("worker"))[1]


def test_the_callers_context_variables_reach_the_workers() -> None:
    tenant = contextvars.ContextVar("tenant", default="nobody")
    seen = list[str]()

    async def run_async(ctx: WorkerContext) -> None:
        seen.append(tenant.get())

    tenant.set("acme")
    pool = WorkerPool()
    pool.register(FunctionWorker(lambda ctx: seen.append(tenant.get()), "sync"))
    pool.register(FunctionWorker(run_async, "async"))
    with pool:
        pool.wait()
    assert seen == ["acme", "acme"]


def test_a_signal_set_in_one_thread_wakes_coroutines_of_every_loop() -> None:
    signal, ready = Signal(), threading.Barrier(3)

    async def wait() -> bool:
        waiting = asyncio.ensure_future(signal.wait_async())
        await asyncio.sleep(0)
        await asyncio.to_thread(ready.wait)
        await waiting
        return True

    results = list[bool]()
    run: Callable[[], None] = lambda: results.append(asyncio.run(wait()))  # noqa: E731
    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    signal.set()
    for thread in threads:
        thread.join(60)
    assert results == [True, True]
