"""Do empty tasks with conductor-python.

python -m benchmarks.programs.conductor_worker TYPE NAME THREADS

A worker as users of conductor-python write it, with its default intervals. TaskHandler spawns the
process that polls, which imports this module again.
"""

import signal
import sys
import threading
import time

from conductor.client.automator.task_handler import TaskHandler
from conductor.client.configuration.configuration import Configuration
from conductor.client.context.task_context import get_task_context
from conductor.client.worker.worker_task import worker_task

from benchmarks.programs.notes import note, note_requests

note_requests()
TYPE, NAME, THREADS = sys.argv[1:4]


@worker_task(  # type: ignore[untyped-decorator]
    TYPE, worker_id=NAME, thread_count=int(THREADS)
)
def empty() -> dict:  # type: ignore[type-arg]
    """Do nothing."""
    note("task", time.time(), get_task_context().get_task_id())
    return {}


def main() -> None:
    """Run until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    handler = TaskHandler(configuration=Configuration(), scan_for_annotated_workers=True)
    handler.start_processes()
    stop.wait()
    handler.stop_processes()


if __name__ == "__main__":
    main()
