"""The task runner as a program uses it: with a pool, threads and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.api.errors import ShiftworkError
from shiftwork.worker import DuplicateWorker, Task, TaskRunner, TaskWorker, WorkerPool, WorkerProbe
from tests.unit.sdk.worker import task_functions
from tests.unit.sdk.worker.fake_exchange import URL, FakeExchange


class Watched(FakeExchange):
    """A server in real time that sets an event once so many tasks have ended."""

    def __init__(self, awaited: int) -> None:
        super().__init__(latency_s=0)
        self._awaited = awaited
        self.waits = False
        self.done = threading.Event()
        #: The CLI's tests keep the started workers here, and a function that inspects them.
        self.started: tuple[TaskWorker, ...] = ()
        self.look: Callable[[], None] = lambda: None

    def _record(self, result: dict[str, Any]) -> str:
        outcome = super()._record(result)
        if sum(bool(row.ends) for row in self.rows.values()) >= self._awaited:
            self.done.set()
        return outcome


def runner_for(server: FakeExchange, **options: Any) -> TaskRunner:
    return TaskRunner(server.client(), keep_record=False, worker_id="me", **options)


def test_a_worker_starts_at_once_and_stops_on_request() -> None:
    server = Watched(3)
    ids = server.add({"width": 1}, {"width": 2}, {"width": 3})
    runner = runner_for(server)
    runner.start_worker(
        "pack", lambda width: {"area": width**2}, batch_size=2, poll_interval_s=0.01
    )
    assert server.done.wait(10)
    runner.stop()
    assert [server.rows[i].output for i in ids] == [{"area": 1}, {"area": 4}, {"area": 9}]
    assert WorkerProbe(runner.pool).check().is_healthy


def test_a_type_can_be_added_while_it_runs_but_only_once() -> None:
    server = Watched(1)
    runner = runner_for(server)
    runner.start_worker("pack", task_functions.undeclared)
    server.add(1, type="send")
    runner.start_worker("send", task_functions.undeclared, poll_interval_s=0.01)
    assert server.done.wait(10)
    with pytest.raises(DuplicateWorker):
        runner.start_worker("send", task_functions.undeclared)
    runner.stop()


def test_the_declared_workers_of_modules_are_started() -> None:
    server = Watched(2)
    server.add({"width": 3}, type="pack")
    server.add(None, type="send")
    runner = runner_for(server)
    runner.start_decorated(task_functions)
    assert server.done.wait(30)
    runner.stop()
    assert [row.status for row in server.rows.values()] == ["completed", "new"]
    assert server.calls[0]["wants"][1]["domain"] == "eu"


def test_a_programs_own_pool_can_run_the_runner() -> None:
    server = Watched(1)
    server.add(1)
    with WorkerPool() as pool:
        runner_for(server, pool=pool).start_worker("pack", task_functions.undeclared)
        assert server.done.wait(10)
        assert set(pool.executions()) == {"task poller", "check-in"}


def test_a_task_runs_in_the_pollers_span_and_context() -> None:
    from shiftwork.worker import current_worker

    server = Watched(1)
    server.add(1)
    seen: list[str] = []

    def work(task: Task) -> None:
        ctx = current_worker()
        seen.append(ctx.name if ctx else "none")

    runner = runner_for(server)
    runner.start_worker("pack", work)
    assert server.done.wait(10)
    runner.stop()
    assert seen == ["task poller"]


def test_the_runners_metrics_and_the_pools_are_shown_together() -> None:
    server = Watched(1)
    server.add(1)
    runner = runner_for(server)
    runner.start_worker("pack", task_functions.undeclared)
    assert server.done.wait(10)
    runner.stop()
    registry = CollectorRegistry()
    runner.show_metrics(registry)
    started = {"worker": "task_poller", "status": "started"}
    assert registry.get_sample_value("worker_executions_total", started) == 1
    assert registry.get_sample_value("task_result_size", {"taskType": "pack"}) == len(
        '{"result": 1}'
    )


def test_a_runner_that_gives_up_says_why() -> None:
    server = FakeExchange()
    server.before = lambda body: httpx2.Response(404)
    runner = runner_for(server)
    runner.start_worker("pack", task_functions.undeclared)
    with pytest.raises(ShiftworkError, match=r"task poller gave up.*NotFound"):
        runner.wait_workers()


def test_the_runner_uses_the_address_and_token_of_a_sync_client() -> None:
    from shiftwork.api.client import ShiftworkClient

    runner = TaskRunner(ShiftworkClient(URL, "t"))
    client = runner._poller._client
    assert isinstance(client, AsyncShiftworkClient)
    assert (client.config.url, client.token) == (URL, "t")


def test_processes_on_one_host_have_different_names(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeExchange().client()
    monkeypatch.delenv("SHIFTWORK_WORKER_ID", raising=False)
    assert TaskRunner(client).worker_id.endswith(f"-{os.getpid()}")
    monkeypatch.setenv("SHIFTWORK_WORKER_ID", "packer")
    assert TaskRunner(client).worker_id == "packer"


# -- signals -------------------------------------------------------------------------------------

PROGRAM = """
import logging
import sys
from tests.unit.sdk.worker import task_functions
from tests.unit.sdk.worker.test_runner import Watched, runner_for

logging.basicConfig(level="INFO", format="%(message)s")
server = Watched(1)
server.add(1)

def work(task):
    print("begun", flush=True)
    task.wait(60)

runner = runner_for(server, grace_s=float(sys.argv[1]))
runner.start_worker("pack", work)
runner.wait_workers()
(row,) = server.rows.values()
print(row.status, flush=True)
"""


def started(grace_s: float) -> subprocess.Popen[str]:
    """Return the process of a program whose worker is running a task."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(grace_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_tasks_that_do_not_end_in_time_are_given_back(
    number: signal.Signals,
) -> None:
    with started(0.2) as process:
        process.send_signal(number)
        assert process.communicate(timeout=30)[0] == "new\n"
    assert process.returncode == 0


def said(process: subprocess.Popen[str], text: str) -> None:
    """Read what the process logs until it says a text."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), text


def test_a_second_signal_gives_back_what_runs_at_once() -> None:
    with started(60) as process:
        process.send_signal(signal.SIGINT)
        said(process, "Finishing 1 task; Ctrl-C again gives it back.")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "new\n"
    assert process.returncode == 0


def test_a_third_signal_ends_the_process_at_once() -> None:
    with started(60) as process:
        process.send_signal(signal.SIGTERM)
        said(process, "Finishing 1 task")
        while process.poll() is None:  # Until the second one has been dealt with.
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
