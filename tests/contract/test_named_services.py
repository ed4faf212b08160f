"""Connections to named services that outlive a call: Lambda freezes them with their process."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from shiftwork_core.adapters.named_services import Answer, NamedServices, NoAnswer


class Forgetful(ThreadingHTTPServer):
    """Answers the first request of each connection, and drops the connection at the second.

    So does whatever closed it while the client was frozen: the client hears of it too late.
    """

    connections = 0
    daemon_threads = True


class OneAnswer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Forgetful

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1
        self.has_answered = False

    def do_GET(self) -> None:
        if self.has_answered:
            self.close_connection = True
            return
        self.has_answered = True
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Seconds:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[Forgetful]:
    with Forgetful(("127.0.0.1", 0), OneAnswer) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def services(server: Forgetful, seconds: Seconds) -> NamedServices:
    return NamedServices(
        {"crm": {"url": f"http://127.0.0.1:{server.server_port}", "private": True}}, seconds
    )


def call(services: NamedServices) -> Answer:
    return services.call("crm", "GET", "/", headers={}, body=None, timeout_s=10, max_bytes=10)


def test_a_connection_from_before_a_freeze_is_not_used_again(
    services: NamedServices, seconds: Seconds, server: Forgetful
) -> None:
    call(services)
    seconds.now += 3.1
    assert call(services).status == 200
    assert server.connections == 2


def test_a_connection_is_used_again_at_once(services: NamedServices, server: Forgetful) -> None:
    call(services)
    with pytest.raises(NoAnswer):
        call(services)
    assert server.connections == 1


def test_a_pause_is_counted_from_the_end_of_the_last_call_even_if_it_failed(
    services: NamedServices, seconds: Seconds, server: Forgetful
) -> None:
    call(services)
    seconds.now += 2
    with pytest.raises(NoAnswer):
        call(services)
    call(services)
    seconds.now += 2.9
    with pytest.raises(NoAnswer):
        call(services)
    assert server.connections == 2
