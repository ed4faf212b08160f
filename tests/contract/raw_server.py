"""A server that sends whatever bytes a test says."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from threading import Event, Thread

OK = b"HTTP/1.1 200 OK\r\n"

#: What a server does with a connection once it has read from it.
Act = Callable[[socket.socket], None]


class RawServer:
    """Accepts connections, reads once from each, and does with it what a test says."""

    def __init__(self) -> None:
        self.act: Act = lambda connection: None
        self.connections = 0
        self.closed = Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                self.act(connection)
            except OSError:
                self.closed.set()

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def sends(self, *parts: bytes) -> None:
        def act(connection: socket.socket) -> None:
            for part in parts:
                connection.sendall(part)

        self.act = act

    def drips(self, start: bytes, drop: bytes) -> None:
        """Send a start, and then a drop every 20 ms while anybody listens, for 10 s at most."""

        def act(connection: socket.socket) -> None:
            connection.sendall(start)
            for _ in range(500):
                connection.sendall(drop)
                time.sleep(0.02)  # The subject of the test, not a wait of it.

        self.act = act
