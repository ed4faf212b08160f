"""A worker made of a function, and other helpers of pool tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from shiftwork.worker import Run, WorkerExecution


class FunctionWorker:
    """A worker made of a function, sync or async."""

    def __init__(self, run: Run, name: str = "worker") -> None:
        self.name = name
        self.run = run


def numbered() -> Callable[[], str]:
    """Return a function that returns the ids id-1, id-2, ..."""
    ids: Iterator[str] = (f"id-{n}" for n in itertools.count(1))
    return lambda: next(ids)


def messages(execution: WorkerExecution) -> list[str]:
    """Return the messages of a report's events."""
    return [event.message for event in execution.events]
