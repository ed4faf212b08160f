"""Repeat a poll until it finds something or its time is up, for clients that ask to wait."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

#: The time between two polls.
INTERVAL_S = 0.5

T = TypeVar("T")


def poll_repeatedly(
    poll: Callable[[], list[T]], limit_s: float, *, is_over: Callable[[], bool] = lambda: False
) -> list[T]:
    """Poll until something is found, and return it; return nothing after the last poll.

    No poll starts later than `limit_s` from now, nor once `is_over` says so.
    """
    deadline = monotonic() + limit_s
    while not (found := poll()) and not is_over() and monotonic() + INTERVAL_S <= deadline:
        sleep(INTERVAL_S)
    return found
