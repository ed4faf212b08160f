"""The task runner's metrics: their names, their labels, and what changes them."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from shiftwork.worker.task import Failure, Task
from shiftwork.worker.task_metrics import TaskMetrics
from tests.unit.sdk.worker.fake_exchange import Answer, FakeExchange, until
from tests.unit.sdk.worker.poller_run import polling
from tests.unit.sdk.worker.test_poller import packer
from tests.unit.sdk.worker.virtual_time import run_virtually

SEVEN = {
    "task_poll_error",
    "task_execute_error",
    "task_update_error",
    "task_poll_counter",
    "task_poll_time",
    "task_execute_time",
    "task_result_size",
}


async def moved(**options: Any) -> TaskMetrics:
    """Return the metrics of a poller to which everything they count has happened."""
    server = FakeExchange()
    server.add("ab", "fail")

    async def work(task: Task) -> dict[str, str]:
        if task.params == "fail":
            raise Failure("no")
        return {"a": task.params}

    lost: list[Answer] = [httpx2.Response(500), httpx2.ReadTimeout("lost"), httpx2.Response(503)]

    def meddle(body: dict[str, Any]) -> Answer | None:
        is_turn = bool(body["results"]) == (len(lost) == 1)  # The last one meets results.
        return lost.pop() if lost and is_turn else None

    server.before = meddle
    async with polling(server, packer(work), **options) as run:
        await until(lambda: server.of("completed"))
    return run.metrics


def shown(metrics: TaskMetrics) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    metrics.register(registry)
    return registry


def test_the_seven_metrics_have_their_names_and_labels() -> None:
    registry = shown(run_virtually(moved()))
    value = registry.get_sample_value
    pack = {"taskType": "pack"}
    first = pack | {"includeRetries": "false", "status": "503"}
    again = pack | {"includeRetries": "true", "status": "none"}
    assert value("task_poll_error", first) == value("task_poll_error", again) == 1
    assert value("task_execute_error", pack) == 1
    assert value("task_update_error", pack) == 2
    assert (value("task_poll_counter", pack) or 0) >= 5
    assert (value("task_poll_time", pack) or 0) > 0
    assert value("task_execute_time", pack) is not None
    assert value("task_result_size", pack) in (2, len('{"a": "ab"}'))
    text = generate_latest(registry).decode()
    names = {line.partition("{")[0] for line in text.splitlines() if line[0] != "#"}
    assert names == SEVEN


def test_an_option_adds_the_conventional_names() -> None:
    metrics = TaskMetrics(suffixes=True)
    metrics.polled(["pack"])
    metrics.poll_took(["pack"], 0.3)
    metrics.resulted("pack", 12)
    value = shown(metrics).get_sample_value
    pack = {"taskType": "pack"}
    assert value("task_poll_counter", pack) == value("task_poll_counter_total", pack) == 1
    assert value("task_poll_time_seconds_sum", pack) == value("task_poll_time", pack) == 0.3
    assert value("task_result_size_bytes_count", pack) == 1


def test_metrics_can_be_read_in_both_formats_of_prometheus() -> None:
    from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    metrics = TaskMetrics(suffixes=True)
    metrics.polled(["pack"])
    text = openmetrics(shown(metrics)).decode()  # type: ignore[no-untyped-call]
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {"task_poll_counter", "task_poll_counter_total"} <= names


def test_without_prometheus_client_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from shiftwork.worker import MissingExtra

    monkeypatch.setitem(__import__("sys").modules, "prometheus_client", None)
    metrics = TaskMetrics()
    metrics.polled(["pack"])
    with pytest.raises(MissingExtra):
        metrics.register(None)  # type: ignore[arg-type]
