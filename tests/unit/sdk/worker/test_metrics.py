"""The pool's counter, and the server that shows it."""

from __future__ import annotations

import sys

import httpx2
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from shiftwork.worker import MissingExtra, WorkerContext, WorkerPool, provide_metrics
from tests.unit.sdk.worker.function_worker import FunctionWorker


def run_two(pool: WorkerPool) -> None:
    """Run one worker that succeeds, and one that fails twice."""

    def fail(ctx: WorkerContext) -> None:
        raise ValueError

    pool.register(FunctionWorker(lambda ctx: None, "Invoice Mailer-2"))
    pool.register(FunctionWorker(fail, "broken"), max_executions_attempts=2)
    with pool:
        pool.wait()


def test_executions_are_counted_by_worker_and_outcome() -> None:
    pool, registry = WorkerPool(), CollectorRegistry()
    pool.metrics.register(registry)
    run_two(pool)

    def count(worker: str, status: str) -> float | None:
        labels = {"worker": worker, "status": status}
        return registry.get_sample_value("worker_executions_total", labels)

    statuses = ("started", "restarted", "success", "error")
    assert [count("invoice_mailer_2", status) for status in statuses] == [1, None, 1, None]
    assert [count("broken", status) for status in statuses] == [2, 1, None, 2]


def test_executions_before_the_metrics_are_registered_count() -> None:
    pool, registry = WorkerPool(), CollectorRegistry()
    run_two(pool)
    pool.metrics.register(registry)
    labels = {"worker": "broken", "status": "error"}
    assert registry.get_sample_value("worker_executions_total", labels) == 2


def test_the_metrics_name_has_the_namespace_and_the_subsystem() -> None:
    pool = WorkerPool(metrics_namespace="My-Shop", metrics_subsystem="mail out")
    registry = CollectorRegistry()
    pool.metrics.register(registry)
    run_two(pool)
    assert b"\nmy_shop_mail_out_worker_executions_total{" in generate_latest(registry)


def test_two_pools_cannot_register_the_same_metrics_name() -> None:
    registry = CollectorRegistry()
    WorkerPool().metrics.register(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        WorkerPool().metrics.register(registry)
    WorkerPool(metrics_namespace="other").metrics.register(registry)


def test_a_server_shows_the_metrics_until_it_is_stopped() -> None:
    pool, registry = WorkerPool(), CollectorRegistry()
    pool.metrics.register(registry)
    run_two(pool)
    with provide_metrics(port=0, host="127.0.0.1", registry=registry) as server:
        url = f"http://127.0.0.1:{server.port}/metrics"
        answer = httpx2.get(url)
        assert answer.status_code == 200
        assert 'worker_executions_total{status="error",worker="broken"} 2.0' in answer.text
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)


def test_a_pool_works_without_prometheus_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    pool = WorkerPool()
    run_two(pool)
    assert pool.execution("broken").current_execution_attempt == 2
    for need in (lambda: pool.metrics.register(CollectorRegistry()), lambda: provide_metrics(0)):
        with pytest.raises(MissingExtra, match="prometheus-client") as caught:
            need()
        assert "shiftwork[worker]" in caught.value.next_step
