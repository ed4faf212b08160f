"""Run ministack with shared layers, and with logs that come line by line.

The emulator's own Python runs this file, and cannot import this package. By itself the emulator
unpacks each archive for every process that it starts; puts what a function logs into its log group
only once the call has ended, all with one time; and lists no second page of lines.

A function's layers have
some five thousand files: unpacking them blocks ministack for one to two seconds, so a few cold
starts would hold up a small machine. As on AWS, processes share what is in /opt; none may write
there.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any, Self
from uuid import uuid4

_LOCK = Lock()


class SharedArchive:
    """An archive on disk that is unpacked as a link to an earlier copy of the same content.

    It has the methods of `zipfile.ZipFile` that the emulator uses.
    """

    def __init__(self, file: Path, root: Path) -> None:
        self._file = file
        with file.open("rb") as content:
            self._unpacked = root / hashlib.file_digest(content, "sha256").hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def namelist(self) -> list[str]:
        """Return the names to be unpacked: none if the archive has been unpacked before."""
        if self._unpacked.exists():
            return []
        with zipfile.ZipFile(self._file) as archive:
            return archive.namelist()

    def extractall(self, path: str) -> None:
        """Replace the empty folder `path` by a link, and remove the archive."""
        with _LOCK:
            if not self._unpacked.exists():
                new = self._unpacked.with_suffix(".new")
                with zipfile.ZipFile(self._file) as archive:
                    archive.extractall(new)
                new.rename(self._unpacked)
        target = Path(path)
        target.rmdir()
        target.symlink_to(self._unpacked)
        self._file.unlink()


# -- logs ----------------------------------------------------------------------------------------

#: A request's body by its fields; the status, the headers and the body of the answer.
_Answer = tuple[int, dict[str, str], bytes]
_Route = Callable[[dict[str, Any]], _Answer]


class LiveLines:
    """Writes each line that a process of a function logs to its log group, as it comes."""

    def __init__(self, logs: Any, config: dict[str, Any]) -> None:
        self._logs = logs
        name = config.get("FunctionName", "unknown")
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}"
        today = time.strftime("%Y/%m/%d", time.gmtime())
        self._place = {
            "logGroupName": group,
            "logStreamName": f"{today}/[$LATEST]{uuid4().hex}",
        }
        # Answers that they exist are as good.
        logs._create_log_group({"logGroupName": group})
        logs._create_log_stream(self._place)

    def add(self, line: str) -> None:
        """Write a line under the time now."""
        event = {"timestamp": int(time.time() * 1000), "message": line}
        self._logs._put_log_events({**self._place, "logEvents": [event]})


def log_at_once(worker: Any, functions: Any, logs: Any) -> None:
    """Have processes of the class `worker` log line by line, and no longer at a call's end."""
    spawn, summarize = worker._spawn, functions._emit_lambda_logs

    def spawn_in_context(self: Any) -> None:
        self.log_context = copy_context()  # It says whose log groups these are.
        spawn(self)

    def read(self: Any) -> None:
        lines = self.log_context.run(LiveLines, logs, self.config)
        for line in self._proc.stderr:
            self._stderr_queue.put(line.rstrip("\n"))  # An answer may show the last of them.
            self.log_context.run(lines.add, line.rstrip("\n"))

    def write_summary(function: Any, request_id: str, text: str, *rest: Any, **named: Any) -> None:
        summarize(function, request_id, "", *rest, **named)

    worker._spawn, worker._read_stderr = spawn_in_context, read
    functions._emit_lambda_logs = write_summary


def in_pages(list_events: _Route) -> _Route:
    """Return FilterLogEvents with a token where there are more lines than its limit."""

    def list_page(query: dict[str, Any]) -> _Answer:
        start, limit = int(query.get("nextToken") or 0), query.get("limit", 10_000)
        status, headers, body = list_events({**query, "limit": start + limit + 1})
        if status != 200:
            return status, headers, body
        answer = json.loads(body)
        has_more = len(answer["events"]) > start + limit
        answer["events"] = answer["events"][start : start + limit]
        if has_more:
            answer["nextToken"] = str(start + limit)
        return status, headers, json.dumps(answer).encode()

    return list_page


def main() -> None:
    """Run ministack until a signal ends it."""
    # Only the emulator's environment has these packages.
    from ministack.app import main as run  # type: ignore[import-not-found]
    from ministack.core import lambda_runtime  # type: ignore[import-not-found]
    from ministack.services import cloudwatch_logs, lambda_svc  # type: ignore[import-not-found]

    root = Path(tempfile.gettempdir()) / "unpacked"
    root.mkdir(exist_ok=True)
    shared = {"ZipFile": lambda file: SharedArchive(Path(file), root)}
    lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | shared)
    log_at_once(lambda_runtime.Worker, lambda_svc, cloudwatch_logs)
    cloudwatch_logs._filter_log_events = in_pages(cloudwatch_logs._filter_log_events)
    run()


if __name__ == "__main__":
    main()
