"""Serve a deployment's HTTP API from this process."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from shiftwork_platform.functions import FunctionCode
from shiftwork_platform.gateway import Gateway, Handler

#: API Gateway takes no more.
_MAX_BODY_BYTES = 10 * 1024 * 1024


def gateway_of(root: object) -> Gateway:
    """Return the gateway before the functions' own code, over the services of a root.

    The API's framework answers one call at a time, as on Lambda.
    """
    names = ("authorize", "api", "serve_tasks")
    codes = {name: FunctionCode(name, root) for name in names}
    one_at_a_time = threading.Lock()

    def handler_of(name: str) -> Handler:
        def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
            # Its code is imported with its first call, so that the first answer comes soon.
            handler: Handler = codes[name].module("app").handler
            with one_at_a_time if name == "api" else nullcontext():
                return handler(event, context)

        return handle

    return Gateway({name: handler_of(name) for name in names})


class Server(ThreadingHTTPServer):
    """A server on a port of this machine alone."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Call)
        self.gateway: Gateway | None = None
        self.is_ready = threading.Event()

    def answer_by(self, gateway: Gateway) -> None:
        """Answer calls from now on; those that came before have waited."""
        self.gateway = gateway
        self.is_ready.set()


class _Call(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self.close_connection = True
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        self.server.is_ready.wait()
        assert self.server.gateway is not None
        url = urlsplit(self.path)
        answer = self.server.gateway(
            self.command, url.path, url.query, dict(self.headers.items()), body
        )
        text = answer.text.encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each call: the terminal tells what they do."""
