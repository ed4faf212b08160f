"""Show what jobs log, and keep it for `shiftwork job logs`."""

from __future__ import annotations

import json
import logging
import os
import pdb
import sys
from collections import deque
from types import SimpleNamespace
from typing import Any

from shiftwork_platform.dev.terminal import Terminal

#: The last lines of all jobs that are kept.
_MOST_LINES = 10_000


class _Never(Exception):
    """What CloudWatch raises, and this does not."""


class JobLogs(logging.Handler):
    """Writes each line of a job to the terminal, and answers for CloudWatch Logs."""

    exceptions = SimpleNamespace(ResourceNotFoundException=_Never, InvalidParameterException=_Never)

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal
        self._lines: deque[tuple[int, str, str]] = deque(maxlen=_MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Show a line, and keep it; one that cannot be formatted is told, as `logging` does."""
        try:
            self._emit(record)
        except Exception:  # As other handlers: to log never fails a job.
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, "module_name"):  # It cannot be imported: who loads it tells that.
            return
        attempt_id = str(getattr(record, "attempt_id", ""))
        text = self.format(record)
        if not attempt_id:  # A module says it while it is imported.
            self._terminal.say(text)
            return
        kept = {
            "level": record.levelname,
            "message": text,
            "job": getattr(record, "job", ""),
            "attempt_id": attempt_id,
            "line": getattr(record, "line", 0),
        }
        if (stream := getattr(record, "stream", None)) is not None:
            kept["stream"] = stream
        self._lines.append((int(record.created * 1000), attempt_id, json.dumps(kept)))
        self._terminal.event(attempt_id, f"{kept['job']}: {text}")

    def filter_log_events(self, **query: Any) -> dict[str, Any]:
        """Return lines of an attempt or a request; see the method of CloudWatch Logs' client."""
        wanted = query["filterPattern"].strip('"')
        found = [
            {"timestamp": at, "message": message}
            for at, attempt_id, message in list(self._lines)
            if at >= query["startTime"]
            and (attempt_id == wanted or attempt_id.startswith(f"{wanted}."))
        ]
        start = int(query.get("nextToken") or 0)
        page = found[start : start + query["limit"]]
        end = start + len(page)
        return {"events": page, **({"nextToken": str(end)} if end < len(found) else {})}

    def listen(self) -> None:
        """Show what callbacks log from now on, and errors of the platform."""
        stop_in_terminal()
        logging.getLogger("shiftwork").setLevel(logging.ERROR)
        callbacks = logging.getLogger("shiftwork.callbacks")
        callbacks.setLevel(logging.INFO)
        callbacks.propagate = False
        callbacks.addHandler(self)


def stop_in_terminal() -> None:
    """Let `breakpoint()` talk to the terminal: what a callback prints goes to its job's log.

    A debugger that `PYTHONBREAKPOINT` names has its own way.
    """
    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = _stop


def _stop(*_: object, **__: object) -> None:
    pdb.Pdb(stdout=sys.__stdout__).set_trace(sys._getframe(1))
