"""Run the blocks of docs/workers.md, and compare its tables and commands with the product."""

from __future__ import annotations

import configparser
import inspect
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx2
import prometheus_client
import pytest

import shiftwork.api.client
from benchmarks import idle
from benchmarks.costs import read_prices
from shiftwork.api.async_client import AsyncShiftworkClient
from shiftwork.worker import (
    Failure,
    Retry,
    Task,
    TaskMetrics,
    TaskRunner,
    TaskWorker,
    pauses,
    poller,
    runner,
    tasks_in_hand,
)
from shiftwork.worker.task_function import TaskFunction, as_object
from shiftwork.worker.task_workers import declared_in
from tests.template import memory_mb
from tests.unit.docs.pages import ROOT, Block, blocks, inline_code
from tests.unit.docs.test_commands import parse
from tests.unit.sdk.transports import FakeTransport
from tests.unit.sdk.worker.test_runner import Watched
from tests.unit.sdk.worker.test_task_function import Box, Order, task

PAGE = ROOT / "docs" / "workers.md"
TEXT = PAGE.read_text()


def rows(heading: str) -> dict[str, str]:
    """Return the first and the last cells of a table that begins with this heading."""
    table = TEXT.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    cells = (line.strip("| ").split(" | ") for line in table.splitlines()[2:])
    return {first: rest[-1] if rest else "" for first, *rest in cells}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the page's worker module: the blocks before the one that runs it."""
    module = ModuleType("parcels")
    monkeypatch.setitem(sys.modules, "parcels", module)
    for block in python_blocks("@worker_task"):
        execute(block, vars(module))
    return module


def python_blocks(*words: str) -> Iterator[Block]:
    return (block for block in blocks(PAGE, "python") if all(word in block.text for word in words))


def execute(block: Block, names: dict[str, Any]) -> None:
    exec(compile(block.text, str(block), "exec"), names)


def test_every_python_block_is_run_by_a_test() -> None:
    tried = {str(b) for word in ("@worker_task", "wait_workers", "provide_metrics", "get_task")
             for b in python_blocks(word)}  # fmt: skip
    assert tried == {str(block) for block in blocks(PAGE, "python")}


def test_the_functions_of_the_page_do_what_it_says(module: ModuleType) -> None:
    pack, book = declared_in(module)
    assert (pack.type, pack.batch_size, book.type) == ("parcels.pack", 4, "parcels.book-carrier")
    call = TaskFunction(pack.function).call
    parcel = {"id": "p1", "weight_kg": 2}
    one = task(item=parcel)
    assert call(one).output == {"p1": {"boxes": 1}}
    assert [line["message"] for line in one.take_lines()] == ["packed p1"]
    heavy = call(task(item=parcel | {"weight_kg": 31}))
    assert (heavy.status, heavy.reason) == ("FAILED_WITH_TERMINAL_ERROR", "p1 is too heavy")
    assert call(task(item=parcel | {"weight_kg": 13})).status == "FAILED"
    rounds = [TaskFunction(book.function).call(task(output={"asked": n} if n else {}))
              for n in range(4)]  # fmt: skip
    assert [r.status for r in rounds] == ["IN_PROGRESS"] * 3 + ["COMPLETED"]
    assert (rounds[0].callback_after_s, rounds[2].output) == (60, {"asked": 3})


def test_the_program_of_the_page_runs(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Watched(1)
    server.add(None, type="parcels.pack")
    for row in server.rows.values():
        row.params = {}
    view = server._view
    item = {"id": "p1", "weight_kg": 2}
    monkeypatch.setattr(server, "_view", lambda task_id: view(task_id) | {"item": item})

    class Client(AsyncShiftworkClient):
        def __init__(self, url: str, token: str) -> None:
            super().__init__(url, token, transport=httpx2.MockTransport(server.handle))

    monkeypatch.setattr(runner, "AsyncShiftworkClient", Client)
    monkeypatch.setenv("SHIFTWORK_URL", "http://api.test")

    def wait(self: TaskRunner) -> None:
        assert server.done.wait(10)
        self.stop()

    monkeypatch.setattr(TaskRunner, "wait_workers", wait)
    names = dict(vars(module))
    (program,) = python_blocks("wait_workers")
    execute(program, names)
    assert [row.output for row in server.rows.values()] == [{"p1": {"boxes": 1}}]
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    monkeypatch.setattr(
        "shiftwork.worker.provide_metrics", lambda port: names.update(port_asked=port)
    )
    (block,) = python_blocks("provide_metrics")
    execute(block, names)
    assert names["port_asked"] == 2112
    assert registry.get_sample_value("task_poll_counter", {"taskType": "parcels.pack"})


def test_the_calls_from_outside_on_the_page_work(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def handle(call: httpx2.Request) -> httpx2.Response:
        calls.append(f"{call.method} {call.url.path}")
        return httpx2.Response(200, json={})

    real = shiftwork.api.client.ShiftworkClient
    (block,) = python_blocks("get_task")
    transport = FakeTransport(handle)
    execute(block, {"ShiftworkClient": lambda: real("http://api.test", "t", transport=transport)})
    assert calls == [
        "GET /api/tasks/0f8c6a1e.1.0.1",
        "POST /api/tasks/0f8c6a1e.1.0.1/log",
        "POST /api/tasks",
        "POST /api/tasks/0f8c6a1e/pack[0]/FAILED_WITH_TERMINAL_ERROR",
    ]


# -- tables and numbers --------------------------------------------------------------------------


def test_the_table_of_outcomes_is_right() -> None:
    table = rows("it returns")

    def result(answer: Callable[[], Any]) -> tuple[str, Any]:
        found = TaskFunction(answer).call(task())
        return found.status, as_object(found.output)[0]

    def raising(error: Exception) -> Callable[[], Any]:
        def work() -> None:
            raise error

        return work

    examples: dict[str, list[Any]] = {
        "a dict, a dataclass, a pydantic model": [{"a": 1}, Box(1), Order(id=1)],
        "`None`": [None],
        "a scalar or a list": [1, "a", [1]],
    }
    for row, answers in examples.items():
        status, _, output = table[row].partition(" with ")
        for answer in answers:
            got, plain = result(lambda answer=answer: answer)  # type: ignore[misc]
            assert got == status.strip("`")
            if output.startswith("`{}`"):
                assert plain == {}
            assert ("result" in plain) == output.startswith('`{"result"')
    assert table["`Failure`"].startswith(f"`{result(raising(Failure('x')))[0]}`")
    for error in (Retry("x"), ValueError("x")):
        assert table["`Retry`, or anything else"].startswith(f"`{result(raising(error))[0]}`:")


def test_a_task_has_the_attributes_of_the_page() -> None:
    cell = rows("parameter")["of type `Task`, or named `task`"]
    names = set(re.findall(r"`(\w+)`", cell))
    assert len(names) == 11
    assert names <= set(dir(Task)) | set(inspect.signature(Task).parameters)


def test_the_metrics_of_the_page_are_those_of_the_runner() -> None:
    registry = prometheus_client.CollectorRegistry()
    metrics = TaskMetrics()
    metrics.register(registry)
    assert {name.strip("`") for name in rows("metric")} == {f.name for f in registry.collect()}
    labels = dict(re.findall(r"^\| `(task_\w+)` \| ([^|]+) \|", TEXT, re.MULTILINE))
    for name, counter in metrics._counters.items():
        assert tuple(re.findall(r"`(\w+)`", labels[name])) == counter._labelnames


def test_the_numbers_of_the_page_are_those_of_the_runner() -> None:
    said = " ".join(TEXT.split())
    grace = inspect.signature(TaskRunner).parameters["grace_s"].default
    assert f"`--grace` seconds ({grace:g})" in said
    assert f"for up to {poller.WAIT_S:g} seconds, which is {1 / poller.WAIT_S:g} calls" in said
    assert f"`poll_interval_s` (1 s) to {pauses.LONGEST_PAUSE_S:g} s" in said
    assert inspect.signature(TaskRunner).parameters["long_poll"].default is False
    assert TaskWorker("t", print).poll_interval_s == 1
    assert tasks_in_hand._RENEWED_AFTER < 1 / 3
    fields = set(inspect.signature(TaskWorker).parameters)
    assert {"batch_size", "poll_interval_s"} <= fields & set(inline_code(PAGE))


# -- deployment ----------------------------------------------------------------------------------


def deployed() -> Iterator[list[str]]:
    """Yield the command lines of the page's deployments."""
    (unit,) = blocks(PAGE, "ini")
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit.text)
    yield shlex.split(parser["Service"]["ExecStart"])
    (dockerfile,) = blocks(PAGE, "dockerfile")
    (command,) = re.findall(r"^CMD (.*)$", dockerfile.text, re.MULTILINE)
    yield json.loads(command)
    (definition,) = blocks(PAGE, "json")
    container = json.loads(definition.text)
    grace = int(container["command"][container["command"].index("--grace") + 1])
    assert container["stopTimeout"] > grace
    yield container["command"]


def test_every_deployment_runs_a_command_that_exists() -> None:
    found = list(deployed())
    assert len(found) == 3
    for command in found:
        assert command[0].endswith("shiftwork")
        parse(command[1:])


def test_systemd_waits_longer_than_the_grace() -> None:
    grace = inspect.signature(TaskRunner).parameters["grace_s"].default
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", TEXT, re.MULTILINE)
    assert int(seconds) > grace


def test_the_page_has_what_an_idle_process_costs_and_how_long_a_first_task_waits() -> None:
    memory = memory_mb("ServeTasksFunction")
    prices = read_prices()
    for title, way in (("by default", idle.SHORT_POLLS), ("with `--long-poll`", idle.LONG_POLL)):
        day = way.usd_a_day(prices, memory)
        mean = f"{way.mean_wait_s:.2f}" if way.mean_wait_s < 1 else f"{way.mean_wait_s:.1f}"
        row = (
            f"| {title} | {mean} s | {way.longest_wait_s:.1f} s | ${day:.2f} | ${30 * day:.2f} "
            f"| {1000 * way.environments(memory):,.0f} environments |"
        )
        assert row in TEXT
    server = (ROOT / "functions" / "serve_tasks" / "long_polling.py").read_text()
    assert f"\nINTERVAL_S = {idle.SERVER_INTERVAL_S}\n" in server
