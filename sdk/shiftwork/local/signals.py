"""End processes: this one by an exception, so that what was begun is removed; and others."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndRequested(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def wait_or_kill(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Wait for a process that was asked to end; kill it if that takes too long."""
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def signals_raise() -> Iterator[None]:
    """Make the signals that end a process raise `EndRequested` in the block."""

    def raise_it(number: int, frame: FrameType | None) -> None:
        raise EndRequested(number)

    before = {number: signal.signal(number, raise_it) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore signals in the block: a second Ctrl-C must not leave anything behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
