"""Count what a call does, by means of its own: the work and the hang guard of tests of bounds."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

#: Long enough on any machine for what is within bounds: it only keeps a bomb from holding a run.
_HANG_S = 60


def calls_of(work: Callable[[], T]) -> tuple[T, int]:
    """Return what `work` returns, and how many functions it called, those of C included."""
    count = 0

    def notice(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(notice)
    try:
        return work(), count
    finally:
        sys.setprofile(before)


@contextmanager
def no_hang() -> Iterator[None]:
    """Fail if what is within does not end; also a regular expression of Python's is interrupted."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it had not ended after {_HANG_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
