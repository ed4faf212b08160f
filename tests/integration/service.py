"""The service that jobs of target `http` call: it answers by a test's script, and remembers calls.

It runs in the process that starts the tests; the tests, in processes of their own, write scripts
and read what was seen over HTTP too.
"""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

SCRIPTS = "/scripts/"


class _Handler(BaseHTTPRequestHandler):
    """`PUT /scripts/<name>` sets the answers; `GET` returns the calls of `/<name>/...` so far."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_PUT(self) -> None:
        name = self.path.removeprefix(SCRIPTS)
        self.server.scripts[name] = json.loads(self._body())
        self._answer({"status": 200})

    def do_GET(self) -> None:
        name = self.path.removeprefix(SCRIPTS)
        with self.server.lock:
            self._answer({"status": 200, "body": self.server.calls[name]})

    def do_POST(self) -> None:
        name = self.path.split("/")[1]
        call = {"path": self.path, "headers": dict(self.headers), "body": self._body()}
        with self.server.lock:
            number = len(self.server.calls[name])
            self.server.calls[name].append(call)
        script = self.server.scripts[name]
        self._answer(script[min(number, len(script) - 1)])

    def _body(self) -> str:
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def _answer(self, answer: dict[str, Any]) -> None:
        content = json.dumps(answer.get("body", {})).encode()
        with suppress(ConnectionError):
            self.send_response(answer["status"])
            for name, value in answer.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripts: dict[str, list[dict[str, Any]]] = {}
        self.calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.lock = Lock()


def start() -> str:
    """Start the service in this process; return its base URL."""
    server = _Server()
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
