"""An HTTP server that answers in a thread: for health checks and metrics."""

from __future__ import annotations

import threading
from http.server import HTTPServer


class BackgroundServer:
    """An HTTP server that answers in a thread until it is stopped; it listens on `port`."""

    def __init__(self, server: HTTPServer, thread: threading.Thread) -> None:
        self._server = server
        self._thread = thread
        self.port = server.server_port

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> BackgroundServer:
        """Return itself; leaving the block stops it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it."""
        self.stop()
