"""Many processes work on many jobs: each is done once and none is lost, even if some are killed.

The processes are real ones, `shiftwork worker run`, and they die by SIGKILL. The sizes suit a
machine of two processors, which the emulator needs as well: it runs every Lambda function in a
process of its own. TESTS_JOBS=1000 is the size that was aimed at.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shiftwork.api.shapes import Attempt
from tests.integration.lab import Lab, unique, until

ROOT = Path(__file__).parents[2]
FUNCTION = "tests.integration.worker_tasks:note"
_JOBS = int(os.environ.get("TESTS_JOBS", "300"))
_TIMEOUT_S = 420.0
#: How many processes are killed while so many jobs are begun, about.
_KILLS = 12
#: The sweeps that find tasks nobody holds: by leases, by silent workers, by waiting steps.
_SWEEPS = ("jobs", "workers", "inprogress-requests")


@dataclass(frozen=True)
class Note:
    """One line of a process: it began a task."""

    task_id: str
    fence: int
    at: float

    @property
    def job(self) -> str:
        return self.task_id.rsplit(".", 1)[0]


class Crew:
    """Worker processes of one job type, each under a name that it keeps when it is replaced."""

    def __init__(self, type: str, notes: Path) -> None:
        self._type = type
        self._notes = notes
        self._names = itertools.count(1)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0

    def start(self, name: str | None = None) -> str:
        name = name or f"{self._type}-{next(self._names)}"
        command = [sys.executable, "-m", "shiftwork", "worker", "run", f"{self._type}={FUNCTION}"]
        command += ["--name", name, "--batch-size", "5", "--log-level", "warning"]
        self.processes[name] = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "TESTS_NOTES": str(self._notes)}
        )
        return name

    def kill_one(self) -> None:
        """Kill a process, and start another in its place."""
        name = random.choice(sorted(self.processes))
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills += 1
        self.start(name)

    def stop(self) -> list[int]:
        """Ask all to end, and return their exit codes."""
        for process in self.processes.values():
            process.terminate()
        return [process.wait(60) for process in self.processes.values()]

    def begun(self) -> list[Note]:
        lines = [line.split() for line in self._notes.read_text().splitlines()]
        return [Note(task_id, int(fence), float(at)) for task_id, fence, _, at in lines]


def polled_type(lab: Lab, response_timeout_s: float) -> str:
    """Put a job type, and return its name."""
    name = unique("polled")
    body = {
        "target": "worker",
        "timeout_s": 600,
        "retry": {"max_attempts": 20, "backoff": "fixed", "delay_s": 0, "jitter": "none"},
        "worker": {"response_timeout_s": response_timeout_s},
    }
    lab.api.put_definition("job-type", name, body)
    return name


@contextmanager
def crew_of(count: int, type: str, folder: Path) -> Iterator[Crew]:
    notes = folder / "notes"
    notes.touch()
    crew = Crew(type, notes)
    for _ in range(count):
        crew.start()
    try:
        yield crew
    finally:
        codes = crew.stop()
    # A process that has just started may get the signal before it handles it.
    assert set(codes) <= {0, -signal.SIGTERM}


def submitted(lab: Lab, type: str, count: int) -> str:
    name = unique("request")
    entry = {"name": "note", "type": type, "for_each": "params.items"}
    lab.api.put_definition("request-type", name, {"steps": [{"name": "s1", "jobs": [entry]}]})
    return lab.api.submit(name, {"items": list(range(count))})["request_id"]


def assert_none_is_lost(attempts: list[Attempt], count: int) -> dict[str, Attempt]:
    """Check that each job has one completed attempt; return them by job."""
    done = {a["attempt_id"].rsplit(".", 1)[0]: a for a in attempts if a["status"] == "completed"}
    assert len(done) == count
    assert Counter(a["status"] for a in attempts)["completed"] == count
    assert {a["status"] for a in attempts} <= {"completed", "retry"}
    return done


def test_eight_processes_do_each_of_many_jobs_once(lab: Lab, tmp_path: Path) -> None:
    # Nobody dies here, so no worker on a busy machine may be declared dead.
    type = polled_type(lab, response_timeout_s=300)
    with crew_of(8, type, tmp_path) as crew:
        request_id = submitted(lab, type, _JOBS)
        lab.completed(request_id, timeout_s=_TIMEOUT_S)
    attempts = lab.attempts(request_id)
    assert_none_is_lost(attempts, _JOBS)
    errors = [a["error"] for a in attempts if a["error"]]
    assert {(a["attempt"], a["fence"]) for a in attempts} == {(1, 1)}, errors
    begun = Counter(note.job for note in crew.begun())
    assert len(begun) == _JOBS
    assert set(begun.values()) == {1}
    assert len({a["worker_id"] for a in attempts}) == 8


def test_processes_that_are_killed_lose_nothing_and_nothing_is_done_after_its_outcome(
    lab: Lab, tmp_path: Path
) -> None:
    type = polled_type(lab, response_timeout_s=10)
    with crew_of(4, type, tmp_path) as crew:
        request_id = submitted(lab, type, _JOBS)
        until(crew.begun, "the first task is begun")
        ended = threading.Event()

        def kill() -> None:
            # By what is begun: on a busy machine a process may take longer to start than any time.
            while not ended.wait(0.2):
                if len(crew.begun()) * _KILLS >= (crew.kills + 1) * _JOBS:
                    crew.kill_one()

        killing = threading.Thread(target=kill)
        killing.start()
        try:
            lab.completed(request_id, *_SWEEPS, timeout_s=_TIMEOUT_S)
        finally:
            ended.set()
            killing.join()
    assert crew.kills >= 3
    done = assert_none_is_lost(lab.attempts(request_id), _JOBS)
    begun = crew.begun()
    # Each delivery is one claim: no two processes ever held the same one.
    assert set(Counter((note.task_id, note.fence) for note in begun).values()) == {1}
    for note in begun:
        recorded_at = datetime.fromisoformat(done[note.job]["completed_at"] or "").timestamp()
        assert note.at <= recorded_at, f"{note} was begun after the outcome of {recorded_at}"
