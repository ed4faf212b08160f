"""Run calls side by side, in threads of this process; say which of them still run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")

#: Calls beyond these wait until one is free. Lambda allows a process 1,024, and ends one in which a
#: call hangs; in `shiftwork dev`, calls that hang keep theirs.
MAX_THREADS = 10_000

#: Its threads wait for the next calls, since to begin one takes as long as a small job. A call gets
#: one that is idle, else a new one.
_threads = ThreadPoolExecutor(MAX_THREADS, "call")
#: The calls of this process that have not ended, each with its key.
_running: dict[Future[Any], object] = {}


def side_by_side(
    calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
) -> Iterator[Mapping[Key, Future[Result]]]:
    """Start every call in a thread of its own; see `ports.SideBySide`.

    Each has a copy of the caller's context: what it logs carries the caller's keys, also when the
    caller has moved on, and keys that it adds are its own.
    """
    keys = {_threads.submit(copy_context().run, call): key for key, call in calls.items()}
    for future, key in keys.items():
        _running[future] = key
        future.add_done_callback(_running.pop)
    pending = set(keys)
    # A caller that stops iterating leaves calls running: a thread cannot be killed.
    while pending:
        done, pending = wait(pending, tick_s(), return_when=FIRST_COMPLETED)
        yield {keys[future]: future for future in done}


def still_running(timeout_s: float) -> list[object]:
    """Wait at most so long for calls that were left running; return the keys of those that remain.

    Threads that such a call has started by itself are not known here.
    """
    left = dict(_running)
    _, remaining = wait(left, timeout_s)
    return [key for future, key in left.items() if future in remaining]
