"""Test `shiftwork demo-workers`: the processes that it starts and kills, and what it shows."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import Result

from shiftwork.cli.demos import parcels
from shiftwork.cli.demos import workers as demo_workers
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render.output import Output
from shiftwork.cli.snapshots import Snapshot
from shiftwork.worker.task_function import TaskFunction
from shiftwork.worker.task_workers import declared_in
from tests.unit.docs.pages import ROOT
from tests.unit.sdk.fake_api import FakeApi, attempt, request, step, worker
from tests.unit.sdk.worker.test_task_function import task

Run = Callable[..., Result]


class Process:
    """A process that does nothing, and remembers its signals."""

    started: list[Process] = []  # noqa: RUF012  (the test empties it)

    def __init__(self, command: list[str], env: dict[str, str], **options: Any) -> None:
        self.command = command
        self.env = env
        self.signals: list[int] = []
        self.code: int | None = None
        self.started.append(self)

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def terminate(self) -> None:
        self.signals.append(signal.SIGTERM)

    def poll(self) -> int | None:
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        return 0


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Process]]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("subprocess.Popen", Process)
    yield Process.started
    Process.started.clear()


@pytest.fixture(autouse=True)
def life(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the request and the workers live as they do on the stack."""
    done = step(1, "prepare", "completed", completed=6, retry=1)
    api.lives["r-1"] = [
        request(steps=[step(1, "prepare", "running", new=6)]),
        request("r-1", "Inprogress", steps=[step(1, "prepare", "running", completed=5, new=1)]),
        request("r-1", "Inprogress", steps=[done]),
        request("r-1", "Completed", steps=[done], extras={"handed_over": {"boxes": 9, "to": "A"}}),
    ]
    lost = attempt(
        5, "retry", error={"type": "LeaseExpired", "message": "gone"}, worker_id="demo-2"
    )
    again = attempt(5, "completed", tries=2, worker_id="demo-1")
    booked = attempt(6, "completed", job="carrier", output={"asked": 4}, worker_id="demo-1")
    api.attempts = [lost, again, booked]
    here = [worker("demo-1", "idle"), worker("demo-2", "available", "r-1.1.5.1")]
    api.workers = [here, here, here, [here[0], worker("demo-2", "offline")]]


def test_two_workers_start_one_is_killed_and_all_end(run: Run, processes: list[Process]) -> None:
    done = run("demo-workers")
    assert done.exit_code == 0, done.output
    one, two = processes
    assert one.command[1:6] == ["-m", "shiftwork", "worker", "run", parcels.__name__]
    assert [p.command[p.command.index("--name") + 1] for p in processes] == ["demo-1", "demo-2"]
    assert one.env["SHIFTWORK_TOKEN"] == "a-token"
    assert (one.signals, two.signals) == ([signal.SIGTERM], [signal.SIGKILL, signal.SIGTERM])


def test_it_shows_both_and_what_was_lost(run: Run) -> None:
    shown = run("demo-workers").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "worker demo-2 available 1/2 1.5.1" in lines
    assert "demo-2 is killed (SIGKILL) while it works" in lines
    assert "worker demo-2 offline 0/2" in lines
    assert "greet[5] 1 retry demo-2 LeaseExpired: gone" in lines
    assert "greet[5] 2 completed demo-1 -" in lines
    assert any("1 task was lost with demo-2" in line for line in lines)
    assert any("took 4 rounds of attempt 1" in line for line in lines)
    assert "9 boxes were handed over to A." in lines


def test_a_worker_that_does_not_start_ends_the_demo(
    run: Run, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Process, "poll", lambda process: 1)
    api.workers = [[]]
    done = run("demo-workers")
    assert done.exit_code == Exit.FAILED
    assert "demo-1 did not start" in done.stderr


def test_a_request_that_fails_fails_the_demo(run: Run, api: FakeApi) -> None:
    api.lives["r-1"] = [request("r-1", "Failed", steps=[])]
    done = run("demo-workers")
    assert done.exit_code == Exit.FAILED
    assert "shiftwork explain r-1" in done.stderr


def test_json_is_all_that_goes_to_stdout(run: Run, api: FakeApi) -> None:
    api.workers.append(api.workers[-1])
    found = json.loads(run("demo-workers", "-o", "json").stdout)
    assert found.keys() == {"request", "attempts", "workers"}
    assert [w["worker_id"] for w in found["workers"]] == ["demo-1", "demo-2"]


def test_a_terminal_shows_the_table_above_the_tree(api: FakeApi) -> None:
    demo = demo_workers.Demo(api.client(), Output(), {"demo-2": Process([], {})})  # type: ignore[dict-item]
    demo._snapshot = Snapshot(api.lives["r-1"][1])
    demo._live = SimpleNamespace()  # type: ignore[assignment]
    demo._poll()
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(demo._drawn())
    text = console.export_text()
    assert text.index("demo-1") < text.index("SIGKILL") < text.index("1 prepare")


# -- its workers ---------------------------------------------------------------------------------


def test_its_functions_do_what_the_request_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "_PACKING_S", 0)
    functions = {worker.type: TaskFunction(worker.function) for worker in declared_in(parcels)}
    packed = functions["parcels.pack"].call(task(item={"id": "p", "weight_kg": 12}))
    assert packed.output == {"p": {"boxes": 2}}
    heavy = functions["parcels.pack"].call(task(item={"id": "p", "weight_kg": 31}))
    assert heavy.status == "FAILED_WITH_TERMINAL_ERROR"
    booked = functions["parcels.book-carrier"].call(task(output={"asked": 3}))
    assert booked.output["carrier"] == "Albatross"
    extras = {"p": {"boxes": 2}, "carrier": "Albatross"}
    handed = functions["parcels.hand-over"].call(task({"parcels": [{"id": "p"}]}, extras=extras))
    assert handed.output["handed_over"]["boxes"] == 2


def test_its_workers_do_every_type_of_its_definitions() -> None:
    import yaml

    text = Path(ROOT / "definitions" / "parcels.yaml").read_text()
    types = {d["name"] for d in yaml.safe_load_all(text) if d["kind"] == "job-type"}
    assert types == {worker.type for worker in declared_in(parcels)}
