"""What breaks HTTP, or precedes an answer, is never taken for the answer to a call."""

from __future__ import annotations

import socket
import tracemalloc

import pytest

from shiftwork_core.adapters.named_services import Answer, NamedServices, NoAnswer
from tests.contract.raw_server import OK, RawServer


def services_at(server: RawServer) -> NamedServices:
    url = f"http://127.0.0.1:{server.port}"
    return NamedServices({"crm": {"url": url, "private": True}}, lambda: 0.0)


def ask(services: NamedServices, path: str = "/") -> Answer:
    return services.call("crm", "GET", path, headers={}, body=None, timeout_s=5, max_bytes=1000)


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_the_answer_after_a_preliminary_one_is_that_of_its_own_call(
    server: RawServer, status: bytes
) -> None:
    def act(connection: socket.socket) -> None:
        # What RawServer has read was the first call.
        for path in (b"/1", b"/2"):
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nLink: </style.css>\r\n\r\n")
            connection.sendall(OK + b"Content-Length: 2\r\n\r\n" + path)
            connection.recv(65536)

    server.act = act
    services = services_at(server)
    for path in ("/1", "/2"):
        answer = ask(services, path)
        assert (answer.status, answer.content) == (200, path.encode())


def test_a_switch_of_protocols_that_nobody_asked_for_is_no_answer(server: RawServer) -> None:
    server.sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b"not HTTP")
    with pytest.raises(NoAnswer, match="nobody asked to switch protocols"):
        ask(services_at(server))


@pytest.mark.parametrize("size", [b"-1", b"-2", b"x", b""])
def test_a_chunk_without_a_size_is_no_answer_however_much_follows(
    server: RawServer, size: bytes
) -> None:
    head = b"Transfer-Encoding: chunked\r\n\r\n"
    server.sends(OK + head + size + b"\r\n", *[bytes(2**20)] * 16)
    tracemalloc.start()
    try:
        with pytest.raises(NoAnswer, match="IncompleteRead"):
            ask(services_at(server))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 2**20
