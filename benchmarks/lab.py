"""A service for driver `http`: it switches things, and takes as long as the benchmark says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

SERVICE = "bench-lab"
_ON_THE_WAY = {"running": "starting", "stopped": "stopping"}


class Lab(ThreadingHTTPServer):
    """Things by name, all stopped at first. A switch takes `takes_s` seconds."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.takes_s = 0.0
        self._goals: dict[str, tuple[str, float]] = {}

    @property
    def services(self) -> str:
        """Return the setting SERVICES that names this service."""
        return json.dumps(
            {SERVICE: {"url": f"http://127.0.0.1:{self.server_port}", "private": True}}
        )

    def driver(self, thing: str) -> dict[str, Any]:
        """Return the driver of a workspace that is one of its things."""
        return {
            "type": "http",
            "service": SERVICE,
            "state": {"path": f"/{thing}"},
            "start": {"path": f"/{thing}/running"},
            "stop": {"path": f"/{thing}/stopped"},
        }

    def state(self, thing: str) -> str:
        """Return the state of a thing."""
        goal, at = self._goals.get(thing, ("stopped", 0.0))
        return goal if at <= time.monotonic() else _ON_THE_WAY[goal]

    def switch(self, thing: str, goal: str) -> None:
        """Begin to switch a thing."""
        self._goals[thing] = goal, time.monotonic() + self.takes_s


class _Handler(BaseHTTPRequestHandler):
    server: Lab

    def do_GET(self) -> None:
        """Tell a thing's state."""
        self._answer()

    def do_POST(self) -> None:
        """Switch a thing."""
        _, thing, goal = self.path.split("/")
        self.server.switch(thing, goal)
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = json.dumps({"state": self.server.state(self.path.split("/")[1])}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def open_lab() -> Iterator[Lab]:
    """Serve on a free port of this machine until the block ends."""
    lab = Lab()
    Thread(target=lab.serve_forever, daemon=True).start()
    try:
        yield lab
    finally:
        lab.shutdown()
        lab.server_close()
