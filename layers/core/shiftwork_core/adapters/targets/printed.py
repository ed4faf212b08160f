"""Make what a callback prints lines of its job's log, also where jobs run side by side.

The standard streams of the process are replaced by ones that ask for the job of whoever writes. It
is in the context of the job's thread: threads and tasks that copy this context write to the job,
too; what others write goes to the real stream, as what no job writes does.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock
from typing import Any, TextIO

#: A printed line is cut into pieces of so many characters; of one job so many pieces are kept.
MAX_LINE = 1000
MAX_LINES = 1000
_FULL = f"it has printed {MAX_LINES:,} lines: the rest is only in the log of its function"


class _Printed:
    """What one job prints: whole lines go to its log, what is left when it ends as well."""

    def __init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._log = log
        self._begun: dict[str, str] = {}
        self._left = MAX_LINES
        self._lock = RLock()

    def takes(self, stream: str, text: str) -> bool:
        """Add the text. False: the job has printed too much, or nobody wants to know."""
        with self._lock:
            if not self._left or not self._log.isEnabledFor(logging.INFO):
                return False
            *lines, rest = (self._begun.pop(stream, "") + text).split("\n")
            for line in lines:
                self._add(stream, line)
            while len(rest) > MAX_LINE:
                self._add(stream, rest[:MAX_LINE])
                rest = rest[MAX_LINE:]
            self._begun[stream] = rest
        return True

    def end(self) -> None:
        """Add the lines that have no end."""
        with self._lock:
            for stream, rest in self._begun.items():
                if rest:
                    self._add(stream, rest)
            self._begun.clear()

    def _add(self, stream: str, line: str) -> None:
        line = line.rstrip("\r").rpartition("\r")[2]  # As a terminal shows a bar of progress.
        for start in range(0, len(line) or 1, MAX_LINE):
            if not self._left:
                return
            self._left -= 1
            self._log.info(line[start : start + MAX_LINE], extra={"stream": stream})
            if not self._left:
                self._log.warning(_FULL)


_JOB: ContextVar[_Printed | None] = ContextVar("the job that prints", default=None)


class JobStream:
    """A standard stream that gives a job's text to the job, and passes on any other."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self._name = name
        self._stream = stream

    def write(self, text: str) -> int:
        """Write to the log of the job that this thread does, else to the real stream."""
        job = _JOB.get()
        if job is not None:
            # A handler of the log may write to this very stream.
            token = _JOB.set(None)
            try:
                if job.takes(self._name, text):
                    return len(text)
            finally:
                _JOB.reset(token)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return what else the real stream has."""
        return getattr(self._stream, name)


@contextmanager
def printed_to(log: logging.LoggerAdapter[logging.Logger]) -> Iterator[None]:
    """Within this, what the thread prints are lines of `log`, with the key `stream`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, JobStream):
            setattr(sys, name, JobStream(name, stream))
    job = _Printed(log)
    token = _JOB.set(job)
    try:
        yield
    finally:
        _JOB.reset(token)
        job.end()


@contextmanager
def printed_for_nobody() -> Iterator[None]:
    """Within this, what the thread prints goes to the real streams: a debugger talks to people."""
    token = _JOB.set(None)
    try:
        yield
    finally:
        _JOB.reset(token)
