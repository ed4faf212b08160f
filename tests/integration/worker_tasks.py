"""The tasks of the worker processes in test_worker_processes.py."""

from __future__ import annotations

import os
import random
import time

from shiftwork.worker import Task


def note(task: Task) -> int:
    """Note in a file which worker began the task and when; then work for a moment."""
    line = f"{task.task_id} {task.fence} {os.getpid()} {time.time()}\n"
    # One small append, so that the lines of several processes never mix.
    with open(os.environ["TESTS_NOTES"], "a", buffering=1) as notes:  # noqa: PTH123
        notes.write(line)
    task.wait(random.uniform(0, 0.1))
    return task.fence
