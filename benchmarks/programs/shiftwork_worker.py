"""Do empty tasks with this SDK.

python -m benchmarks.programs.shiftwork_worker TYPE NAME THREADS
"""

from __future__ import annotations

import sys
import time

from benchmarks.programs.notes import note, note_requests
from shiftwork.worker import Task, TaskRunner


def empty(task: Task) -> None:
    """Do nothing."""
    note("task", time.time(), task.task_id)


if __name__ == "__main__":
    note_requests()
    type_, name, threads = sys.argv[1:4]
    runner = TaskRunner(worker_id=name, long_poll=True)
    runner.start_worker(type_, empty, batch_size=int(threads))
    runner.wait_workers()
