"""What the worker processes of test_worker_processes.py do."""

from __future__ import annotations

import os
import random
import time

from shiftwork.worker import Task


def note(task: Task) -> int:
    """Note in a file that the task was begun, by whom and when; then work for a moment."""
    line = f"{task.task_id} {task.fence} {os.getpid()} {time.time()}\n"
    # One small write to a file that is open for appending: processes do not mix theirs.
    with open(os.environ["TESTS_NOTES"], "a", buffering=1) as notes:  # noqa: PTH123
        notes.write(line)
    task.wait(random.uniform(0, 0.1))
    return task.fence
