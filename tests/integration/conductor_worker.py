"""A worker as its authors wrote it for Conductor: conductor-python, and nothing of Shiftwork's.

Run with CONDUCTOR_SERVER_URL, CONDUCTOR_AUTH_KEY and CONDUCTOR_AUTH_SECRET; its task type and its
own name are the arguments. It ends at SIGTERM. Its annotations are not put off (no `from __future__
import annotations`), for the SDK looks at them when it calls the function.
"""

import signal
import sys
import threading
import time
from typing import Any

from conductor.client.automator.task_handler import TaskHandler
from conductor.client.configuration.configuration import Configuration
from conductor.client.context.task_context import TaskInProgress, get_task_context
from conductor.client.worker.exception import NonRetryableException
from conductor.client.worker.worker_task import worker_task

TASK_TYPE, WORKER_ID = sys.argv[1:3]


@worker_task(  # type: ignore[untyped-decorator]
    TASK_TYPE,
    worker_id=WORKER_ID,
    thread_count=4,
    poll_interval_millis=500,
    register_task_def=True,
    lease_extend_enabled=True,
)
def act(what: str, number: int = 0) -> Any:
    context = get_task_context()
    context.add_log(f"{what} begins")
    if what == "scalar":
        return number + 1
    if what == "map":
        return {"number": number, "poll_count": context.get_poll_count()}
    if what == "fail once" and context.get_retry_count() == 0:
        raise RuntimeError("no ink")
    if what == "fail always":
        raise RuntimeError("never any ink")
    if what == "fail for good":
        raise NonRetryableException("no printer")
    if what == "take turns" and context.get_poll_count() < 3:
        turn = {f"turn_{context.get_poll_count()}": True}
        return TaskInProgress(callback_after_seconds=1, output=turn)
    if what == "take long":
        time.sleep(number)
    return {"done": what}


def main() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    handler = TaskHandler(configuration=Configuration(), scan_for_annotated_workers=True)
    handler.start_processes()
    stop.wait()
    handler.stop_processes()


if __name__ == "__main__":
    main()
