"""Run calls side by side, in threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Key = TypeVar("Key")
Result = TypeVar("Result")


def side_by_side(
    calls: Mapping[Key, Callable[[], Result]], tick_s: Callable[[], float]
) -> Iterator[Mapping[Key, Future[Result]]]:
    """Start every call in a thread of its own; see `ports.SideBySide`."""
    pool = ThreadPoolExecutor(max_workers=max(len(calls), 1))
    try:
        keys = {pool.submit(call): key for key, call in calls.items()}
        pending = set(keys)
        while pending:
            done, pending = wait(pending, tick_s(), return_when=FIRST_COMPLETED)
            yield {keys[future]: future for future in done}
    finally:
        # A caller that stops iterating leaves calls running: a thread cannot be killed.
        pool.shutdown(wait=False)
