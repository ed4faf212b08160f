"""The health probe and the answers to an orchestrator."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx2
import pytest

from shiftwork.worker import (
    BackgroundServer,
    WorkerContext,
    WorkerPool,
    WorkerProbe,
    health,
    serve_health,
)
from tests.unit.sdk.worker.function_worker import FunctionWorker


def fail(ctx: WorkerContext) -> None:
    raise ValueError


def heed(ctx: WorkerContext) -> None:
    ctx.wait()


class TestProbe:
    def test_an_empty_pool_is_healthy(self) -> None:
        result = WorkerProbe(WorkerPool()).check()
        assert result.is_healthy and result.message == ""

    def test_a_pool_that_has_not_been_started_is_unhealthy(self) -> None:
        pool = WorkerPool()
        pool.register(FunctionWorker(heed, "copier"))
        result = WorkerProbe(pool).check()
        assert not result.is_healthy and result.message == "copier: unknown"

    def test_running_deferred_and_finished_workers_are_healthy(self) -> None:
        pool = WorkerPool()
        pool.register(FunctionWorker(heed, "copier"))
        pool.register(FunctionWorker(heed, "late"), deferred_start_threshold=3600)
        with pool:
            result = WorkerProbe(pool).check()
            assert result.is_healthy and result.message == "copier: running, late: deferred"
        result = WorkerProbe(pool).check()
        assert result.is_healthy and result.message == "copier: success, late: deferred"

    def test_one_failed_worker_makes_the_pool_unhealthy(self) -> None:
        pool = WorkerPool()
        pool.register(FunctionWorker(lambda ctx: None, "copier"))
        pool.register(FunctionWorker(fail, "mailer"))
        with pool:
            pool.wait()
        result = WorkerProbe(pool).check()
        assert not result.is_healthy and result.message == "copier: success, mailer: error"


class TestEndpoint:
    @pytest.fixture
    def pool(self) -> WorkerPool:
        return WorkerPool()

    @pytest.fixture
    def server(self, pool: WorkerPool) -> Iterator[BackgroundServer]:
        with serve_health(pool, port=0, host="127.0.0.1") as server:
            yield server

    def ask(self, server: BackgroundServer, path: str) -> tuple[int, str]:
        answer = httpx2.get(f"http://127.0.0.1:{server.port}{path}")
        return answer.status_code, answer.text.strip()

    def test_a_pool_is_ready_once_it_runs(self, pool: WorkerPool, server: BackgroundServer) -> None:
        pool.register(FunctionWorker(heed, "copier"))
        assert self.ask(server, "/readyz") == (503, "copier: unknown")
        assert self.ask(server, "/livez") == (200, "alive")
        with pool:
            assert self.ask(server, "/readyz?verbose") == (200, "copier: running")
            assert self.ask(server, "/livez") == (200, "alive")
        assert self.ask(server, "/livez") == (200, "alive")

    def test_a_failed_worker_makes_the_pool_unready_but_leaves_it_alive(
        self, pool: WorkerPool, server: BackgroundServer
    ) -> None:
        pool.register(FunctionWorker(fail, "mailer"))
        with pool:
            pool.wait()
            assert self.ask(server, "/readyz") == (503, "mailer: error")
            assert self.ask(server, "/livez") == (200, "alive")

    def test_a_blocked_loop_is_not_alive(
        self, pool: WorkerPool, server: BackgroundServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "_LOOP_ANSWERS_S", 0.01)
        blocks, may_go_on = threading.Event(), threading.Event()

        async def block(ctx: WorkerContext) -> None:
            blocks.set()
            may_go_on.wait()

        pool.register(FunctionWorker(block))
        with pool:
            assert blocks.wait(60)
            try:
                assert self.ask(server, "/livez") == (503, "the loop is blocked")
            finally:
                may_go_on.set()

    def test_other_paths_are_not_found(self, server: BackgroundServer) -> None:
        assert self.ask(server, "/")[0] == 404

    def test_stopping_frees_the_port(self, pool: WorkerPool) -> None:
        server = serve_health(pool, port=0, host="127.0.0.1")
        server.stop()
        serve_health(pool, port=server.port, host="127.0.0.1").stop()
