"""Run the worker processes that are measured, and read the notes they write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.deployment import PROJECT
from benchmarks.programs.notes import NOTES

OURS, THEIRS = "shiftwork_worker", "conductor_worker"
#: Parts of the path of a request that polls for tasks.
_POLLS = ("/v1/tasks/exchange", "/api/tasks/poll/")
_PATIENCE_S = 180.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Sent:
    """An HTTP request that a process sent."""

    at: float
    took_s: float
    path: str

    @property
    def is_poll(self) -> bool:
        """Whether it asks for tasks."""
        return any(part in self.path for part in _POLLS)


class Worker:
    """A process that does empty tasks."""

    def __init__(self, name: str, notes: Path) -> None:
        self.name = name
        self._notes = notes

    def _lines(self, kind: str) -> Iterator[list[str]]:
        if self._notes.exists():
            lines = (line.split() for line in self._notes.read_text().splitlines())
            yield from (words[1:] for words in lines if words[0] == kind)

    def sent(self, since: float = 0.0, until: float = float("inf")) -> list[Sent]:
        """Return its HTTP requests that were sent in a period and have ended, in order."""
        sent = (Sent(float(at), float(s), path) for at, s, _, path in self._lines("request"))
        return sorted((s for s in sent if since <= s.at <= until), key=lambda s: s.at)

    def begun(self) -> dict[str, float]:
        """Return when each task began."""
        return {task_id: float(at) for at, task_id in self._lines("task")}

    def wait_for_tasks(self, count: int) -> dict[str, float]:
        """Wait until `count` tasks have begun; return when each did."""
        deadline = time.monotonic() + _PATIENCE_S
        while len(begun := self.begun()) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} began {len(begun)} of {count} tasks")
            time.sleep(_LOOK_S)
        return begun

    @property
    def first_poll(self) -> Sent:
        """Return its first poll."""
        return next(sent for sent in self.sent() if sent.is_poll)


@contextmanager
def worker(program: str, type: str, threads: int) -> Iterator[Worker]:
    """Run a program as a process that works on one type until the block ends."""
    with TemporaryDirectory(prefix="shiftwork-bench-") as folder:
        found = Worker(f"{program}-{time.monotonic_ns()}", Path(folder) / "notes")
        env = os.environ | {
            NOTES: str(Path(folder) / "notes"),
            "CONDUCTOR_SERVER_URL": f"{os.environ['SHIFTWORK_URL']}/api",
            "CONDUCTOR_AUTH_KEY": "bench",
            "CONDUCTOR_AUTH_SECRET": os.environ["SHIFTWORK_TOKEN"],
        }
        command = [sys.executable, "-m", f"benchmarks.programs.{program}", type, found.name]
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                [*command, str(threads)],
                cwd=PROJECT,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield found
                if process.poll() is not None:
                    raise RuntimeError(f"{program} ended: {log.name}")
            except BaseException:
                print((Path(folder) / "log").read_text()[-3000:], file=sys.stderr)
                raise
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                finally:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
