"""Test `shiftwork worker run`."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import prometheus_client
import pytest
from typer.testing import Result

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.cli.exit_codes import Exit
from shiftwork.worker import TaskRunner, TaskWorker, runner
from tests.unit.sdk.worker import task_functions
from tests.unit.sdk.worker.test_runner import Watched

MODULE = task_functions.__name__
Run = Callable[..., Result]


@pytest.fixture
def server(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Yield what hands out tasks; the command ends once it has got a result."""
    server = Watched(1)

    class Client(AsyncShiftworkClient):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, transport=httpx2.MockTransport(server.handle))

    start = TaskRunner.start

    def start_and_end(runner: TaskRunner, *workers: TaskWorker) -> None:
        start(runner, *workers)
        server.started = workers

        def end() -> None:
            server.done.wait(30)
            server.look()
            runner.pool.cancel()

        threading.Thread(target=end).start()

    monkeypatch.setattr(runner, "AsyncShiftworkClient", Client)
    monkeypatch.setattr(TaskRunner, "start", start_and_end)
    monkeypatch.setattr(prometheus_client, "REGISTRY", prometheus_client.CollectorRegistry())
    level, handlers = logging.root.level, logging.root.handlers[:]
    yield server
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


def test_a_function_does_tasks_until_the_process_is_stopped(run: Run, server: Watched) -> None:
    (task_id,) = server.add(1)
    done = run("worker", "run", f"pack={MODULE}:undeclared", "--name", "me", "--batch-size", "7")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "me takes pack. Ctrl-C ends it." in done.stderr
    assert server.rows[task_id].output == {"result": 1}
    assert server.calls[0]["worker_id"] == "me"
    assert server.calls[0]["wants"] == [{"type": "pack", "count": 7, "domain": None}]


def test_a_modules_declarations_hold_unless_an_option_says_otherwise(
    run: Run, server: Watched
) -> None:
    server.done.set()
    assert run("worker", "run", MODULE, "--processes", "0", "--domain", "us").exit_code == 0
    assert server.started == (
        TaskWorker("pack", task_functions.pack, 3, 1.0, "us", 0),
        TaskWorker("send", task_functions.send, None, 0.5, "us", 0),
    )


def test_metrics_and_health_are_served_meanwhile(run: Run, server: Watched) -> None:
    seen: list[str] = []

    def look() -> None:
        seen.extend(threading.enumerate().__repr__().split(","))

    server.look = look
    server.add(1)
    options = ["--metrics-port", "0", "--health-port", "0", "--metric-suffixes"]
    done = run("worker", "run", f"pack={MODULE}:undeclared", *options)
    assert done.exit_code == 0
    assert re.search(r"Metrics: http://127.0.0.1:\d+/metrics\n", done.stderr)
    assert re.search(r"Health: http://127.0.0.1:\d+/readyz\n", done.stderr)
    assert any("worker health" in thread for thread in seen)
    value = prometheus_client.REGISTRY.get_sample_value
    assert value("task_result_size_bytes_count", {"taskType": "pack"}) == 1


@pytest.mark.parametrize(
    ("reference", "message"),
    [("no.such", "There is no module 'no.such'."), (f"{MODULE}:undeclared", "does not say")],
)
def test_a_wrong_reference_is_named(reference: str, message: str, run: Run) -> None:
    done = run("worker", "run", reference)
    assert done.exit_code == Exit.FAILED
    assert message in done.stderr


def test_a_runner_that_gives_up_ends_the_command(run: Run, server: Watched) -> None:
    def refuse(body: dict[str, Any]) -> httpx2.Response:
        return httpx2.Response(401, json={"detail": "the token is not known"})

    server.before = refuse
    done = run("worker", "run", f"pack={MODULE}:undeclared")
    server.done.set()
    assert done.exit_code == Exit.FAILED
    assert "the token is not known" in done.stderr
