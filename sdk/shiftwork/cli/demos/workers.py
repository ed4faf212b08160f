"""`shiftwork demo-workers`: kill one of two workers; the other one gets its tasks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from shiftwork.api.client import ShiftworkClient
from shiftwork.api.errors import ShiftworkError
from shiftwork.api.shapes import Attempt, Request, WorkerView
from shiftwork.cli.commands import workers
from shiftwork.cli.demos import documents, parcels
from shiftwork.cli.exit_codes import Exit
from shiftwork.cli.render import progress
from shiftwork.cli.render.output import Output
from shiftwork.cli.render.tables import Column, Shape, Table
from shiftwork.cli.snapshots import Snapshot, follow
from shiftwork.local.signals import wait_or_kill

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_REQUEST_TYPE = "send-parcels"
_NAMES = ("demo-1", "demo-2")
#: The worker to kill, once so many jobs have completed and it holds some.
_VICTIM = "demo-2"
_KILLED_AFTER = 4
_PARCELS = 18
_POLL_S = 0.5
#: The errors of tasks that a worker has lost: by its lease, or with its record.
_LOST = ("LeaseExpired", "WorkerLost")
_START_S = 60.0
_GRACE_S = 10.0


def run(client: ShiftworkClient, output: Output) -> None:
    """Apply the definitions, start workers, send parcels, kill a worker, show what happens.

    Raises
    ------
    typer.Exit
        If the request did not complete.
    """
    documents.apply_definitions(client, output)
    with tempfile.TemporaryDirectory(prefix="shiftwork-demo-") as folder:
        logs = client.config.home or Path(folder)
        with _worker_processes(client, logs) as processes:
            _await_workers(client, processes, logs)
            output.message(f"Started {' and '.join(_NAMES)}; their logs are {logs}/demo-*.log.")
            items = [{"id": f"parcel-{n:02}", "weight_kg": 1 + n % 25} for n in range(_PARCELS)]
            submitted = client.submit(_REQUEST_TYPE, {"parcels": items})
            request = Demo(client, output, processes).watch(submitted["request_id"])
        attempts = list(client.jobs(request["request_id"]))
    if output.is_json:
        found = list(client.workers())
        shown = [worker for worker in found if worker["worker_id"] in _NAMES]
        output.json({"request": request, "attempts": attempts, "workers": shown})
    else:
        _show(output, request, attempts)
    if request["status"] != "Completed":
        output.message(f"Find out why with: shiftwork explain {request['request_id']}")
        raise typer.Exit(Exit.FAILED)


# -- the processes -------------------------------------------------------------------------------


@contextmanager
def _worker_processes(
    client: ShiftworkClient, logs: Path
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run the demo's workers, and stop them at the end."""
    env = {**os.environ, "SHIFTWORK_URL": client.config.url}
    if client.token:
        env["SHIFTWORK_TOKEN"] = client.token
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in _NAMES:
            with (logs / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-m", "shiftwork", "worker", "run", parcels.__name__]
                command += ["--name", name, "--grace", str(_GRACE_S)]
                # In a session of its own, so that a Ctrl-C ends only the demo.
                processes[name] = subprocess.Popen(
                    command, env=env, stdout=log, stderr=log, start_new_session=True
                )
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            wait_or_kill(process, 2 * _GRACE_S)


def _await_workers(
    client: ShiftworkClient, processes: Mapping[str, subprocess.Popen[bytes]], logs: Path
) -> None:
    """Wait until all workers poll.

    Raises
    ------
    ShiftworkError
        If one of them ends, or they take too long.
    """
    deadline = time.monotonic() + _START_S
    while True:
        here = {w["worker_id"] for w in client.workers(active=True) if w["status"] != "offline"}
        if here >= processes.keys():
            return
        for name, process in processes.items():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ShiftworkError(
                    f"The worker {name} did not start.", f"See its log: {logs / f'{name}.log'}"
                )
        time.sleep(_POLL_S)


# -- watching ------------------------------------------------------------------------------------


class Demo:
    """Watches the request and the workers side by side, and kills one of the workers."""

    def __init__(
        self,
        client: ShiftworkClient,
        output: Output,
        processes: Mapping[str, subprocess.Popen[bytes]],
    ) -> None:
        self._client = client
        self._output = output
        self._processes = processes
        self._live: Live | None = None
        self._snapshot: Snapshot | None = None
        self._workers: list[WorkerView] = []
        self._is_killed = False
        self._notes: list[str] = []

    def watch(self, request_id: str) -> Request:
        """Show both until the request ends, and return it."""
        console = self._output.progress
        if not console.is_terminal or console.is_dumb_terminal:
            self._follow(request_id)
        else:
            from rich.live import Live

            with Live(console=console, refresh_per_second=8, get_renderable=self._drawn) as live:
                self._live = live
                self._follow(request_id)
        assert self._snapshot is not None
        return self._snapshot.request

    def _follow(self, request_id: str) -> None:
        for snapshot in follow(self._client, request_id, self._pass_time):
            if snapshot.is_partial:
                continue
            before, self._snapshot = self._snapshot, snapshot
            if self._live is None:
                for line in progress.changes(before, snapshot):
                    self._write(line)
        self._poll()

    def _pass_time(self, seconds: float) -> None:
        """Poll the workers between two polls of the request."""
        self._poll()
        time.sleep(min(seconds, _POLL_S))

    def _poll(self) -> None:
        found = [w for w in self._client.workers() if w["worker_id"] in _NAMES]
        for worker in found:  # All builds are of this request: its id need not be shown.
            ids = [build.split(".", 1)[1] for build in worker["running_build_ids"]]
            worker["running_build_ids"] = ids
        if self._live is None:
            for line in workers.changes_between(self._workers, found):
                self._write(f"{'':>8}  worker {line}")
        self._workers = found
        self._kill()

    def _kill(self) -> None:
        """Kill the victim once it holds tasks."""
        if self._is_killed or self._snapshot is None:
            return
        completed = sum(step["jobs"]["completed"] for step in self._snapshot.request["steps"])
        (victim,) = (w for w in self._workers if w["worker_id"] == _VICTIM)
        if completed >= _KILLED_AFTER and victim["running_build_ids"]:
            self._processes[_VICTIM].send_signal(signal.SIGKILL)
            self._is_killed = True
            # Not how many tasks: it may have claimed more since this poll.
            note = f"{_VICTIM} is killed (SIGKILL) while it works"
            self._notes.append(note)
            if self._live is None:
                self._write(f"{'':>8}  {note}")

    def _write(self, line: str) -> None:
        self._output.progress_line(line)

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        table = Table(workers.COLUMNS, workers.rows_of(self._workers, time.time()))
        tree = [progress.TreeView(self._snapshot)] if self._snapshot else []
        notes = [Text(note, "bold red") for note in self._notes]
        return Group(table, *notes, Text(), *tree)


# -- after ---------------------------------------------------------------------------------------


def _show(output: Output, request: Request, attempts: list[Attempt]) -> None:
    output.line()
    output.table(
        (
            Column("JOB", shape=Shape.CUT),
            Column("ATTEMPT", 6),
            Column("STATUS", 9),
            Column("WORKER", 8),
            Column("ERROR", 7, Shape.CUT),
        ),
        [
            (
                progress.label_of(a, None),
                a["attempt"],
                a["status"],
                a["worker_id"],
                f"{a['error']['type']}: {a['error']['message']}" if a["error"] else "",
            )
            for a in attempts
            if a["attempt"] > 1 or a["status"] != "completed"
        ],
        "shiftwork jobs last",
    )
    output.line()
    output.paragraph(_summary(attempts))
    done = [a for a in attempts if a["job"] == "carrier" and a["status"] == "completed"]
    for carrier in done:
        output.paragraph(
            f"Booking a carrier took {carrier['output']['asked']} rounds of attempt "
            f"{carrier['attempt']}: between them it was IN_PROGRESS, and kept nobody busy."
        )
    if result := request["extras"].get("handed_over"):
        output.paragraph(f"{result['boxes']} boxes were handed over to {result['to']}.")
    output.line()
    output.suggestions(
        [
            ("shiftwork worker run shiftwork.cli.demos.parcels", "a worker, in this terminal"),
            ("shiftwork workers --watch", "the table, in another one"),
            ("shiftwork worker drain demo-1", "give it nothing more"),
            ("shiftwork jobs last --status retry", "what was tried again, and why"),
            ("shiftwork down", "stop the stack"),
        ]
    )


def _summary(attempts: list[Attempt]) -> str:
    completed = sum(a["status"] == "completed" for a in attempts)
    errors = [a["error"] for a in attempts if a["worker_id"] == _VICTIM]
    lost = sum(error is not None and error["type"] in _LOST for error in errors)
    tasks = "1 task was" if lost == 1 else f"{lost} tasks were"
    return (
        f"{completed} jobs completed, each once. {tasks} lost with {_VICTIM}, and tried again by "
        "its colleague."
    )
